//! The pool's keys on the box.

use super::State;
use super::keyring::{Form, Keyring};
use super::tpm::Sealer;
use crate::engine::Result;

impl State {
    /// What opens a pool on this box: `pool/ID.key` or `pool/ID.sealed`.
    pub fn keyring<'a>(&self, pool: &str, sealer: &'a dyn Sealer) -> Result<Keyring<'a>> {
        Keyring::new(pool, &self.folder().join("pool"), pool, Form::Raw, sealer)
    }
}

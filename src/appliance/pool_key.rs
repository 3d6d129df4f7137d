//! The pool's master key on the box.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{State, files};
use crate::engine::{Error, Kind, MasterKey, Result};

impl State {
    fn pool_key_path(&self, pool: &str) -> Result<PathBuf> {
        if pool.is_empty() || !pool.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::new(
                Kind::Refused,
                format!("{pool:?} is not the id of a pool"),
            ));
        }
        Ok(self.folder().join("pool").join(format!("{pool}.key")))
    }

    /// Keeps the master key of a pool; durable when it returns.
    pub fn save_pool_key(&self, pool: &str, key: &MasterKey) -> Result<()> {
        let path = self.pool_key_path(pool)?;
        files::private_folder(&self.folder().join("pool"))?;
        files::write(&path, Zeroizing::new(key.0).as_slice())
    }

    /// The master key of a pool.
    ///
    /// # Errors
    /// `Missing` if the box does not have it.
    pub fn pool_key(&self, pool: &str) -> Result<MasterKey> {
        let path = self.pool_key_path(pool)?;
        files::read_key(&path)?
            .map(|key| MasterKey(*key))
            .ok_or_else(|| {
                Error::new(
                    Kind::Missing,
                    format!(
                        "the key of pool {pool} is not on this box ({}); it can be had again with the recovery words",
                        path.display()
                    ),
                )
            })
    }
}

//! Secrets of 32 bytes sealed with the machine's TPM 2.0.
//!
//! The TPM is spoken to by `systemd-creds`, which only root may do. The daemon
//! asks a small privileged program for it, `colca tpm-helper`, of which systemd
//! starts one for each connection to `/run/colca/tpm-helper.sock`; root, on a
//! plain folder, runs the tool itself. A secret travels through pipes and
//! sockets only, never through a file.

pub mod helper;
mod tool;

use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::engine::Result;

/// Longest sealed form in bytes; what the TPM makes has about a tenth of it.
pub(crate) const LONGEST: usize = 16 << 10;
/// Bytes of a secret.
const SECRET: usize = 32;

/// Something that seals secrets so that only this machine opens them.
pub trait Sealer: Send + Sync {
    /// Seals a secret for one purpose; text without white space.
    ///
    /// # Errors
    /// `Refused` if the machine has no TPM, or it does not want.
    fn seal(&self, purpose: &str, secret: &[u8; SECRET]) -> Result<String>;

    /// Opens what was sealed on this machine for the same purpose.
    ///
    /// # Errors
    /// `Refused` if this machine's TPM does not open it.
    fn unseal(&self, purpose: &str, sealed: &str) -> Result<Zeroizing<[u8; SECRET]>>;
}

/// The TPM by way of the privileged helper at `socket`.
pub fn helper_client(socket: &Path) -> Box<dyn Sealer> {
    Box::new(helper::Client::new(socket))
}

/// The TPM spoken to by this process itself, which must be root's.
pub fn direct() -> Box<dyn Sealer> {
    Box::new(tool::Direct)
}

/// Purposes are part of file names elsewhere: `colca-` and an id.
fn fits(purpose: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=64).contains(&purpose.len()) && purpose.bytes().all(plain)
}

/// Everything there is to read, up to `longest` bytes.
fn read_secret(mut from: impl Read, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // One buffer, because growing would leave copies behind.
    let mut bytes = Zeroizing::new(vec![0; longest]);
    let mut len = 0;
    while len < longest {
        match from.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

//! Where data comes from, and where a restore puts it back: one file per kind.

use std::path::Path;

mod local;
mod sftp;

pub use crate::sftp::{SftpAuth, SftpConfig, sftp_host_key};

use crate::engine::Result;
use crate::engine::tree::{Target, Tree};

/// A local folder as [`Tree`] (backup).
pub fn local_tree(path: &Path) -> Result<Box<dyn Tree>> {
    Ok(Box::new(local::tree::LocalTree::new(path)?))
}
/// A local folder as [`Target`] (restore); made if it does not exist.
pub fn local_target(path: &Path) -> Result<Box<dyn Target>> {
    Ok(Box::new(local::target::LocalTarget::new(path)?))
}
/// An SFTP folder as [`Tree`]. Makes its own runtime thread; blocking.
pub fn sftp_tree(config: &SftpConfig) -> Result<Box<dyn Tree>> {
    Ok(Box::new(sftp::tree::SftpTree::new(config)?))
}
/// An SFTP folder as [`Target`]; `config.path` is made if it does not exist.
pub fn sftp_target(config: &SftpConfig) -> Result<Box<dyn Target>> {
    Ok(Box::new(sftp::target::SftpTarget::new(config)?))
}

/// A name that no other file has: random, and told apart by people.
fn temporary_name() -> Vec<u8> {
    use std::hash::{BuildHasher, Hasher};
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // The hasher is seeded at random by the standard library; guessing the
    // name gains nothing, because it is only ever created exclusively.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u64(COUNT.fetch_add(1, Ordering::Relaxed));
    format!(".colca-{:016x}.part", hasher.finish()).into_bytes()
}

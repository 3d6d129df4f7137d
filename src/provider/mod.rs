//! The external provider: the same sealed objects, byte for byte, elsewhere.
//!
//! A provider is a [`crate::engine::storage::Storage`] like the pool, so a
//! replica can be opened, listed, verified and restored from without the box.
//! It needs no key: what it carries is sealed already.

mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod http;
mod manifest;
mod replicate;
mod s3;

use serde::{Deserialize, Serialize};

pub use folder::Folder;
pub use manifest::Manifest;
pub use replicate::{ReplicateReport, replicate};
pub use s3::S3;

use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};

/// Where an S3 provider is and how to enter. Secrets are stored sealed by the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Config {
    /// `https://host[:port]` or, in a lab, `http://…`.
    pub endpoint: String,
    /// Region name; many providers take anything.
    pub region: String,
    /// Bucket; made if it does not exist and the key may.
    pub bucket: String,
    /// Prefix within the bucket, may be empty.
    pub prefix: String,
    /// Access key id.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
    /// PEM of a private certificate authority to trust besides the system's.
    #[serde(default)]
    pub ca_pem: Option<String>,
}

/// A segment's name is the hash of its bytes: anything else is damage.
fn verify(name: &Name, bytes: &[u8], whence: &dyn std::fmt::Display) -> Result<()> {
    match name {
        Name::Segment(id) if blake3::hash(bytes).as_bytes() != id => Err(Error::new(
            Kind::Corrupt,
            format!(
                "{name} at {whence} is damaged ({} bytes do not have its hash); replicate again to replace it",
                bytes.len()
            ),
        )),
        _ => Ok(()),
    }
}

/// The error of a range that reaches past the end.
fn too_short(name: &Name, len: u64) -> Error {
    Error::new(
        Kind::Corrupt,
        format!("{name} is {len} bytes long, shorter than expected"),
    )
}

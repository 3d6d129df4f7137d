//! The external provider: the same sealed objects, byte for byte, elsewhere.
//!
//! A provider is a [`crate::engine::storage::Storage`] like the pool, so a
//! replica can be opened, listed, verified and restored from without the box.
//! It needs no key: what it carries is sealed already.

mod clock;
mod copy;
mod extend;
mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod http;
mod inspect;
mod ladder;
mod manifest;
mod memory;
mod pace;
mod place;
mod probe;
mod replicate;
mod s3;
mod sftp;
mod xml;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use clock::Clock;
pub use folder::Folder;
pub use inspect::{InspectReport, inspect};
pub use ladder::{Ladder, OpenReplica};
pub use manifest::Manifest;
pub use memory::Memory;
pub use pace::{Limits, Pace, Schedule, bytes as parse_bytes};
pub use place::{Config, Given, Provider, open_replica};
pub use probe::{Evidence, Tried, probe, record as record_probe, records as probe_records};
pub use replicate::{ReplicateReport, Replication, RetainUntil, replicate};
pub use s3::{Flavor, LockMode, Removal, S3, Style};
pub use sftp::Sftp;

use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};

/// Where an S3 provider is and how to enter. Secrets are stored sealed by the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    pub ca_pem: Option<String>,
    /// How addresses are written.
    pub style: Style,
    /// Which S3 it is, where that is known and cannot be seen.
    pub flavor: Flavor,
    /// Storage class of new objects; the bucket's own if absent.
    pub storage_class: Option<String>,
    /// Lock what replications store. The bucket is made with object lock, or
    /// must have been.
    pub lock: Option<LockMode>,
}

/// How a provider is opened.
#[derive(Clone, Default)]
pub struct Access {
    /// Keeps what is sent within bounds.
    pub pace: Arc<Pace>,
    /// Nothing is made, changed or tidied there; every change is `Refused`.
    pub read_only: bool,
}

impl Access {
    /// To read only, as fast as it goes.
    pub fn reading() -> Self {
        Self {
            read_only: true,
            ..Self::default()
        }
    }

    fn check_write(&self, place: &dyn std::fmt::Display) -> Result<()> {
        match self.read_only {
            false => Ok(()),
            true => Err(Error::new(
                Kind::Refused,
                format!("{place} was opened to read only; nothing is changed there"),
            )),
        }
    }
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

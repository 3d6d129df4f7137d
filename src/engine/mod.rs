//! The deduplication engine: chunk, hash, deduplicate, compress, seal, write
//! segments, commit snapshots, restore, verify, collect.
//!
//! A plain synchronous library: threads and bounded channels, no async
//! runtime. It has two seams: [`tree`] (files come in, files go out) and
//! [`storage`] (segments go out, segments come in). The format of what it
//! stores is `docs/format.md`.

mod backup;
mod blocks;
mod catalogue;
mod chunker;
#[doc(hidden)]
pub mod codec;
mod collect;
mod content;
mod convert;
mod copies;
mod crypt;
mod diff;
pub mod error;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod ids;
mod index;
mod keys;
mod locks;
mod marks;
mod names;
mod nodes;
mod pack;
pub mod progress;
mod reconcile;
mod repository;
mod restore;
mod snapshots;
pub mod storage;
mod store;
pub mod tree;
mod uses;
mod verify;
mod warnings;

use serde::{Deserialize, Serialize};

pub use catalogue::{EntryKind, Found, Hit, Query};
pub use error::{Error, Kind, Result};
#[doc(hidden)]
pub use index::scale;
pub use keys::{
    KeyOverview, KeySlot, MasterKey, NewSlot, OutsideKey, Passphrase, RecoveryKey, SlotKind, Unlock,
};
pub use progress::Progress;
pub use repository::Repository;
use tree::Meta;

/// Choices recorded in the pool header at creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// Segments are closed at about this many stored bytes.
    pub segment_bytes: u32,
    /// zstd level.
    pub zstd_level: i32,
}
impl Default for Params {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            zstd_level: 1,
        }
    }
}

impl Params {
    /// For a pool that spreads each segment over so many data shards: larger
    /// segments where there are many, so that a disk is not read in crumbs.
    pub fn for_data_shards(k: u8) -> Self {
        let default = Self::default();
        let factor = u32::from(k.max(1)).div_ceil(2).min(4);
        Self {
            segment_bytes: default.segment_bytes * factor,
            ..default
        }
    }

    /// `Refused` when they make no sense.
    fn check(&self) -> Result<()> {
        let sane = (1 << 20..=1 << 30).contains(&self.segment_bytes)
            && (-7..=22).contains(&self.zstd_level);
        if sane {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            format!(
                "segments of {} bytes at zstd level {} are not possible; choose 1 MiB to 1 GiB and -7 to 22",
                self.segment_bytes, self.zstd_level
            ),
        ))
    }
}

/// A snapshot as people and callers see it. 16-byte id shown as 32 hex digits;
/// commands accept any unambiguous prefix of at least 4, or `latest`, or `latest:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// 32 hex digits.
    pub id: String,
    /// Name of what was backed up (`--name`, or the source's name).
    pub name: String,
    /// When the backup began, RFC 3339.
    pub time: jiff::Timestamp,
    /// What the tree called itself, e.g. `sftp://fs1/srv/data`.
    pub origin: String,
    /// Entries of every type.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes of content that were not in the pool before.
    pub new_bytes: u64,
    /// Bytes this backup added to the storage.
    pub stored_bytes: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Whether every byte was read again (`--full`).
    pub full: bool,
    /// Entries that could not be saved.
    pub warnings: u64,
}

/// How to back up.
#[derive(Clone, Debug, Default)]
pub struct BackupOptions {
    /// Name under which the snapshot is found again; the newest snapshot of
    /// the same name tells what is unchanged.
    pub name: String,
    /// Read every byte again instead of trusting unchanged metadata.
    pub full: bool,
}

/// An entry that could not be saved or restored; the rest was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Path, lossily as text.
    pub path: String,
    /// What happened.
    pub message: String,
}

/// Result of a backup.
#[derive(Clone, Debug)]
pub struct BackupReport {
    /// The committed snapshot.
    pub snapshot: Snapshot,
    /// What could not be saved (at most the first 1000).
    pub warnings: Vec<Warning>,
}

/// An entry of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The name; empty for the top.
    pub name: Vec<u8>,
    /// Its metadata.
    pub meta: Meta,
    /// Where content or children are; opaque outside the engine.
    pub(crate) content: repository::NodeContent,
}

/// How an entry differs between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only the new one has it.
    Added,
    /// Only the old one has it.
    Removed,
    /// Both have it, with other bytes, another link target or device number.
    Content,
    /// Both have it with the same content, and another mode, owner, group,
    /// time of change or extended attribute.
    Metadata,
    /// It has become another type of thing.
    Type,
}

/// An entry that differs between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Names from the snapshot's top; empty for the top itself.
    pub path: Vec<Vec<u8>>,
    /// How.
    pub change: Change,
    /// As the old one has it, without its extended attributes.
    pub old: Option<Meta>,
    /// As the new one has it, without its extended attributes.
    pub new: Option<Meta>,
}

/// Result of a restore.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RestoreReport {
    /// Entries restored.
    pub files: u64,
    /// Bytes of content written.
    pub bytes: u64,
    /// What could not be restored or set (at most the first 1000).
    pub warnings: Vec<Warning>,
    /// All warnings, also those not listed.
    pub warning_count: u64,
}

/// Result of a verification.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Snapshots examined.
    pub snapshots: u64,
    /// Segments examined.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Redundant parts found missing or corrupt.
    pub damaged_parts: u64,
    /// Of these, written anew.
    pub repaired_parts: u64,
    /// What is lost, in words that name segment, snapshot and file.
    pub errors: Vec<String>,
}

/// How to collect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectOptions {
    /// A segment is rewritten when more than so many per cent of it are not
    /// needed any more.
    pub waste: u8,
    /// Most bytes read and written a second for rewriting; 0 for as many as possible.
    pub max_rate: u64,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            waste: 10,
            max_rate: 0,
        }
    }
}

/// Result of a collection.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CollectReport {
    /// Segments deleted (after rewriting what was live in them).
    pub segments_deleted: u64,
    /// Segments whose live chunks were copied to new ones.
    pub segments_rewritten: u64,
    /// Bytes freed in the storage, net.
    pub bytes_freed: i64,
}

/// Splits `a/b/c` into names; empty parts and `.` are dropped, `..` is `Refused`.
pub fn parse_path(path: &str) -> Result<Vec<Vec<u8>>> {
    path.split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .map(|p| {
            if p == ".." {
                Err(Error::new(
                    Kind::Refused,
                    format!("the path {path} contains \"..\"; give it from the snapshot's top"),
                ))
            } else {
                Ok(p.as_bytes().to_vec())
            }
        })
        .collect()
}

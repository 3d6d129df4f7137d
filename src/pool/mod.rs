//! Storage on attached disks: every object is k data + m parity shards on k+m
//! members, each shard block with its own checksum.
//!
//! What lies on a member is `docs/pool.md`. There is no central index: an
//! object is where its shards are found, the members are where their identity
//! files are found, and any k shards give the object back. Objects below
//! 64 KiB, and the few that are ever replaced, are whole copies instead.

mod arrange;
mod coding;
#[cfg(test)]
mod crash;
mod durable;
mod findings;
mod folder;
mod fuse;
mod heal;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod identity;
mod layout;
mod locate;
mod member;
mod memory;
mod objects;
mod open;
mod pace;
mod place;
mod read;
mod roster;
mod scrub;
mod sealed;
mod settle;
mod shard;
mod state;
mod status;
mod store;
mod write;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::engine::{Error, Kind, Result};
pub use findings::{Damage, Finding};
pub use pace::Pace;
pub use scrub::{ScrubOptions, ScrubReport};
pub use settle::SettleReport;
pub use state::Pool;

/// Per mille of each member's room that backups leave free, unless set otherwise.
pub const RESERVE: u32 = 20;

/// k data and m parity shards, written `K+M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Redundancy {
    /// Data shards, 1 to 16. 1 makes mirrors.
    pub data: u8,
    /// Parity shards: so many members may fail, 0 to 4.
    pub parity: u8,
}

/// Whether a member can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// There and in use.
    Online,
    /// There, holding nothing yet; takes the place of a missing member.
    Spare,
    /// There, but about to leave: gets nothing new, and its shards are moved away.
    Retiring,
    /// Known to the pool but not found.
    Missing,
}

/// A disk (or, in tests and development, a folder) of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// 32 hex digits, fixed at creation.
    pub id: String,
    /// What people call it: the disk's serial number, or the folder.
    pub label: String,
    /// Where it is now.
    pub path: Option<PathBuf>,
    /// Whether it can be used.
    pub state: MemberState,
    /// Bytes in all.
    pub total: u64,
    /// Bytes free.
    pub free: u64,
    /// Bytes of these that backups leave free.
    pub reserve: u64,
}

/// The pool's health for people and scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// 32 hex digits.
    pub id: String,
    /// Of what is written now; what was written before is brought to it by [`Pool::settle`].
    pub redundancy: Redundancy,
    /// `ok`, `degraded` (some redundancy is missing), `failed` (data cannot be read).
    pub state: PoolState,
    /// Every member, also the missing.
    pub members: Vec<MemberStatus>,
    /// Bytes of objects that fit in all.
    pub total: u64,
    /// Bytes of objects that backups can still store; a reserve is kept besides.
    pub free: u64,
}

/// Health of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolState {
    /// All members there.
    Ok,
    /// Everything can be read, with less redundancy than promised.
    Degraded,
    /// More members are missing than parity can replace.
    Failed,
}

/// A member to create a pool on: an empty folder (a mounted disk) and its label.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// An existing, empty, writable folder (`lost+found` does not count).
    pub path: PathBuf,
    /// The disk's serial, or the folder's path.
    pub label: String,
    /// Held back until another member is missing.
    pub spare: bool,
}

impl std::str::FromStr for Redundancy {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(
                Kind::Refused,
                format!("redundancy {text:?} is not K+M, such as 2+1 or 1+1"),
            )
        };
        let (k, m) = text.split_once('+').ok_or_else(bad)?;
        let (data, parity) = (
            k.trim().parse().map_err(|_| bad())?,
            m.trim().parse().map_err(|_| bad())?,
        );
        let redundancy = Self { data, parity };
        redundancy.check()?;
        Ok(redundancy)
    }
}

impl Redundancy {
    /// `Refused` when no pool can have it.
    fn check(self) -> Result<()> {
        if (1..=16).contains(&self.data) && self.parity <= 4 {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            format!("redundancy {self}: 1 to 16 data and 0 to 4 parity shards are possible"),
        ))
    }
}

impl std::fmt::Display for Redundancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}", self.data, self.parity)
    }
}

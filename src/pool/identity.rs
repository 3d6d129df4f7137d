//! The identity file of a member: which pool it belongs to, and who the other
//! members are. Every member carries the whole roster, so that any one of them
//! can tell what is missing; the newest generation wins.
//!
//! On disk (`docs/pool.md`): magic, version, length, a JSON body, BLAKE3 of all
//! before. Kept twice in each member, because the file is small, single and vital.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Redundancy;
use super::fuse::Fuse;
use crate::engine::storage::{hex, unhex};
use crate::engine::{Error, Kind, Result};

const MAGIC: &[u8; 8] = b"COLCAMBR";
/// Version 2 says no more than that a list uses what version 1 did not know:
/// members that retire or are gone, a redundancy that was changed. A program
/// that does not know these would undo them.
const VERSION: u16 = 2;
const HEAD: usize = 16;
/// A roster of the largest pool stays far below this; anything longer is damage.
const MAX_BODY: usize = 1 << 20;
/// The identity file and its copy within the same member.
pub(super) const FILES: [&str; 2] = ["member", "member-copy"];

/// A pool or member id: 16 random bytes.
pub(super) type Id = [u8; 16];

/// What the pool knows about one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RosterEntry {
    #[serde(with = "hex_id")]
    pub id: Id,
    pub label: String,
    /// Held back until another member is missing.
    pub spare: bool,
    /// The member whose place this one took when it stopped being a spare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Gets no new shards, and its own are moved elsewhere.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retiring: bool,
    /// No member any more. The entry stays, so that a disk that comes back is
    /// known for what it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gone: bool,
    /// Bytes of the member's file system when it joined: its weight in placement.
    pub size: u64,
}

/// The part of the identity that is the same on every member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Roster {
    #[serde(with = "hex_id")]
    pub pool: Id,
    pub redundancy: Redundancy,
    /// The redundancy at creation, if it was changed since: the shape of the
    /// shard files whose names tell none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Redundancy>,
    /// Shapes of before that some objects may still have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old: Vec<Redundancy>,
    /// Grows by one with each change.
    pub generation: u64,
    pub members: Vec<RosterEntry>,
}

fn is_false(b: &bool) -> bool {
    !b
}

impl RosterEntry {
    /// New shards may go there.
    pub fn active(&self) -> bool {
        !self.spare && !self.retiring && !self.gone
    }
}

impl Roster {
    /// The redundancy at creation.
    pub fn first(&self) -> Redundancy {
        self.first.unwrap_or(self.redundancy)
    }

    /// Every shape that objects may have.
    pub fn shapes(&self) -> impl Iterator<Item = Redundancy> {
        std::iter::once(self.redundancy).chain(self.old.iter().copied())
    }

    /// How many members may be away, without any object being unreadable for that.
    pub fn tolerance(&self) -> usize {
        let least = self.shapes().map(|shape| shape.parity).min();
        usize::from(least.unwrap_or(0))
    }

    fn version(&self) -> u16 {
        let news = self.members.iter().any(|m| m.retiring || m.gone);
        if news || self.first.is_some() { 2 } else { 1 }
    }
}

/// The content of one identity file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    #[serde(with = "hex_id")]
    pub member: Id,
    #[serde(flatten)]
    pub roster: Roster,
}

mod hex_id {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    pub fn serialize<S: Serializer>(id: &super::Id, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::hex(id))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<super::Id, D::Error> {
        let text = String::deserialize(d)?;
        super::unhex(&text).ok_or_else(|| D::Error::custom("an id is 32 hex digits"))
    }
}

/// 16 bytes from the system's random source.
pub(super) fn random_id() -> Result<Id> {
    let mut id = [0u8; 16];
    aws_lc_rs::rand::fill(&mut id)
        .map_err(|e| Error::with_source(Kind::Io, "the system's random source failed", e))?;
    Ok(id)
}

impl Identity {
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let body = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::with_source(Kind::Io, "cannot write the member list", e))?;
        let length = u32::try_from(body.len())
            .ok()
            .filter(|_| body.len() <= MAX_BODY)
            .ok_or_else(|| {
                Error::new(
                    Kind::Refused,
                    "the member list is too long; use shorter labels",
                )
            })?;
        let mut out = Vec::with_capacity(HEAD + body.len() + 32);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.roster.version().to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&body);
        let sum = blake3::hash(&out);
        out.extend_from_slice(sum.as_bytes());
        Ok(out)
    }

    pub(super) fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(
                Kind::Corrupt,
                format!("{what} is damaged ({why}); its copy or another member replaces it"),
            )
        };
        let head = bytes.get(..HEAD).ok_or_else(|| bad("too short"))?;
        if &head[..8] != MAGIC {
            return Err(bad("not a member file"));
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        if !(1..=VERSION).contains(&version) {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{what} has format version {version}, this program knows {VERSION}; use a newer program"
                ),
            ));
        }
        let length = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
        let end = usize::try_from(length)
            .ok()
            .filter(|n| *n <= MAX_BODY)
            .map(|n| HEAD + n)
            .ok_or_else(|| bad("impossible length"))?;
        if bytes.len() != end + 32 {
            return Err(bad("wrong length"));
        }
        if blake3::hash(&bytes[..end]).as_bytes() != &bytes[end..] {
            return Err(bad("wrong checksum"));
        }
        let found: Self =
            serde_json::from_slice(&bytes[HEAD..end]).map_err(|e| bad(&e.to_string()))?;
        // Everything is divided by the number of data shards.
        let roster = &found.roster;
        let bad_shape = |shape: Redundancy| shape.check().is_err();
        if bad_shape(roster.first()) || roster.shapes().any(bad_shape) {
            return Err(bad("impossible redundancy"));
        }
        Ok(found)
    }

    /// Reads the identity of a member folder: `None` when it has none, the
    /// newest readable of its two files otherwise.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let mut newest: Option<Self> = None;
        let mut trouble = None;
        for file in FILES {
            let path = folder.join(file);
            let read = match read_bounded(&path) {
                Ok(bytes) => Self::decode(&bytes, &path.display().to_string()),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => continue,
                Err(e) => Err(Error::io(format_args!("reading {}", path.display()), e)),
            };
            match read {
                Ok(found) => {
                    if newest
                        .as_ref()
                        .is_none_or(|n| n.roster.generation < found.roster.generation)
                    {
                        newest = Some(found);
                    }
                }
                // "Made by a newer program" says more than "damaged".
                Err(e) if trouble.is_none() || e.kind() == Kind::Refused => trouble = Some(e),
                Err(_) => {}
            }
        }
        match (newest, trouble) {
            (Some(found), _) => Ok(Some(found)),
            (None, Some(e)) => Err(e),
            (None, None) => Ok(None),
        }
    }

    /// Writes both identity files, each replaced atomically and made durable.
    pub fn write(&self, folder: &Path, fuse: &Fuse) -> Result<()> {
        let bytes = self.encode()?;
        for file in FILES {
            let path = folder.join(file);
            let temp = folder.join(format!("{file}.new"));
            let write = || -> std::io::Result<()> {
                fuse.step()?;
                let mut f = File::create(&temp)?;
                f.write_all(&bytes)?;
                f.sync_all()?;
                fuse.step()?;
                fs::rename(&temp, &path)?;
                File::open(folder)?.sync_all()
            };
            write().map_err(|e| {
                let _ = fuse.step().and_then(|()| fs::remove_file(&temp));
                Error::io(format_args!("writing {}", path.display()), e)
            })?;
        }
        Ok(())
    }
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    File::open(path)?
        .take((MAX_BODY + HEAD + 64) as u64)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

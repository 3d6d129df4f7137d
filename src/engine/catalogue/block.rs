//! Blocks: some thousand names that follow one another in the catalogue.
//!
//! A block has two parts, which are compressed and sealed apart. *Names* is
//! what a search reads: every name folded, each ended by NUL. *Rows* is read
//! only for blocks with a hit: for each name in the same order where it stands,
//! how it is really spelt, and its versions.

use serde::{Deserialize, Serialize};

use super::fold::fold;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::tree::{EntryV1, KindV1};

/// `to` of a version that the newest snapshot read in still has.
pub(super) const OPEN: u32 = u32::MAX;

/// An entry as it was in the snapshots numbered `from` up to, not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub facts: Facts,
    pub from: u32,
    pub to: u32,
}

/// What a hit shows of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub kind: u8,
    /// Bytes of a file's content, else 0.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
}

impl Facts {
    pub(super) fn new(entry: &EntryV1) -> Self {
        let (kind, size) = match &entry.kind {
            KindV1::File { size, .. } => (0, *size),
            KindV1::Folder { .. } => (1, 0),
            KindV1::Symlink(_) => (2, 0),
            KindV1::Fifo => (3, 0),
            KindV1::Socket => (4, 0),
            KindV1::CharDevice(_) => (5, 0),
            KindV1::BlockDevice(_) => (6, 0),
        };
        Self {
            kind,
            size,
            mtime: entry.mtime.0,
        }
    }
}

/// One path and all its versions, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Names from the top joined by NUL: ordered like this, a folder comes
    /// right before what is in it, as a comparison of trees names them.
    pub key: Vec<u8>,
    pub versions: Vec<Version>,
}

impl Row {
    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        self.name().len() + 12 * self.versions.len()
    }

    fn name(&self) -> &[u8] {
        let at = memchr::memrchr(0, &self.key).map_or(0, |n| n + 1);
        &self.key[at..]
    }
}

/// A row as it is written.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    /// How many names at the front are those of the row before.
    shared: u32,
    /// Names of folders that are not.
    #[serde(borrow)]
    folders: Vec<&'a [u8]>,
    /// The name, if it is not spelt as it is folded.
    #[serde(borrow)]
    name: Option<&'a [u8]>,
    versions: Vec<StoredVersion>,
}

#[derive(Serialize, Deserialize)]
struct StoredVersion {
    kind: u8,
    size: u64,
    /// Against the version before it, in this row or an earlier one.
    mtime: i64,
    from: u32,
    /// `to - from`; 0 while it is open.
    span: u32,
}

/// Both parts of a block, plain.
#[derive(Default)]
pub(super) struct Parts {
    pub names: Vec<u8>,
    pub rows: Vec<u8>,
}

/// How many names two keys share at the front, and the bytes they take in the first.
fn shared(a: &[u8], b: &[u8]) -> (usize, usize) {
    let (mut names, mut bytes) = (0, 0);
    for (x, y) in a.split(|c| *c == 0).zip(b.split(|c| *c == 0)) {
        if x != y {
            break;
        }
        names += 1;
        bytes += x.len() + 1;
    }
    (names, bytes)
}

/// Writes rows, which are in order.
pub(super) fn encode(rows: &[Row]) -> Result<Parts> {
    let mut parts = Parts::default();
    let mut before: &[u8] = &[];
    let mut mtime = 0i64;
    for row in rows {
        let name = row.name();
        let begin = parts.names.len();
        fold(name, &mut parts.names);
        let plain = parts.names[begin..] == *name;
        parts.names.push(0);
        let parent = &row.key[..row.key.len() - name.len()];
        let (n, bytes) = match before {
            [] => (0, 0),
            before => shared(parent.strip_suffix(&[0]).unwrap_or(parent), before),
        };
        let rest = parent.get(bytes..).unwrap_or_default();
        let stored = Stored {
            shared: u32::try_from(n).unwrap_or_default(),
            folders: rest.split(|c| *c == 0).filter(|f| !f.is_empty()).collect(),
            name: (!plain).then_some(name),
            versions: row
                .versions
                .iter()
                .map(|v| StoredVersion {
                    kind: v.facts.kind,
                    size: v.facts.size,
                    mtime: v
                        .facts
                        .mtime
                        .wrapping_sub(std::mem::replace(&mut mtime, v.facts.mtime)),
                    from: v.from,
                    span: if v.to == OPEN {
                        0
                    } else {
                        v.to.saturating_sub(v.from)
                    },
                })
                .collect(),
        };
        parts.rows = postcard::to_extend(&stored, parts.rows)
            .map_err(|e| Error::with_source(Kind::Io, "the catalogue could not be encoded", e))?;
        before = &row.key;
    }
    Ok(parts)
}

fn damaged() -> Error {
    Error::new(Kind::Corrupt, "a block of the catalogue makes no sense")
}

/// Reads a block's rows one by one.
pub(super) struct Rows<'p> {
    names: &'p [u8],
    rows: &'p [u8],
    key: Vec<u8>,
    mtime: i64,
}

impl<'p> Rows<'p> {
    pub(super) fn new(parts: &'p Parts) -> Self {
        Self {
            names: &parts.names,
            rows: &parts.rows,
            key: Vec::new(),
            mtime: 0,
        }
    }

    fn read(&mut self) -> Result<Row> {
        let (stored, rest) =
            postcard::take_from_bytes::<Stored<'_>>(self.rows).map_err(|_| damaged())?;
        self.rows = rest;
        let end = memchr::memchr(0, self.names).ok_or_else(damaged)?;
        let folded = &self.names[..end];
        self.names = &self.names[end + 1..];
        // The end of the last name shared, without the NUL after it.
        let keep = match stored.shared as usize {
            0 => 0,
            n => memchr::memchr_iter(0, &self.key)
                .chain([self.key.len()])
                .nth(n - 1)
                .ok_or_else(damaged)?,
        };
        self.key.truncate(keep);
        for name in stored
            .folders
            .iter()
            .copied()
            .chain([stored.name.unwrap_or(folded)])
        {
            if !self.key.is_empty() {
                self.key.push(0);
            }
            self.key.extend_from_slice(name);
        }
        let mut versions = Vec::with_capacity(stored.versions.len());
        for v in stored.versions {
            self.mtime = self.mtime.wrapping_add(v.mtime);
            versions.push(Version {
                facts: Facts {
                    kind: v.kind,
                    size: v.size,
                    mtime: self.mtime,
                },
                from: v.from,
                to: match v.span {
                    0 => OPEN,
                    span => v.from.saturating_add(span),
                },
            });
        }
        Ok(Row {
            key: self.key.clone(),
            versions,
        })
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        (!self.rows.is_empty()).then(|| self.read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[a-c]{1,2}".prop_map(String::into_bytes),
            "[A-Cñá ]{1,3}".prop_map(String::into_bytes),
            prop::collection::vec(1..=255u8, 1..4),
        ]
    }

    fn version() -> impl Strategy<Value = Version> {
        (
            0..7u8,
            any::<u64>(),
            any::<i64>(),
            0..1000u32,
            prop::option::of(1..1000u32),
        )
            .prop_map(|(kind, size, mtime, from, span)| Version {
                facts: Facts { kind, size, mtime },
                from,
                to: span.map_or(OPEN, |span| from + span),
            })
    }

    proptest! {
        #[test]
        fn rows_come_back_as_they_were(
            rows in prop::collection::btree_map(
                prop::collection::vec(name(), 1..5).prop_map(|path| path.join(&0)),
                prop::collection::vec(version(), 0..4),
                0..60,
            )
        ) {
            let rows: Vec<Row> = rows.into_iter().map(|(key, versions)| Row { key, versions }).collect();
            let parts = encode(&rows).unwrap();
            let back: Vec<Row> = Rows::new(&parts).collect::<Result<_>>().unwrap();
            prop_assert_eq!(back, rows);
        }
    }
}

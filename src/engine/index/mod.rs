//! Where each chunk is. A cache in the state folder: everything in it is also
//! in the segments' directories, and opening compares it with what the storage
//! really holds.
//!
//! An entry is only believed while its segment is known, and segment numbers
//! are never used twice; so dropping a segment is one small write, however
//! many chunks it held, and the dead entries are swept out later in one go.

mod open;
mod rows;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, WriteTransaction,
};

use super::error::{Error, Kind, Result};
use super::format::segment::{BlockEntry, SegmentHeader};
use super::ids::Id;
pub(crate) use rows::{Locator, SegmentInfo};

type ChunkKey = &'static [u8; 32];
type ChunkValue = &'static [u8; 20];

const CHUNKS: TableDefinition<ChunkKey, ChunkValue> = TableDefinition::new("chunks");
const SEGMENTS: TableDefinition<u32, &[u8]> = TableDefinition::new("segments");
const SNAPSHOTS: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("snapshots");
const ABOUT: TableDefinition<&str, &[u8]> = TableDefinition::new("about");

#[derive(Default)]
struct Segments {
    by_number: HashMap<u32, Arc<SegmentInfo>>,
    by_name: HashMap<[u8; 32], u32>,
    next: u32,
}

/// The open index. Holds the state folder's lock while it lives.
pub(crate) struct Index {
    db: Database,
    chunks: RwLock<Arc<ReadOnlyTable<ChunkKey, ChunkValue>>>,
    segments: RwLock<Segments>,
    place: String,
}

impl Index {
    fn failed(&self, e: impl Into<redb::Error>) -> Error {
        open::failed(&self.place, e)
    }

    /// Runs `change` in one transaction and makes its result visible to lookups.
    fn write<T>(
        &self,
        durability: Durability,
        change: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let inner = || -> Result<T, redb::Error> {
            let mut write = self.db.begin_write()?;
            write.set_durability(durability)?;
            let out = change(&write)?;
            write.commit()?;
            let fresh = self.db.begin_read()?.open_table(CHUNKS)?;
            *self.chunks.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
            Ok(out)
        };
        inner().map_err(|e| self.failed(e))
    }

    /// Where the chunk is, if a known segment holds it.
    pub(crate) fn lookup(&self, id: &Id) -> Result<Option<Locator>> {
        let table = self
            .chunks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let found = table
            .get(&id.0)
            .map_err(|e| self.failed(e))?
            .map(|v| Locator::decode(v.value()));
        Ok(found.filter(|l| self.segment(l.segment).is_some()))
    }

    /// A segment by number.
    pub(crate) fn segment(&self, number: u32) -> Option<Arc<SegmentInfo>> {
        self.known().by_number.get(&number).cloned()
    }

    /// A segment by name.
    pub(crate) fn named(&self, name: &[u8; 32]) -> Option<Arc<SegmentInfo>> {
        let known = self.known();
        let number = known.by_name.get(name)?;
        known.by_number.get(number).cloned()
    }

    /// All known segments, by number.
    pub(crate) fn segments(&self) -> Vec<Arc<SegmentInfo>> {
        let mut all: Vec<_> = self.known().by_number.values().cloned().collect();
        all.sort_by_key(|s| s.number);
        all
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Segments> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> std::sync::RwLockWriteGuard<'_, Segments> {
        self.segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a stored segment and its chunks, which from then on are found
    /// there. Survives a crash only after the next [`Index::flush`].
    pub(crate) fn add(
        &self,
        name: [u8; 32],
        header: SegmentHeader,
        stored: u64,
        blocks: &[BlockEntry],
    ) -> Result<()> {
        let number = {
            let mut known = self.known_mut();
            if known.by_name.contains_key(&name) {
                return Ok(());
            }
            let number = known.next;
            known.next = number.checked_add(1).ok_or_else(|| {
                Error::new(
                    Kind::Refused,
                    "the index has used all segment numbers; delete index.redb to number them anew",
                )
            })?;
            number
        };
        let info = Arc::new(SegmentInfo {
            number,
            name,
            header,
            stored,
            plain: blocks.iter().map(|b| u64::from(b.plain)).sum(),
        });
        // Known before its chunks can be looked up, or a lookup in between would miss them.
        {
            let mut known = self.known_mut();
            known.by_name.insert(name, number);
            known.by_number.insert(number, info.clone());
        }
        let mut rows = Vec::with_capacity(blocks.iter().map(|b| b.chunks.len()).sum());
        for block in blocks {
            let mut at = 0;
            for (id, len) in &block.chunks {
                let locator = Locator {
                    segment: number,
                    offset: block.offset,
                    stored: block.stored,
                    at,
                    len: *len,
                };
                rows.push((id.0, locator.encode()));
                at += len;
            }
        }
        rows.sort_unstable_by_key(|r| r.0);
        self.write(Durability::None, |write| {
            write
                .open_table(SEGMENTS)?
                .insert(number, info.encode().as_slice())?;
            write
                .open_table(ABOUT)?
                .insert("next", (number + 1).to_le_bytes().as_slice())?;
            let mut chunks = write.open_table(CHUNKS)?;
            for (key, value) in &rows {
                chunks.insert(key, value)?;
            }
            Ok(())
        })
    }

    /// Makes everything added so far survive a crash.
    pub(crate) fn flush(&self) -> Result<()> {
        self.write(Durability::Immediate, |_| Ok(()))
    }

    /// Drops segments; their chunks are no longer found. Durable on return.
    pub(crate) fn drop_segments(&self, numbers: &[u32]) -> Result<()> {
        self.write(Durability::Immediate, |write| {
            let mut table = write.open_table(SEGMENTS)?;
            for number in numbers {
                table.remove(number)?;
            }
            Ok(())
        })?;
        let mut known = self.known_mut();
        for number in numbers {
            if let Some(info) = known.by_number.remove(number) {
                known.by_name.remove(&info.name);
            }
        }
        Ok(())
    }

    /// Notes other places of some chunks, and forgets where others are, so that
    /// they are stored anew when met again. Durable on return.
    pub(crate) fn correct(&self, moved: &[(Id, Locator)], lost: &[Id]) -> Result<()> {
        self.write(Durability::Immediate, |write| {
            let mut table = write.open_table(CHUNKS)?;
            for id in lost {
                table.remove(&id.0)?;
            }
            for (id, place) in moved {
                table.insert(&id.0, &place.encode())?;
            }
            Ok(())
        })
    }

    /// Forgets all chunks and segments.
    pub(crate) fn clear(&self) -> Result<()> {
        self.write(Durability::Immediate, |write| {
            write.delete_table(CHUNKS)?;
            write.open_table(CHUNKS)?;
            write.delete_table(SEGMENTS)?;
            write.open_table(SEGMENTS)?;
            Ok(())
        })?;
        let mut known = self.known_mut();
        known.by_number.clear();
        known.by_name.clear();
        Ok(())
    }

    /// Removes the entries of segments that are no longer known.
    pub(crate) fn sweep(&self) -> Result<()> {
        let alive: std::collections::HashSet<u32> =
            self.known().by_number.keys().copied().collect();
        self.write(Durability::Immediate, |write| {
            write
                .open_table(CHUNKS)?
                .retain(|_, value| alive.contains(&Locator::decode(value).segment))?;
            Ok(())
        })
    }

    /// How many entries there are, those of dropped segments included.
    pub(crate) fn len(&self) -> Result<u64> {
        let table = self
            .chunks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        table.len().map_err(|e| self.failed(e))
    }

    /// Calls `each` for every chunk that is in a known segment, in no useful order.
    pub(crate) fn each(&self, mut each: impl FnMut(Id, Locator)) -> Result<()> {
        let table = self
            .chunks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let known: HashMap<u32, ()> = self.known().by_number.keys().map(|n| (*n, ())).collect();
        for row in table.iter().map_err(|e| self.failed(e))? {
            let (key, value) = row.map_err(|e| self.failed(e))?;
            let locator = Locator::decode(value.value());
            if known.contains_key(&locator.segment) {
                each(Id(*key.value()), locator);
            }
        }
        Ok(())
    }

    /// The cached snapshot records.
    pub(crate) fn snapshots(&self) -> Result<Vec<([u8; 16], Vec<u8>)>> {
        let inner = || -> Result<Vec<_>, redb::Error> {
            let table = self.db.begin_read()?.open_table(SNAPSHOTS)?;
            table
                .iter()?
                .map(|row| {
                    let (key, value) = row?;
                    Ok((*key.value(), value.value().to_vec()))
                })
                .collect()
        };
        inner().map_err(|e| self.failed(e))
    }

    /// Adds and removes cached snapshot records.
    pub(crate) fn cache_snapshots(
        &self,
        add: &[([u8; 16], Vec<u8>)],
        remove: &[[u8; 16]],
    ) -> Result<()> {
        self.write(Durability::Immediate, |write| {
            let mut table = write.open_table(SNAPSHOTS)?;
            for (id, bytes) in add {
                table.insert(id, bytes.as_slice())?;
            }
            for id in remove {
                table.remove(id)?;
            }
            Ok(())
        })
    }
}

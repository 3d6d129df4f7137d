//! Where each chunk is. A cache in the state folder: everything in it is also
//! in the segments' directories, and opening compares it with what the storage
//! really holds.
//!
//! Chunks added since the last spill are in memory; older ones are in sorted
//! *runs*, files that are written once. What is kept of a run in memory is a
//! filter, which answers for nearly all chunks that are not there, and the
//! first id of every page, so that any chunk is found by reading one page.
//! Segments, snapshot records and the list of runs are in a small database,
//! whose transactions are what makes a change of any of them durable.
//!
//! An entry is only believed while its segment is known, and segment numbers
//! are never used twice; so dropping a segment is one small write, however
//! many chunks it held, and merging leaves the dead entries out later.

mod bits;
mod filter;
mod keep;
mod merge;
mod open;
mod page;
mod rows;
mod run;
pub mod scale;
mod segments;
mod steps;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::error::{Error, Kind, Result};
use super::format::segment::{BlockEntry, SegmentHeader};
use super::ids::{Id, IdMap};
pub(crate) use bits::Bits;
use keep::{Limits, RUN_ROW, Work};
use merge::Merge;
pub(crate) use rows::{Locator, SegmentInfo};
use run::Run;
use segments::Segments;

const RUNS: TableDefinition<u64, &[u8; RUN_ROW]> = TableDefinition::new("runs");
const SEGMENTS: TableDefinition<u32, &[u8]> = TableDefinition::new("segments");
const SNAPSHOTS: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("snapshots");
const ABOUT: TableDefinition<&str, &[u8]> = TableDefinition::new("about");
/// In `ABOUT`: the next segment's number.
const NEXT: &str = "next";
/// In `ABOUT`: set when a run was found damaged.
const DAMAGED: &str = "damaged";

type Entries = IdMap<Locator>;

/// What lookups need.
#[derive(Default)]
struct State {
    /// Entries added since the last spill.
    fresh: Entries,
    /// Older ones that are being spilled.
    frozen: Option<Arc<Entries>>,
    /// Oldest first.
    runs: Vec<Arc<Run>>,
    segments: Segments,
    /// Segments added since the last spill.
    unsaved: Vec<u32>,
}

impl State {
    /// The newest entry of a chunk in a known segment; with `firm`, in one
    /// that is not condemned.
    fn find(&self, id: &Id, firm: bool) -> Result<Option<Locator>> {
        let memory = [Some(&self.fresh), self.frozen.as_deref()];
        for entries in memory.into_iter().flatten() {
            if let Some(place) = entries.get(id) {
                if place.is_gone() {
                    return Ok(None);
                }
                if self.segments.holds(place.segment, firm) {
                    return Ok(Some(*place));
                }
            }
        }
        for run in self.runs.iter().rev() {
            if let Some(place) = run.get(id)? {
                if place.is_gone() {
                    return Ok(None);
                }
                if self.segments.holds(place.segment, firm) {
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
    }
}

/// The open index. Holds the state folder's lock while it lives.
pub(crate) struct Index {
    db: Database,
    state: RwLock<State>,
    /// Taken before `state`, never the other way.
    work: Mutex<Work>,
    /// Of the runs.
    folder: PathBuf,
    place: String,
    limits: Limits,
}

impl Index {
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the index is damaged, so that the next opening builds it anew.
    fn damaged(&self, e: Error) -> Error {
        if !matches!(e.kind(), Kind::Corrupt | Kind::Missing) {
            return e;
        }
        let noted = self.transact(|write| {
            write.open_table(ABOUT)?.insert(DAMAGED, [1].as_slice())?;
            Ok(())
        });
        if let Err(e) = noted {
            tracing::warn!(error = %e, "that the index is damaged could not be noted");
        }
        let place = &self.place;
        Error::new(
            Kind::Corrupt,
            format!(
                "the index in {place} is damaged ({e}); it is built anew from the storage when the repository is next opened"
            ),
        )
    }

    /// Where the chunk is, if a known segment holds it.
    pub(crate) fn lookup(&self, id: &Id) -> Result<Option<Locator>> {
        let found = self.state().find(id, false);
        found.map_err(|e| self.damaged(e))
    }

    /// Whether the chunk is there to stay: then it is noted in `used`, and no
    /// collection takes it away while that is registered. Everything that is
    /// to refer to a chunk without storing it must ask this way.
    pub(crate) fn rely(&self, id: &Id, used: &Bits) -> Result<bool> {
        let found = {
            // Held until the bit is set: who condemns a segment has to wait
            // for it and then finds the bit, or is waited for and then noticed.
            let state = self.state();
            let found = state.find(id, true);
            if let Ok(Some(place)) = &found {
                used.set(place);
            }
            found
        };
        match found {
            Ok(place) => Ok(place.is_some()),
            Err(e) => Err(self.damaged(e)),
        }
    }

    /// An empty set of chunks, with a bit for each that is known now.
    pub(crate) fn bits(&self) -> Bits {
        let state = self.state();
        Bits::new(state.segments.counts(), state.segments.next)
    }

    /// The number the next segment gets.
    pub(crate) fn next_number(&self) -> u32 {
        self.state().segments.next
    }

    /// From now on nothing new relies on these segments, until they are
    /// dropped or absolved. Reading from them goes on.
    pub(crate) fn condemn(&self, numbers: &[u32]) {
        let mut state = self.state_mut();
        for number in numbers {
            state.segments.condemn(*number, true);
        }
    }

    /// Takes [`Index::condemn`] back.
    pub(crate) fn absolve(&self, numbers: &[u32]) {
        let mut state = self.state_mut();
        for number in numbers {
            state.segments.condemn(*number, false);
        }
    }

    /// A segment by number.
    pub(crate) fn segment(&self, number: u32) -> Option<SegmentInfo> {
        self.state().segments.get(number)
    }

    /// The numbers of all known segments, ascending.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.state().segments.counts().map(|(n, _)| n).collect()
    }

    /// All known segments that are still there when it is their turn, by number.
    pub(crate) fn segments(&self) -> impl Iterator<Item = SegmentInfo> {
        self.numbers().into_iter().filter_map(|n| self.segment(n))
    }

    /// Adds a stored segment and its chunks, which from then on are found
    /// there. Survives a crash only after the next [`Index::flush`]. The
    /// segment must be new to the index: names are hashes of bytes with a random
    /// salt, and opening leaves out those that are known.
    pub(crate) fn add(
        &self,
        name: [u8; 32],
        header: SegmentHeader,
        stored: u64,
        blocks: &[BlockEntry],
    ) -> Result<()> {
        let refused = |why: &str| Error::new(Kind::Refused, why);
        let chunks = blocks.iter().map(|b| b.chunks.len()).sum::<usize>();
        let chunks = u32::try_from(chunks)
            .ok()
            .filter(|n| *n < Locator::UNPLACED)
            .ok_or_else(|| refused("a segment claims more chunks than fit in one"))?;
        {
            let mut state = self.state_mut();
            let number = state.segments.next;
            if number >= u32::MAX - 1 {
                return Err(refused(
                    "the index has used all segment numbers; delete index.redb to number them anew",
                ));
            }
            state.segments.insert(&SegmentInfo {
                number,
                name,
                header,
                stored,
                plain: blocks.iter().map(|b| u64::from(b.plain)).sum(),
                chunks,
            });
            state.unsaved.push(number);
            let mut ordinal = 0;
            for block in blocks {
                let mut at = 0;
                for (id, len) in &block.chunks {
                    let place = Locator {
                        segment: number,
                        ordinal,
                        offset: block.offset,
                        stored: block.stored,
                        at,
                        len: *len,
                    };
                    state.fresh.insert(*id, place);
                    ordinal += 1;
                    at += len;
                }
            }
        }
        self.spill_if_full().map_err(|e| self.damaged(e))
    }

    /// Notes other places of some chunks, and forgets where others are, so that
    /// they are stored anew when met again. Durable on return.
    pub(crate) fn correct(&self, moved: &[(Id, Locator)], lost: &[Id]) -> Result<()> {
        let lost = lost.iter().map(|id| (*id, Locator::GONE));
        let mut changes = lost.chain(moved.iter().copied()).peekable();
        while changes.peek().is_some() {
            let part = changes.by_ref().take(self.limits.memory);
            self.state_mut().fresh.extend(part);
            self.spill_if_full().map_err(|e| self.damaged(e))?;
        }
        self.flush()
    }

    /// Calls `each` for every chunk that is in a known segment, in the order of ids.
    pub(crate) fn each(&self, mut each: impl FnMut(Id, Locator)) -> Result<()> {
        let (runs, frozen, fresh, alive) = {
            let state = self.state();
            let frozen = state.frozen.clone();
            let alive = state.segments.alive();
            (state.runs.clone(), frozen, state.fresh.clone(), alive)
        };
        let memory: Vec<_> = frozen.as_deref().into_iter().chain([&fresh]).collect();
        let mut inner = || -> Result<()> {
            let mut merge = Merge::new(&runs, &memory)?;
            while let Some((id, place)) = merge.next(|segment| alive.holds(segment))? {
                if !place.is_gone() {
                    each(id, place);
                }
            }
            Ok(())
        };
        inner().map_err(|e| self.damaged(e))
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
        inner().map_err(|e| open::failed(&self.place, e))
    }

    /// Adds and removes cached snapshot records.
    pub(crate) fn cache_snapshots(
        &self,
        add: &[([u8; 16], Vec<u8>)],
        remove: &[[u8; 16]],
    ) -> Result<()> {
        self.transact(|write| {
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

//! Keeping the index on disk: memory is spilled into runs, runs are merged, and
//! one transaction names the runs and segments that count from then on.
//!
//! * A **spill** writes the entries in memory as a run, so that memory stays
//!   bounded; eight runs of about one size become one.
//! * A **flush** spills, makes the files durable and commits. Small runs are
//!   merged on the way, because a few pages more cost nothing then.
//! * **Tidying** merges until each run has eight times the entries of all
//!   younger ones together, so that there are few runs to look into however
//!   many chunks there are, and drops entries of dropped segments.
//!
//! Only the youngest runs are ever merged, all of them from some run on, so
//! runs stay in the order of their age and a younger entry always comes first.
//! Files a commit no longer names are removed after it, never before.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::{Durability, ReadableTable};

use super::merge::Merge;
use super::run::{Files, Run, RunRow};
use super::steps::step;
use super::write::{Writer, remove};
use super::{ABOUT, Entries, Index, NEXT, RUNS, SEGMENTS};
use crate::engine::error::{Error, Result};

/// How much older runs are larger.
const RATIO: u64 = 8;

/// Sizes at which things happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Entries in memory before they are spilled; a full table of a hash map.
    pub memory: usize,
    /// A flush itself merges up to so many entries.
    pub small: u64,
    /// Bytes of pages that may be kept in memory.
    pub resident: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: (1 << 16) / 8 * 7,
            small: 512 << 10,
            resident: 64 << 20,
        }
    }
}

/// Held by whoever changes what is on disk.
#[derive(Default)]
pub(super) struct Work {
    /// The number of the next run.
    pub next: u64,
    /// Segments whose chunks are all in runs, or will be after the next spill,
    /// and which no transaction has named yet.
    pub unsaved: Vec<u32>,
    /// Files of runs that the last transaction names but no longer count.
    pub doomed: Vec<Files>,
    /// Whether runs have changed since the last transaction.
    pub changed: bool,
}

/// Where the merge should begin, so that every run is `RATIO` times as large
/// as all younger ones together; `None` if they are.
fn crowded(entries: &[u64], young: u64) -> Option<usize> {
    let mut younger = young;
    let mut from = None;
    for (at, n) in entries.iter().enumerate().rev() {
        if *n < younger.saturating_mul(RATIO) {
            from = Some(at);
        }
        younger += n;
    }
    from
}

/// Where the last eight or more runs of one size class begin.
fn tier(entries: &[u64], unit: u64) -> Option<usize> {
    let class = |n: u64| (n / unit.max(1)).max(1).ilog(RATIO);
    let last = class(*entries.last()?);
    let same = entries.iter().rev().take_while(|n| class(**n) <= last);
    let same = same.count();
    (same as u64 >= RATIO).then(|| entries.len() - same)
}

impl Index {
    fn entries(&self) -> Vec<u64> {
        self.state().runs.iter().map(|r| r.row.entries).collect()
    }

    /// Spills when memory is full.
    pub(super) fn spill_if_full(&self) -> Result<()> {
        if self.state().fresh.len() < self.limits.memory {
            return Ok(());
        }
        let mut work = self.work();
        if self.state().fresh.len() < self.limits.memory {
            return Ok(());
        }
        self.spill(&mut work, |_, _| None)?;
        while let Some(from) = tier(&self.entries(), self.limits.memory as u64) {
            self.merge(&mut work, from)?;
        }
        Ok(())
    }

    /// Writes what is in memory as a run, together with the runs from where
    /// `join` says, which is told the runs' entries and how many are in memory.
    fn spill(&self, work: &mut Work, join: impl Fn(&[u64], u64) -> Option<usize>) -> Result<()> {
        loop {
            let (frozen, newest) = {
                let mut state = self.state_mut();
                match state.frozen.clone() {
                    // An earlier attempt failed.
                    Some(frozen) => (frozen, false),
                    None => {
                        // At the same moment as the chunks: a segment must not be
                        // named before all its chunks are in runs.
                        work.unsaved.append(&mut state.unsaved);
                        if state.fresh.is_empty() {
                            return Ok(());
                        }
                        let frozen = Arc::new(std::mem::take(&mut state.fresh));
                        state.frozen = Some(frozen.clone());
                        (frozen, true)
                    }
                }
            };
            let entries = self.entries();
            let from = join(&entries, frozen.len() as u64).unwrap_or(entries.len());
            self.write_run(work, from, Some(&frozen))?;
            if newest {
                return Ok(());
            }
        }
    }

    /// Merges the runs from one on into one.
    fn merge(&self, work: &mut Work, from: usize) -> Result<()> {
        self.write_run(work, from, None)
    }

    fn write_run(&self, work: &mut Work, from: usize, frozen: Option<&Entries>) -> Result<()> {
        let (runs, alive) = {
            let state = self.state();
            (state.runs.clone(), state.segments.alive())
        };
        let merged = &runs[from..];
        let most = merged.iter().map(|r| r.row.entries).sum::<u64>()
            + frozen.map_or(0, |f| f.len() as u64);
        let number = work.next;
        work.next += 1;
        let mut writer = Writer::new(&self.folder, number, most)?;
        let memory: Vec<&Entries> = frozen.into_iter().collect();
        let mut merge = Merge::new(merged, &memory)?;
        while let Some((id, place)) = merge.next(|segment| alive.holds(segment))? {
            // Below the oldest run there is nothing left to hide.
            if !(from == 0 && place.is_gone()) {
                writer.push(&id, &place)?;
            }
        }
        drop(merge);
        step("a run's pages are written");
        let made = match writer.finish()? {
            Some(row) => {
                let kept: usize = runs[..from].iter().map(|r| r.granted()).sum();
                let room = self.limits.resident.saturating_sub(kept);
                Some(Arc::new(Run::open(&self.folder, row, room, false)?))
            }
            None => None,
        };
        step("a run is written");
        {
            let mut state = self.state_mut();
            state.runs.truncate(from);
            state.runs.extend(made);
            if frozen.is_some() {
                state.frozen = None;
            }
        }
        work.changed = true;
        let files = |run: &Arc<Run>| (run.files.clone(), run.durable.load(Ordering::Acquire));
        let merged: Vec<_> = merged.iter().map(files).collect();
        // Their pages leave memory before those of the new run come, not after the files went.
        drop(runs);
        for (files, durable) in merged {
            match durable {
                true => work.doomed.push(files),
                false => remove(&files),
            }
        }
        Ok(())
    }

    /// Names the runs and segments that count from now on; durable on return.
    fn commit(&self, work: &mut Work) -> Result<()> {
        if !work.changed && work.unsaved.is_empty() {
            return Ok(());
        }
        let (runs, rows, next) = {
            let state = self.state();
            let rows: Vec<_> = work
                .unsaved
                .iter()
                .filter_map(|n| state.segments.get(*n))
                .collect();
            (state.runs.clone(), rows, state.segments.next)
        };
        for run in &runs {
            run.sync()?;
            step("one run is durable");
        }
        File::open(&self.folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| Error::io(format_args!("the folder {}", self.folder.display()), e))?;
        step("runs are durable");
        self.transact(|write| {
            let mut table = write.open_table(RUNS)?;
            let old: Vec<u64> = table
                .iter()?
                .map(|row| row.map(|(n, _)| n.value()))
                .collect::<Result<_, _>>()?;
            for number in old {
                table.remove(number)?;
            }
            for run in &runs {
                let row = encode(&run.row);
                table.insert(run.row.number, &row)?;
            }
            let mut segments = write.open_table(SEGMENTS)?;
            for info in &rows {
                segments.insert(info.number, info.encode().as_slice())?;
            }
            write
                .open_table(ABOUT)?
                .insert(NEXT, next.to_le_bytes().as_slice())?;
            Ok(())
        })?;
        step("the transaction is durable");
        work.unsaved.clear();
        work.changed = false;
        for run in &runs {
            run.durable.store(true, Ordering::Release);
        }
        for files in work.doomed.drain(..) {
            remove(&files);
            step("an old file is removed");
        }
        Ok(())
    }

    /// Makes everything added so far survive a crash.
    pub(crate) fn flush(&self) -> Result<()> {
        self.flush_inner().map_err(|e| self.damaged(e))
    }

    fn flush_inner(&self) -> Result<()> {
        let mut work = self.work();
        let small = self.limits.small;
        self.spill(&mut work, |entries, young| {
            let mut from = crowded(entries, young)?;
            // The youngest only, as long as that is little work.
            let mut total = young + entries[from..].iter().sum::<u64>();
            while from < entries.len() && total > small {
                total -= entries[from];
                from += 1;
            }
            Some(from)
        })?;
        self.commit(&mut work)
    }

    /// Merges what has become many runs, and drops the entries of dropped
    /// segments when they are many. Durable on return, and cheap when there is
    /// nothing to do.
    pub(crate) fn tidy(&self) -> Result<()> {
        self.tidy_inner().map_err(|e| self.damaged(e))
    }

    fn tidy_inner(&self) -> Result<()> {
        let mut work = self.work();
        self.spill(&mut work, |_, _| None)?;
        let entries = self.entries();
        let needed = self.state().segments.chunks();
        let dead = entries.iter().sum::<u64>().saturating_sub(needed);
        let from = if dead > needed / 4 + self.limits.memory as u64 {
            Some(0)
        } else {
            crowded(&entries, 0)
        };
        if let Some(from) = from {
            self.merge(&mut work, from)?;
        }
        self.commit(&mut work)
    }

    /// Drops segments; their chunks are no longer found. Durable on return.
    pub(crate) fn drop_segments(&self, numbers: &[u32]) -> Result<()> {
        let _work = self.work();
        self.transact(|write| {
            let mut table = write.open_table(SEGMENTS)?;
            for number in numbers {
                table.remove(number)?;
            }
            Ok(())
        })?;
        let mut state = self.state_mut();
        for number in numbers {
            state.segments.remove(*number);
        }
        Ok(())
    }

    /// Forgets all chunks and segments. Durable on return.
    pub(crate) fn clear(&self) -> Result<()> {
        let mut work = self.work();
        let next = self.next_number().to_le_bytes();
        self.transact(|write| {
            write.open_table(ABOUT)?.insert(NEXT, next.as_slice())?;
            write.delete_table(RUNS)?;
            write.open_table(RUNS)?;
            write.delete_table(SEGMENTS)?;
            write.open_table(SEGMENTS)?;
            Ok(())
        })?;
        let runs = {
            let mut state = self.state_mut();
            state.fresh.clear();
            state.frozen = None;
            state.unsaved.clear();
            state.segments.clear();
            std::mem::take(&mut state.runs)
        };
        work.unsaved.clear();
        work.changed = false;
        let old = runs.iter().map(|r| r.files.clone());
        for files in old.chain(work.doomed.drain(..)) {
            remove(&files);
        }
        Ok(())
    }

    /// One durable transaction.
    pub(super) fn transact<T>(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let inner = || -> Result<T, redb::Error> {
            let mut write = self.db.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            let out = change(&write)?;
            write.commit()?;
            Ok(out)
        };
        inner().map_err(|e| super::open::failed(&self.place, e))
    }
}

/// A run's row in the database.
pub(super) const RUN_ROW: usize = 40;

fn encode(row: &RunRow) -> [u8; RUN_ROW] {
    let mut out = [0; RUN_ROW];
    out[..8].copy_from_slice(&row.entries.to_le_bytes());
    out[8..].copy_from_slice(&row.sum);
    out
}

pub(super) fn decode(number: u64, bytes: &[u8; RUN_ROW]) -> RunRow {
    let (mut entries, mut sum) = ([0; 8], [0; 32]);
    entries.copy_from_slice(&bytes[..8]);
    sum.copy_from_slice(&bytes[8..]);
    RunRow {
        number,
        entries: u64::from_le_bytes(entries),
        sum,
    }
}

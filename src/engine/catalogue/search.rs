//! Looking through the names of a history.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::block::{Row, Rows, Version};
use super::file::{Block, History, Reader};
use super::fold::Pattern;
use super::{EntryKind, Hit};
use crate::engine::Snapshot;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::storage::hex;

/// Blocks that are not worth a second thread.
const FEW: usize = 32;

/// Hits of one block, by its number in the history.
type Found = BTreeMap<usize, Vec<Hit>>;

struct Scan<'h> {
    history: &'h History,
    pattern: &'h Pattern,
    /// The history's snapshots that still exist, by their numbers.
    alive: BTreeMap<u32, &'h Snapshot>,
    limit: usize,
    next: AtomicUsize,
    hits: AtomicUsize,
    failed: AtomicBool,
    found: Mutex<Found>,
}

/// At least the first `limit` hits in order of their paths, if there are so many.
pub(super) fn scan(
    history: &History,
    pattern: &Pattern,
    snapshots: &BTreeMap<&str, &Snapshot>,
    limit: usize,
) -> Result<Vec<Hit>> {
    let all = history.head.snapshots.iter();
    let scan = Scan {
        history,
        pattern,
        alive: all
            .filter_map(|(number, id)| Some((*number, *snapshots.get(hex(id).as_str())?)))
            .collect(),
        limit,
        next: AtomicUsize::new(0),
        hits: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        found: Mutex::default(),
    };
    let blocks = &history.head.blocks;
    let threads = match blocks.len() {
        0..=FEW => 1,
        _ => std::thread::available_parallelism().map_or(1, |n| n.get().min(8)),
    };
    std::thread::scope(|scope| -> Result<()> {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| scan.run())).collect();
        let mut result = scan.run();
        for other in others {
            let ended = other.join().unwrap_or_else(|_| {
                let message = "a search ended unexpectedly; please report this";
                Err(Error::new(Kind::Io, message))
            });
            result = result.and(ended);
        }
        result
    })?;
    let found = scan.found.into_inner();
    let found = found.unwrap_or_else(PoisonError::into_inner);
    Ok(found.into_values().flatten().collect())
}

impl Scan<'_> {
    /// Takes block after block until there are hits enough. Blocks are taken
    /// in order and each is looked through to its end, so what was found is the beginning.
    fn run(&self) -> Result<()> {
        let mut reader = Reader::new()?;
        while self.hits.load(Ordering::Relaxed) < self.limit && !self.failed.load(Ordering::Relaxed)
        {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(block) = self.history.head.blocks.get(n) else {
                break;
            };
            let hits = self.block(block, &mut reader).inspect_err(|_| {
                self.failed.store(true, Ordering::Relaxed);
            })?;
            if hits.is_empty() {
                continue;
            }
            self.hits.fetch_add(hits.len(), Ordering::Relaxed);
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(n, hits);
        }
        Ok(())
    }

    fn block(&self, block: &Block, reader: &mut Reader) -> Result<Vec<Hit>> {
        let wanted = self.pattern.rows(&self.history.names(block, reader)?);
        let Some(last) = wanted.last() else {
            return Ok(Vec::new());
        };
        let parts = self.history.parts(block, reader)?;
        let mut wanted_next = wanted.iter().peekable();
        let mut hits = Vec::new();
        for (n, row) in Rows::new(&parts).take(last + 1).enumerate() {
            let row = row?;
            if wanted_next.next_if(|w| **w == n).is_some() {
                hits.extend(self.hit(&row));
                if hits.len() >= self.limit {
                    break;
                }
            }
        }
        Ok(hits)
    }

    /// The row as a hit, if a snapshot that still exists has it.
    fn hit(&self, row: &Row) -> Option<Hit> {
        let mut versions = 0;
        let mut count = 0;
        let mut first: Option<&Snapshot> = None;
        let mut last: Option<(&Snapshot, &Version)> = None;
        for version in &row.versions {
            let mut seen = false;
            for (_, snapshot) in self.alive.range(version.from..version.to) {
                seen = true;
                count += 1;
                if first.is_none_or(|f| snapshot.time < f.time) {
                    first = Some(snapshot);
                }
                if last.is_none_or(|(l, _)| snapshot.time >= l.time) {
                    last = Some((snapshot, version));
                }
            }
            versions += u64::from(seen);
        }
        let (last, version) = last?;
        Some(Hit {
            path: row.key.split(|b| *b == 0).map(<[u8]>::to_vec).collect(),
            kind: EntryKind::from_number(version.facts.kind)?,
            size: version.facts.size,
            mtime: jiff::Timestamp::from_second(version.facts.mtime).unwrap_or_default(),
            versions,
            snapshots: count,
            first: first?.clone(),
            last: last.clone(),
        })
    }
}

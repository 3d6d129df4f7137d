//! Freeing what no snapshot needs, while backups go on.
//!
//! Mark: every distinct tree node of every snapshot is read once, and each
//! chunk that is needed gets its bit. Weigh: what has a bit is live, and what a
//! backup that has run meanwhile relies on. Free: segments without anything
//! live are deleted; of those with too much waste the live chunks are stored
//! again first. The order is always: new segments durable, index durable, old
//! segments *condemned*, which ends new reliance on them; only if then nothing
//! in them is needed that was not stored again, they are dropped from the
//! index and deleted. A crash anywhere leaves at most segments that the next
//! opening finds again, and every round is durable by itself, so a collection
//! that was stopped goes on where it was.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::blocks::open_block;
use super::codec::Decompressor;
use super::error::{Error, Kind, Result};
use super::format::segment::{HEADER, RECORD, damaged};
use super::ids::IdSet;
use super::index::{Bits, Locator, SegmentInfo};
use super::marks::{Marks, mark};
use super::pack::Stop;
use super::progress::Progress;
use super::reconcile::{directory, read_directory};
use super::storage::hex;
use super::store::{Depositor, Place, Store};
use super::uses::Watch;
use super::{CollectOptions, CollectReport, Repository, blocks, copies};

/// Segments rewritten before the old ones are deleted: bounds the extra room needed.
const ROUND: usize = 8;
/// Segments deleted together.
const BATCH: usize = 256;

/// Keeps the bytes moved within a rate.
struct Pace {
    rate: u64,
    begun: Instant,
    moved: u64,
}

impl Pace {
    /// Waits until so many bytes more are within the rate.
    fn moved(&mut self, bytes: u64, progress: &Progress) -> Result<()> {
        self.moved += bytes;
        if self.rate == 0 {
            return Ok(());
        }
        let due = Duration::from_secs_f64(self.moved as f64 / self.rate as f64);
        while let Some(left) = due.checked_sub(self.begun.elapsed()) {
            progress.check()?;
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
        Ok(())
    }
}

/// A segment that is to go, with a bit for each chunk that was stored again.
type Emptied = (SegmentInfo, Vec<u64>);

/// Runs a collection.
pub(crate) fn collect(
    repository: &Repository,
    options: &CollectOptions,
    progress: &Progress,
) -> Result<CollectReport> {
    if let Some((id, why)) = repository.snapshots.damaged().iter().next() {
        return Err(Error::new(
            Kind::Corrupt,
            format!(
                "the snapshot {} cannot be read ({why}), so nobody can tell what it needs; nothing was freed. Heal it from the replica first",
                hex(id)
            ),
        ));
    }
    // A snapshot that is not listed now needs its chunks all the same.
    repository
        .storage
        .complete()
        .map_err(|e| e.context("nothing was freed"))?;
    repository.snapshots.undo(&*repository.storage)?;
    let index = &repository.index;
    let watch = repository.uses.watch(index);
    let marks = mark(repository, progress)?;
    let damaged = repository
        .damaged
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let waste = u128::from(options.waste);
    let mut dead = Vec::new();
    let mut wasteful = Vec::new();
    for segment in index.segments() {
        if segment.number >= watch.limit {
            break;
        }
        let needed = marks.weigh(&segment, &watch);
        let freed = segment.plain.saturating_sub(needed);
        if needed == 0 {
            dead.push(segment.number);
        } else if u128::from(freed) * 100 > u128::from(segment.plain) * waste
            || damaged.contains(&segment.number)
        {
            wasteful.push(segment.number);
        }
    }
    if !marks.missing.is_empty() {
        // A replica follows what is deleted here, and may have the only good
        // copy of a segment that is damaged here.
        let keeps = |n: &u32| match index.segment(*n) {
            Some(segment) => !may_hold(repository, &segment, &marks.missing),
            None => false,
        };
        dead.retain(keeps);
        wasteful.retain(keeps);
    }
    let mut report = CollectReport::default();
    let total = (dead.len() + wasteful.len()) as u64;
    progress.files_total.store(total, Ordering::Relaxed);
    progress.check()?;
    // First, since it makes the room that rewriting may need.
    for batch in dead.chunks(BATCH) {
        let batch = batch.iter().filter_map(|n| index.segment(*n));
        let batch: Vec<Emptied> = batch.map(|s| (s, Vec::new())).collect();
        delete(repository, &marks, &watch, &batch, &mut report, progress)?;
        progress.check()?;
    }
    let mut pace = Pace {
        rate: options.max_rate,
        begun: Instant::now(),
        moved: 0,
    };
    for round in wasteful.chunks(ROUND) {
        progress.check()?;
        let (emptied, stored) = rewrite(repository, round, &marks, &watch, progress)?;
        report.bytes_freed -= i64::try_from(stored).unwrap_or(i64::MAX);
        let gone = delete(repository, &marks, &watch, &emptied, &mut report, progress)?;
        report.segments_rewritten += gone;
        let read: u64 = emptied.iter().map(|(s, _)| s.stored).sum();
        pace.moved(read + stored, progress)?;
    }
    index.tidy()?;
    Ok(report)
}

/// Deletes segments of which everything that is needed was stored again; those
/// of which something more has become needed stay, and those that turn out to
/// have the last good copy of something. Returns how many went.
fn delete(
    repository: &Repository,
    marks: &Marks<'_>,
    watch: &Watch,
    segments: &[Emptied],
    report: &mut CollectReport,
    progress: &Progress,
) -> Result<u64> {
    let index = &repository.index;
    let mut free = Vec::with_capacity(segments.len());
    for emptied in segments {
        progress.check()?;
        let needed = |place: &Locator| marks.needs(place, watch);
        if !copies::has_the_last(repository, &emptied.0, watch.limit, needed)? {
            free.push(emptied);
        }
    }
    if free.is_empty() {
        return Ok(0);
    }
    let numbers: Vec<_> = free.iter().map(|(s, _)| s.number).collect();
    index.condemn(&numbers);
    let (go, stay): (Vec<_>, Vec<_>) = free.into_iter().partition(|(segment, copied)| {
        let needed = marks.needed(segment.number, watch);
        let copied = copied.iter().chain(std::iter::repeat(&0));
        needed.iter().zip(copied).all(|(n, c)| n & !c == 0)
    });
    let numbers = |list: &[&Emptied]| list.iter().map(|(s, _)| s.number).collect::<Vec<_>>();
    index.absolve(&numbers(&stay));
    let going = numbers(&go);
    if let Err(e) = index.drop_segments(&going) {
        index.absolve(&going);
        return Err(e);
    }
    for (segment, _) in &go {
        repository.storage.delete(&segment.object())?;
        report.segments_deleted += 1;
        report.bytes_freed += i64::try_from(segment.stored).unwrap_or(i64::MAX);
        progress.files.fetch_add(1, Ordering::Relaxed);
    }
    repository.storage.sync()?;
    Ok(go.len() as u64)
}

/// Stores the live chunks of these segments again. Returns what was emptied
/// of all that is needed, and the bytes stored.
fn rewrite(
    repository: &Repository,
    segments: &[u32],
    marks: &Marks<'_>,
    watch: &Watch,
    progress: &Progress,
) -> Result<(Vec<Emptied>, u64)> {
    let stop = Stop::default();
    let used = Bits::default();
    let place = Place {
        frees: true,
        ..repository.place(&used)
    };
    let ran = Store::run(&place, progress, &stop, |store| {
        let mut out = store.depositor()?;
        let mut emptied = Vec::new();
        for number in segments {
            stop.check()?;
            progress.check()?;
            let Some(segment) = repository.index.segment(*number) else {
                continue;
            };
            progress.at(&segment.object().to_string());
            let needed = marks.needed(*number, watch);
            match empty(repository, &segment, &needed, &mut out) {
                Ok(copied) => emptied.push((segment, copied)),
                Err(e) if e.kind() == Kind::Corrupt => {
                    // What can be read of it is still needed; a verification names it.
                    tracing::warn!(error = %e, "a damaged segment was left as it is");
                }
                Err(e) => return Err(e),
            }
        }
        out.flush()?;
        Ok(emptied)
    });
    stop.into_result()?;
    let (emptied, counts) = ran?;
    Ok((emptied, counts.stored.into_inner()))
}

/// Whether a segment holds, or cannot be said not to hold, one of these chunks.
fn may_hold(repository: &Repository, segment: &SegmentInfo, ids: &IdSet) -> bool {
    let name = segment.object();
    let blocks = segment.header.key(&repository.keys).and_then(|key| {
        let bytes = repository.storage.get(&name)?;
        read_directory(&name, &key, &bytes)
    });
    match blocks {
        Ok(blocks) => blocks
            .iter()
            .flat_map(|b| &b.chunks)
            .any(|(id, _)| ids.contains(id)),
        Err(_) => true,
    }
}

/// Stores a segment's needed chunks again, each checked against its id.
/// Returns a bit for each that was.
fn empty(
    repository: &Repository,
    segment: &SegmentInfo,
    needed: &[u64],
    out: &mut Depositor<'_>,
) -> Result<Vec<u64>> {
    let name = segment.object();
    let mut bytes = repository.storage.get(&name)?;
    let cut = |at: usize| damaged(&name, at as u64, "it is cut off");
    let key = segment.header.key(&repository.keys)?;
    let directory = directory(&name, &segment.header, &repository.keys, &bytes)?;
    let mut zstd = Decompressor::new()?;
    let mut body = Vec::new();
    let mut copied = vec![0u64; needed.len()];
    for block in directory {
        let mut wanted = Vec::with_capacity(block.chunks.len());
        for (id, _) in &block.chunks {
            // The index alone says which bit is whose: the directory may have
            // been read in another state when the segment became known.
            let here = repository.index.lookup(id)?.filter(|l| {
                let (word, bit) = (l.ordinal as usize / 64, 1 << (l.ordinal % 64));
                let here = (l.segment, l.offset) == (segment.number, block.offset);
                match copied.get_mut(word) {
                    Some(copied) if here && needed[word] & bit != 0 => {
                        let new = *copied & bit == 0;
                        *copied |= bit;
                        new
                    }
                    _ => false,
                }
            });
            wanted.push(here.is_some());
        }
        if !wanted.contains(&true) {
            continue;
        }
        let from = block.offset as usize;
        let to = from + RECORD + block.stored as usize;
        let record = bytes
            .get_mut(from.max(HEADER)..to)
            .ok_or_else(|| cut(from))?;
        let offset = u64::from(block.offset);
        let (_, body) = open_block(&name, offset, &key, record, &mut zstd, &mut body)?;
        let mut at = 0;
        for ((id, len), wanted) in block.chunks.iter().zip(wanted) {
            let chunk = body.get(at..at + *len as usize).ok_or_else(|| cut(from))?;
            at += *len as usize;
            if !wanted {
                continue;
            }
            if blocks::chunk_id(&repository.keys, segment.header.kind, chunk) != *id {
                return Err(damaged(
                    &name,
                    from as u64,
                    "a chunk is not what was stored",
                ));
            }
            out.again(segment.header.kind, *id, chunk)?;
        }
    }
    Ok(copied)
}

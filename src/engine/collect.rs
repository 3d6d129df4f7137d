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
use super::format::tree::{EntryV1, Extent, Item, KindV1, List};
use super::ids::{Id, IdSet};
use super::index::{Bits, SegmentInfo};
use super::nodes::read_node;
use super::pack::Stop;
use super::progress::Progress;
use super::reconcile::{directory, read_directory};
use super::storage::hex;
use super::store::{Depositor, Store};
use super::uses::Watch;
use super::{CollectOptions, CollectReport, Repository, blocks};

/// Segments rewritten before the old ones are deleted: bounds the extra room needed.
const ROUND: usize = 8;
/// Segments deleted together.
const BATCH: usize = 256;

/// What is needed.
struct Marks<'r> {
    repository: &'r Repository,
    progress: &'r Progress,
    /// Chunks that are needed; of nodes, those whose children are marked too.
    bits: Bits,
    /// Needed bytes of each segment, by number.
    live: Vec<u64>,
    /// Nodes that have no bit.
    others: IdSet,
    /// Content that is needed but that the index has nowhere: lost here, and
    /// perhaps still good in a replica's copy of a segment.
    missing: IdSet,
}

impl Marks<'_> {
    /// Marks a chunk; whether it was not marked before.
    fn chunk(&mut self, id: &Id) -> Result<bool> {
        let Some(place) = self.repository.index.lookup(id)? else {
            return Ok(self.missing.insert(*id));
        };
        let new = self.bits.set(&place);
        if new == Some(true)
            && let Some(live) = self.live.get_mut(place.segment as usize)
        {
            *live += u64::from(place.len);
        }
        Ok(new.unwrap_or_else(|| self.others.insert(*id)))
    }

    /// Marks all below one file or folder.
    fn mark(&mut self, kind: &KindV1) -> Result<()> {
        let mut folders = Vec::new();
        self.kind(kind, &mut folders)?;
        while let Some(id) = folders.pop() {
            if !self.chunk(&id)? {
                continue;
            }
            self.progress.check()?;
            match read_node::<EntryV1>(&self.repository.blocks, &id)? {
                List::Pages(pages) => folders.extend(pages.iter().map(|p| p.id)),
                List::Items(entries) => {
                    for entry in &entries {
                        self.list(&entry.xattrs, |_, _| Ok(()))?;
                        self.kind(&entry.kind, &mut folders)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn kind(&mut self, kind: &KindV1, folders: &mut Vec<Id>) -> Result<()> {
        match kind {
            KindV1::Folder { id, .. } => folders.push(*id),
            KindV1::File { extents, .. } => {
                self.list(extents, |this, extent| {
                    if let Extent::Data { id, .. } = extent {
                        this.chunk(id)?;
                    }
                    Ok(())
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Marks a list's pages and hands its items on.
    fn list<T: Item>(
        &mut self,
        list: &List<T>,
        each: impl Fn(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        let mut pages = match list {
            List::Items(items) => {
                return items.iter().try_for_each(|i| each(self, i));
            }
            List::Pages(pages) => pages.clone(),
        };
        while let Some(page) = pages.pop() {
            if !self.chunk(&page.id)? {
                continue;
            }
            match read_node::<T>(&self.repository.blocks, &page.id)? {
                List::Items(items) => items.iter().try_for_each(|i| each(self, i))?,
                List::Pages(more) => pages.extend(more),
            }
        }
        Ok(())
    }

    /// One bit for each chunk of a segment that is needed now, by a snapshot
    /// or by a backup that has run meanwhile.
    fn needed(&self, number: u32, watch: &Watch) -> Vec<u64> {
        let mut out = Vec::new();
        self.bits.add_to(number, &mut out);
        for used in watch.sets() {
            used.add_to(number, &mut out);
        }
        out
    }

    /// About how many of a segment's bytes are needed; at least 1 if any chunk is.
    fn weigh(&self, segment: &SegmentInfo, watch: &Watch) -> u64 {
        let count = |words: &[u64]| words.iter().map(|w| u64::from(w.count_ones())).sum::<u64>();
        let all = count(&self.needed(segment.number, watch)).min(segment.chunks.into());
        if self.bits.is_whole(segment.number) {
            return segment.plain.max(1);
        }
        let mut marked = Vec::new();
        self.bits.add_to(segment.number, &mut marked);
        // Backups note no lengths; theirs count as the segment's mean.
        let mean = segment.plain / u64::from(segment.chunks.max(1));
        let live = self.live.get(segment.number as usize).copied();
        live.unwrap_or(0) + (all - count(&marked).min(all)) * mean + u64::from(all > 0)
    }
}

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

fn mark<'r>(repository: &'r Repository, progress: &'r Progress) -> Result<Marks<'r>> {
    // Snapshots before pins: a restore pins and then looks whether its
    // snapshot is still there. Both before the bits, so that all they need has one.
    let snapshots = repository.snapshots.all();
    let pinned = repository.locks.pinned();
    let bits = repository.index.bits();
    let mut marks = Marks {
        repository,
        progress,
        live: vec![0; bits.since() as usize],
        bits,
        others: IdSet::default(),
        missing: IdSet::default(),
    };
    for kind in pinned {
        marks.mark(&kind)?;
    }
    for (id, record) in snapshots {
        progress.at(&format!("snapshot {}", hex(&id)));
        marks
            .list(&record.root.xattrs, |_, _| Ok(()))
            .and_then(|()| marks.mark(&record.root.kind))
            .map_err(|e| {
                e.context(format_args!(
                    "nothing was freed, because it cannot be told what snapshot {} needs (verify the repository)",
                    hex(&id)
                ))
            })?;
    }
    Ok(marks)
}

/// Deletes segments of which everything that is needed was stored again; those
/// of which something more has become needed stay. Returns how many went.
fn delete(
    repository: &Repository,
    marks: &Marks<'_>,
    watch: &Watch,
    segments: &[Emptied],
    report: &mut CollectReport,
    progress: &Progress,
) -> Result<u64> {
    if segments.is_empty() {
        return Ok(0);
    }
    let index = &repository.index;
    let numbers: Vec<_> = segments.iter().map(|(s, _)| s.number).collect();
    index.condemn(&numbers);
    let (go, stay): (Vec<_>, Vec<_>) = segments.iter().partition(|(segment, copied)| {
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
    let ran = Store::run(&repository.place(&used), progress, &stop, |store| {
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
        open_block(&name, offset, &key, record, &mut zstd, &mut body)?;
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

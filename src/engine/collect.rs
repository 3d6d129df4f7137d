//! Freeing what no snapshot needs.
//!
//! Mark: every distinct tree node of every snapshot is read once; what content
//! is needed goes into a filter that may err to the safe side only. Weigh: one
//! pass over the index gives the live bytes of each segment. Free: segments
//! without any are deleted; of those with too much waste the live chunks are
//! stored again first. The order is always: new segments durable, index
//! durable, old segments deleted; a crash anywhere leaves at most segments
//! that the next opening finds again.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::blocks::open_block;
use super::codec::Decompressor;
use super::error::{Error, Kind, Result};
use super::format::segment::{HEADER, RECORD, damaged};
use super::format::tree::{EntryV1, Extent, Item, KindV1, List};
use super::ids::{Id, IdSet};
use super::index::SegmentInfo;
use super::nodes::read_node;
use super::pack::Stop;
use super::progress::Progress;
use super::reconcile::{directory, read_directory};
use super::storage::hex;
use super::store::{Depositor, Store};
use super::{CollectReport, Repository, blocks};

/// A segment is rewritten when more than one part in so many of it is dead.
const WASTE: u64 = 10;
/// Segments rewritten before the old ones are deleted: bounds the extra room needed.
const ROUND: usize = 8;

/// A set of content ids that may claim to hold one it does not: about one in
/// 400, which stays stored for no need, and never the other way.
pub(crate) struct Filter {
    bits: Vec<u64>,
    mask: u64,
}

impl Filter {
    /// For about `n` ids.
    pub(crate) fn new(n: u64) -> Self {
        let bits = n.saturating_mul(16).next_power_of_two().max(1 << 20);
        Self {
            bits: vec![0; (bits / 64) as usize],
            mask: bits - 1,
        }
    }

    fn places(&self, id: &Id) -> [(usize, u64); 4] {
        std::array::from_fn(|i| {
            let bit = id.word(i) & self.mask;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    pub(crate) fn insert(&mut self, id: &Id) {
        for (word, bit) in self.places(id) {
            self.bits[word] |= bit;
        }
    }

    pub(crate) fn contains(&self, id: &Id) -> bool {
        self.places(id)
            .iter()
            .all(|(word, bit)| self.bits[*word] & bit != 0)
    }
}

/// What is needed.
struct Marks<'r> {
    repository: &'r Repository,
    progress: &'r Progress,
    nodes: IdSet,
    content: Filter,
    /// Content that is needed but that the index has nowhere: lost here, and
    /// perhaps still good in a replica's copy of a segment.
    missing: IdSet,
}

impl Marks<'_> {
    fn live(&self, id: &Id) -> bool {
        self.nodes.contains(id) || self.content.contains(id)
    }

    /// Marks all below one file or folder.
    fn mark(&mut self, kind: &KindV1) -> Result<()> {
        let mut folders = Vec::new();
        self.kind(kind, &mut folders)?;
        while let Some(id) = folders.pop() {
            if !self.nodes.insert(id) {
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
                        this.content.insert(id);
                        if this.repository.index.lookup(id)?.is_none() {
                            this.missing.insert(*id);
                        }
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
            if !self.nodes.insert(page.id) {
                continue;
            }
            match read_node::<T>(&self.repository.blocks, &page.id)? {
                List::Items(items) => items.iter().try_for_each(|i| each(self, i))?,
                List::Pages(more) => pages.extend(more),
            }
        }
        Ok(())
    }
}

/// Runs a collection.
pub(crate) fn collect(repository: &Repository, progress: &Progress) -> Result<CollectReport> {
    if let Some((id, why)) = repository.snapshots.damaged().iter().next() {
        return Err(Error::new(
            Kind::Corrupt,
            format!(
                "the snapshot {} cannot be read ({why}), so nobody can tell what it needs; nothing was freed. Heal it from the replica first",
                hex(id)
            ),
        ));
    }
    let index = &repository.index;
    let marks = mark(repository, progress)?;
    let mut live: HashMap<u32, u64> = HashMap::new();
    index.each(|id, place| {
        if marks.live(&id) {
            *live.entry(place.segment).or_default() += u64::from(place.len);
        }
    })?;
    let damaged = repository
        .damaged
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let mut dead = Vec::new();
    let mut wasteful = Vec::new();
    for segment in index.segments() {
        let needed = live.get(&segment.number).copied().unwrap_or(0);
        if needed == 0 {
            dead.push(segment);
        } else if (segment.plain.saturating_sub(needed)).saturating_mul(WASTE) > segment.plain
            || damaged.contains(&segment.number)
        {
            wasteful.push(segment);
        }
    }
    if !marks.missing.is_empty() {
        // A replica follows what is deleted here, and may have the only good
        // copy of a segment that is damaged here.
        dead.retain(|s| !may_hold(repository, s, &marks.missing));
        wasteful.retain(|s| !may_hold(repository, s, &marks.missing));
    }
    let mut report = CollectReport::default();
    progress
        .files_total
        .store((dead.len() + wasteful.len()) as u64, Ordering::Relaxed);
    progress.check()?;
    // First, since it makes the room that rewriting may need.
    delete(repository, &dead, &mut report, progress)?;
    for round in wasteful.chunks(ROUND) {
        progress.check()?;
        let (emptied, stored) = rewrite(repository, round, &marks, progress)?;
        report.bytes_freed -= i64::try_from(stored).unwrap_or(i64::MAX);
        report.segments_rewritten += emptied.len() as u64;
        delete(repository, &emptied, &mut report, progress)?;
    }
    if report.segments_deleted > 0 {
        index.sweep()?;
    }
    Ok(report)
}

fn mark<'r>(repository: &'r Repository, progress: &'r Progress) -> Result<Marks<'r>> {
    let mut marks = Marks {
        repository,
        progress,
        nodes: IdSet::default(),
        content: Filter::new(repository.index.len()?),
        missing: IdSet::default(),
    };
    for kind in repository.locks.pinned() {
        marks.mark(&kind)?;
    }
    for (id, record) in repository.snapshots.all() {
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

/// Deletes segments nothing live is in any more.
fn delete(
    repository: &Repository,
    segments: &[Arc<SegmentInfo>],
    report: &mut CollectReport,
    progress: &Progress,
) -> Result<()> {
    if segments.is_empty() {
        return Ok(());
    }
    let numbers: Vec<_> = segments.iter().map(|s| s.number).collect();
    repository.index.drop_segments(&numbers)?;
    for segment in segments {
        repository.storage.delete(&segment.object())?;
        report.segments_deleted += 1;
        report.bytes_freed += i64::try_from(segment.stored).unwrap_or(i64::MAX);
        progress.files.fetch_add(1, Ordering::Relaxed);
    }
    repository.storage.sync()
}

/// Stores the live chunks of these segments again. Returns the segments that
/// hold nothing live any more, and the bytes stored.
fn rewrite(
    repository: &Repository,
    segments: &[Arc<SegmentInfo>],
    marks: &Marks<'_>,
    progress: &Progress,
) -> Result<(Vec<Arc<SegmentInfo>>, u64)> {
    let stop = Stop::default();
    let ran = Store::run(&repository.place(), progress, &stop, |store| {
        let mut out = store.depositor()?;
        let mut emptied = Vec::new();
        for segment in segments {
            stop.check()?;
            progress.check()?;
            progress.at(&segment.object().to_string());
            match empty(repository, segment, marks, &mut out) {
                Ok(()) => emptied.push(segment.clone()),
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

/// Stores a segment's live chunks again, each checked against its id.
fn empty(
    repository: &Repository,
    segment: &SegmentInfo,
    marks: &Marks<'_>,
    out: &mut Depositor<'_>,
) -> Result<()> {
    let name = segment.object();
    let mut bytes = repository.storage.get(&name)?;
    let cut = |at: usize| damaged(&name, at as u64, "it is cut off");
    let key = segment.header.key(&repository.keys)?;
    let directory = directory(&name, &segment.header, &repository.keys, &bytes)?;
    let mut zstd = Decompressor::new()?;
    let mut body = Vec::new();
    for block in directory {
        let mut wanted = Vec::with_capacity(block.chunks.len());
        for (id, _) in &block.chunks {
            let here = repository
                .index
                .lookup(id)?
                .is_some_and(|l| l.segment == segment.number && l.offset == block.offset);
            wanted.push(here && marks.live(id));
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_never_forgets_and_rarely_invents() {
        let id = |n: u32| Id(*blake3::hash(&n.to_le_bytes()).as_bytes());
        let n = 200_000;
        let mut filter = Filter::new(u64::from(n));
        (0..n).for_each(|i| filter.insert(&id(i)));
        assert!((0..n).all(|i| filter.contains(&id(i))));
        let invented = (n..2 * n).filter(|i| filter.contains(&id(*i))).count();
        assert!(invented < n as usize / 200, "{invented}");
    }
}

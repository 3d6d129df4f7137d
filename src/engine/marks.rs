//! What is needed of what is stored: a bit for every chunk.

use super::Repository;
use super::error::Result;
use super::format::tree::{EntryV1, Extent, Item, KindV1, List};
use super::ids::{Id, IdSet};
use super::index::{Bits, Locator, SegmentInfo};
use super::nodes::read_node;
use super::progress::Progress;
use super::storage::hex;
use super::uses::Watch;

/// What is needed.
pub(super) struct Marks<'r> {
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
    pub missing: IdSet,
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
    pub(super) fn needed(&self, number: u32, watch: &Watch) -> Vec<u64> {
        let mut out = Vec::new();
        self.bits.add_to(number, &mut out);
        for used in watch.sets() {
            used.add_to(number, &mut out);
        }
        out
    }

    /// Whether the chunk at this place is needed now.
    pub(super) fn needs(&self, place: &Locator, watch: &Watch) -> bool {
        let words = self.needed(place.segment, watch);
        // One without an ordinal may be any.
        place.ordinal == Locator::UNPLACED
            || words
                .get(place.ordinal as usize / 64)
                .is_some_and(|word| word & (1 << (place.ordinal % 64)) != 0)
    }

    /// About how many of a segment's bytes are needed; at least 1 if any chunk is.
    pub(super) fn weigh(&self, segment: &SegmentInfo, watch: &Watch) -> u64 {
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

/// Marks what every snapshot and everything being read needs.
pub(super) fn mark<'r>(repository: &'r Repository, progress: &'r Progress) -> Result<Marks<'r>> {
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

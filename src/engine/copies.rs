//! Chunks that lie in several segments: stored by two backups at once, stored
//! anew when a copy was damaged, or left by an interrupted collection. The index
//! points to one of them, which may be the bad one without anybody knowing (the
//! index built anew, a damaged segment listed again). So before a segment goes,
//! the other copy of whatever is needed of it is read.

use std::sync::PoisonError;

use super::Repository;
use super::blocks::{Body, chunk_id};
use super::error::{Kind, Result};
use super::format::segment::SegmentKind;
use super::ids::Id;
use super::index::{Locator, SegmentInfo};
use super::reconcile::fetch_directory;

/// The block of a segment at an offset, if it can be read.
struct Block {
    at: (u32, u32),
    body: Option<Body>,
}

/// Reads chunks from the storage, the last block once.
struct Reader<'r> {
    repository: &'r Repository,
    kind: SegmentKind,
    last: Option<Block>,
}

impl<'r> Reader<'r> {
    fn new(repository: &'r Repository, kind: SegmentKind) -> Self {
        Self {
            repository,
            kind,
            last: None,
        }
    }

    /// Whether the chunk can be read at this place.
    fn holds(&mut self, id: &Id, place: &Locator) -> Result<bool> {
        let at = (place.segment, place.offset);
        if self.last.as_ref().is_none_or(|last| last.at != at) {
            let body = match self.repository.blocks.fetch(place) {
                Ok(body) => Some(body),
                Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Missing | Kind::Refused) => None,
                Err(e) => return Err(e),
            };
            self.last = Some(Block { at, body });
        }
        let body = self.last.as_ref().and_then(|last| last.body.as_ref());
        let from = place.at as usize;
        let chunk = body.and_then(|body| body.get(from..from + place.len as usize));
        Ok(chunk.is_some_and(|c| chunk_id(&self.repository.keys, self.kind, c) == *id))
    }
}

/// Whether a segment has the only good copy of a chunk that the index has in
/// another one, in which it is `needed`. The index then points here. Copies in
/// segments numbered from `trusted` on were only just written.
pub(crate) fn has_the_last(
    repository: &Repository,
    segment: &SegmentInfo,
    trusted: u32,
    needed: impl Fn(&Locator) -> bool,
) -> Result<bool> {
    let directory = fetch_directory(
        &*repository.storage,
        &repository.keys,
        repository.header.id,
        &segment.name,
        segment.stored,
    );
    let (header, blocks) = match directory {
        Ok(found) => found,
        // Nothing in it can be found.
        Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Missing | Kind::Refused) => {
            return Ok(false);
        }
        Err(e) => return Err(e),
    };
    let mut there = Reader::new(repository, header.kind);
    let mut here = Reader::new(repository, header.kind);
    let mut last = Vec::new();
    for block in &blocks {
        let mut at = 0;
        for (id, len) in &block.chunks {
            let place = Locator {
                segment: segment.number,
                ordinal: Locator::UNPLACED,
                offset: block.offset,
                stored: block.stored,
                at,
                len: *len,
            };
            at += len;
            let elsewhere = repository.index.lookup(id)?.filter(|other| {
                other.segment != segment.number && other.segment < trusted && needed(other)
            });
            let Some(other) = elsewhere else { continue };
            if !there.holds(id, &other)? && here.holds(id, &place)? {
                last.push((*id, place));
                // The next collection empties it.
                repository
                    .damaged
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(other.segment);
            }
        }
    }
    if last.is_empty() {
        return Ok(false);
    }
    tracing::warn!(segment = %segment.object(), chunks = last.len(), "a segment stays: other copies of what it holds are damaged");
    repository.index.correct(&last, &[])?;
    Ok(true)
}

//! Reading blocks and chunks back: fetch, open, expand, check.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::codec::Decompressor;
use super::crypt::{ObjectKey, TAG};
use super::error::{Error, Kind, Result};
use super::format::segment::{
    RECORD, RecordHeader, RecordType, SegmentKind, damaged, decode_block_table,
};
use super::ids::Id;
use super::index::{Index, Locator};
use super::keys::Keys;
use super::storage::{Name, Storage};

/// The id a chunk has in a segment of this kind.
pub(crate) fn chunk_id(keys: &Keys, kind: SegmentKind, chunk: &[u8]) -> Id {
    match kind {
        SegmentKind::Data => keys.data_id(chunk),
        SegmentKind::Tree => keys.tree_id(chunk),
    }
}

/// Opens one record in place (header, ciphertext, tag): its chunks' lengths, and
/// its body, which lies in `body` or, if that is then empty, in `bytes` before the tag.
pub(crate) fn open_block<'a>(
    name: &Name,
    offset: u64,
    key: &ObjectKey,
    bytes: &'a mut [u8],
    zstd: &mut Decompressor,
    body: &'a mut Vec<u8>,
) -> Result<(Vec<u32>, &'a [u8])> {
    let bad = |why: &str| damaged(name, offset, why);
    if bytes.len() < RECORD {
        return Err(bad("the record is cut off"));
    }
    let (head, sealed) = bytes.split_at_mut(RECORD);
    let record = RecordHeader::decode(head).map_err(|e| bad(&e.to_string()))?;
    if record.record != RecordType::Block || record.stored as usize != sealed.len() {
        return Err(bad("there is another record than expected"));
    }
    let plain = key
        .open(record.seq, head, sealed)
        .ok_or_else(|| bad("its content does not match its seal"))?;
    let (lens, start) = decode_block_table(plain).map_err(|e| bad(&e.to_string()))?;
    let len = lens.iter().map(|l| *l as usize).sum();
    let body = zstd
        .expand(record.codec, &plain[start..], len, body)
        .map_err(|e| bad(&e.to_string()))?;
    Ok((lens, body))
}

/// The body of a block, in the memory it came in.
pub(crate) struct Body {
    bytes: Vec<u8>,
    from: usize,
    len: usize,
}

impl std::ops::Deref for Body {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.from..self.from + self.len]
    }
}

type Place = (u32, u32);

/// Blocks read a moment ago, oldest first, within a number of bytes. Tree
/// nodes and small files that were written together are read together, so even
/// a small one saves nearly all double work.
struct Recent {
    blocks: VecDeque<(Place, Arc<Body>)>,
    bytes: usize,
}

/// Reads chunks by id or place. Shared by all threads.
pub(crate) struct Blocks {
    storage: Arc<dyn Storage>,
    index: Arc<Index>,
    keys: Arc<Keys>,
    segment_keys: Mutex<VecDeque<(u32, Arc<ObjectKey>)>>,
    recent: Mutex<Recent>,
    tools: Mutex<Vec<Decompressor>>,
}

const RECENT_BYTES: usize = 12 << 20;
/// Blocks of one chunk are remembered if they are shorter: tree nodes are.
const SINGLE: usize = 64 << 10;
const SEGMENT_KEYS: usize = 64;

impl Blocks {
    pub(crate) fn new(storage: Arc<dyn Storage>, index: Arc<Index>, keys: Arc<Keys>) -> Self {
        Self {
            storage,
            index,
            keys,
            segment_keys: Mutex::default(),
            recent: Mutex::new(Recent {
                blocks: VecDeque::new(),
                bytes: 0,
            }),
            tools: Mutex::default(),
        }
    }

    /// A content chunk's bytes, checked against its id.
    pub(crate) fn data(&self, id: &Id) -> Result<Chunk> {
        self.chunk(id, SegmentKind::Data)
    }

    /// A tree node's bytes, checked against its id.
    pub(crate) fn tree(&self, id: &Id) -> Result<Chunk> {
        self.chunk(id, SegmentKind::Tree)
    }

    fn chunk(&self, id: &Id, kind: SegmentKind) -> Result<Chunk> {
        let place = self.locate(id)?;
        match self.at(id, kind, place) {
            // A collection may have moved the chunk between lookup and reading;
            // the index knew the new place before the old one went.
            Err(e) if e.kind() == Kind::Missing => {
                let again = self.locate(id)?;
                if again == place {
                    return Err(e);
                }
                self.at(id, kind, again)
            }
            other => other,
        }
    }

    /// Where a chunk is; `Missing` if nowhere.
    pub(crate) fn locate(&self, id: &Id) -> Result<Locator> {
        self.index.lookup(id)?.ok_or_else(|| {
            Error::new(
                Kind::Missing,
                format!(
                    "the chunk {id} is in no segment; its content is lost unless a replica has it"
                ),
            )
        })
    }

    fn at(&self, id: &Id, kind: SegmentKind, place: Locator) -> Result<Chunk> {
        let block = self.block(&place)?;
        let from = place.at as usize;
        let to = from + place.len as usize;
        let bytes = block.get(from..to).ok_or_else(|| self.not_there(&place))?;
        if chunk_id(&self.keys, kind, bytes) != *id {
            return Err(self.not_there(&place));
        }
        Ok(Chunk { block, from, to })
    }

    fn not_there(&self, place: &Locator) -> Error {
        let name = self.index.segment(place.segment).map_or_else(
            || "a vanished segment".to_owned(),
            |s| s.object().to_string(),
        );
        damaged(
            &name,
            u64::from(place.offset),
            "the chunk is not what was stored",
        )
    }

    /// The body of the block at a place.
    pub(crate) fn block(&self, place: &Locator) -> Result<Arc<Body>> {
        let at = (place.segment, place.offset);
        if let Some(body) = self.recall(at) {
            return Ok(body);
        }
        let body = Arc::new(self.fetch(place)?);
        // A block of one chunk is hardly ever wanted twice.
        if place.len as usize != body.len() || body.len() < SINGLE {
            self.remember(at, &body);
        }
        Ok(body)
    }

    fn recall(&self, at: Place) -> Option<Arc<Body>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let found = recent.blocks.iter().rev().find(|(p, _)| *p == at);
        found.map(|(_, body)| body.clone())
    }

    fn remember(&self, at: Place, body: &Arc<Body>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.blocks.push_back((at, body.clone()));
        recent.bytes += body.len();
        while recent.bytes > RECENT_BYTES {
            match recent.blocks.pop_front() {
                Some((_, old)) => recent.bytes -= old.len(),
                None => break,
            }
        }
    }

    /// Reads the block at a place from the storage.
    pub(crate) fn fetch(&self, place: &Locator) -> Result<Body> {
        let Some(segment) = self.index.segment(place.segment) else {
            return Err(Error::new(Kind::Missing, "the segment has been collected"));
        };
        let name = segment.object();
        let (offset, len) = (u64::from(place.offset), RECORD + place.stored as usize);
        let mut bytes = self.storage.get_sealed(&name, offset, len)?;
        let key = self.key(place.segment)?;
        let mut tool = {
            let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
            tools.pop()
        };
        let mut zstd = match tool.take() {
            Some(zstd) => zstd,
            None => Decompressor::new()?,
        };
        let mut body = Vec::new();
        let mut open = |bytes: &mut [u8]| {
            let opened = open_block(&name, offset, &key, bytes, &mut zstd, &mut body);
            opened.map(|(_, body)| body.len())
        };
        let mut opened = open(&mut bytes);
        if matches!(&opened, Err(e) if e.kind() == Kind::Corrupt) {
            // What lies in one place went bad; the storage may have it elsewhere too.
            opened = match self.storage.get_range(&name, offset, len) {
                Ok(again) => {
                    bytes = again;
                    open(&mut bytes)
                }
                Err(e) => Err(e),
            };
        }
        self.tools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(zstd);
        let len = opened?;
        Ok(match body.is_empty() {
            true => Body {
                from: bytes.len() - TAG - len,
                len,
                bytes,
            },
            false => Body {
                from: 0,
                len,
                bytes: body,
            },
        })
    }

    /// The key of a segment, remembered while it is in use.
    fn key(&self, number: u32) -> Result<Arc<ObjectKey>> {
        let mut known = self
            .segment_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = known.iter().find(|(n, _)| *n == number) {
            return Ok(key.clone());
        }
        let segment = self
            .index
            .segment(number)
            .ok_or_else(|| Error::new(Kind::Missing, "the segment has been collected"))?;
        let key = Arc::new(segment.header.key(&self.keys)?);
        known.push_back((number, key.clone()));
        if known.len() > SEGMENT_KEYS {
            known.pop_front();
        }
        Ok(key)
    }

    /// Ids that may be looked up.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }
}

/// A chunk's bytes within the block they came in.
pub(crate) struct Chunk {
    block: Arc<Body>,
    from: usize,
    to: usize,
}

impl std::ops::Deref for Chunk {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.block[self.from..self.to]
    }
}

//! Filling segments. Blocks from all workers go into one open segment of their
//! kind; a full one is closed and handed to the writer, which alone talks to
//! the storage. At most one segment a kind is open, one waits and one is being
//! written, so memory is bounded whatever the number of workers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::crypt::{ObjectKey, TAG};
use super::error::{Error, Kind, Result};
use super::format::segment::{
    BlockEntry, Codec, FOOTER, Footer, RECORD, RecordHeader, RecordType, SegmentHeader,
    SegmentKind, block_table_len, encode_block_table, encode_directory,
};
use super::ids::Id;
use super::keys::Keys;

/// Tree segments stay small: browsing reads them in small pieces, and they are
/// few compared with content.
const TREE_SEGMENT: u32 = 8 << 20;

/// The first failure of a many-threaded operation; the others stop because of it.
#[derive(Default)]
pub(crate) struct Stop {
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl Stop {
    /// Remembers the first failure.
    pub(crate) fn fail(&self, e: Error) {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.get_or_insert(e);
        self.failed.store(true, Ordering::Release);
    }
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
    /// An error (without content; the real one is kept) once something failed.
    pub(crate) fn check(&self) -> Result<()> {
        if self.failed() {
            return Err(Error::new(Kind::Cancelled, "stopped by an earlier error"));
        }
        Ok(())
    }
    /// The first failure, if there was one.
    pub(crate) fn into_result(self) -> Result<()> {
        match self
            .error
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            Some(e) => Err(e),
            None => Ok(()),
        }
    }
}

/// A closed segment on its way to the storage.
pub(crate) struct Finished {
    /// The hash of `bytes`, the segment's name.
    pub name: [u8; 32],
    pub bytes: Vec<u8>,
    pub header: SegmentHeader,
    pub blocks: Vec<BlockEntry>,
}

struct OpenSegment {
    bytes: Vec<u8>,
    header: SegmentHeader,
    key: ObjectKey,
    blocks: Vec<BlockEntry>,
    /// Bytes the directory will take.
    directory: usize,
}

/// The open segment of one kind.
pub(crate) struct Packer {
    kind: SegmentKind,
    limit: usize,
    repository: [u8; 16],
    epoch: u32,
    keys: Arc<Keys>,
    open: Mutex<Option<OpenSegment>>,
    out: Mutex<Option<SyncSender<Finished>>>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// What both packers of an operation share.
pub(crate) struct Packing {
    pub repository: [u8; 16],
    pub epoch: u32,
    pub segment_bytes: u32,
    pub keys: Arc<Keys>,
}

/// Buffers for reuse: the writer returns them, the packers take them.
pub(crate) type Spare = Arc<Mutex<Vec<Vec<u8>>>>;

/// The packers for content and for trees, and where their segments come out.
pub(crate) fn packers(p: &Packing) -> (Packer, Packer, Receiver<Finished>, Spare) {
    let (out, from) = sync_channel(0);
    let spare = Spare::default();
    let new = |kind, limit: u32| Packer {
        kind,
        limit: limit as usize,
        repository: p.repository,
        epoch: p.epoch,
        keys: p.keys.clone(),
        open: Mutex::new(None),
        out: Mutex::new(Some(out.clone())),
        spare: spare.clone(),
    };
    let data = new(SegmentKind::Data, p.segment_bytes);
    let tree = new(SegmentKind::Tree, p.segment_bytes.min(TREE_SEGMENT));
    (data, tree, from, spare)
}

impl Packer {
    fn begin(&self) -> Result<OpenSegment> {
        let header = SegmentHeader::new(self.kind, self.repository, self.epoch)?;
        let key = header.key(&self.keys)?;
        let mut bytes = self
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(&header.bytes);
        Ok(OpenSegment {
            bytes,
            header,
            key,
            blocks: Vec::new(),
            directory: RECORD + TAG + FOOTER,
        })
    }

    /// Seals a block of these chunks, whose joined bytes have the stored form
    /// `body` and the length `plain`, into the open segment.
    pub(crate) fn append(
        &self,
        codec: Codec,
        body: &[u8],
        plain: u32,
        chunks: Vec<(Id, u32)>,
    ) -> Result<()> {
        let table = block_table_len(chunks.len());
        let stored = table + body.len() + TAG;
        let listed = 16 + 36 * chunks.len();
        let mut guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = guard.as_ref()
            && open.bytes.len() + RECORD + stored + open.directory + listed > self.limit
            && let Some(full) = guard.take()
        {
            self.finish(full)?;
        }
        let open = match guard.as_mut() {
            Some(open) => open,
            None => guard.insert(self.begin()?),
        };
        let too_long = || Error::new(Kind::Refused, "segments of 4 GiB or more are not possible");
        let record = RecordHeader {
            record: RecordType::Block,
            codec,
            seq: u32::try_from(open.blocks.len()).map_err(|_| too_long())?,
            stored: u32::try_from(stored).map_err(|_| too_long())?,
        };
        let offset = open.bytes.len();
        let head = record.encode();
        open.bytes.extend_from_slice(&head);
        encode_block_table(chunks.iter().map(|c| c.1), &mut open.bytes);
        open.bytes.extend_from_slice(body);
        let tag = open
            .key
            .seal(record.seq, &head, &mut open.bytes[offset + RECORD..])?;
        open.bytes.extend_from_slice(&tag);
        open.directory += listed;
        open.blocks.push(BlockEntry {
            offset: u32::try_from(offset).map_err(|_| too_long())?,
            stored: record.stored,
            plain,
            chunks,
        });
        Ok(())
    }

    /// Closes the open segment, if any.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match guard.take() {
            Some(open) => self.finish(open),
            None => Ok(()),
        }
    }

    fn finish(&self, mut open: OpenSegment) -> Result<()> {
        let mut directory = encode_directory(&open.blocks);
        // Both far below u32::MAX: the segment's limit holds for them too.
        let seq = open.blocks.len() as u32;
        let head = RecordHeader {
            record: RecordType::Directory,
            codec: Codec::Raw,
            seq,
            stored: (directory.len() + TAG) as u32,
        }
        .encode();
        let tag = open.key.seal(seq, &head, &mut directory)?;
        let offset = open.bytes.len();
        open.bytes.extend_from_slice(&head);
        open.bytes.extend_from_slice(&directory);
        open.bytes.extend_from_slice(&tag);
        let footer = Footer {
            offset: offset as u64,
            len: (open.bytes.len() - offset) as u32,
            blocks: seq,
            hash: *blake3::hash(&open.bytes[offset..]).as_bytes(),
        };
        open.bytes.extend_from_slice(&footer.encode());
        // Here and not in the writer, which has enough to do.
        let name = *blake3::hash(&open.bytes).as_bytes();
        let stopped = || Error::new(Kind::Cancelled, "stopped by an earlier error");
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.as_ref()
            .ok_or_else(stopped)?
            .send(Finished {
                name,
                bytes: open.bytes,
                header: open.header,
                blocks: open.blocks,
            })
            .map_err(|_| stopped())
    }

    /// No more segments will come from here; the writer ends when both are closed.
    pub(crate) fn close(&self) {
        self.out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// Counts shared by all who store.
#[derive(Default)]
pub(crate) struct Counts {
    /// Bytes of content that were not there before.
    pub new_bytes: AtomicU64,
    /// Bytes of segments put into the storage.
    pub stored: AtomicU64,
}

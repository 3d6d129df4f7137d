//! The segment's frame: header, records, directory, footer (`docs/format.md` §4).

use super::cursor::Cursor;
use crate::engine::crypt::{ObjectKey, TAG};
use crate::engine::error::{Error, Kind, Result};
use crate::engine::ids::Id;
use crate::engine::keys::{Keys, random};

/// Bytes of a segment's header.
pub(crate) const HEADER: usize = 80;
/// Of these, what the segment's key is bound to.
pub(crate) const HEADER_KEYED: usize = 72;
/// Bytes of a record's header.
pub(crate) const RECORD: usize = 16;
/// Bytes of the footer.
pub(crate) const FOOTER: usize = 56;
/// Longest body of a block after undoing its codec.
pub(crate) const BLOCK_MAX: usize = 1 << 20;
/// Most chunks in one block.
pub(crate) const BLOCK_CHUNKS: usize = 1 << 14;

const SEGMENT_MAGIC: &[u8; 8] = b"COLCASEG";
const RECORD_MAGIC: &[u8; 4] = b"CREC";
const FOOTER_MAGIC: &[u8; 8] = b"COLCAEND";

/// What a segment holds; apart, so that the trees can be read without wading through content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    Data,
    Tree,
}

impl SegmentKind {
    fn code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Tree => 2,
        }
    }
}

/// How a block's body is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Raw,
    Zstd,
}

/// A segment's decoded header. `bytes` is kept because the key is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub kind: SegmentKind,
    pub repository: [u8; 16],
    pub epoch: u32,
    pub bytes: [u8; HEADER],
}

impl SegmentHeader {
    pub(crate) fn new(kind: SegmentKind, repository: [u8; 16], epoch: u32) -> Result<Self> {
        let mut bytes = [0u8; HEADER];
        bytes[..8].copy_from_slice(SEGMENT_MAGIC);
        bytes[8..10].copy_from_slice(&super::VERSION.to_le_bytes());
        bytes[10] = kind.code();
        bytes[16..32].copy_from_slice(&repository);
        bytes[32..36].copy_from_slice(&epoch.to_le_bytes());
        bytes[40..72].copy_from_slice(&random::<32>()?);
        let sum = blake3::hash(&bytes[..HEADER_KEYED]);
        bytes[HEADER_KEYED..].copy_from_slice(&sum.as_bytes()[..8]);
        Ok(Self {
            kind,
            repository,
            epoch,
            bytes,
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes, "the segment's header");
        c.magic(SEGMENT_MAGIC)?;
        c.version()?;
        let kind = match c.u8()? {
            1 => SegmentKind::Data,
            2 => SegmentKind::Tree,
            other => return Err(c.bad(format_args!("there is no segment kind {other}"))),
        };
        c.zeros(1)?;
        c.no_flags()?;
        let repository = c.array()?;
        let epoch = c.u32()?;
        c.zeros(4)?;
        c.take(32)?;
        if blake3::hash(&bytes[..HEADER_KEYED]).as_bytes()[..8] != c.array::<8>()? {
            return Err(c.bad("its checksum does not match"));
        }
        let mut own = [0; HEADER];
        own.copy_from_slice(&bytes[..HEADER]);
        Ok(Self {
            kind,
            repository,
            epoch,
            bytes: own,
        })
    }

    /// The key of this segment's records.
    pub(crate) fn key(&self, keys: &Keys) -> Result<ObjectKey> {
        ObjectKey::new(keys.segment(self.epoch, &self.bytes[..HEADER_KEYED])?)
    }
}

/// The two types of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordType {
    Block,
    Directory,
}

/// A record's decoded header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub record: RecordType,
    pub codec: Codec,
    pub seq: u32,
    /// Ciphertext and tag.
    pub stored: u32,
}

impl RecordHeader {
    pub(crate) fn encode(&self) -> [u8; RECORD] {
        let mut out = [0u8; RECORD];
        out[..4].copy_from_slice(RECORD_MAGIC);
        out[4] = match self.record {
            RecordType::Block => 1,
            RecordType::Directory => 2,
        };
        out[5] = match self.codec {
            Codec::Raw => 0,
            Codec::Zstd => 1,
        };
        out[8..12].copy_from_slice(&self.seq.to_le_bytes());
        out[12..16].copy_from_slice(&self.stored.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes, "a record's header");
        c.magic(RECORD_MAGIC)?;
        let record = match c.u8()? {
            1 => RecordType::Block,
            2 => RecordType::Directory,
            other => return Err(c.bad(format_args!("there is no record type {other}"))),
        };
        let codec = match c.u8()? {
            0 => Codec::Raw,
            1 => Codec::Zstd,
            other => return Err(c.bad(format_args!("there is no codec {other}"))),
        };
        c.zeros(2)?;
        let (seq, stored) = (c.u32()?, c.u32()?);
        if (stored as usize) < TAG {
            return Err(c.bad("its record is shorter than a tag"));
        }
        Ok(Self {
            record,
            codec,
            seq,
            stored,
        })
    }
}

/// A block record as the directory describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    pub offset: u32,
    pub stored: u32,
    /// Length of the body after undoing the codec.
    pub plain: u32,
    pub chunks: Vec<(Id, u32)>,
}

/// The directory's plaintext.
pub(crate) fn encode_directory(blocks: &[BlockEntry]) -> Vec<u8> {
    let chunks: usize = blocks.iter().map(|b| b.chunks.len()).sum();
    let mut out = Vec::with_capacity(blocks.len() * 16 + chunks * 36);
    for block in blocks {
        out.extend_from_slice(&block.offset.to_le_bytes());
        out.extend_from_slice(&block.stored.to_le_bytes());
        out.extend_from_slice(&block.plain.to_le_bytes());
        // At most BLOCK_CHUNKS.
        out.extend_from_slice(&(block.chunks.len() as u32).to_le_bytes());
        for (id, len) in &block.chunks {
            out.extend_from_slice(&id.0);
            out.extend_from_slice(&len.to_le_bytes());
        }
    }
    out
}

/// The inverse of [`encode_directory`], with `count` blocks.
pub(crate) fn decode_directory(bytes: &[u8], count: u32) -> Result<Vec<BlockEntry>> {
    let mut c = Cursor::new(bytes, "the segment's directory");
    let mut out = Vec::new();
    for _ in 0..count {
        let (offset, stored, plain, n) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
        if n as usize > BLOCK_CHUNKS || c.left() / 36 < n as usize {
            return Err(c.bad(format_args!("it claims {n} chunks in one block")));
        }
        let mut chunks = Vec::with_capacity(n as usize);
        let mut sum = 0u64;
        for _ in 0..n {
            let (id, len) = (Id(c.array()?), c.u32()?);
            sum += u64::from(len);
            chunks.push((id, len));
        }
        if sum != u64::from(plain) || plain as usize > BLOCK_MAX {
            return Err(c.bad("the chunks do not add up to their block"));
        }
        out.push(BlockEntry {
            offset,
            stored,
            plain,
            chunks,
        });
    }
    if c.left() != 0 {
        return Err(c.bad("bytes are left over"));
    }
    Ok(out)
}

/// The last bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub offset: u64,
    pub len: u32,
    pub blocks: u32,
    pub hash: [u8; 32],
}

impl Footer {
    pub(crate) fn encode(&self) -> [u8; FOOTER] {
        let mut out = [0u8; FOOTER];
        out[..8].copy_from_slice(FOOTER_MAGIC);
        out[8..16].copy_from_slice(&self.offset.to_le_bytes());
        out[16..20].copy_from_slice(&self.len.to_le_bytes());
        out[20..24].copy_from_slice(&self.blocks.to_le_bytes());
        out[24..].copy_from_slice(&self.hash);
        out
    }

    /// Reads the footer of a segment that is `segment` bytes long.
    pub(crate) fn decode(bytes: &[u8], segment: u64) -> Result<Self> {
        let mut c = Cursor::new(bytes, "the segment's footer");
        c.magic(FOOTER_MAGIC)?;
        let footer = Self {
            offset: c.u64()?,
            len: c.u32()?,
            blocks: c.u32()?,
            hash: c.array()?,
        };
        let end = footer
            .offset
            .checked_add(u64::from(footer.len))
            .and_then(|end| end.checked_add(FOOTER as u64));
        if end != Some(segment)
            || footer.offset < HEADER as u64
            || (footer.len as usize) < RECORD + TAG
        {
            return Err(c.bad("it points outside the segment"));
        }
        Ok(footer)
    }
}

/// The table that precedes a block's body.
pub(crate) fn encode_block_table(lens: impl ExactSizeIterator<Item = u32>, out: &mut Vec<u8>) {
    // At most BLOCK_CHUNKS.
    out.extend_from_slice(&(lens.len() as u32).to_le_bytes());
    for len in lens {
        out.extend_from_slice(&len.to_le_bytes());
    }
}

/// Bytes of that table for `n` chunks.
pub(crate) fn block_table_len(n: usize) -> usize {
    4 + 4 * n
}

/// The chunks' lengths, and where the body begins.
pub(crate) fn decode_block_table(bytes: &[u8]) -> Result<(Vec<u32>, usize)> {
    let mut c = Cursor::new(bytes, "a block");
    let n = c.u32()? as usize;
    if n > BLOCK_CHUNKS || c.left() / 4 < n {
        return Err(c.bad(format_args!("it claims {n} chunks")));
    }
    let mut lens = Vec::with_capacity(n);
    let mut sum = 0u64;
    for _ in 0..n {
        let len = c.u32()?;
        sum += u64::from(len);
        lens.push(len);
    }
    if sum > BLOCK_MAX as u64 {
        return Err(c.bad(format_args!("it claims {sum} bytes")));
    }
    Ok((lens, c.at()))
}

/// An error about one record, naming segment and place.
pub(crate) fn damaged(segment: &impl std::fmt::Display, offset: u64, why: &str) -> Error {
    Error::new(
        Kind::Corrupt,
        format!("{segment} is damaged at byte {offset}: {why}"),
    )
}

//! What the index says about chunks and segments, and how it is kept.

use crate::engine::error::Result;
use crate::engine::format::cursor::Cursor;
use crate::engine::format::segment::SegmentHeader;
use crate::engine::storage::Name;

/// Where a chunk is: in which block of which segment, and where in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Locator {
    pub segment: u32,
    /// Which of the segment's chunks it is, counted in the order of the
    /// directory the index was told; or [`Locator::UNPLACED`].
    pub ordinal: u32,
    /// Offset of the block's record in the segment.
    pub offset: u32,
    /// Length of the record without its header.
    pub stored: u32,
    /// Offset of the chunk in the block's body.
    pub at: u32,
    /// Length of the chunk.
    pub len: u32,
}

/// Bytes of a locator in a run.
pub(super) const LOCATOR: usize = 24;

impl Locator {
    /// Stands for the ordinal of a chunk that was found in a segment in another
    /// way than by the directory the index was told.
    pub(crate) const UNPLACED: u32 = u32::MAX;

    /// Says that the chunk is nowhere, whatever older entries claim.
    pub(super) const GONE: Self = Self {
        segment: u32::MAX,
        ordinal: 0,
        offset: 0,
        stored: 0,
        at: 0,
        len: 0,
    };

    pub(super) fn is_gone(&self) -> bool {
        self.segment == Self::GONE.segment
    }

    pub(super) fn encode(&self) -> [u8; LOCATOR] {
        let mut out = [0; LOCATOR];
        for (part, n) in out.chunks_exact_mut(4).zip([
            self.segment,
            self.ordinal,
            self.offset,
            self.stored,
            self.at,
            self.len,
        ]) {
            part.copy_from_slice(&n.to_le_bytes());
        }
        out
    }

    /// The inverse, of [`LOCATOR`] bytes.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let n = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        Self {
            segment: n(0),
            ordinal: n(4),
            offset: n(8),
            stored: n(12),
            at: n(16),
            len: n(20),
        }
    }
}

/// A segment the index knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    pub number: u32,
    pub name: [u8; 32],
    pub header: SegmentHeader,
    /// Bytes of the object.
    pub stored: u64,
    /// Bytes of all its chunks.
    pub plain: u64,
    /// How many chunks the index was told of.
    pub chunks: u32,
}

impl SegmentInfo {
    pub(crate) fn object(&self) -> Name {
        Name::Segment(self.name)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(132);
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&self.stored.to_le_bytes());
        out.extend_from_slice(&self.plain.to_le_bytes());
        out.extend_from_slice(&self.chunks.to_le_bytes());
        out.extend_from_slice(&self.header.bytes);
        out
    }

    pub(super) fn decode(number: u32, bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes, "an index entry");
        Ok(Self {
            number,
            name: c.array()?,
            stored: c.u64()?,
            plain: c.u64()?,
            chunks: c.u32()?,
            header: SegmentHeader::decode(c.take(c.left())?)?,
        })
    }
}

//! The known segments in memory: about 140 bytes each, found by number in one step.

use super::rows::SegmentInfo;
use crate::engine::format::segment::{HEADER, SegmentHeader};

const NONE: u32 = u32::MAX;

/// What is kept of one; the header in its stored form, because that is smaller.
struct Row {
    name: [u8; 32],
    header: [u8; HEADER],
    plain: u64,
    stored: u64,
    number: u32,
    chunks: u32,
    /// About to be deleted: nothing new may rely on it.
    condemned: bool,
}

/// All known segments. Numbers are given out in ascending order and never twice.
#[derive(Default)]
pub(super) struct Segments {
    rows: Vec<Row>,
    /// Where in `rows` a number is.
    slots: Vec<u32>,
    /// The number the next segment gets.
    pub next: u32,
    chunks: u64,
}

impl Segments {
    fn row(&self, number: u32) -> Option<&Row> {
        let slot = *self.slots.get(number as usize)?;
        self.rows.get(slot as usize)
    }

    /// Whether a segment is known, and not condemned if `firm`.
    pub(super) fn holds(&self, number: u32, firm: bool) -> bool {
        self.row(number).is_some_and(|r| !(firm && r.condemned))
    }

    pub(super) fn get(&self, number: u32) -> Option<SegmentInfo> {
        let row = self.row(number)?;
        Some(SegmentInfo {
            number,
            name: row.name,
            // It was decoded once before, when the segment became known.
            header: SegmentHeader::decode(&row.header).ok()?,
            stored: row.stored,
            plain: row.plain,
            chunks: row.chunks,
        })
    }

    /// Adds a segment under a number above all others.
    pub(super) fn insert(&mut self, info: &SegmentInfo) {
        if self.rows.len() == self.rows.capacity() {
            // By an eighth, not doubled: it is the index's second largest part.
            self.rows.reserve_exact(self.rows.len() / 8 + 64);
        }
        let number = info.number as usize;
        if self.slots.len() <= number {
            let more = number + 1 - self.slots.len();
            if self.slots.capacity() - self.slots.len() < more {
                self.slots.reserve_exact(more + self.slots.len() / 8);
            }
            self.slots.resize(number + 1, NONE);
        }
        // Fewer than 2^32 - 1 numbers exist, so fewer rows.
        self.slots[number] = self.rows.len() as u32;
        self.next = self.next.max(info.number + 1);
        self.chunks += u64::from(info.chunks);
        self.rows.push(Row {
            name: info.name,
            header: info.header.bytes,
            plain: info.plain,
            stored: info.stored,
            number: info.number,
            chunks: info.chunks,
            condemned: false,
        });
    }

    pub(super) fn remove(&mut self, number: u32) {
        let Some(slot) = self.slots.get_mut(number as usize) else {
            return;
        };
        let at = std::mem::replace(slot, NONE);
        if at == NONE {
            return;
        }
        let gone = self.rows.swap_remove(at as usize);
        self.chunks -= u64::from(gone.chunks);
        if let Some(moved) = self.rows.get(at as usize) {
            self.slots[moved.number as usize] = at;
        }
    }

    pub(super) fn condemn(&mut self, number: u32, condemned: bool) {
        if let Some(slot) = self.slots.get(number as usize)
            && let Some(row) = self.rows.get_mut(*slot as usize)
        {
            row.condemned = condemned;
        }
    }

    /// Forgets all; numbers go on from where they were.
    pub(super) fn clear(&mut self) {
        *self = Self {
            next: self.next,
            ..Self::default()
        };
    }

    /// Numbers and counts of chunks, ascending by number.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u32, u32)> {
        self.slots
            .iter()
            .filter_map(|slot| self.rows.get(*slot as usize))
            .map(|r| (r.number, r.chunks))
    }

    /// Chunks in all segments.
    pub(super) fn chunks(&self) -> u64 {
        self.chunks
    }

    /// One bit a number: whether it is known. Later numbers are not in it.
    pub(super) fn alive(&self) -> Alive {
        let mut bits = vec![0u64; self.next.div_ceil(64) as usize];
        for row in &self.rows {
            bits[row.number as usize / 64] |= 1 << (row.number % 64);
        }
        Alive {
            bits,
            next: self.next,
        }
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.rows.capacity() * size_of::<Row>() + self.slots.capacity() * 4
    }
}

/// Which segments were known at a moment; younger ones count as known.
pub(super) struct Alive {
    bits: Vec<u64>,
    next: u32,
}

impl Alive {
    pub(super) fn holds(&self, number: u32) -> bool {
        number >= self.next || self.bits[number as usize / 64] & (1 << (number % 64)) != 0
    }
}

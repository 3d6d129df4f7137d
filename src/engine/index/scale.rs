//! The index as the bench of its scale uses it, without a storage or keys.

use std::path::Path;

use super::{Bits, Index};
use crate::engine::error::Result;
use crate::engine::format::segment::{BlockEntry, SegmentHeader, SegmentKind};
use crate::engine::ids::Id;

const REPOSITORY: [u8; 16] = [1; 16];

/// An index of made-up chunks.
pub struct Scale(Index);

/// What an index takes.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Chunks in known segments.
    pub chunks: u64,
    /// Bytes of memory that grow with the number of chunks: filters, fences, segments.
    pub memory: usize,
    /// Bytes of the runs on disk.
    pub disk: u64,
    /// How many runs there are.
    pub runs: usize,
}

/// A set of chunks.
pub struct Set(Bits);

impl Set {
    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.0.memory()
    }
}

impl Scale {
    /// Opens the index in a folder.
    pub fn open(state: &Path) -> Result<Self> {
        Index::open(state, REPOSITORY).map(Self)
    }

    /// Adds a segment of these chunks, each in a block of its own.
    pub fn add(&self, name: [u8; 32], ids: &[[u8; 32]]) -> Result<()> {
        let header = SegmentHeader::new(SegmentKind::Data, REPOSITORY, 1)?;
        let blocks: Vec<_> = ids
            .iter()
            .zip(0u32..)
            .map(|(id, i)| BlockEntry {
                offset: 80 + i * 100_000,
                stored: 99_984,
                plain: 200_000,
                chunks: vec![(Id(*id), 200_000)],
            })
            .collect();
        self.0.add(name, header, 32 << 20, &blocks)
    }

    /// Makes all that was added durable and merges.
    pub fn flush(&self) -> Result<()> {
        self.0.flush()?;
        self.0.tidy()
    }

    /// Whether a chunk is there.
    pub fn lookup(&self, id: [u8; 32]) -> Result<bool> {
        Ok(self.0.lookup(&Id(id))?.is_some())
    }

    /// Whether looking the chunk up needs more than the filters.
    pub fn passes(&self, id: [u8; 32]) -> bool {
        self.0.state().runs.iter().any(|r| r.may_hold(&Id(id)))
    }

    /// An empty set.
    pub fn set(&self) -> Set {
        Set(self.0.bits())
    }

    /// Notes a chunk in a set, as a backup does.
    pub fn rely(&self, id: [u8; 32], set: &Set) -> Result<bool> {
        self.0.rely(&Id(id), &set.0)
    }

    /// How many segments have nothing in a set, as a collection weighs them.
    pub fn untouched(&self, set: &Set) -> usize {
        let mut words = Vec::new();
        let empty = |number: &u32| {
            words.clear();
            set.0.add_to(*number, &mut words);
            words.iter().all(|w| *w == 0)
        };
        self.0.numbers().iter().copied().filter(empty).count()
    }

    /// What the index takes now.
    pub fn size(&self) -> Size {
        let state = self.0.state();
        Size {
            chunks: state.segments.chunks(),
            memory: state.runs.iter().map(|r| r.memory()).sum::<usize>() + state.segments.memory(),
            disk: state.runs.iter().map(|r| r.disk()).sum(),
            runs: state.runs.len(),
        }
    }
}

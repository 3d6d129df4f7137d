//! A run's filter: tells of nearly every chunk that is not in the run that it
//! is not, without touching the disk.
//!
//! A split block Bloom filter: the first bytes of an id choose a block of 64
//! bytes (one cache line), its next bytes choose one bit in each of the block's
//! eight words. Blocks are in the order of the ids, so a run that is written
//! in order writes its filter in order too, one block at a time. At 32 entries
//! a block, which is 16 bits an entry, about one absent id in 1100 passes.

use super::page::prefix;
use crate::engine::ids::Id;

/// Bytes of a block.
pub(super) const BLOCK: usize = 64;
const PER_BLOCK: u64 = 32;

/// Blocks for a number of entries.
pub(super) fn blocks(entries: u64) -> u64 {
    entries.div_ceil(PER_BLOCK).max(1)
}

/// The block of an id, of so many.
pub(super) fn block(id: &Id, blocks: u64) -> u64 {
    // A product of two u64, of which the upper half is below `blocks`.
    ((u128::from(prefix(&id.0)) * u128::from(blocks)) >> 64) as u64
}

/// The byte and bit of an id in each of the eight words of its block.
fn places(id: &Id) -> [(usize, u8); 8] {
    let bits = id.word(1);
    std::array::from_fn(|i| {
        let bit = (bits >> (6 * i)) as usize % 64;
        (i * 8 + bit / 8, 1 << (bit % 8))
    })
}

pub(super) fn insert(block: &mut [u8; BLOCK], id: &Id) {
    for (byte, bit) in places(id) {
        block[byte] |= bit;
    }
}

/// `false` if an id with this block is certainly absent.
pub(super) fn may_hold(block: &[u8], id: &Id) -> bool {
    let Some(block) = block.first_chunk::<BLOCK>() else {
        return true;
    };
    places(id)
        .iter()
        .fold(true, |all, (byte, bit)| all & (block[*byte] & bit != 0))
}

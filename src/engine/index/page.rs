//! The pages of a run: 73 entries in ascending order of id and a checksum.
//!
//! | bytes | field |
//! |---|---|
//! | [0..56n] | n entries: 32-byte chunk id, locator (24 bytes) |
//! | [..4088] | zeros |
//! | [4088..4096] | checksum of what precedes, of the run's number and the page's |

use super::rows::{LOCATOR, Locator};
use crate::engine::error::{Error, Kind, Result};
use crate::engine::ids::Id;

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;
/// Bytes of an entry.
pub(super) const ENTRY: usize = 32 + LOCATOR;
/// Entries in a full page.
pub(super) const ENTRIES: usize = (PAGE - SUM) / ENTRY;
const SUM: usize = 8;

/// The first eight bytes of an id, ordered as the ids are.
pub(super) fn prefix(id: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id[..8]);
    u64::from_be_bytes(bytes)
}

/// A checksum against bytes that went bad or into the wrong place, not against
/// an adversary: every step is a bijection of its lane, so no change of a
/// single word goes unseen, and four lanes keep the processor busy.
fn sum(run: u64, page: u64, bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |lane: u64, word: u64| (lane ^ word).wrapping_mul(ODD).rotate_left(29);
    let mut lanes = [run, page, !run, !page];
    for block in bytes.chunks(32) {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            let mut part = [0; 8];
            part.copy_from_slice(word);
            *lane = mix(*lane, u64::from_le_bytes(part));
        }
    }
    let all = lanes.iter().fold(ODD, |all, lane| mix(all, *lane));
    all ^ (all >> 31)
}

/// Writes an entry.
pub(super) fn put(page: &mut [u8], at: usize, id: &Id, place: &Locator) {
    let entry = &mut page[at * ENTRY..(at + 1) * ENTRY];
    entry[..32].copy_from_slice(&id.0);
    entry[32..].copy_from_slice(&place.encode());
}

/// Completes a page.
pub(super) fn seal(page: &mut [u8], run: u64, number: u64) {
    let sum = sum(run, number, &page[..PAGE - SUM]);
    page[PAGE - SUM..].copy_from_slice(&sum.to_le_bytes());
}

/// Whether a page is what was written, and where.
pub(super) fn check(page: &[u8], run: u64, number: u64) -> Result<()> {
    if page[PAGE - SUM..] == sum(run, number, &page[..PAGE - SUM]).to_le_bytes() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Corrupt,
        format!("page {number} of run {run} is damaged"),
    ))
}

/// The entry at a place.
pub(super) fn entry(page: &[u8], at: usize) -> (Id, Locator) {
    let entry = &page[at * ENTRY..(at + 1) * ENTRY];
    let mut id = [0; 32];
    id.copy_from_slice(&entry[..32]);
    (Id(id), Locator::decode(&entry[32..]))
}

/// The id's locator, among the first `n` entries.
pub(super) fn find(page: &[u8], n: usize, id: &Id) -> Option<Locator> {
    let wanted = prefix(&id.0);
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = (low + high) / 2;
        let there = &page[middle * ENTRY..];
        let order = prefix(there).cmp(&wanted);
        match order.then_with(|| there[..32].cmp(&id.0)) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => {
                return Some(Locator::decode(&there[32..ENTRY]));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_notices_every_flipped_bit_and_the_wrong_place() {
        let mut page = vec![0u8; PAGE];
        for at in 0..ENTRIES {
            let id = Id([at as u8; 32]);
            put(&mut page, at, &id, &Locator::GONE);
        }
        seal(&mut page, 7, 3);
        assert!(check(&page, 7, 3).is_ok());
        assert!(check(&page, 7, 4).is_err() && check(&page, 8, 3).is_err());
        for bit in 0..PAGE * 8 {
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&page, 7, 3).is_err(), "bit {bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

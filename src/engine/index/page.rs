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

/// The id's locator, among the first `n` entries. Ids are uniform, so the
/// search starts where it should be: a page is hardly ever in the processor's
/// cache, and halving would touch it in six places.
pub(super) fn find(page: &[u8], n: usize, id: &Id) -> Option<Locator> {
    let at = |i: usize| prefix(&page[i * ENTRY..]);
    let wanted = prefix(&id.0);
    let last = n.checked_sub(1)?;
    let (low, high) = (at(0), at(last));
    if wanted < low || wanted > high {
        return None;
    }
    let guess = u128::from(wanted - low) * last as u128 / u128::from(high - low).max(1);
    // At most `last`.
    let mut i = guess as usize;
    while i > 0 && at(i) >= wanted {
        i -= 1;
    }
    while i < n && at(i) <= wanted {
        let entry = &page[i * ENTRY..(i + 1) * ENTRY];
        if entry[..32] == id.0 {
            return Some(Locator::decode(&entry[32..]));
        }
        i += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_of_a_page_is_found_and_no_other() {
        // Uniform, alike in the first eight bytes, and crowded at one end.
        let spread = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let shapes: [&dyn Fn(u64) -> u64; 4] = [&spread, &|_| 7, &|i| i / 20, &|i| {
            u64::MAX - (1 << (i % 60))
        }];
        for shape in shapes {
            for n in [1, 2, 3, ENTRIES] {
                let id = |i: usize, odd: u8| {
                    let mut id = [0; 32];
                    id[..8].copy_from_slice(&shape(i as u64).to_be_bytes());
                    id[24..].copy_from_slice(&(i as u64 * 2 + 2 + u64::from(odd)).to_be_bytes());
                    Id(id)
                };
                let mut ids: Vec<(Id, usize)> = (0..n).map(|i| (id(i, 0), i)).collect();
                ids.sort_unstable_by_key(|(id, _)| id.0);
                let mut page = vec![0u8; PAGE];
                for (at, (id, i)) in ids.iter().enumerate() {
                    let place = Locator {
                        at: *i as u32,
                        ..Locator::GONE
                    };
                    put(&mut page, at, id, &place);
                }
                for i in 0..n {
                    assert_eq!(find(&page, n, &id(i, 0)).map(|p| p.at), Some(i as u32));
                    assert_eq!(find(&page, n, &id(i, 1)), None);
                }
                assert_eq!(find(&page, n, &Id([0; 32])), None);
                assert_eq!(find(&page, n, &Id([0xff; 32])), None);
            }
        }
    }

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

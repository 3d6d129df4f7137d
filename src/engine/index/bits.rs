//! A bit for every chunk. Every chunk has a dense place, its segment's number
//! and its ordinal there, so a set of chunks is one bit each and exact.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::rows::Locator;

/// A set of chunks of the segments known when it was made. May be shared.
/// The default knows no segment.
#[derive(Default)]
pub(crate) struct Bits {
    /// Where each number's words begin; one more than there were numbers.
    starts: Vec<u32>,
    words: Box<[AtomicU64]>,
    /// Segments of which some chunk without an ordinal is in the set: then any
    /// of its chunks may be the one that is meant.
    whole: Mutex<BTreeSet<u32>>,
}

impl Bits {
    /// For segments with these numbers (ascending) and counts of chunks, all
    /// numbered below `next`.
    pub(super) fn new(counts: impl Iterator<Item = (u32, u32)>, next: u32) -> Self {
        let mut starts = Vec::with_capacity(next as usize + 1);
        let mut at = 0u32;
        for (number, chunks) in counts {
            starts.resize(number as usize + 1, at);
            // 2^32 words would be 2^38 chunks.
            at += chunks.div_ceil(64);
        }
        starts.resize(next as usize + 1, at);
        Self {
            starts,
            words: (0..at).map(|_| AtomicU64::new(0)).collect(),
            whole: Mutex::default(),
        }
    }

    /// Segments from this number on were not known when the set was made.
    pub(crate) fn since(&self) -> u32 {
        // One start a number and the end of the last.
        self.starts.len().saturating_sub(1) as u32
    }

    fn range(&self, number: u32) -> Range<usize> {
        match self.starts.get(number as usize..number as usize + 2) {
            Some(&[from, to]) => from as usize..to as usize,
            _ => 0..0,
        }
    }

    /// Adds the chunk at a place. `Some` says whether it is new in the set;
    /// `None` that this set cannot tell, because the segment is younger than
    /// the set or the chunk has no ordinal.
    pub(crate) fn set(&self, place: &Locator) -> Option<bool> {
        if place.ordinal == Locator::UNPLACED {
            if place.segment < self.since() {
                self.whole().insert(place.segment);
            }
            return None;
        }
        let range = self.range(place.segment);
        let word = self.words[range].get(place.ordinal as usize / 64)?;
        let bit = 1u64 << (place.ordinal % 64);
        // Mostly it is set already, and reading does not take the cache line
        // from other workers.
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Some(false);
        }
        Some(word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    fn whole(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any chunk of the segment may be meant by one without an ordinal.
    pub(crate) fn is_whole(&self, number: u32) -> bool {
        self.whole().contains(&number)
    }

    /// Adds the segment's part of this set to `out`, which grows as needed.
    pub(crate) fn add_to(&self, number: u32, out: &mut Vec<u64>) {
        let words = &self.words[self.range(number)];
        if out.len() < words.len() {
            out.resize(words.len(), 0);
        }
        let whole = self.is_whole(number);
        for (out, word) in out.iter_mut().zip(words) {
            *out |= if whole {
                u64::MAX
            } else {
                word.load(Ordering::Relaxed)
            };
        }
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.starts.capacity() * 4 + self.words.len() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u32, ordinal: u32) -> Locator {
        Locator {
            segment,
            ordinal,
            ..Locator::GONE
        }
    }

    #[test]
    fn every_chunk_has_a_bit_of_its_own() {
        // Numbers 0, 2 and 5 with gaps; 7 is the next.
        let counts = [(0, 64), (2, 1), (5, 130)];
        let bits = Bits::new(counts.into_iter(), 7);
        assert_eq!(bits.since(), 7);
        let mut all = Vec::new();
        for (number, chunks) in counts {
            for ordinal in 0..chunks {
                assert_eq!(bits.set(&at(number, ordinal)), Some(true));
                assert_eq!(bits.set(&at(number, ordinal)), Some(false));
                all.push((number, ordinal));
            }
        }
        for (number, chunks) in counts {
            let mut out = Vec::new();
            bits.add_to(number, &mut out);
            let set: u32 = out.iter().map(|w| w.count_ones()).sum();
            assert_eq!(set, chunks);
        }
        // A segment that was not known has no place, nor has one without chunks.
        for number in [1, 3, 6, 7, 8, u32::MAX] {
            assert_eq!(bits.set(&at(number, 0)), None);
        }
        // An ordinal outside its segment never touches the next one's bits.
        assert_eq!(bits.set(&at(2, 64)), None);
    }

    #[test]
    fn a_chunk_without_ordinal_stands_for_its_whole_segment() {
        let bits = Bits::new([(0, 100), (1, 10)].into_iter(), 2);
        assert_eq!(bits.set(&at(0, Locator::UNPLACED)), None);
        assert!(bits.is_whole(0) && !bits.is_whole(1));
        // Yet no chunk is taken for one that was seen before.
        assert_eq!(bits.set(&at(0, 5)), Some(true));
        let mut out = vec![0];
        bits.add_to(0, &mut out);
        assert_eq!(out, [u64::MAX, u64::MAX]);
    }
}

//! Where content is cut. Content-defined, so that data inserted into a file
//! moves the cuts with it; MinCDC, because it costs a tenth of what a rolling
//! hash costs and keeps chunks within a tight range (no tail of huge ones, so
//! buffers are fixed and restored work is even). Runs of zeros are not cut at
//! all but noted as a length.

use mincdc::{Cdc, MinCdcHash4};

use super::error::{Error, Kind, Result};

/// A run of at least so many zero bytes where a chunk would begin is not stored.
pub(crate) const ZERO_RUN: usize = 32 << 10;

/// The chunker as the repository's header records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// 1 = MinCDC hash-4.
    pub kind: u32,
    pub min: u32,
    pub max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: 1,
            min: 128 << 10,
            max: 384 << 10,
        }
    }
}

impl Settings {
    /// `Refused` if this program cannot cut so.
    pub(crate) fn check(&self) -> Result<()> {
        let sane = self.kind == 1
            && self.min >= 1 << 10
            && self.min <= self.max
            && self.max as usize <= super::format::segment::BLOCK_MAX;
        if sane {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            format!(
                "this repository is cut by chunker {} with chunks of {} to {} bytes, which this program does not know; use a newer program",
                self.kind, self.min, self.max
            ),
        ))
    }

    /// Length of the next chunk of `bytes`, which begin where the last chunk
    /// ended and are at least `max` long unless the content ends with them.
    pub(crate) fn cut(&self, bytes: &[u8]) -> usize {
        let (min, max) = (self.min as usize, self.max as usize);
        if bytes.len() <= min {
            return bytes.len();
        }
        let cdc = MinCdcHash4::new();
        let from = min - cdc.window_size();
        let to = max.min(bytes.len());
        from + cdc.best_splitpoint(&bytes[from..to])
    }
}

/// How many zero bytes `bytes` begin with.
pub(crate) fn leading_zeros(bytes: &[u8]) -> usize {
    const STEP: usize = 64;
    let mut at = 0;
    for part in bytes.chunks_exact(STEP) {
        // One comparison of the whole step vectorises; a search byte by byte does not.
        if part.iter().fold(0u8, |a, b| a | b) != 0 {
            break;
        }
        at += STEP;
    }
    at + bytes[at..].iter().take_while(|b| **b == 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, mut x: u64) -> Vec<u8> {
        (0..n)
            .map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                (x >> 32) as u8
            })
            .collect()
    }

    fn cuts(settings: Settings, bytes: &[u8]) -> Vec<usize> {
        let (mut at, mut out) = (0, Vec::new());
        while at < bytes.len() {
            let n = settings.cut(&bytes[at..]);
            assert!(n > 0);
            at += n;
            out.push(at);
        }
        out
    }

    /// The rule of the format page, byte by byte, without vectors.
    fn by_the_book(s: Settings, bytes: &[u8]) -> usize {
        let (min, max) = (s.min as usize, (s.max as usize).min(bytes.len()));
        if bytes.len() <= min {
            return bytes.len();
        }
        (min..=max)
            .min_by_key(|&i| {
                let mut w = [0; 4];
                w.copy_from_slice(&bytes[i - 4..i]);
                u32::from_le_bytes(w)
                    .wrapping_mul(0x915f_77f5)
                    .wrapping_add(0x3463_6463)
            })
            .unwrap()
    }

    #[test]
    fn cuts_follow_the_documented_rule() {
        let s = Settings {
            kind: 1,
            min: 1 << 10,
            max: 3 << 10,
        };
        for seed in 1..60 {
            let mut bytes = noise(2000 + 97 * seed as usize, seed);
            if seed % 3 == 0 {
                bytes.iter_mut().for_each(|b| *b &= 1);
            }
            if seed % 7 == 0 {
                bytes.fill(0);
            }
            assert_eq!(s.cut(&bytes), by_the_book(s, &bytes), "seed {seed}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

        /// The vectors find the same cut as the rule, also where many positions
        /// are equally good: data of few values, short periods, constant runs.
        #[test]
        fn vectors_and_the_rule_agree(
            seed in 1u64..,
            mask in proptest::sample::select(vec![0u8, 1, 3, 0x80, 0xff]),
            period in 1usize..600,
            repeat in proptest::bool::ANY,
            len in 0usize..500 << 10,
            small in proptest::bool::ANY,
        ) {
            let s = match small {
                true => Settings { kind: 1, min: 1 << 10, max: 3 << 10 },
                false => Settings::default(),
            };
            let mut bytes = noise(len, seed);
            bytes.iter_mut().for_each(|b| *b &= mask);
            if repeat {
                for i in period..len {
                    bytes[i] = bytes[i - period];
                }
            }
            // The caller hands in at least `max` bytes or all there are.
            proptest::prop_assert_eq!(s.cut(&bytes), by_the_book(s, &bytes));
        }
    }

    #[test]
    fn an_insertion_moves_the_cuts_with_it() {
        let s = Settings::default();
        let mut bytes = noise(8 << 20, 3);
        let before = cuts(s, &bytes);
        bytes.splice(100..100, *b"inserted");
        let after: std::collections::HashSet<_> =
            cuts(s, &bytes).into_iter().map(|c| c - 8).collect();
        let kept = before.iter().filter(|c| after.contains(c)).count();
        assert!(kept * 10 >= before.len() * 8, "{kept} of {}", before.len());
    }

    #[test]
    fn zeros_are_counted_exactly() {
        for n in [0usize, 1, 63, 64, 65, 127, 128, 1000] {
            let mut bytes = vec![0u8; n];
            assert_eq!(leading_zeros(&bytes), n);
            bytes.push(1);
            bytes.extend([0; 70]);
            assert_eq!(leading_zeros(&bytes), n);
        }
    }
}

//! Parity of a stripe, and a stripe back from what is left of it.

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::layout::Geometry;
use crate::engine::{Error, Kind, Result};

fn failed(e: reed_solomon_simd::Error) -> Error {
    Error::with_source(Kind::Io, "the erasure code refused a stripe", e)
}

/// The k+m blocks of one stripe, ready to be written.
pub(super) struct Stripe<'a> {
    data: Vec<&'a [u8]>,
    block_len: usize,
    /// Parity blocks, or the zero-filled last data blocks.
    parity: Vec<u8>,
    /// The data blocks of an uneven stripe, filled up with zeros.
    padded: Vec<u8>,
}

impl<'a> Stripe<'a> {
    /// Cuts the stripe's object bytes and computes its parity with an encoder
    /// used before, if there is one.
    pub fn encode(
        geometry: &Geometry,
        number: u64,
        bytes: &'a [u8],
        encoder: &mut Option<ReedSolomonEncoder>,
    ) -> Result<Self> {
        let block_len = geometry.block_len(number);
        let mut stripe = Self {
            data: Vec::new(),
            block_len,
            parity: Vec::new(),
            padded: Vec::new(),
        };
        if geometry.k() * block_len == bytes.len() {
            stripe.data = bytes.chunks_exact(block_len).collect();
        } else {
            stripe.padded = bytes.to_vec();
            stripe.padded.resize(geometry.k() * block_len, 0);
        }
        if geometry.k() > 1 && geometry.m() > 0 {
            let (k, m) = (geometry.k(), geometry.m());
            let encoder = match encoder {
                Some(used) => {
                    used.reset(k, m, block_len).map_err(failed)?;
                    used
                }
                None => encoder.insert(ReedSolomonEncoder::new(k, m, block_len).map_err(failed)?),
            };
            for i in 0..geometry.k() {
                encoder
                    .add_original_shard(stripe.data_block(i))
                    .map_err(failed)?;
            }
            let result = encoder.encode().map_err(failed)?;
            stripe.parity.reserve_exact(geometry.m() * block_len);
            for block in result.recovery_iter() {
                stripe.parity.extend_from_slice(block);
            }
        }
        Ok(stripe)
    }

    fn data_block(&self, i: usize) -> &[u8] {
        match self.data.get(i) {
            Some(block) => block,
            None => &self.padded[i * self.block_len..(i + 1) * self.block_len],
        }
    }

    /// The block of shard `index`. With one data shard all shards are copies.
    pub fn block(&self, geometry: &Geometry, index: usize) -> &[u8] {
        if geometry.k() == 1 {
            self.data_block(0)
        } else if index < geometry.k() {
            self.data_block(index)
        } else {
            let at = (index - geometry.k()) * self.block_len;
            &self.parity[at..at + self.block_len]
        }
    }
}

/// Gives back the data columns that are lacking. A column is a shard's blocks
/// of some stripes, one after the other; any k columns of the same stripes
/// will do. The code works on each 64 bytes alone, so many stripes cost one
/// set-up, which is far dearer than the work on one stripe.
pub(super) fn recover(
    geometry: &Geometry,
    columns: &[(usize, Vec<u8>)],
) -> Result<Vec<(usize, Vec<u8>)>> {
    let Some((_, first)) = columns.first() else {
        return Ok(Vec::new());
    };
    if geometry.k() == 1 {
        return Ok(vec![(0, first.clone())]);
    }
    let mut decoder =
        ReedSolomonDecoder::new(geometry.k(), geometry.m(), first.len()).map_err(failed)?;
    for (index, column) in columns {
        if *index < geometry.k() {
            decoder.add_original_shard(*index, column).map_err(failed)?;
        } else {
            decoder
                .add_recovery_shard(*index - geometry.k(), column)
                .map_err(failed)?;
        }
    }
    let result = decoder.decode().map_err(failed)?;
    Ok(result
        .restored_original_iter()
        .map(|(index, column)| (index, column.to_vec()))
        .collect())
}

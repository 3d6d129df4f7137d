//! What the processor does with bytes.

use std::hint::black_box;
use std::io;
use std::ops::Range;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use colca::engine::codec::{LEVEL_1, SAMPLE, SAMPLES, WORTH};

use crate::sample::{self, Sample};
use crate::timing::{Share, Stage, hot, stage, timed};

const KEY: [u8; 32] = [7; 32];

fn key() -> io::Result<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, &KEY)
        .map(LessSafeKey::new)
        .map_err(io::Error::other)
}

fn nonce(n: usize) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&(n as u64).to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// A plain copy of 64 MiB, and of 256 KiB that stay in the cache.
pub fn copies(threads: usize) -> io::Result<[Stage; 2]> {
    let make = |size: usize| move |_: Share| Ok((vec![1u8; size], vec![0u8; size]));
    let copy = |passes: usize| {
        move |share: Share, (from, mut to): (Vec<u8>, Vec<u8>)| {
            timed(|| {
                for _ in 0..passes / share.of {
                    to.copy_from_slice(black_box(&from));
                    black_box(&mut to);
                }
                Ok(())
            })
        }
    };
    let (large, small) = (64 << 20, 256 << 10);
    Ok([
        stage(
            "copy, memory",
            (large * 8) as f64,
            threads,
            make(large),
            copy(8),
        )?,
        stage(
            "copy, cache",
            (small * 4096) as f64,
            threads,
            make(small),
            copy(4096),
        )?,
    ])
}

/// Cuts files into chunks. Those smaller than a chunk cost nothing.
pub fn chunk(sample: &Sample, threads: usize) -> io::Result<Stage> {
    // All that is looked at to find the end of a chunk.
    let looked_at: Vec<Range<usize>> = Sample::parts(&sample.chunks)
        .into_iter()
        .filter(|chunk| chunk.len() > sample::CHUNK_MIN)
        .map(|chunk| chunk.start..sample.bytes.len().min(chunk.start + sample::CHUNK_MAX))
        .collect();
    let amount = sample.bytes.len() as f64;
    stage(
        "cut",
        amount,
        threads,
        |_| Ok(()),
        |share, ()| {
            let mut spent = Duration::ZERO;
            for part in share.part(&looked_at) {
                spent += hot(&sample.bytes, std::slice::from_ref(part), |bytes| {
                    black_box(sample::cut(bytes));
                    Ok(())
                })?;
            }
            Ok(spent)
        },
    )
}

/// Keyed hashes of pieces that end at `ends`.
pub fn hash(name: &'static str, bytes: &[u8], ends: &[usize], threads: usize) -> io::Result<Stage> {
    let parts = Sample::parts(ends);
    let amount = bytes.len() as f64;
    stage(
        name,
        amount,
        threads,
        |_| Ok(()),
        |share, ()| {
            hot(bytes, share.part(&parts), |piece| {
                black_box(blake3::keyed_hash(&KEY, piece));
                Ok(())
            })
        },
    )
}

/// The sample as it is stored: blocks, compressed where that is worth it.
pub struct Stored {
    pub bytes: Vec<u8>,
    pub ends: Vec<usize>,
    /// Which blocks are compressed.
    packed: Vec<bool>,
}

/// One block as the engine compresses it, if that is worth it. After a block
/// that did not compress the next ones are only sampled.
fn pack<'a>(
    zstd: &mut zstd::bulk::Compressor<'_>,
    doubtful: &mut bool,
    body: &[u8],
    out: &'a mut [u8],
) -> Option<&'a [u8]> {
    if *doubtful && body.len() >= 2 * SAMPLES * SAMPLE {
        *doubtful = !(0..SAMPLES).any(|i| {
            let sample = &body[i * body.len() / SAMPLES..][..SAMPLE];
            zstd.compress_to_buffer(sample, &mut out[..SAMPLE - SAMPLE / WORTH])
                .is_ok()
        });
        if *doubtful {
            return None;
        }
    }
    let room = body.len() - body.len() / WORTH;
    let packed = zstd.compress_to_buffer(body, &mut out[..room]);
    *doubtful = packed.is_err();
    packed.ok().map(|n| &out[..n])
}

/// Compresses the sample's blocks; how long that takes, and what comes out.
pub fn compress(sample: &Sample, threads: usize) -> io::Result<(Stage, Stored)> {
    let parts = Sample::parts(&sample.blocks);
    let fresh = || -> io::Result<_> {
        let mut zstd = zstd::bulk::Compressor::new(1)?;
        for parameter in LEVEL_1 {
            zstd.set_parameter(parameter)?;
        }
        Ok((zstd, false, vec![0u8; 1 << 20]))
    };
    let mut stored = Stored {
        bytes: Vec::new(),
        ends: Vec::new(),
        packed: Vec::new(),
    };
    let (mut zstd, mut doubtful, mut out) = fresh()?;
    for part in &parts {
        let body = &sample.bytes[part.clone()];
        let packed = pack(&mut zstd, &mut doubtful, body, &mut out);
        stored.packed.push(packed.is_some());
        stored.bytes.extend_from_slice(packed.unwrap_or(body));
        stored.ends.push(stored.bytes.len());
    }
    let amount = sample.bytes.len() as f64;
    let measured = stage(
        "compress",
        amount,
        threads,
        |_| fresh(),
        |share, state| {
            let (mut zstd, mut doubtful, mut out) = state;
            hot(&sample.bytes, share.part(&parts), |body| {
                black_box(pack(&mut zstd, &mut doubtful, body, &mut out));
                Ok(())
            })
        },
    )?;
    Ok((measured, stored))
}

/// Undoes the compression.
pub fn expand(sample: &Sample, stored: &Stored, threads: usize) -> io::Result<Stage> {
    let parts = Sample::parts(&stored.ends);
    let blocks: Vec<Range<usize>> = parts
        .into_iter()
        .zip(&stored.packed)
        .filter(|(_, packed)| **packed)
        .map(|(part, _)| part)
        .collect();
    let ready = |_| Ok((zstd::bulk::Decompressor::new()?, vec![0u8; 1 << 20]));
    let amount = sample.bytes.len() as f64;
    stage(
        "expand",
        amount,
        threads,
        ready,
        |share, (mut zstd, mut out)| {
            timed(|| {
                for part in share.part(&blocks) {
                    zstd.decompress_to_buffer(&stored.bytes[part.clone()], &mut out)?;
                }
                Ok(())
            })
        },
    )
}

/// Seals the stored blocks, and opens them again.
pub fn seal_and_open(stored: &Stored, threads: usize) -> io::Result<[Stage; 2]> {
    const TAG: usize = 16;
    let parts = Sample::parts(&stored.ends);
    let amount = stored.bytes.len() as f64;
    let seal = stage(
        "seal",
        amount,
        threads,
        |_| key(),
        |share, key| {
            let mut n = 0;
            hot(&stored.bytes, share.part(&parts), |block| {
                n += 1;
                let tag = key.seal_in_place_separate_tag(nonce(n), Aad::empty(), block);
                let _ = black_box(tag.map_err(io::Error::other)?);
                Ok(())
            })
        },
    )?;
    let sealed = |share: Share| {
        let key = key()?;
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (n, part) in share.part(&parts).iter().enumerate() {
            let mut block = Vec::with_capacity(part.len() + TAG);
            block.extend_from_slice(&stored.bytes[part.clone()]);
            key.seal_in_place_append_tag(nonce(n), Aad::empty(), &mut block)
                .map_err(io::Error::other)?;
            bytes.append(&mut block);
            ends.push(bytes.len());
        }
        Ok((key, bytes, Sample::parts(&ends)))
    };
    let open = stage("open", amount, threads, sealed, |_, (key, bytes, parts)| {
        let mut n = 0;
        hot(&bytes, &parts, |block| {
            let plain = key.open_in_place(nonce(n), Aad::empty(), block);
            n += 1;
            black_box(plain.map_err(io::Error::other)?);
            Ok(())
        })
    })?;
    Ok([seal, open])
}

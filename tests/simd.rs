//! The vector code that the stored format rests on, against the same written
//! plainly: what one machine stores another must read, whatever its
//! processor can do. (The chunker is compared beside its code.)

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use reed_solomon_simd::engine::{DefaultEngine, Engine, NoSimd};
use reed_solomon_simd::rate::{DefaultRateDecoder, DefaultRateEncoder, RateDecoder, RateEncoder};

/// BLAKE3 by the book: the specification's §2, one block at a time, without
/// anything done in parallel.
mod blake3_by_the_book {
    const IV: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    const PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    const CHUNK_START: u32 = 1;
    const CHUNK_END: u32 = 2;
    const PARENT: u32 = 4;
    const ROOT: u32 = 8;
    const KEYED: u32 = 16;
    const DERIVE_CONTEXT: u32 = 32;
    const DERIVE_MATERIAL: u32 = 64;

    fn compress(cv: &[u32; 8], words: &[u32; 16], counter: u64, len: u32, flags: u32) -> [u32; 8] {
        let mut v = [0; 16];
        v[..8].copy_from_slice(cv);
        v[8..12].copy_from_slice(&IV[..4]);
        v[12..].copy_from_slice(&[counter as u32, (counter >> 32) as u32, len, flags]);
        let mut m = *words;
        for _ in 0..7 {
            let lanes = [
                [0, 4, 8, 12],
                [1, 5, 9, 13],
                [2, 6, 10, 14],
                [3, 7, 11, 15],
                [0, 5, 10, 15],
                [1, 6, 11, 12],
                [2, 7, 8, 13],
                [3, 4, 9, 14],
            ];
            for (i, [a, b, c, d]) in lanes.into_iter().enumerate() {
                for (word, (r1, r2)) in [(m[2 * i], (16, 12)), (m[2 * i + 1], (8, 7))] {
                    v[a] = v[a].wrapping_add(v[b]).wrapping_add(word);
                    v[d] = (v[d] ^ v[a]).rotate_right(r1);
                    v[c] = v[c].wrapping_add(v[d]);
                    v[b] = (v[b] ^ v[c]).rotate_right(r2);
                }
            }
            m = PERMUTATION.map(|p| m[p]);
        }
        std::array::from_fn(|i| v[i] ^ v[i + 8])
    }

    fn words(bytes: &[u8]) -> [u32; 16] {
        let mut block = [0; 64];
        block[..bytes.len()].copy_from_slice(bytes);
        std::array::from_fn(|i| u32::from_le_bytes(block[4 * i..4 * i + 4].try_into().unwrap()))
    }

    fn chunk(key: &[u32; 8], bytes: &[u8], counter: u64, flags: u32) -> [u32; 8] {
        let blocks: Vec<&[u8]> = match bytes {
            [] => vec![&[]],
            _ => bytes.chunks(64).collect(),
        };
        let last = blocks.len() - 1;
        blocks.iter().enumerate().fold(*key, |cv, (i, block)| {
            let start = if i == 0 { CHUNK_START } else { 0 };
            let end = if i == last {
                CHUNK_END | (flags & ROOT)
            } else {
                0
            };
            let flags = (flags & !ROOT) | start | end;
            compress(&cv, &words(block), counter, block.len() as u32, flags)
        })
    }

    fn tree(key: &[u32; 8], bytes: &[u8], first: u64, flags: u32) -> [u32; 8] {
        if bytes.len() <= 1024 {
            return chunk(key, bytes, first, flags);
        }
        // The left subtree has the largest power of two of chunks that leaves some for the right.
        let chunks = (bytes.len() - 1) / 1024;
        let left = 1 << chunks.ilog2();
        let (a, b) = bytes.split_at(left * 1024);
        let mut children = [0; 16];
        children[..8].copy_from_slice(&tree(key, a, first, flags & !ROOT));
        children[8..].copy_from_slice(&tree(key, b, first + left as u64, flags & !ROOT));
        compress(key, &children, 0, 64, flags | PARENT)
    }

    fn bytes(words: [u32; 8]) -> [u8; 32] {
        let mut out = [0; 32];
        for (o, w) in out.chunks_mut(4).zip(words) {
            o.copy_from_slice(&w.to_le_bytes());
        }
        out
    }

    fn key(bytes: &[u8; 32]) -> [u32; 8] {
        std::array::from_fn(|i| u32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap()))
    }

    pub fn hash(input: &[u8]) -> [u8; 32] {
        bytes(tree(&IV, input, 0, ROOT))
    }

    pub fn keyed(with: &[u8; 32], input: &[u8]) -> [u8; 32] {
        bytes(tree(&key(with), input, 0, ROOT | KEYED))
    }

    pub fn derive(context: &str, material: &[u8]) -> [u8; 32] {
        let context = tree(&IV, context.as_bytes(), 0, ROOT | DERIVE_CONTEXT);
        bytes(tree(&context, material, 0, ROOT | DERIVE_MATERIAL))
    }
}

fn noise(n: usize, seed: u64) -> Vec<u8> {
    let mut x = seed | 1;
    (0..n)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) as u8
        })
        .collect()
}

#[test]
fn blake3_is_what_the_specification_says_at_every_width() {
    // The first of the specification's own test vectors.
    assert_eq!(
        blake3::hash(b"").to_hex().as_str(),
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    );
    // Around every number of chunks at which another set of lanes begins or
    // ends (up to 16 at once), and the sizes that the engine hashes.
    let mut sizes = vec![
        0,
        1,
        63,
        64,
        65,
        1023,
        128 << 10,
        (384 << 10) - 1,
        384 << 10,
    ];
    for chunks in 1..=34 {
        sizes.extend([chunks * 1024, chunks * 1024 + 1]);
    }
    for (i, size) in sizes.into_iter().enumerate() {
        let bytes = noise(size, i as u64 + 1);
        let key = [i as u8; 32];
        assert_eq!(
            *blake3::hash(&bytes).as_bytes(),
            blake3_by_the_book::hash(&bytes),
            "{size}"
        );
        assert_eq!(
            *blake3::keyed_hash(&key, &bytes).as_bytes(),
            blake3_by_the_book::keyed(&key, &bytes),
            "{size}"
        );
        let context = "colca v1 chunk id data";
        assert_eq!(
            blake3::derive_key(context, &bytes),
            blake3_by_the_book::derive(context, &bytes),
            "{size}"
        );
        // Fed in pieces, as a stream is.
        let mut hasher = blake3::Hasher::new();
        for part in bytes.chunks(777) {
            hasher.update(part);
        }
        assert_eq!(hasher.finalize(), blake3::hash(&bytes), "{size}");
    }
}

/// Parity, and the lost data blocks from it, computed by one engine.
fn code<E: Engine>(
    engine: impl Fn() -> E,
    data: &[Vec<u8>],
    m: usize,
) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (k, len) = (data.len(), data[0].len());
    let mut encoder = DefaultRateEncoder::new(k, m, len, engine(), None).unwrap();
    for block in data {
        encoder.add_original_shard(block).unwrap();
    }
    let parity: Vec<Vec<u8>> = encoder
        .encode()
        .unwrap()
        .recovery_iter()
        .map(<[u8]>::to_vec)
        .collect();
    // As many data blocks are lost as parity makes up for, the first ones.
    let lost = m.min(k);
    let mut decoder = DefaultRateDecoder::new(k, m, len, engine(), None).unwrap();
    for (i, block) in data.iter().enumerate().skip(lost) {
        decoder.add_original_shard(i, block).unwrap();
    }
    for (i, block) in parity.iter().enumerate().take(lost) {
        decoder.add_recovery_shard(i, block).unwrap();
    }
    let restored = decoder
        .decode()
        .unwrap()
        .restored_original_iter()
        .map(|(_, block)| block.to_vec())
        .collect();
    (parity, restored)
}

#[test]
fn the_erasure_code_is_the_same_with_and_without_vectors() {
    for k in 2..=16 {
        for m in 1..=4 {
            for len in [64, 128, 4096, 4160] {
                let data: Vec<Vec<u8>> = (0..k)
                    .map(|i| match (i + m) % 3 {
                        // Data of low entropy, too.
                        0 => vec![i as u8; len],
                        _ => noise(len, (i * 31 + m * 7 + len) as u64),
                    })
                    .collect();
                let vectors = code(DefaultEngine::new, &data, m);
                let plain = code(NoSimd::new, &data, m);
                assert!(vectors == plain, "{k}+{m}, {len} bytes");
                assert!(plain.1 == data[..m.min(k)], "{k}+{m}, {len} bytes");
            }
        }
    }
}

//! The shard file: what one member holds of one object (`docs/pool.md` has the
//! byte table).
//!
//! An object is cut into stripes of k blocks; shard i holds block i of every
//! stripe. The header names pool, object and shard; its BLAKE3 is also the key
//! under which every block is hashed, so a block that is right in itself but
//! lies in the wrong file, place or pool is as bad as a damaged one.

use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};

use super::Redundancy;
use super::identity::Id;

/// Bytes of a full block.
pub(super) const BLOCK: usize = 64 << 10;
/// Objects shorter than this are kept as whole copies.
pub(super) const SMALL: u64 = BLOCK as u64;
/// Bytes of the shard header.
pub(super) const HEADER: usize = 128;
/// Bytes of a block's checksum.
pub(super) const SUM: usize = 16;
const MAGIC: &[u8; 8] = b"COLCASHD";
const VERSION: u16 = 1;

/// How an object is spread: all that is needed to find any byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Data shards.
    pub data: u8,
    /// Parity shards; with one data shard, further copies.
    pub parity: u8,
    /// Bytes of the object.
    pub len: u64,
}

impl Geometry {
    pub fn k(&self) -> usize {
        usize::from(self.data)
    }
    pub fn m(&self) -> usize {
        usize::from(self.parity)
    }
    pub fn shards(&self) -> usize {
        self.k() + self.m()
    }
    /// Object bytes in a full stripe.
    pub fn stripe_bytes(&self) -> u64 {
        u64::from(self.data) * BLOCK as u64
    }
    pub fn stripes(&self) -> u64 {
        self.len.div_ceil(self.stripe_bytes())
    }
    /// Object bytes in this stripe.
    pub fn object_bytes(&self, stripe: u64) -> usize {
        let rest = self.len.saturating_sub(stripe * self.stripe_bytes());
        // At most 16 blocks.
        usize::try_from(rest.min(self.stripe_bytes())).unwrap_or(0)
    }
    /// Bytes of each block in this stripe. The last stripe is cut evenly into
    /// blocks of a multiple of 64 bytes (the erasure code's unit), zero-filled.
    pub fn block_len(&self, stripe: u64) -> usize {
        let bytes = self.object_bytes(stripe);
        if self.data == 1 {
            return bytes;
        }
        bytes.div_ceil(self.k()).next_multiple_of(64).min(BLOCK)
    }
    /// Where the blocks begin in a shard file.
    pub fn body(&self) -> u64 {
        HEADER as u64 + self.stripes() * SUM as u64
    }
    pub fn block_offset(&self, stripe: u64) -> u64 {
        self.body() + stripe * BLOCK as u64
    }
    /// Bytes of a whole shard file.
    pub fn file_len(&self) -> u64 {
        match self.stripes() {
            0 => self.body(),
            n => self.block_offset(n - 1) + self.block_len(n - 1) as u64,
        }
    }
    /// A stripe count per batch that keeps the buffers at about 8 MiB.
    pub fn batch(&self) -> u64 {
        ((8 << 20) / self.stripe_bytes()).max(1)
    }
}

/// What follows the id in a shard file's name: the object's length, and the
/// shape where it is not the one the pool began with. So a listing knows
/// without reading how many shards an object needs, and shards of two shapes
/// can lie on one member.
pub(super) fn suffix(geometry: &Geometry, first: Redundancy) -> String {
    let Geometry { data, parity, len } = *geometry;
    match len < SMALL || first == (Redundancy { data, parity }) {
        true => len.to_string(),
        false => format!("{len}.{data}+{parity}"),
    }
}

/// The inverse of [`suffix`].
pub(super) fn parse_suffix(text: &str) -> Option<(u64, Option<Redundancy>)> {
    match text.split_once('.') {
        None => Some((text.parse().ok()?, None)),
        Some((len, shape)) => Some((len.parse().ok()?, Some(shape.parse().ok()?))),
    }
}

/// A shard file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShardHeader {
    pub pool: Id,
    pub name: Name,
    pub geometry: Geometry,
    pub index: u8,
    /// When it was written (nanoseconds since 1970, never less than what it
    /// replaces): tells old from new for replaced objects and after deletions.
    pub version: u64,
}

fn name_parts(name: &Name) -> (u8, [u8; 32]) {
    let mut id = [0u8; 32];
    let tag = match name {
        Name::Header => 0,
        Name::Segment(s) => {
            id = *s;
            1
        }
        Name::Snapshot(s) => {
            id[..16].copy_from_slice(s);
            2
        }
        Name::Manifest => 3,
    };
    (tag, id)
}

fn name_of(tag: u8, id: &[u8; 32]) -> Option<Name> {
    Some(match tag {
        0 => Name::Header,
        1 => Name::Segment(*id),
        2 => {
            let mut short = [0u8; 16];
            short.copy_from_slice(&id[..16]);
            Name::Snapshot(short)
        }
        3 => Name::Manifest,
        _ => return None,
    })
    // Unused id bytes are zero, so that one name has one rendering.
    .filter(|name| &name_parts(name).1 == id)
}

impl ShardHeader {
    pub fn encode(&self) -> [u8; HEADER] {
        let mut h = [0u8; HEADER];
        let (tag, id) = name_parts(&self.name);
        h[..8].copy_from_slice(MAGIC);
        h[8..10].copy_from_slice(&VERSION.to_le_bytes());
        h[10] = tag;
        h[11] = self.geometry.data;
        h[12] = self.geometry.parity;
        h[13] = self.index;
        h[16..20].copy_from_slice(&(BLOCK as u32).to_le_bytes());
        h[24..32].copy_from_slice(&self.geometry.len.to_le_bytes());
        h[32..40].copy_from_slice(&self.version.to_le_bytes());
        h[40..56].copy_from_slice(&self.pool);
        h[56..88].copy_from_slice(&id);
        let sum = blake3::hash(&h[..96]);
        h[96..].copy_from_slice(sum.as_bytes());
        h
    }

    /// Parses a header; `what` names the file in errors.
    pub fn decode(h: &[u8; HEADER], what: &dyn std::fmt::Display) -> Result<Self> {
        let bad = |why: &str| Error::new(Kind::Corrupt, format!("shard {what}: {why}"));
        if &h[..8] != MAGIC {
            return Err(bad("not a shard file"));
        }
        if blake3::hash(&h[..96]).as_bytes() != &h[96..] {
            return Err(bad("wrong header checksum"));
        }
        let version = u16::from_le_bytes([h[8], h[9]]);
        if version != VERSION {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "shard {what} has format version {version}, this program knows {VERSION}; use a newer program"
                ),
            ));
        }
        if u32::from_le_bytes([h[16], h[17], h[18], h[19]]) as usize != BLOCK {
            return Err(bad("unknown block size"));
        }
        let array = |from: usize| {
            let mut a = [0u8; 8];
            a.copy_from_slice(&h[from..from + 8]);
            u64::from_le_bytes(a)
        };
        let mut pool = [0u8; 16];
        pool.copy_from_slice(&h[40..56]);
        let mut id = [0u8; 32];
        id.copy_from_slice(&h[56..88]);
        let geometry = Geometry {
            data: h[11],
            parity: h[12],
            len: array(24),
        };
        if geometry.data == 0
            || usize::from(h[13]) >= geometry.shards()
            // Keeps every offset far from overflow.
            || geometry.len > 1 << 48
        {
            return Err(bad("impossible geometry"));
        }
        Ok(Self {
            pool,
            name: name_of(h[10], &id).ok_or_else(|| bad("unknown kind of object"))?,
            geometry,
            index: h[13],
            version: array(32),
        })
    }
}

/// The key of a shard's block checksums, from its encoded header.
pub(super) fn block_key(header: &[u8; HEADER]) -> [u8; 32] {
    let mut key = [0u8; 32];
    key.copy_from_slice(&header[96..]);
    key
}

/// A block's checksum: keyed BLAKE3 of its bytes and number, the first 16 bytes.
pub(super) fn block_sum(key: &[u8; 32], stripe: u64, block: &[u8]) -> [u8; SUM] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(block);
    hasher.update(&stripe.to_le_bytes());
    let mut sum = [0u8; SUM];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..SUM]);
    sum
}

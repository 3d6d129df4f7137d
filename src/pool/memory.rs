//! When what lies on a member was last wholly verified, shelf by shelf: 4096
//! times say of every object that it was verified then or written since.
//!
//! Each member remembers for itself, so that one that was away is not taken
//! for verified. Losing the file loses nothing: everything is due again.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::identity::Id;
use super::member::SHELVES;
use crate::engine::storage::Name;

/// The file at the top of each member (`docs/pool.md` has the byte table).
pub(super) const FILE: &str = "scrub";
const MAGIC: &[u8; 8] = b"COLCASCR";
const VERSION: u16 = 1;
const TIMES: usize = 80;
const LENGTH: usize = TIMES + 8 * SHELVES as usize + 32;
const NO_SHELF: u16 = u16::MAX;

/// Where a scrub stopped within a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub shelf: u16,
    /// When this shelf was begun, in seconds since 1970.
    pub begun: u64,
    /// The last object that was verified.
    pub last: Name,
}

/// One member's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// By shelf: seconds since 1970, 0 for never.
    pub times: Vec<u64>,
    pub cursor: Option<Cursor>,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            times: vec![0; usize::from(SHELVES)],
            cursor: None,
        }
    }

    pub fn encode(&self, pool: &Id) -> Vec<u8> {
        let mut out = vec![0u8; TIMES];
        out[..8].copy_from_slice(MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_le_bytes());
        out[10..12].copy_from_slice(&NO_SHELF.to_le_bytes());
        out[16..32].copy_from_slice(pool);
        if let Some(cursor) = &self.cursor {
            out[10..12].copy_from_slice(&cursor.shelf.to_le_bytes());
            out[32..40].copy_from_slice(&cursor.begun.to_le_bytes());
            match &cursor.last {
                Name::Segment(id) => {
                    out[40] = 1;
                    out[48..80].copy_from_slice(id);
                }
                Name::Snapshot(id) => {
                    out[40] = 2;
                    out[48..64].copy_from_slice(id);
                }
                // They stand on no shelf.
                Name::Header | Name::Manifest => {}
            }
        }
        for time in &self.times {
            out.extend_from_slice(&time.to_le_bytes());
        }
        let sum = blake3::hash(&out);
        out.extend_from_slice(sum.as_bytes());
        out
    }

    /// `None` for whatever is not whole, of this version and this pool.
    pub fn decode(bytes: &[u8], pool: &Id) -> Option<Self> {
        let body = bytes.get(..LENGTH - 32).filter(|_| bytes.len() == LENGTH)?;
        let right = &body[..8] == MAGIC
            && body[8..10] == VERSION.to_le_bytes()
            && &body[16..32] == pool
            && blake3::hash(body).as_bytes() == &bytes[LENGTH - 32..];
        if !right {
            return None;
        }
        let number = |at: usize| {
            let mut eight = [0u8; 8];
            eight.copy_from_slice(&body[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        let times = (TIMES..LENGTH - 32).step_by(8).map(number).collect();
        let shelf = u16::from_le_bytes([body[10], body[11]]);
        let last = match body[40] {
            1 => {
                let mut id = [0u8; 32];
                id.copy_from_slice(&body[48..80]);
                Some(Name::Segment(id))
            }
            2 => {
                let mut id = [0u8; 16];
                id.copy_from_slice(&body[48..64]);
                Some(Name::Snapshot(id))
            }
            _ => None,
        };
        let cursor = last.filter(|_| shelf < SHELVES).map(|last| Cursor {
            shelf,
            begun: number(32),
            last,
        });
        Some(Self { times, cursor })
    }

    /// What a member remembers; nothing, if that cannot be read.
    pub fn read(member: &Path, pool: &Id) -> Self {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let file = File::open(member.join(FILE))?;
            file.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read()
            .ok()
            .and_then(|bytes| Self::decode(&bytes, pool))
            .unwrap_or_else(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_written_and_damage_is_forgotten() {
        let mut memory = Memory::new();
        memory.times[7] = 1_700_000_000;
        for last in [Name::Segment([9; 32]), Name::Snapshot([8; 16])] {
            let (shelf, begun) = (4095, 5);
            memory.cursor = Some(Cursor { shelf, begun, last });
            let bytes = memory.encode(&[1; 16]);
            assert_eq!(Memory::decode(&bytes, &[1; 16]), Some(memory.clone()));
            assert_eq!(Memory::decode(&bytes, &[2; 16]), None, "another pool");
            for at in (0..bytes.len()).step_by(97) {
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                assert_eq!(Memory::decode(&bad, &[1; 16]), None);
                assert_eq!(Memory::decode(&bytes[..at], &[1; 16]), None);
            }
        }
    }
}

//! The list of what a complete replica holds. It is written after everything
//! it names, so whoever finds it knows what must be there (`docs/pool.md` has
//! the byte table).

use std::collections::BTreeMap;

use crate::engine::storage::{Class, Name, Storage};
use crate::engine::{Error, Kind, Result};

const MAGIC: &[u8; 8] = b"COLCAMAN";
const VERSION: u16 = 1;
const HEAD: usize = 24;

/// Names and lengths of all objects of a replica, besides the manifest itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Each object's length in bytes.
    pub objects: BTreeMap<Name, u64>,
}

impl Manifest {
    /// The bytes to store; the same objects give the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + self.objects.len() * 41 + 32);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&(self.objects.len() as u64).to_le_bytes());
        for (name, len) in &self.objects {
            match name {
                Name::Header => out.push(0),
                Name::Segment(id) => {
                    out.push(1);
                    out.extend_from_slice(id);
                }
                Name::Snapshot(id) => {
                    out.push(2);
                    out.extend_from_slice(id);
                }
                // It does not name itself.
                Name::Manifest => continue,
            }
            out.extend_from_slice(&len.to_le_bytes());
        }
        let sum = blake3::hash(&out);
        out.extend_from_slice(sum.as_bytes());
        out
    }

    /// Reads what [`Manifest::encode`] wrote.
    ///
    /// # Errors
    /// `Corrupt` for anything else, `Refused` for a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(
                Kind::Corrupt,
                format!("the replica's manifest is damaged ({why}); replicate again"),
            )
        };
        let end = bytes
            .len()
            .checked_sub(32)
            .filter(|end| *end >= HEAD)
            .ok_or_else(|| bad("too short"))?;
        let (body, sum) = bytes.split_at(end);
        if &body[..8] != MAGIC {
            return Err(bad("not a manifest"));
        }
        if blake3::hash(body).as_bytes() != sum {
            return Err(bad("wrong checksum"));
        }
        let version = u16::from_le_bytes([body[8], body[9]]);
        if version != VERSION {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "the replica's manifest has format version {version}, this program knows {VERSION}; use a newer program"
                ),
            ));
        }
        fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
            let (now, later) = rest.split_first_chunk::<N>()?;
            *rest = later;
            Some(now)
        }
        let mut rest = &body[16..];
        let count = take::<8>(&mut rest).map_or(0, |n| u64::from_le_bytes(*n));
        let mut objects = BTreeMap::new();
        while !rest.is_empty() {
            let entry = take::<1>(&mut rest).and_then(|kind| {
                let name = match kind[0] {
                    0 => Name::Header,
                    1 => Name::Segment(*take::<32>(&mut rest)?),
                    2 => Name::Snapshot(*take::<16>(&mut rest)?),
                    _ => return None,
                };
                Some((name, u64::from_le_bytes(*take::<8>(&mut rest)?)))
            });
            let (name, len) = entry.ok_or_else(|| bad("impossible entry"))?;
            objects.insert(name, len);
        }
        if objects.len() as u64 != count {
            return Err(bad("wrong count"));
        }
        Ok(Self { objects })
    }

    /// What the manifest promises and the storage does not have, or has in
    /// another length. Lists names only; empty when the replica is complete.
    pub fn lacking(&self, storage: &dyn Storage) -> Result<Vec<Name>> {
        let mut there: BTreeMap<Name, u64> = BTreeMap::new();
        for class in [Class::Segments, Class::Snapshots] {
            there.extend(storage.list(class)?);
        }
        Ok(self
            .objects
            .iter()
            .filter(|(name, len)| **name != Name::Header && there.get(name) != Some(len))
            .map(|(name, _)| *name)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_and_nothing_else_does() {
        let mut manifest = Manifest::default();
        for i in 0..100u8 {
            manifest
                .objects
                .insert(Name::Segment([i; 32]), u64::from(i));
            manifest.objects.insert(Name::Snapshot([i; 16]), 7);
        }
        manifest.objects.insert(Name::Header, 99);
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        assert_eq!(
            Manifest::decode(&Manifest::default().encode()).unwrap(),
            Manifest::default()
        );
        for i in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[i] ^= 1;
            assert_eq!(Manifest::decode(&bad).unwrap_err().kind(), Kind::Corrupt);
            assert_eq!(
                Manifest::decode(&bytes[..i]).unwrap_err().kind(),
                Kind::Corrupt
            );
        }
    }
}

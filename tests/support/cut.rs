//! What a power cut leaves of changes that were not synced. The contract of
//! `Storage` allows: of different names any selection, so a later change may
//! survive and an earlier one not; of one name the changes up to some point;
//! and a surviving object may have lost parts of its redundancy, which is how a
//! torn write shows. The fake has two parts of each object, of which one may be
//! torn, at a byte or in single sectors, or missing.

use std::collections::BTreeMap;

use colca::engine::storage::Name;

use super::noise;

const SECTOR: usize = 512;

/// An object in two parts, each of which would be enough.
#[derive(Clone, Debug)]
pub struct Object {
    parts: [Part; 2],
}

#[derive(Clone, Debug)]
struct Part {
    bytes: Vec<u8>,
    /// Whether a checksum would find it good.
    good: bool,
}

impl Object {
    pub fn new(bytes: Vec<u8>) -> Self {
        let part = Part { bytes, good: true };
        Self {
            parts: [part.clone(), part],
        }
    }

    /// The bytes of a good part: a damaged one is never shown.
    pub fn bytes(&self) -> &[u8] {
        let good = self.parts.iter().find(|p| p.good);
        &good.expect("one part is always good").bytes
    }

    /// The part that is not good, and whether nothing of it is there.
    pub fn bad(&self) -> Option<(usize, bool)> {
        let at = self.parts.iter().position(|p| !p.good)?;
        Some((at, self.parts[at].bytes.is_empty()))
    }

    /// One part goes bad or missing.
    pub fn wear(&mut self, seed: u64) {
        self.tear(&Torn::new(&noise(16, seed)));
        if self.bad().is_none() {
            // Tearing has changed nothing.
            self.parts[0].bytes.clear();
            self.parts[0].good = false;
        }
    }

    /// One part as a write that was cut off leaves it.
    fn tear(&mut self, torn: &Torn) {
        if self.bad().is_some() {
            // The other one is the last.
            return;
        }
        let part = &mut self.parts[torn.part];
        let whole = part.bytes.clone();
        torn.tear(&mut part.bytes);
        part.good = part.bytes == whole;
    }
}

/// A change of one name.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Object),
    Delete,
    /// This part is written anew from the other.
    Mend(usize),
}

impl Change {
    pub fn to(self, disk: &mut BTreeMap<Name, Object>, name: &Name) {
        match self {
            // Put again with the same bytes, it changes nothing.
            Change::Put(new) => match disk.get(name) {
                Some(old) if old.bytes() == new.bytes() => {}
                _ => drop(disk.insert(*name, new)),
            },
            Change::Delete => drop(disk.remove(name)),
            Change::Mend(part) => {
                if let Some(object) = disk.get_mut(name) {
                    object.parts[part] = object.parts[1 - part].clone();
                }
            }
        }
    }
}

/// How a write is torn.
struct Torn {
    part: usize,
    how: u8,
    dice: Vec<u8>,
}

impl Torn {
    fn new(dice: &[u8]) -> Self {
        Self {
            part: usize::from(dice[1] & 1),
            how: dice[2] % 3,
            dice: dice[3..].to_vec(),
        }
    }

    fn tear(&self, bytes: &mut Vec<u8>) {
        let random = u64::from_le_bytes(self.dice[..8].try_into().unwrap());
        match self.how {
            // Nothing of it.
            0 => bytes.clear(),
            // A prefix; its length in whole bytes, as a file has it.
            1 => bytes.truncate((random % (bytes.len() as u64 + 1)) as usize),
            // Single sectors, the others being zeros as on a fresh disk.
            _ => {
                let bits = noise(bytes.len() / SECTOR + 1, random);
                for (sector, bit) in bytes.chunks_mut(SECTOR).zip(bits) {
                    if bit & 1 == 0 {
                        sector.fill(0);
                    }
                }
            }
        }
    }
}

/// Which of the changes that were not synced survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// The later ones, of the others none.
    Later,
    /// Any, torn in places.
    Torn,
    /// Any, torn in places, against the contract: both parts alike, so that a
    /// name stands for bytes that were never put.
    Careless,
}

impl Cut {
    /// One of those that the contract allows.
    pub fn of(seed: u64) -> Self {
        [Self::Torn, Self::Later, Self::Nothing, Self::Everything][(seed % 4) as usize]
    }

    /// Brings the surviving changes onto the disk.
    pub fn apply(self, disk: &mut BTreeMap<Name, Object>, pending: Vec<(Name, Change)>, seed: u64) {
        let first = noise(8, seed ^ 0x5eed);
        let later = match pending.len() {
            0 => 0,
            n => 1 + usize::from(first[0]) % n,
        };
        for (at, (name, change)) in pending.into_iter().enumerate() {
            let dice = noise(16, seed.wrapping_mul(1_000_003).wrapping_add(at as u64));
            let survives = match self {
                Self::Nothing => false,
                Self::Everything => true,
                Self::Later => at >= later,
                Self::Torn | Self::Careless => dice[0] & 1 == 1,
            };
            if !survives {
                continue;
            }
            let torn = Torn::new(&dice);
            let new = match (&change, disk.get(&name)) {
                (Change::Put(new), Some(old)) => old.bytes() != new.bytes(),
                (Change::Put(_), None) => true,
                _ => false,
            };
            change.to(disk, &name);
            let Some(object) = disk.get_mut(&name).filter(|_| new) else {
                continue;
            };
            match self {
                Self::Torn if dice[0] & 2 == 2 => object.tear(&torn),
                Self::Careless if dice[0] & 6 != 0 => {
                    let mut bytes = object.bytes().to_vec();
                    torn.tear(&mut bytes);
                    *object = Object::new(bytes);
                }
                _ => {}
            }
        }
    }
}

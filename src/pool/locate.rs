//! Finding an object's shards: there is no index, the members are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::layout::{Geometry, SMALL};
use super::member::{Member, is_replaced};
use super::shard::Shard;
use super::write::MAX_COPIES;
use super::{Pool, Redundancy};
use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};

/// What was found of one object.
pub(super) struct Found {
    pub name: Name,
    pub geometry: Geometry,
    pub version: u64,
    /// By shard index; copies, which are all alike, in any order.
    pub shards: Vec<Option<Shard>>,
    /// What lies under the name and is not usable: a broken header, or a
    /// leftover of an older version.
    pub damaged: Vec<(Arc<Member>, PathBuf)>,
    /// Good shards besides: of another shape, or second ones.
    pub other: Vec<Shard>,
    /// Other shapes in which the object could be read, too.
    pub alternatives: usize,
    /// Every member was looked at.
    pub complete: bool,
}

impl Found {
    pub fn count(&self) -> usize {
        self.shards.iter().flatten().count()
    }

    /// Enough is there to read it.
    pub fn readable(&self) -> bool {
        self.count() >= self.geometry.k()
    }
}

/// Shards that belong together: of one shape, of a replaced object of one
/// version. Copies go together whatever number of copies they were meant to be.
type Set = (u8, u8, u64, u64);

fn set_of(shard: &Shard) -> Set {
    let Geometry { data, parity, len } = *shard.geometry();
    let version = match is_replaced(&shard.header.name) {
        true => shard.header.version,
        false => 0,
    };
    (data, if data == 1 { 0 } else { parity }, len, version)
}

/// How many different shards of whole length, beyond those needed.
fn margin(shards: &[&Shard]) -> i64 {
    let k = shards.first().map_or(1, |s| s.geometry().k());
    let whole = shards.iter().filter(|s| !s.wrong_length);
    let different = match k {
        1 => whole.count(),
        _ => whole.map(|s| s.index()).collect::<BTreeSet<_>>().len(),
    };
    different as i64 - k as i64
}

impl Pool {
    /// The shape an object has when it is written now.
    pub(super) fn wanted(&self, name: &Name, len: u64) -> Geometry {
        let state = self.look();
        let Redundancy { data, parity } = state.roster.redundancy;
        if len >= SMALL && !is_replaced(name) {
            return Geometry { data, parity, len };
        }
        let copies = state.actives().clamp(1, usize::from(MAX_COPIES));
        let parity = u8::try_from(copies - 1).unwrap_or(MAX_COPIES - 1);
        Geometry {
            data: 1,
            parity,
            len,
        }
    }

    /// Looks for an object's shards, in the order of preference. Without
    /// `all`, stops when the data shards are there.
    pub(super) fn locate(&self, name: &Name, all: bool) -> Result<Found> {
        self.locate_but(name, all, 0)
    }

    /// The same, passing over the best `skip` shapes in which it is there.
    pub(super) fn locate_but(&self, name: &Name, all: bool, skip: usize) -> Result<Found> {
        let mut shards: Vec<Shard> = Vec::new();
        let mut damaged = Vec::new();
        let mut refused = None;
        let mut complete = true;
        // What was deleted cannot be removed where nothing is written.
        let dead = if self.read_only { self.grave(name) } else { 0 };
        for member in self.ranked(name) {
            let paths = match member.find(name) {
                Ok(paths) => paths,
                Err(e) => {
                    self.trouble(&member, &e);
                    continue;
                }
            };
            for path in paths {
                match Shard::open(&member, &path, name, &self.id) {
                    Ok(shard) if shard.header.version <= dead => {}
                    Ok(shard) => shards.push(shard),
                    Err(e) if e.kind() == Kind::Missing => {}
                    Err(e) if e.kind() == Kind::Refused => refused = Some(e),
                    Err(e) => {
                        if e.kind() == Kind::Corrupt || !self.trouble(&member, &e) {
                            tracing::warn!("{e}");
                            damaged.push((Arc::clone(&member), path));
                        }
                    }
                }
            }
            if !all && !is_replaced(name) && has_data(&shards) {
                complete = false;
                break;
            }
        }
        if shards.is_empty() {
            return Err(match refused {
                Some(e) => e,
                None if damaged.is_empty() => self.absent(name),
                None => self.too_few(name, 0, 1),
            });
        }
        Ok(self.sort_out(name, shards, damaged, complete, skip))
    }

    /// Chooses the shape to read: of a replaced object the newest version; of
    /// the others, which never change, the one that can lose most.
    fn sort_out(
        &self,
        name: &Name,
        shards: Vec<Shard>,
        mut damaged: Vec<(Arc<Member>, PathBuf)>,
        complete: bool,
        skip: usize,
    ) -> Found {
        let mut sets: BTreeMap<Set, Vec<&Shard>> = BTreeMap::new();
        for shard in &shards {
            sets.entry(set_of(shard)).or_default().push(shard);
        }
        let now = self.redundancy();
        let mut ranked: Vec<(Set, i64)> = sets.iter().map(|(set, s)| (*set, margin(s))).collect();
        ranked.sort_by_key(|(set, margin)| {
            let as_now = set.0 == now.data && (set.0 == 1 || set.1 == now.parity);
            let whole = as_now && *margin >= i64::from(now.parity);
            std::cmp::Reverse((set.3, whole, *margin, as_now))
        });
        let alternatives = ranked.iter().skip(1).filter(|(_, m)| *m >= 0);
        let alternatives = match is_replaced(name) {
            true => 0,
            false => alternatives.count(),
        };
        // There is one at least.
        let best = ranked[skip.min(ranked.len() - 1)].0;
        let of_best = shards.iter().filter(|s| set_of(s) == best);
        let most = of_best.clone().map(|s| s.header.geometry.parity).max();
        let mut geometry = Geometry {
            data: best.0,
            parity: most.unwrap_or(0),
            len: best.2,
        };
        let wanted = self.wanted(name, geometry.len);
        if geometry.data == 1 && wanted.data == 1 {
            // Fewer members need fewer copies.
            geometry.parity = geometry.parity.min(wanted.parity);
        }
        let version = of_best.map(|s| s.header.version).max().unwrap_or(0);
        let mut found = Found {
            name: *name,
            geometry,
            version,
            shards: (0..geometry.shards()).map(|_| None).collect(),
            damaged: Vec::new(),
            other: Vec::new(),
            alternatives,
            complete,
        };
        for shard in shards {
            let set = set_of(&shard);
            if set != best {
                match is_replaced(name) || set.2 != best.2 {
                    true => damaged.push((shard.member, shard.path)),
                    false => found.other.push(shard),
                }
                continue;
            }
            let own = found.shards.get(shard.index()).map(Option::is_none);
            let place = match own {
                // A copy is as good in any place. Members that stay are ranked
                // before those that retire.
                None | Some(false) if best.0 == 1 => {
                    found.shards.iter_mut().find(|place| place.is_none())
                }
                _ => found.shards.get_mut(shard.index()),
            };
            match place {
                Some(place) if place.is_none() => *place = Some(shard),
                _ => found.other.push(shard),
            }
        }
        found.damaged = damaged;
        found
    }

    /// No shard of it is anywhere.
    fn absent(&self, name: &Name) -> Error {
        let missing = self.missing();
        let message = if missing.is_empty() {
            format!("{name} is not in the pool")
        } else {
            format!(
                "{name} was not found; these members are missing: {}",
                missing.join(", ")
            )
        };
        Error::new(Kind::Missing, message)
    }

    /// Fewer good parts than needed.
    pub(super) fn too_few(&self, name: &Name, have: usize, need: usize) -> Error {
        let missing = self.missing();
        if missing.is_empty() {
            Error::new(
                Kind::Corrupt,
                format!(
                    "{name}: only {have} of the {need} good parts needed are left, and no member is missing; fetch it from the provider"
                ),
            )
        } else {
            Error::new(
                Kind::Missing,
                format!(
                    "{name}: only {have} of the {need} parts needed were found; bring back the missing members: {}",
                    missing.join(", ")
                ),
            )
        }
    }
}

/// The data shards of some shape are there, so that nothing need be rebuilt.
fn has_data(shards: &[Shard]) -> bool {
    let Some(last) = shards.last().filter(|s| !s.wrong_length) else {
        return false;
    };
    let k = last.geometry().k();
    let good = |s: &&Shard| set_of(s) == set_of(last) && !s.wrong_length;
    k == 1 || (0..k).all(|i| shards.iter().filter(good).any(|s| s.index() == i))
}

//! Finding an object's shards: there is no index, the members are asked.

use std::sync::Arc;

use super::Pool;
use super::layout::Geometry;
use super::member::{Member, is_replaced};
use super::shard::Shard;
use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};

/// What was found of one object.
pub(super) struct Found {
    pub name: Name,
    pub geometry: Geometry,
    pub version: u64,
    /// By shard index.
    pub shards: Vec<Option<Shard>>,
    /// Members that hold something under the name which is not usable: a
    /// broken header, or a leftover of an older version.
    pub damaged: Vec<Arc<Member>>,
    /// Every member was looked at.
    pub complete: bool,
}

impl Found {
    pub fn count(&self) -> usize {
        self.shards.iter().flatten().count()
    }
}

impl Pool {
    /// Looks for an object's shards, in the order of preference. Without
    /// `all`, stops when the data shards are there.
    pub(super) fn locate(&self, name: &Name, all: bool) -> Result<Found> {
        let mut shards: Vec<Shard> = Vec::new();
        let mut damaged = Vec::new();
        let mut refused = None;
        let mut complete = true;
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
                    Ok(shard) => shards.push(shard),
                    Err(e) if e.kind() == Kind::Missing => {}
                    Err(e) if e.kind() == Kind::Refused => refused = Some(e),
                    Err(e) => {
                        if e.kind() == Kind::Corrupt || !self.trouble(&member, &e) {
                            tracing::warn!("{e}");
                            damaged.push(Arc::clone(&member));
                        }
                    }
                }
            }
            if !all && !is_replaced(name) && has_data(&shards) {
                complete = false;
                break;
            }
        }
        // The newest version of a replaced object; of the others, which never
        // change, the form that most shards have.
        let best = shards
            .iter()
            .max_by_key(|s| {
                let same = |o: &&Shard| o.geometry() == s.geometry();
                match is_replaced(name) {
                    true => (s.header.version, 0),
                    false => (0, shards.iter().filter(same).count()),
                }
            })
            .map(|s| s.header);
        let Some(best) = best else {
            return Err(match refused {
                Some(e) => e,
                None if damaged.is_empty() => self.absent(name),
                None => self.too_few(name, 0, 1),
            });
        };
        let mut found = Found {
            name: *name,
            geometry: best.geometry,
            version: best.version,
            shards: (0..best.geometry.shards()).map(|_| None).collect(),
            damaged,
            complete,
        };
        for shard in shards {
            let fits = *shard.geometry() == best.geometry
                && (!is_replaced(name) || shard.header.version == best.version);
            match fits.then(|| shard.index()) {
                Some(index) => {
                    let place = &mut found.shards[index];
                    // A second copy of the same shard is of no use, nor harm.
                    if place.is_none() {
                        *place = Some(shard);
                    }
                }
                None => found.damaged.push(shard.member),
            }
        }
        Ok(found)
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

fn has_data(shards: &[Shard]) -> bool {
    shards.first().is_some_and(|first| {
        let geometry = first.geometry();
        let k = geometry.k();
        let good = |s: &&Shard| s.geometry() == geometry && !s.wrong_length;
        if k == 1 {
            return shards.iter().any(|s| good(&s));
        }
        (0..k).all(|i| shards.iter().filter(good).any(|s| s.index() == i))
    })
}

//! The pool as the engine sees it.

use std::collections::HashMap;
use std::thread;

use super::layout::SMALL;
use super::{Pool, Redundancy};
use crate::engine::storage::{Class, Health, Name, Space, Storage};
use crate::engine::{Error, Kind, Result};

impl Storage for Pool {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.store(name, bytes, false)
    }

    fn put_to_free(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.store(name, bytes, true)
    }

    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        self.read(name, None)
    }

    fn get_range(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.read(name, Some((offset, len)))
    }

    fn get_sealed(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        match self.read_sealed(name, offset, len) {
            Some(bytes) => Ok(bytes),
            None => self.get_range(name, offset, len),
        }
    }

    /// Names only: no shard is opened. What has too few shards to be read is
    /// listed only if shards may be on a missing member; else it is the rest
    /// of a write or deletion that a crash cut short.
    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>> {
        let members = self.online();
        let lists: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = members
                .iter()
                .map(|member| {
                    scope.spawn(move || {
                        let mut found = Vec::new();
                        let result = member.list(class, &mut |name, len, shape| {
                            found.push((name, len, shape));
                        });
                        (member, result.map(|()| found))
                    })
                })
                .collect();
            running
                .into_iter()
                .filter_map(|thread| thread.join().ok())
                .collect()
        });
        let (away, first) = {
            let state = self.look();
            (state.away(), state.roster.first())
        };
        let mut objects: HashMap<(Name, Redundancy), (u64, usize)> = HashMap::new();
        for (member, result) in lists {
            match result {
                Ok(found) => {
                    for (name, len, shape) in found {
                        let shape = shape.unwrap_or(first);
                        let entry = objects.entry((name, shape)).or_insert((len, 0));
                        entry.1 += 1;
                    }
                }
                Err(e) => {
                    self.trouble(member, &e);
                }
            }
        }
        let need = |len: u64, shape: Redundancy| match len < SMALL {
            true => 1,
            false => usize::from(shape.data).saturating_sub(away).max(1),
        };
        let mut names: Vec<(Name, u64)> = objects
            .into_iter()
            .filter(|((_, shape), (len, shards))| *shards >= need(*len, *shape))
            .map(|((name, _), (len, _))| (name, len))
            .collect();
        if self.read_only {
            let mut dead: Vec<Name> = self.graves().keys().copied().collect();
            dead.retain(|name| self.locate(name, false).is_err());
            names.retain(|(name, _)| !dead.contains(name));
        }
        // Under way from one shape to another, an object is there twice.
        names.sort_unstable();
        names.dedup_by_key(|(name, _)| *name);
        Ok(names)
    }

    fn complete(&self) -> Result<()> {
        self.look_around();
        let (gone, tolerance, redundancy, labels) = {
            let state = self.look();
            let away: Vec<String> = state
                .members()
                .filter(|(_, entry, online)| !entry.spare && online.is_none())
                .map(|(_, entry, _)| entry.label.clone())
                .collect();
            let roster = &state.roster;
            (
                away.len(),
                roster.tolerance(),
                roster.redundancy,
                away.join(", "),
            )
        };
        if gone <= tolerance {
            return Ok(());
        }
        Err(Error::new(
            Kind::Missing,
            format!(
                "pool {} ({}) cannot say all it holds while {gone} members are missing; bring back: {labels}",
                self.id_text, redundancy
            ),
        ))
    }

    fn delete(&self, name: &Name) -> Result<()> {
        self.delete_object(name)
    }

    fn sync(&self) -> Result<()> {
        match self.read_only {
            true => Ok(()),
            false => self.make_durable(),
        }
    }

    fn space(&self) -> Result<Space> {
        Ok(self.room())
    }

    fn check(&self, name: &Name, repair: bool) -> Result<Health> {
        self.check_object(name, repair)
    }

    fn check_and_get(&self, name: &Name, repair: bool, bytes: &mut Vec<u8>) -> Result<Health> {
        if self.read_whole(name, bytes)? {
            return Ok(Health::default());
        }
        // Something is amiss; the two steps say what, and mend it.
        let health = match self.check_object(name, repair) {
            Ok(health) => health,
            Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Missing) => Health::default(),
            Err(e) => return Err(e),
        };
        *bytes = self.read(name, None)?;
        Ok(health)
    }

    fn describe(&self) -> String {
        let (all, online) = {
            let state = self.look();
            (
                state.members().count(),
                state.online.iter().flatten().count(),
            )
        };
        match all == online {
            true => format!("pool {} on {all} disks", self.id_text),
            false => format!("pool {} on {online} of {all} disks", self.id_text),
        }
    }
}

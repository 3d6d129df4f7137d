//! Going through everything the pool holds by the names of its shard files
//! alone, a few shelves at a time: no file is opened, and memory stays small
//! whatever the pool holds.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread;

use super::layout::SMALL;
use super::member::Member;
use super::{Pool, Redundancy};
use crate::engine::storage::{Class, Name};
use crate::engine::{Error, Result};

/// Shelves looked at together.
const TOGETHER: usize = 64;

/// The shard files of one object that are of one shape.
pub(super) struct Set {
    pub shape: Redundancy,
    /// Slots of the members that hold one.
    pub slots: Vec<usize>,
}

impl Set {
    /// Members that may be lost; below 0 it cannot be read.
    pub fn margin(&self) -> i64 {
        margin(self.slots.len(), self.shape)
    }
}

fn margin(members: usize, shape: Redundancy) -> i64 {
    members as i64 - i64::from(shape.data)
}

/// Where an object lies, as far as the file names tell.
pub(super) struct Object {
    pub name: Name,
    pub len: u64,
    pub sets: Vec<Set>,
    /// Copies on all members rather than shards.
    pub copies: bool,
    /// The pool's redundancy now.
    now: Redundancy,
}

impl Object {
    /// The shape that is read: whole in that of now, or the one of which most may be lost.
    pub fn best(&self) -> Option<&Set> {
        self.sets.iter().max_by_key(|set| {
            let as_now = set.shape == self.now;
            let whole = as_now && set.margin() >= i64::from(self.now.parity);
            (whole, set.margin(), as_now)
        })
    }

    /// Whether a member holds something of it.
    pub fn on(&self, slot: usize) -> bool {
        self.sets.iter().any(|set| set.slots.contains(&slot))
    }

    /// Members that may be lost besides this one; below 0 it cannot be read without it.
    pub fn without(&self, slot: usize) -> i64 {
        let left = |set: &Set| {
            let others = set.slots.iter().filter(|s| **s != slot).count();
            margin(others, set.shape)
        };
        self.sets.iter().map(left).max().unwrap_or(-1)
    }

    /// Members that should be allowed to be lost.
    pub fn promised(&self) -> i64 {
        let shape = match self.best() {
            Some(set) if !self.copies => set.shape,
            _ => self.now,
        };
        i64::from(shape.parity)
    }
}

/// The slots that hold shards, by the shape their file names tell.
type Told = Vec<(Option<Redundancy>, Vec<usize>)>;

/// What one member holds of some shelves.
type Listing = Vec<(Name, u64, Option<Redundancy>)>;

impl Pool {
    /// Calls `look` for every object of which anything is on a member that is
    /// there; the header first, then shelf by shelf.
    pub(super) fn each_object(&self, look: &mut dyn FnMut(&Object) -> Result<()>) -> Result<()> {
        self.each_batch(&mut |objects| objects.iter().try_for_each(&mut *look))
    }

    /// The same, some shelves together.
    pub(super) fn each_batch(&self, look: &mut dyn FnMut(&[Object]) -> Result<()>) -> Result<()> {
        for name in [Name::Header, Name::Manifest] {
            let mut slots = Vec::new();
            for member in self.online() {
                match member.find(&name) {
                    Ok(files) if files.is_empty() => {}
                    Ok(_) => slots.push(member.slot),
                    Err(e) => self.unlisted(&member, e)?,
                }
            }
            if !slots.is_empty() {
                look(&[self.object(name, 0, vec![(None, slots)])])?;
            }
        }
        for class in [Class::Segments, Class::Snapshots] {
            let mut shelves = BTreeSet::new();
            for member in self.online() {
                match member.shelves(class) {
                    Ok(found) => shelves.extend(found),
                    Err(e) => self.unlisted(&member, e)?,
                }
            }
            let shelves: Vec<u16> = shelves.into_iter().collect();
            for some in shelves.chunks(TOGETHER) {
                look(&self.objects_on(class, some)?)?;
            }
        }
        Ok(())
    }

    /// The objects of some shelves, in the order of their names.
    pub(super) fn objects_on(&self, class: Class, shelves: &[u16]) -> Result<Vec<Object>> {
        let members = self.online();
        let list = |member: &Member| -> io::Result<Listing> {
            let mut found = Vec::new();
            for shelf in shelves {
                member.list_numbered(class, *shelf, &mut |name, len, shape| {
                    found.push((name, len, shape));
                })?;
            }
            Ok(found)
        };
        let list = &list;
        let listings: Vec<io::Result<Listing>> = thread::scope(|scope| {
            let running: Vec<_> = members
                .iter()
                .map(|member| scope.spawn(move || list(member)))
                .collect();
            let panicked = |_| Err(io::Error::other("listing it panicked"));
            let joined = running
                .into_iter()
                .map(|t| t.join().unwrap_or_else(panicked));
            joined.collect()
        });
        let mut found: HashMap<Name, (u64, Told)> = HashMap::new();
        for (member, listing) in members.iter().zip(listings) {
            let listing = match listing {
                Ok(listing) => listing,
                Err(e) => {
                    self.unlisted(member, e)?;
                    continue;
                }
            };
            for (name, len, shape) in listing {
                let (_, sets) = found.entry(name).or_insert((len, Vec::new()));
                match sets.iter_mut().find(|(other, _)| *other == shape) {
                    Some((_, slots)) => slots.push(member.slot),
                    None => sets.push((shape, vec![member.slot])),
                }
            }
        }
        let mut objects: Vec<Object> = found
            .into_iter()
            .map(|(name, (len, sets))| self.object(name, len, sets))
            .collect();
        objects.sort_unstable_by_key(|object| object.name);
        Ok(objects)
    }

    fn object(&self, name: Name, len: u64, sets: Told) -> Object {
        let (first, now) = {
            let state = self.look();
            (state.roster.first(), state.roster.redundancy)
        };
        let copies = len < SMALL;
        let shape = |told: Option<Redundancy>| match told.unwrap_or(first) {
            _ if copies => Redundancy { data: 1, parity: 0 },
            mirror if mirror.data == 1 && now.data == 1 => now,
            shape => shape,
        };
        let mut merged: Vec<Set> = Vec::new();
        for (told, slots) in sets {
            let shape = shape(told);
            // Copies go together, whatever number they were meant to be.
            let same =
                |set: &&mut Set| set.shape == shape || shape.data == 1 && set.shape.data == 1;
            match merged.iter_mut().find(same) {
                Some(set) => {
                    set.slots.extend(slots);
                    set.slots.sort_unstable();
                    set.slots.dedup();
                }
                None => merged.push(Set { shape, slots }),
            }
        }
        Object {
            name,
            len,
            sets: merged,
            copies,
            now,
        }
    }

    /// A member could not be listed: it is gone, or the whole list is worth nothing.
    pub(super) fn unlisted(&self, member: &Arc<Member>, e: io::Error) -> Result<()> {
        match self.trouble(member, &e) {
            true => Ok(()),
            false => Err(Error::io(format_args!("listing {}", member.called()), e)),
        }
    }
}

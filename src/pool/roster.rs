//! Members that come and go for good.
//!
//! A change is one new generation of the member list. It happens when the
//! first member has it on disk, and spreads to the others then or when they
//! come back: the newest generation counts. Entries are never taken out of the
//! list, so a member that left is known for one, whenever it comes back.

use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

use super::folder;
use super::identity::{Identity, RosterEntry};
use super::open::new_entry;
use super::state::State;
use super::{NewMember, Pool, Redundancy};
use crate::engine::storage::{Name, hex};
use crate::engine::{Error, Kind, Result};

fn refused(message: String) -> Error {
    Error::new(Kind::Refused, message)
}

/// Why a member cannot leave yet, or what is lost with it.
struct Need {
    /// Objects that cannot be read without it.
    lost: Vec<Name>,
    /// One of the objects that would lack parts, and how many there are.
    thin: Option<Name>,
    thinned: u64,
}

impl Pool {
    /// Empty folders become members. What the pool holds is spread over them by
    /// [`Pool::settle`].
    ///
    /// # Errors
    /// `Refused` when a folder is not empty, given twice or not a folder;
    /// nothing is left behind.
    pub fn add(&self, new: &[NewMember]) -> Result<()> {
        self.enroll(new, None)
    }

    /// A new member takes the place of one that is healthy, dying or missing.
    /// [`Pool::settle`] moves or rebuilds what belongs there, and then lets the
    /// old one go.
    ///
    /// # Errors
    /// `Refused` as for [`Pool::add`], and when `old` names no member or a spare.
    pub fn replace(&self, old: &str, new: &NewMember) -> Result<()> {
        let slot = self.named(old)?;
        let mut new = new.clone();
        new.spare = false;
        self.enroll(std::slice::from_ref(&new), Some(slot))
    }

    /// No new shards go to this member, and [`Pool::settle`] moves away those
    /// it holds. `member` is an id, a label or a path.
    ///
    /// # Errors
    /// `Refused` when the others are too few for the pool's redundancy.
    pub fn retire(&self, member: &str) -> Result<()> {
        let _changing = self.change_begins()?;
        let slot = self.named(member)?;
        self.change(|state| {
            let entry = &state.roster.members[slot];
            if entry.spare {
                return Err(refused(format!(
                    "{} is a spare and holds nothing; it can be removed at once",
                    entry.label
                )));
            }
            state.roster.members[slot].retiring = true;
            enough(state, &state.roster.members[slot].label)
        })
    }

    /// Takes [`Pool::retire`] back.
    pub fn keep(&self, member: &str) -> Result<()> {
        let _changing = self.change_begins()?;
        let slot = self.named(member)?;
        self.change(|state| {
            state.roster.members[slot].retiring = false;
            Ok(())
        })
    }

    /// The member is one no more, and the pool does not wait for it. When it
    /// comes back it is a stranger. With `accept_loss` also if it holds what no
    /// other member has. Answers the objects lost with it.
    ///
    /// # Errors
    /// `Refused` while it is in use, while anything cannot be read or lacks
    /// parts without it, or when the others are too few for the pool's redundancy.
    pub fn remove(&self, member: &str, accept_loss: bool) -> Result<Vec<Name>> {
        let _changing = self.change_begins()?;
        let slot = self.named(member)?;
        self.let_go(slot, accept_loss)
    }

    /// Sets the shape of what is written from now on. [`Pool::settle`] brings
    /// what is there to it.
    ///
    /// # Errors
    /// `Refused` when no pool can have it, or this one has too few members.
    pub fn set_redundancy(&self, redundancy: Redundancy) -> Result<()> {
        redundancy.check()?;
        let _changing = self.change_begins()?;
        self.change(|state| {
            let now = state.roster.redundancy;
            if now != redundancy {
                state.roster.first.get_or_insert(now);
                state.roster.redundancy = redundancy;
                state.roster.old.retain(|shape| *shape != redundancy);
                if !state.roster.old.contains(&now) {
                    state.roster.old.push(now);
                }
            }
            let need = redundancy.width();
            let actives = state.actives();
            if actives < need {
                return Err(refused(format!(
                    "redundancy {redundancy} needs {need} disks besides spares, the pool has {actives}; add {} first",
                    need - actives
                )));
            }
            Ok(())
        })
    }

    fn change_begins(&self) -> Result<MutexGuard<'_, ()>> {
        self.writable()?;
        self.look_around();
        Ok(self.changing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One new generation of the list, or none.
    fn change(&self, edit: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        let mut state = self.alter();
        let before = state.roster.clone();
        let places = state.online.len();
        let undo = |state: &mut State, generation| {
            state.roster = before.clone();
            state.roster.generation = generation;
            state.online.truncate(places);
        };
        if let Err(e) = edit(&mut state) {
            undo(&mut state, before.generation);
            return Err(e);
        }
        if state.roster == before {
            return Ok(());
        }
        state.roster.generation += 1;
        if self.publish(&state) > 0 {
            return Ok(());
        }
        // Some member may have got it all the same: that number is used up.
        let used = state.roster.generation;
        undo(&mut state, used);
        Err(Error::new(
            Kind::Io,
            format!(
                "no member of pool {} took the new list of members; nothing was changed",
                self.id_text
            ),
        ))
    }

    /// Everything is in the shape of now: no other has to be reckoned with.
    pub(super) fn all_in_shape(&self) -> Result<()> {
        if self.look().roster.old.is_empty() {
            return Ok(());
        }
        let _changing = self.change_begins()?;
        self.change(|state| {
            // Who is away may hold others still.
            if state.everybody() {
                state.roster.old.clear();
            }
            Ok(())
        })
    }

    /// The member that is meant by an id, the beginning of one, a label or a path.
    pub(super) fn named(&self, text: &str) -> Result<usize> {
        let state = self.look();
        let path = std::fs::canonicalize(text).unwrap_or_else(|_| PathBuf::from(text));
        let fits = |entry: &RosterEntry, at: Option<&Path>| {
            let id = hex(&entry.id);
            entry.label == text || at == Some(&path) || text.len() >= 4 && id.starts_with(text)
        };
        let found: Vec<usize> = state
            .members()
            .filter(|(_, entry, online)| fits(entry, online.map(|m| m.path.as_path())))
            .map(|(slot, ..)| slot)
            .collect();
        match found.as_slice() {
            [slot] => Ok(*slot),
            [] => Err(Error::new(
                Kind::Missing,
                format!("{text} is no member of pool {}", self.id_text),
            )),
            _ => Err(refused(format!(
                "{text} names {} members; say which by id",
                found.len()
            ))),
        }
    }

    fn enroll(&self, new: &[NewMember], instead: Option<usize>) -> Result<()> {
        let _changing = self.change_begins()?;
        let mut fresh: Vec<(PathBuf, RosterEntry)> = Vec::new();
        for one in new {
            self.clear_left(&one.path)?;
            let (path, mut entry) = new_entry(one)?;
            if fresh.iter().any(|(other, _)| *other == path) {
                return Err(refused(format!("{} is given twice", path.display())));
            }
            if let Some(old) = instead {
                entry.replaces = Some(hex(&self.look().roster.members[old].id));
            }
            fresh.push((path, entry));
        }
        // First the folders, with a list that never counts; if the power fails
        // before the pool knows them, they are as good as empty.
        let mut roster = self.look().roster.clone();
        roster.generation = 0;
        let lay_out = |(path, entry): &(PathBuf, RosterEntry)| -> Result<()> {
            let io = |e| Error::io(format_args!("writing to {}", path.display()), e);
            self.fuse.step().map_err(io)?;
            folder::lay_out(path).map_err(io)?;
            let identity = Identity {
                member: entry.id,
                roster: roster.clone(),
            };
            identity.write(path, &self.fuse)
        };
        let mut laid = fresh.iter().try_for_each(lay_out);
        if laid.is_ok() {
            laid = self.change(|state| {
                if let Some(old) = instead {
                    let old = &mut state.roster.members[old];
                    if old.spare {
                        return Err(refused(format!(
                            "{} is a spare and holds nothing; remove it and add the new one",
                            old.label
                        )));
                    }
                    old.retiring = true;
                }
                for (_, entry) in &fresh {
                    state.roster.members.push(entry.clone());
                    state.online.push(None);
                }
                Ok(())
            });
        }
        if let Err(e) = laid {
            for (path, _) in &fresh {
                if self.fuse.step().is_ok() {
                    folder::wipe_layout(path);
                }
            }
            return Err(e);
        }
        let paths: Vec<PathBuf> = fresh.into_iter().map(|(path, _)| path).collect();
        self.rescan(&paths)
    }

    /// A folder that an addition cut short left, or that a member left behind
    /// which is gone and held nothing any more, is made empty again.
    fn clear_left(&self, path: &Path) -> Result<()> {
        let ours = match Identity::read(path) {
            Ok(Some(identity)) if identity.roster.pool == self.id => {
                let state = self.look();
                let mut known = state.roster.members.iter().filter(|m| !m.gone);
                !known.any(|m| m.id == identity.member)
            }
            Ok(Some(identity)) => identity.roster.generation == 0,
            Ok(None) => folder::is_bare_layout(path),
            Err(_) => false,
        };
        if ours && !folder::holds_anything(path) {
            folder::wipe_layout(path);
        }
        Ok(())
    }

    /// See [`Pool::remove`]; the caller holds `changing`.
    pub(super) fn let_go(&self, slot: usize, accept_loss: bool) -> Result<Vec<Name>> {
        let (entry, member) = {
            let state = self.look();
            (
                state.roster.members[slot].clone(),
                state.online[slot].clone(),
            )
        };
        let label = &entry.label;
        if member.is_some() && entry.active() {
            return Err(refused(format!(
                "{label} is in use; retire it first, and let its shards be moved (settle)"
            )));
        }
        let need = match entry.spare {
            true => Need {
                lost: Vec::new(),
                thin: None,
                thinned: 0,
            },
            false => self.need_of(slot)?,
        };
        if !accept_loss {
            if let Some(first) = need.lost.first() {
                return Err(refused(format!(
                    "{label} holds what no other member has: {} objects cannot be read without it, the first is {first}",
                    need.lost.len()
                )));
            }
            if let Some(first) = need.thin {
                return Err(refused(format!(
                    "without {label} {} objects lack parts, one is {first}; let them be rebuilt first (settle)",
                    need.thinned
                )));
            }
        }
        self.change(|state| {
            let entry = &mut state.roster.members[slot];
            entry.gone = true;
            entry.retiring = false;
            entry.spare = false;
            // Before the list is told: it is not for those that are gone.
            state.online[slot] = None;
            enough(state, label)
        })
        .inspect_err(|_| self.alter().online[slot] = member.clone())?;
        tracing::info!("member {label} of pool {} is gone for good", self.id_text);
        if let Some(member) = member
            && !folder::holds_anything(&member.path)
            && member.step().is_ok()
        {
            folder::wipe_layout(&member.path);
        }
        self.drop_notes();
        Ok(need.lost)
    }

    /// What cannot be read, or would lack parts, without this member.
    fn need_of(&self, slot: usize) -> Result<Need> {
        let member = self.look().online[slot].clone();
        let mut need = Need {
            lost: Vec::new(),
            thin: None,
            thinned: 0,
        };
        self.each_object(&mut |object| {
            // Nothing of it is on a member that is there and can be asked.
            if member.is_some() && !object.on(slot) {
                return Ok(());
            }
            match object.without(slot) {
                margin if margin < 0 => need.lost.push(object.name),
                margin if margin < object.promised() => {
                    need.thin = Some(object.name);
                    need.thinned += 1;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(need)
    }
}

impl Redundancy {
    /// Members an object lies on.
    pub(super) fn width(self) -> usize {
        usize::from(self.data) + usize::from(self.parity)
    }
}

/// `Refused` when the members left are too few, without the one named.
fn enough(state: &State, label: &str) -> Result<()> {
    let (need, actives) = (state.roster.redundancy.width(), state.actives());
    if actives >= need {
        return Ok(());
    }
    Err(refused(format!(
        "without {label} the pool has {actives} disks, and redundancy {} needs {need}; replace it, add a disk, or choose another redundancy first",
        state.roster.redundancy
    )))
}

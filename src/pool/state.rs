//! The open pool's memory: who is online, what is not durable yet, what was
//! deleted while somebody was away.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use super::durable::Unsynced;
use super::findings::Findings;
use super::fuse::Fuse;
use super::identity::{Id, Roster, RosterEntry};
use super::member::Member;
use super::open::How;
use super::sealed::OpenObjects;
use super::{Redundancy, place};
use crate::engine::storage::{Name, hex};
use crate::engine::{Error, Kind, Result};

/// Locks that keep writers of the same object apart. Objects share them by hash.
const LOCKS: usize = 64;

/// An open pool. Implements [`crate::engine::storage::Storage`].
pub struct Pool {
    pub(super) id: Id,
    pub(super) id_text: String,
    pub(super) state: RwLock<State>,
    /// Nothing is ever written.
    pub(super) read_only: bool,
    pub(super) fuse: Fuse,
    /// Per mille of each member's room that backups leave free.
    pub(super) reserve: AtomicU32,
    pub(super) findings: Findings,
    /// Held by whoever changes who the members are.
    pub(super) changing: Mutex<()>,
    /// Held by a settle or scrub under way: there is one at a time.
    pub(super) working: Mutex<()>,
    locks: Vec<Mutex<()>>,
    /// The newest version given out.
    clock: AtomicU64,
    pub(super) unsynced: Mutex<Unsynced>,
    /// Held by whoever makes things durable.
    pub(super) syncing: Mutex<()>,
    graves: Mutex<HashMap<Name, u64>>,
    pub(super) open: OpenObjects,
}

/// The members, as known and as found.
pub(super) struct State {
    pub roster: Roster,
    /// Beside `roster.members`: the member, while it is there.
    pub online: Vec<Option<Arc<Member>>>,
}

impl State {
    /// Every member (none that is gone) with its slot, and itself if it is there.
    pub fn members(&self) -> impl Iterator<Item = (usize, &RosterEntry, Option<&Arc<Member>>)> {
        let both = self.roster.members.iter().zip(&self.online);
        both.enumerate()
            .filter(|(_, (entry, _))| !entry.gone)
            .map(|(slot, (entry, online))| (slot, entry, online.as_ref()))
    }

    /// How many members should take new shards.
    pub fn actives(&self) -> usize {
        self.roster.members.iter().filter(|m| m.active()).count()
    }

    /// How many members that may hold shards are away.
    pub fn away(&self) -> usize {
        let away = |(_, entry, online): &(usize, &RosterEntry, Option<&Arc<Member>>)| {
            !entry.spare && online.is_none()
        };
        self.members().filter(away).count()
    }

    /// Everybody is there.
    pub fn everybody(&self) -> bool {
        self.members().all(|(.., online)| online.is_some())
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is whole at every step, so a panicked holder
    // leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(super) fn assemble(roster: Roster, how: &How) -> Self {
        Self {
            id: roster.pool,
            id_text: hex(&roster.pool),
            read_only: how.read_only,
            fuse: how.fuse.clone(),
            reserve: AtomicU32::new(super::RESERVE),
            findings: Findings::default(),
            changing: Mutex::default(),
            working: Mutex::default(),
            state: RwLock::new(State {
                online: roster.members.iter().map(|_| None).collect(),
                roster,
            }),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            clock: AtomicU64::new(0),
            unsynced: Mutex::default(),
            syncing: Mutex::default(),
            graves: Mutex::default(),
            open: OpenObjects::default(),
        }
    }

    pub(super) fn look(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn alter(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        let state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        self.open.clear();
        state
    }

    /// The shape of large objects written now.
    pub(super) fn redundancy(&self) -> Redundancy {
        self.look().roster.redundancy
    }

    /// Keeps other writers of the object out while held.
    pub(super) fn hold(&self, name: &Name) -> MutexGuard<'_, ()> {
        let hash = blake3::hash(name.to_string().as_bytes());
        lock(&self.locks[usize::from(hash.as_bytes()[0]) % LOCKS])
    }

    /// A version newer than `than` and than all given out before; the time in
    /// nanoseconds where the clock allows.
    pub(super) fn stamp(&self, than: u64) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|d| u64::try_from(d.as_nanos()).ok())
            .unwrap_or(0);
        let next = |last: u64| now.max(last.max(than).saturating_add(1));
        let last = self
            .clock
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(next(last))
            })
            .unwrap_or_else(|last| last);
        next(last)
    }

    /// Every member that is there.
    pub(super) fn online(&self) -> Vec<Arc<Member>> {
        self.look().online.iter().flatten().cloned().collect()
    }

    pub(super) fn is_online(&self, member: &Member) -> bool {
        self.look().online[member.slot].is_some()
    }

    /// The members that are there in the order in which they prefer to hold
    /// the object; those that retire and spares last.
    pub(super) fn ranked(&self, name: &Name) -> Vec<Arc<Member>> {
        let state = self.look();
        let mut ranked: Vec<(u8, f64, Arc<Member>)> = state
            .online
            .iter()
            .flatten()
            .map(|m| {
                let entry = &state.roster.members[m.slot];
                let last = u8::from(entry.retiring) + 2 * u8::from(entry.spare);
                (last, place::score(name, &m.id, m.size), Arc::clone(m))
            })
            .collect();
        ranked.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        ranked.into_iter().map(|(.., member)| member).collect()
    }

    /// The ranked members that take new shards, and how many there should be.
    pub(super) fn actives(&self, name: &Name) -> (Vec<Arc<Member>>, usize) {
        let mut ranked = self.ranked(name);
        let state = self.look();
        ranked.retain(|m| state.roster.members[m.slot].active());
        (ranked, state.actives())
    }

    /// Labels of the members that are not there, spares too.
    pub(super) fn missing(&self) -> Vec<String> {
        let state = self.look();
        let away = state.members().filter(|(.., online)| online.is_none());
        away.map(|(_, entry, _)| entry.label.clone()).collect()
    }

    /// A member failed: it counts as missing from now on.
    pub(super) fn lost(&self, member: &Arc<Member>, why: &io::Error) {
        let mut state = self.alter();
        let place = &mut state.online[member.slot];
        if place.as_ref().is_some_and(|m| Arc::ptr_eq(m, member)) {
            *place = None;
            tracing::warn!(
                "member {} of pool {} is missing: {why}",
                member.called(),
                self.id_text
            );
        }
    }

    /// After an error on a member: is it gone (then it is marked missing), or
    /// was it only that one file?
    pub(super) fn trouble(&self, member: &Arc<Member>, why: &dyn std::fmt::Display) -> bool {
        if self.is_online(member) && member.answers() {
            tracing::warn!("error on member {}: {why}", member.called());
            return false;
        }
        self.lost(member, &io::Error::other(why.to_string()));
        true
    }

    /// Lets spares take the places of missing members.
    pub(super) fn call_spares(&self) {
        {
            let state = self.look();
            if self.read_only || state.everybody() || !state.roster.members.iter().any(|m| m.spare)
            {
                return;
            }
        }
        let mut state = self.alter();
        let state = &mut *state;
        let members = &mut state.roster.members;
        let mut changed = false;
        for gone in 0..members.len() {
            let id = hex(&members[gone].id);
            let replaced = members.iter().any(|m| m.replaces.as_ref() == Some(&id));
            if state.online[gone].is_some() || !members[gone].active() || replaced {
                continue;
            }
            let spare = (0..members.len())
                .find(|s| members[*s].spare && !members[*s].gone && state.online[*s].is_some());
            if let Some(spare) = spare {
                tracing::info!(
                    "spare {} takes the place of the missing member {}",
                    members[spare].label,
                    members[gone].label
                );
                members[spare].spare = false;
                members[spare].replaces = Some(id);
                changed = true;
            }
        }
        if changed {
            state.roster.generation += 1;
            self.publish(state);
        }
    }

    /// Writes the roster to every member that is there. One that cannot take
    /// it learns it when it comes back. Answers how many took it.
    pub(super) fn publish(&self, state: &State) -> usize {
        if self.read_only {
            return 0;
        }
        let mut told = 0;
        for member in state.online.iter().flatten() {
            match member.tell(&state.roster) {
                Ok(()) => told += 1,
                Err(e) => {
                    tracing::warn!("cannot tell {} who the members are: {e}", member.called());
                }
            }
        }
        told
    }

    /// `Refused` when the pool was opened only to read.
    pub(super) fn writable(&self) -> Result<()> {
        match self.read_only {
            false => Ok(()),
            true => Err(Error::new(
                Kind::Refused,
                format!("pool {} is open only for reading", self.id_text),
            )),
        }
    }

    /// Up to which version a name is deleted; 0 when it is not.
    pub(super) fn grave(&self, name: &Name) -> u64 {
        lock(&self.graves).get(name).copied().unwrap_or(0)
    }

    pub(super) fn graves(&self) -> MutexGuard<'_, HashMap<Name, u64>> {
        lock(&self.graves)
    }

    /// Removes the object everywhere; members that are away are told later.
    pub(super) fn delete_object(&self, name: &Name) -> Result<()> {
        self.writable()?;
        let _held = self.hold(name);
        self.open.forget(name);
        for member in self.online() {
            match member.remove(name) {
                Ok(false) => {}
                Ok(true) => self.note_touched([member.slot].into_iter()),
                Err(e) => {
                    if !self.trouble(&member, &e) {
                        return Err(Error::io(
                            format_args!("deleting {name} on {}", member.called()),
                            e,
                        ));
                    }
                }
            }
        }
        if !self.missing().is_empty() {
            let version = self.stamp(self.grave(name));
            lock(&self.graves).insert(*name, version);
            for member in self.online() {
                if let Err(e) = member.bury(name, version) {
                    self.trouble(&member, &e);
                }
                self.note_touched([member.slot].into_iter());
            }
        }
        Ok(())
    }
}

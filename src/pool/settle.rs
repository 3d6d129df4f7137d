//! Bringing everything to where, and to the shape in which, it should be:
//! rebuilding, evacuating, rebalancing and reshaping are one work.
//!
//! What has to be done is read from what lies on the members, never
//! remembered: a settle that was stopped, by a person or a power cut, goes on
//! where it was. It takes the most endangered objects first, then what lies on
//! members that retire, then what evens out the members, then old shapes. Each
//! object is dealt with under its own lock, and new shards are durable, names
//! and all, before old ones go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::arrange::Arranged;
use super::objects::Object;
use super::state::lock;
use super::{Pace, Pool, Redundancy};
use crate::engine::{Error, Kind, Result};

/// Rounds of going through everything; more only while members come and go.
const ROUNDS: usize = 4;
/// Objects dealt with at the same time.
const WORKERS: usize = 3;
/// How much fuller, in parts of a hundred, a member must be than another
/// before shards move for balance.
const UNEVEN: u128 = 110;

/// What a settle has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SettleReport {
    /// Objects changed.
    pub objects: u64,
    /// Shards written that were not there, or not good.
    pub rebuilt: u64,
    /// Shards moved to another member.
    pub moved: u64,
    /// Objects brought to another shape.
    pub reshaped: u64,
    /// Shards removed that were there twice or in an old shape.
    pub removed: u64,
    /// Bytes of the objects changed.
    pub bytes: u64,
    /// Objects that are not as they should be and cannot be made so now.
    pub waiting: u64,
    /// Why, for one of them.
    pub why: Option<String>,
    /// Objects of which too little is on the members that are there, as
    /// [`crate::engine::storage::Name`] is rendered.
    pub lost: Vec<String>,
    /// Labels of members that were replaced and are gone now.
    pub gone: Vec<String>,
}

/// What an object needs, in the order in which it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Work {
    /// Lacks shards; so many more may be lost.
    Rebuild(u8),
    /// Lies on a member that retires.
    Evacuate,
    /// Could lie better.
    Balance,
    /// Is of an old shape.
    Reshape,
    /// Is there twice in part.
    Tidy,
    /// Is not as it should be, and the members are not there to change that.
    Wait,
}

/// How the members are now.
pub(super) struct Members {
    actives: Vec<usize>,
    retiring: Vec<usize>,
    redundancy: Redundancy,
    sizes: HashMap<usize, u64>,
    /// Bytes of shards on each, and thus who is too full.
    used: HashMap<usize, u64>,
}

impl Members {
    fn of(pool: &Pool) -> Self {
        let state = pool.look();
        let mut members = Self {
            actives: Vec::new(),
            retiring: Vec::new(),
            redundancy: state.roster.redundancy,
            sizes: HashMap::new(),
            used: HashMap::new(),
        };
        for (slot, entry, online) in state.members() {
            if online.is_some() && !entry.spare {
                match entry.active() {
                    true => members.actives.push(slot),
                    false => members.retiring.push(slot),
                }
                members.sizes.insert(slot, entry.size.max(1));
            }
        }
        members
    }

    fn count(&mut self, object: &Object) {
        for set in &object.sets {
            let shard = object.len / u64::from(set.shape.data);
            for slot in &set.slots {
                *self.used.entry(*slot).or_default() += shard;
            }
        }
    }

    /// Whether moving a shard makes the two members more even.
    fn evens(&self, from: usize, to: usize, shard: u64) -> bool {
        let share = |slot: usize, more: u64| {
            let used = self.used.get(&slot).copied().unwrap_or(0) + more;
            let size = self.sizes.get(&slot).copied().unwrap_or(1);
            u128::from(used) * u128::from(u32::MAX) / u128::from(size)
        };
        share(from, 0) * 100 > share(to, shard) * UNEVEN
    }

    fn moved(&mut self, from: usize, to: usize, shard: u64) {
        if let Some(used) = self.used.get_mut(&from) {
            *used = used.saturating_sub(shard);
        }
        *self.used.entry(to).or_default() += shard;
    }
}

impl Pool {
    /// Brings every object to k+m shards of the pool's redundancy on as many
    /// members that stay. Reads, backups and deletions go on meanwhile; it may
    /// be stopped at any moment and called again.
    ///
    /// # Errors
    /// `Busy` when one, or a scrub, is under way; `Cancelled`.
    pub fn settle(&self, pace: &Pace<'_>) -> Result<SettleReport> {
        self.writable()?;
        let _working = self.work_begins()?;
        self.look_around();
        self.call_spares();
        let mut report = SettleReport::default();
        let result = self.settle_all(pace, &mut report);
        let kept = self.make_durable();
        self.remember_findings();
        result.and(kept)?;
        if report.waiting == 0 && report.lost.is_empty() {
            self.all_in_shape()?;
        }
        self.let_replaced_go(&mut report)?;
        Ok(report)
    }

    pub(super) fn work_begins(&self) -> Result<std::sync::MutexGuard<'_, ()>> {
        use std::sync::TryLockError;
        match self.working.try_lock() {
            Ok(held) => Ok(held),
            Err(TryLockError::Poisoned(held)) => Ok(held.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                Kind::Busy,
                format!(
                    "pool {} is being put in order or checked already; wait for it, or stop it",
                    self.id_text
                ),
            )),
        }
    }

    fn settle_all(&self, pace: &Pace<'_>, report: &mut SettleReport) -> Result<()> {
        for _ in 0..ROUNDS {
            // What is to be done, and how much.
            let mut members = Members::of(self);
            self.each_object(&mut |object| {
                members.count(object);
                Ok(())
            })?;
            let mut all: HashMap<Work, (u64, u64)> = HashMap::new();
            let mut waiting = 0;
            report.lost.clear();
            self.each_object(&mut |object| {
                if object.best().is_none_or(|set| set.margin() < 0) {
                    report.lost.push(object.name.to_string());
                    return Ok(());
                }
                let work = self.work_on(object, &members);
                waiting += u64::from(work == Some(Work::Wait));
                if let Some(work) = work.filter(|work| *work != Work::Wait) {
                    let (count, bytes) = all.entry(work).or_default();
                    *count += 1;
                    *bytes += object.len;
                }
                Ok(())
            })?;
            report.waiting = waiting;
            if waiting > 0 {
                report.why = Some(self.what_waits());
            }
            if all.is_empty() {
                break;
            }
            let progress = pace.progress();
            let (count, bytes) = (all.values()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
            pace.expect(count, bytes);
            let before = report.objects;
            let members = Mutex::new(members);
            let mut kinds: Vec<Work> = all.into_keys().collect();
            kinds.sort_unstable();
            for kind in kinds {
                progress.check()?;
                self.each_batch(&mut |objects| {
                    let todo: Vec<&Object> = {
                        let members = lock(&members);
                        let fits = |o: &&Object| self.work_on(o, &members) == Some(kind);
                        objects.iter().filter(fits).collect()
                    };
                    self.settle_some(&todo, pace, &members, report)
                })?;
            }
            if report.objects == before {
                break;
            }
        }
        Ok(())
    }

    fn what_waits(&self) -> String {
        let state = self.look();
        let (actives, need) = (state.actives(), state.roster.redundancy.width());
        drop(state);
        let missing = self.missing();
        match missing.is_empty() {
            true => format!("{need} members are needed that stay, {actives} are there"),
            false => format!("these members are missing: {}", missing.join(", ")),
        }
    }

    /// Several objects at once, unless the rate is bounded: so the members have
    /// something to do while another object waits for being durable.
    fn settle_some(
        &self,
        todo: &[&Object],
        pace: &Pace<'_>,
        members: &Mutex<Members>,
        report: &mut SettleReport,
    ) -> Result<()> {
        let workers = if pace.bounded() { 1 } else { WORKERS };
        let next = AtomicUsize::new(0);
        let done = Mutex::new(std::mem::take(report));
        let work = || -> Result<()> {
            while let Some(object) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                pace.wait()?;
                pace.progress().at(&object.name.to_string());
                let cost = self.settle_one(object, members, &done)?;
                pace.done(object.len, cost);
            }
            Ok(())
        };
        let result = std::thread::scope(|scope| {
            let others: Vec<_> = (1..workers.min(todo.len()))
                .map(|_| scope.spawn(work))
                .collect();
            let mut result = work();
            for other in others {
                let ended = other.join();
                result = result.and(ended.unwrap_or_else(|_| {
                    Err(Error::new(
                        Kind::Io,
                        "a part of the work ended unexpectedly",
                    ))
                }));
            }
            result
        });
        *report = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        result
    }

    /// One object; what keeps it from being put in order is noted, not an end.
    /// Answers the bytes that count for the rate.
    fn settle_one(
        &self,
        object: &Object,
        members: &Mutex<Members>,
        report: &Mutex<SettleReport>,
    ) -> Result<u64> {
        let shift = {
            let mut members = lock(members);
            let shift = self.shift(object, &members);
            if let Some((from, to)) = shift {
                members.moved(from, to, shard_bytes(object));
            }
            shift
        };
        let mut own = SettleReport::default();
        let arranged = self.arrange(&object.name, shift, &mut own);
        let mut report = lock(report);
        report.rebuilt += own.rebuilt;
        report.moved += own.moved;
        report.reshaped += own.reshaped;
        report.removed += own.removed;
        match arranged {
            Ok(Arranged::Nothing) => Ok(0),
            Ok(Arranged::Done) => {
                report.objects += 1;
                report.bytes += object.len;
                Ok(match shift {
                    Some(_) => shard_bytes(object),
                    None => object.len,
                })
            }
            Ok(Arranged::Waits) => {
                report.waiting += 1;
                Ok(0)
            }
            Err(e) => {
                tracing::warn!("{e}");
                report.waiting += 1;
                report.why = Some(e.to_string());
                Ok(0)
            }
        }
    }

    /// What is to be done for an object, as far as names tell.
    pub(super) fn work_on(&self, object: &Object, members: &Members) -> Option<Work> {
        let best = object.best().filter(|set| set.margin() >= 0)?;
        let here = |slots: &[usize]| best.slots.iter().filter(|s| slots.contains(s)).count();
        let (staying, leaving) = (here(&members.actives), here(&members.retiring));
        let now = members.redundancy;
        let same = match object.copies {
            true => true,
            false if now.data == 1 => best.shape.data == 1,
            false => best.shape == now,
        };
        let width = match object.copies {
            true => members
                .actives
                .len()
                .min(usize::from(super::write::MAX_COPIES)),
            false if same => now.width(),
            false => best.shape.width(),
        };
        let free = members.actives.len() - staying;
        if best.slots.len() < width && free > 0 {
            let margin = u8::try_from(best.margin()).unwrap_or(u8::MAX);
            return Some(Work::Rebuild(margin));
        }
        let surplus = object.sets.len() > 1 || best.slots.len() > width;
        // Copies of small things on a leaving member need not go anywhere.
        let others = leaving > 0 && object.copies && staying > usize::from(now.parity);
        if leaving > 0 && (free > 0 || surplus || others) {
            return Some(Work::Evacuate);
        }
        if !same && members.actives.len() >= now.width() {
            return Some(Work::Reshape);
        }
        if surplus && staying >= width.min(members.actives.len()) {
            return Some(Work::Tidy);
        }
        if best.slots.len() < width || leaving > 0 || !same {
            return Some(Work::Wait);
        }
        self.shift(object, members).map(|_| Work::Balance)
    }

    /// A move of one shard that brings an object nearer to where new ones go,
    /// and the members nearer to being evenly full.
    fn shift(&self, object: &Object, members: &Members) -> Option<(usize, usize)> {
        let [set] = object.sets.as_slice() else {
            return None;
        };
        let width = members.redundancy.width();
        let as_now = set.shape.data == members.redundancy.data;
        let full = set.slots.len() == width && width < members.actives.len();
        if object.copies || !full || !as_now {
            return None;
        }
        if !set.slots.iter().all(|slot| members.actives.contains(slot)) {
            return None;
        }
        let ranked = self.actives(&object.name).0;
        let ideal: Vec<usize> = ranked.iter().take(width).map(|m| m.slot).collect();
        let shard = shard_bytes(object);
        let wrong = set.slots.iter().filter(|slot| !ideal.contains(slot));
        let right = ideal.iter().filter(|slot| !set.slots.contains(slot));
        let from = wrong.max_by_key(|slot| members.used.get(slot))?;
        let to = right.min_by_key(|slot| members.used.get(slot))?;
        members.evens(*from, *to, shard).then_some((*from, *to))
    }

    /// Members that were replaced go when nothing needs them any more.
    fn let_replaced_go(&self, report: &mut SettleReport) -> Result<()> {
        let _changing = self
            .changing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let replaced: Vec<(usize, String)> = {
            let state = self.look();
            let has_successor = |id: &super::identity::Id| {
                let id = crate::engine::storage::hex(id);
                let successor = |e: &super::identity::RosterEntry| {
                    !e.gone && e.replaces.as_deref() == Some(id.as_str())
                };
                state.roster.members.iter().any(successor)
            };
            let done = state
                .members()
                .filter(|(_, e, _)| e.retiring && has_successor(&e.id));
            done.map(|(slot, e, _)| (slot, e.label.clone())).collect()
        };
        for (slot, label) in replaced {
            let member = self.look().online[slot].clone();
            if member.is_some_and(|m| super::folder::holds_anything(&m.path)) {
                continue;
            }
            match self.let_go(slot, false) {
                Ok(_) => report.gone.push(label),
                // It is still needed; the report tells what waits.
                Err(e) if e.kind() == Kind::Refused => {
                    report.why.get_or_insert(e.to_string());
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Bytes of one shard, without headers and sums.
fn shard_bytes(object: &Object) -> u64 {
    let data = object.best().map_or(1, |set| set.shape.data);
    object.len / u64::from(data.max(1))
}

//! A storage in memory that keeps live and durable bytes apart, and fails or
//! loses power on command at the Nth operation. What the contract of
//! [`Storage`] leaves open at a power cut, [`super::cut`] decides.

use std::collections::BTreeMap;
use std::sync::Mutex;

use colca::engine::storage::{Class, Health, Name, Space, Storage};
use colca::engine::{Error, Kind, Result};

use super::cut::{Change, Cut, Object};

/// What happens when the operation counter reaches its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This operation fails with an error; later ones work.
    Fail,
    /// The same, but what was asked for has happened all the same.
    Late,
    /// The power goes: this and all later operations fail until [`Fake::restart`].
    PowerCut,
}

#[derive(Default)]
struct State {
    live: BTreeMap<Name, Object>,
    durable: BTreeMap<Name, Object>,
    /// Changes since the last sync, in order.
    pending: Vec<(Name, Change)>,
    operations: u64,
    calls: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    capacity: Option<u64>,
    gets: u64,
    mended: u64,
}

type Meddling = Box<dyn FnOnce() + Send>;

/// The storage.
#[derive(Default)]
pub struct Fake(Mutex<State>, Mutex<Option<(u64, Meddling)>>);

impl Fake {
    pub fn new() -> Self {
        Self::default()
    }

    /// The `n`th changing operation from now on (0 is the next) meets `fault`.
    pub fn fault_in(&self, n: u64, fault: Fault) {
        let mut s = self.0.lock().unwrap();
        s.fault = Some((s.operations + n, fault));
    }

    /// Before the `n`th call from now on (0 is the next; reading counts too),
    /// whoever makes it, `meddling` runs.
    pub fn meddle_in(&self, n: u64, meddling: impl FnOnce() + Send + 'static) {
        let at = self.0.lock().unwrap().calls + n;
        *self.1.lock().unwrap() = Some((at, Box::new(meddling)));
    }

    /// Whether the meddling has happened; if not, it no longer will.
    pub fn meddled(&self) -> bool {
        self.1.lock().unwrap().take().is_none()
    }

    /// Counts a call and lets somebody meddle before it.
    fn call(&self) {
        let now = {
            let mut s = self.0.lock().unwrap();
            s.calls += 1;
            s.calls - 1
        };
        let due = {
            let mut meddling = self.1.lock().unwrap();
            match &*meddling {
                Some((at, _)) if *at <= now => meddling.take(),
                _ => None,
            }
        };
        if let Some((_, meddle)) = due {
            meddle();
        }
    }

    /// Changing operations so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// Whether the fault that was set has happened; if not, it no longer will.
    pub fn struck(&self) -> bool {
        self.0.lock().unwrap().fault.take().is_none()
    }

    /// After a power cut: of what was not synced, an arbitrary part (by `seed`)
    /// reached the disk.
    pub fn restart(&self, seed: u64) {
        self.restart_as(Cut::of(seed), seed);
    }

    /// The same, saying which part.
    pub fn restart_as(&self, cut: Cut, seed: u64) {
        let mut s = self.0.lock().unwrap();
        let mut disk = std::mem::take(&mut s.durable);
        cut.apply(&mut disk, std::mem::take(&mut s.pending), seed);
        s.durable = disk.clone();
        s.live = disk;
        s.dead = false;
        s.fault = None;
    }

    /// After a power cut that was only an outage: it answers again, nothing is lost.
    pub fn back(&self) {
        let mut s = self.0.lock().unwrap();
        s.dead = false;
        s.fault = None;
    }

    /// Makes all changes durable.
    pub fn sync_all(&self) {
        let mut s = self.0.lock().unwrap();
        s.pending.clear();
        s.durable = s.live.clone();
    }

    /// Another storage with the same objects.
    pub fn twin(&self) -> Self {
        let live = self.0.lock().unwrap().live.clone();
        let state = State {
            durable: live.clone(),
            live,
            ..State::default()
        };
        Self(Mutex::new(state), Mutex::default())
    }

    /// Every object loses a part of its redundancy.
    pub fn wear(&self, seed: u64) {
        let mut s = self.0.lock().unwrap();
        for (at, object) in s.live.values_mut().enumerate() {
            object.wear(seed + at as u64);
        }
        s.pending.clear();
        s.durable = s.live.clone();
    }

    /// No room beyond so many bytes; `None` for as much as wanted.
    pub fn capacity(&self, bytes: Option<u64>) {
        self.0.lock().unwrap().capacity = bytes;
    }

    pub fn names(&self, class: Class) -> Vec<Name> {
        let mut names: Vec<_> = self.list(class).unwrap().into_iter().map(|n| n.0).collect();
        names.sort();
        names
    }

    pub fn stored(&self) -> u64 {
        self.0.lock().unwrap().stored()
    }

    pub fn gets(&self) -> u64 {
        self.0.lock().unwrap().gets
    }

    /// Objects that have lost a part of their redundancy.
    pub fn degraded(&self) -> usize {
        let s = self.0.lock().unwrap();
        s.live.values().filter(|o| o.bad().is_some()).count()
    }

    /// Parts written anew so far.
    pub fn mended(&self) -> u64 {
        self.0.lock().unwrap().mended
    }

    pub fn bytes(&self, name: &Name) -> Vec<u8> {
        self.0.lock().unwrap().live[name].bytes().to_vec()
    }

    /// Changes an object behind everybody's back; `None` removes it.
    pub fn tamper(&self, name: &Name, bytes: Option<Vec<u8>>) {
        let mut s = self.0.lock().unwrap();
        match bytes {
            Some(bytes) => {
                let object = Object::new(bytes);
                s.live.insert(*name, object.clone());
                s.durable.insert(*name, object);
            }
            None => {
                s.live.remove(name);
                s.durable.remove(name);
            }
        }
    }
}

impl State {
    fn alive(&self) -> Result<()> {
        if self.dead {
            return Err(Error::new(Kind::Io, "the power is off"));
        }
        Ok(())
    }

    fn stored(&self) -> u64 {
        self.live.values().map(|o| o.bytes().len() as u64).sum()
    }

    /// Counts a changing operation, which begins now; the fault it meets.
    fn step(&mut self) -> Result<Option<Fault>> {
        self.alive()?;
        let now = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, fault)) if at == now => {
                self.fault = None;
                self.dead = fault == Fault::PowerCut;
                Ok(Some(fault))
            }
            _ => Ok(None),
        }
    }

    /// Makes a change, as far as `fault` lets it happen.
    fn change(&mut self, name: &Name, change: Change, fault: Option<Fault>) -> Result<()> {
        if fault != Some(Fault::Fail) {
            change.clone().to(&mut self.live, name);
            self.pending.push((*name, change));
        }
        fault.map_or(Ok(()), injected)
    }

    fn object(&self, name: &Name) -> Result<&Object> {
        self.alive()?;
        self.live
            .get(name)
            .ok_or_else(|| Error::new(Kind::Missing, format!("{name} is not there")))
    }
}

fn injected(fault: Fault) -> Result<()> {
    Err(Error::new(Kind::Io, format!("injected {fault:?}")))
}

impl Storage for Fake {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.call();
        let mut s = self.0.lock().unwrap();
        let fault = s.step()?;
        if let Some(capacity) = s.capacity
            && s.stored() + bytes.len() as u64 > capacity
        {
            return Err(Error::new(Kind::Full, "the fake storage is full"));
        }
        s.change(name, Change::Put(Object::new(bytes.to_vec())), fault)
    }

    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        self.call();
        let mut s = self.0.lock().unwrap();
        s.gets += 1;
        Ok(s.object(name)?.bytes().to_vec())
    }

    fn get_range(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.call();
        let mut s = self.0.lock().unwrap();
        s.gets += 1;
        let all = s.object(name)?.bytes();
        let start = offset as usize;
        all.get(start..start + len)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| Error::new(Kind::Corrupt, format!("{name} is too short")))
    }

    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>> {
        self.call();
        let s = self.0.lock().unwrap();
        s.alive()?;
        Ok(s.live
            .iter()
            .filter(|(name, _)| match class {
                Class::Segments => matches!(name, Name::Segment(_)),
                Class::Snapshots => matches!(name, Name::Snapshot(_)),
            })
            .map(|(name, object)| (*name, object.bytes().len() as u64))
            .collect())
    }

    fn delete(&self, name: &Name) -> Result<()> {
        self.call();
        let mut s = self.0.lock().unwrap();
        let fault = s.step()?;
        s.change(name, Change::Delete, fault)
    }

    fn sync(&self) -> Result<()> {
        self.call();
        let mut s = self.0.lock().unwrap();
        let fault = s.step()?;
        if matches!(fault, None | Some(Fault::Late)) {
            s.pending.clear();
            s.durable = s.live.clone();
        }
        fault.map_or(Ok(()), injected)
    }

    fn space(&self) -> Result<Space> {
        let s = self.0.lock().unwrap();
        let total = s.capacity.unwrap_or(1 << 40);
        Ok(Space {
            total,
            free: total.saturating_sub(s.stored()),
        })
    }

    /// Repairing is a changing operation.
    fn check(&self, name: &Name, repair: bool) -> Result<Health> {
        self.call();
        let mut s = self.0.lock().unwrap();
        s.gets += 1;
        let Some((part, missing)) = s.object(name)?.bad() else {
            return Ok(Health::default());
        };
        if repair {
            let fault = s.step()?;
            s.change(name, Change::Mend(part), fault)?;
            s.mended += 1;
        }
        Ok(Health {
            missing: u32::from(missing),
            corrupt: u32::from(!missing),
            repaired: u32::from(repair),
        })
    }

    fn describe(&self) -> String {
        "a fake storage".into()
    }
}

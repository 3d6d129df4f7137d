//! A storage in memory that keeps live and durable bytes apart, and fails on
//! command at the Nth operation.

use std::collections::BTreeMap;
use std::sync::Mutex;

use colca::engine::storage::{Class, Health, Name, Space, Storage};
use colca::engine::{Error, Kind, Result};

/// What happens when the operation counter reaches its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This operation fails with an error; later ones work.
    Fail,
    /// The power goes: this and all later operations fail until [`Fake::restart`].
    PowerCut,
}

#[derive(Default)]
struct State {
    live: BTreeMap<Name, Vec<u8>>,
    durable: BTreeMap<Name, Vec<u8>>,
    /// Changes since the last sync, in order: a put, or a deletion.
    pending: Vec<(Name, Option<Vec<u8>>)>,
    operations: u64,
    calls: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    capacity: Option<u64>,
    gets: u64,
    put_bytes: u64,
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
    /// reached the disk, each change wholly or not at all, in any order.
    pub fn restart(&self, seed: u64) {
        let mut s = self.0.lock().unwrap();
        let mut disk = std::mem::take(&mut s.durable);
        let bits = super::noise(s.pending.len() + 1, seed);
        for ((name, change), bit) in std::mem::take(&mut s.pending).into_iter().zip(bits) {
            if bit & 1 == 0 {
                continue;
            }
            match change {
                Some(bytes) => disk.insert(name, bytes),
                None => disk.remove(&name),
            };
        }
        s.durable = disk.clone();
        s.live = disk;
        s.dead = false;
        s.fault = None;
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
        let s = self.0.lock().unwrap();
        s.live.values().map(|b| b.len() as u64).sum()
    }

    pub fn gets(&self) -> u64 {
        self.0.lock().unwrap().gets
    }

    pub fn bytes(&self, name: &Name) -> Vec<u8> {
        self.0.lock().unwrap().live[name].clone()
    }

    /// Changes an object behind everybody's back; `None` removes it.
    pub fn tamper(&self, name: &Name, bytes: Option<Vec<u8>>) {
        let mut s = self.0.lock().unwrap();
        match bytes {
            Some(bytes) => {
                s.live.insert(*name, bytes.clone());
                s.durable.insert(*name, bytes);
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

    /// Counts a changing operation and lets the fault happen.
    fn step(&mut self) -> Result<()> {
        self.alive()?;
        let now = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, fault)) if at == now => {
                self.fault = None;
                self.dead = fault == Fault::PowerCut;
                Err(Error::new(Kind::Io, format!("injected {fault:?}")))
            }
            _ => Ok(()),
        }
    }
}

fn missing(name: &Name) -> Error {
    Error::new(Kind::Missing, format!("{name} is not there"))
}

impl Storage for Fake {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.call();
        let mut s = self.0.lock().unwrap();
        s.step()?;
        if let Some(capacity) = s.capacity {
            let used: u64 = s.live.values().map(|b| b.len() as u64).sum();
            if used + bytes.len() as u64 > capacity {
                return Err(Error::new(Kind::Full, "the fake storage is full"));
            }
        }
        s.put_bytes += bytes.len() as u64;
        s.live.insert(*name, bytes.to_vec());
        s.pending.push((*name, Some(bytes.to_vec())));
        Ok(())
    }

    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        self.call();
        let mut s = self.0.lock().unwrap();
        s.alive()?;
        s.gets += 1;
        s.live.get(name).cloned().ok_or_else(|| missing(name))
    }

    fn get_range(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.call();
        let mut s = self.0.lock().unwrap();
        s.alive()?;
        s.gets += 1;
        let all = s.live.get(name).ok_or_else(|| missing(name))?;
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
            .map(|(name, bytes)| (*name, bytes.len() as u64))
            .collect())
    }

    fn delete(&self, name: &Name) -> Result<()> {
        self.call();
        let mut s = self.0.lock().unwrap();
        s.step()?;
        s.live.remove(name);
        s.pending.push((*name, None));
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.call();
        let mut s = self.0.lock().unwrap();
        s.step()?;
        s.pending.clear();
        s.durable = s.live.clone();
        Ok(())
    }

    fn space(&self) -> Result<Space> {
        let s = self.0.lock().unwrap();
        let used: u64 = s.live.values().map(|b| b.len() as u64).sum();
        let total = s.capacity.unwrap_or(1 << 40);
        Ok(Space {
            total,
            free: total.saturating_sub(used),
        })
    }

    fn check(&self, name: &Name, _repair: bool) -> Result<Health> {
        self.get(name).map(|_| Health::default())
    }

    fn describe(&self) -> String {
        "a fake storage".into()
    }
}

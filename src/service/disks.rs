//! The disks of the box as people meet them: how each is and why, what it
//! said over time, which one is meant, and that each tests itself now and then.

mod alarms;
mod history;
mod schedule;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use alarms::{Alarm, AlarmKind};
pub use history::Sample;
pub use state::{DiskState, Place, Reason};

use super::pool::{Watch, Why};
use super::{PoolView, Service};
use crate::appliance::Settings;
use crate::devices::{Contents, Disk, Sign, Smart};
use crate::engine::{Error, Kind, Result};
use crate::pool::{MemberState, MemberStatus, Pool};
use history::Past;
use state::{Facts, judge};

/// How often the disks are asked how they are.
const LOOK: Duration = Duration::from_secs(600);
/// How often they test themselves.
const SHORT_TEST: SignedDuration = SignedDuration::from_hours(7 * 24);
const LONG_TEST: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Damage that the pool found on a disk within a month makes it failing from
/// this many on: one may be a cosmic ray.
const POOL_ERRORS: usize = 10;

/// A disk with its state and the reason for it. A member of the pool that is
/// not there is listed too, as it was when it was last seen.
#[derive(Clone, Debug, Serialize)]
pub struct DiskView {
    /// The disk. `name` is empty if it is not there.
    #[serde(flatten)]
    pub disk: Disk,
    /// What people call it: its serial number, or its name if it has none.
    pub called: String,
    /// What it is to the box.
    pub place: Place,
    /// Whether it is in the box now.
    pub there: bool,
    /// How it is.
    pub state: DiskState,
    /// Why.
    pub reason: Reason,
    /// What it warns of, gravest first.
    pub alarms: Vec<Alarm>,
    /// Of one that is not there: when it last was.
    pub seen: Option<Timestamp>,
}

/// What is remembered of the disks.
pub(super) struct Care {
    pasts: Mutex<BTreeMap<String, Past>>,
    pub bell: Arc<Watch>,
}

impl Care {
    pub fn open(settings: &Settings) -> Self {
        Self {
            pasts: Mutex::new(history::all(settings).into_iter().collect()),
            bell: Arc::default(),
        }
    }

    fn pasts(&self) -> MutexGuard<'_, BTreeMap<String, Past>> {
        // Whole at any time.
        self.pasts.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Starts the thread that asks the disks how they are; it ends with the service.
pub(super) fn care(service: &Arc<Service>) -> Result<()> {
    let (weak, bell) = (Arc::downgrade(service), service.care.bell.clone());
    let look = move || {
        while let Some(service) = weak.upgrade() {
            service.look_after_disks();
            drop(service);
            if bell.wait(LOOK) == Why::Stop {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("disk-care".into())
        .spawn(look)
        .map(drop)
        .map_err(|e| Error::io("starting the thread that looks after the disks", e))
}

/// What people call a disk.
fn called(disk: &Disk) -> &str {
    match disk.serial.is_empty() {
        true => &disk.name,
        false => &disk.serial,
    }
}

fn mount_of(disk: &Disk) -> Option<&std::path::Path> {
    match &disk.contents {
        Contents::Member { mount, .. } => mount.as_deref(),
        _ => None,
    }
}

impl Service {
    /// Every disk of the box, and every member of the pool that is not in it.
    pub fn disk_views(&self) -> Result<Vec<DiskView>> {
        Ok(self.view(self.disks()?))
    }

    /// One of them, by serial number (or name where it has none).
    pub fn disk_view(&self, called: &str) -> Result<DiskView> {
        let mut all = self.disk_views()?;
        all.retain(|view| view.called == called);
        all.pop().ok_or_else(|| no_disk(called))
    }

    /// The figures of a disk over time, oldest first.
    pub fn disk_history(&self, called: &str) -> Result<Vec<Sample>> {
        let pasts = self.care.pasts();
        let past = pasts.get(called).ok_or_else(|| no_disk(called))?;
        Ok(past.samples.clone())
    }

    /// Lets a disk show itself to a person for a minute.
    pub fn identify(&self, called: &str) -> Result<Sign> {
        self.devices.identify(called)
    }

    /// Lets a disk begin to test itself; the result is seen when it has ended.
    pub fn test_disk(&self, called: &str, long: bool) -> Result<()> {
        self.devices.self_test(called, long)?;
        let mut pasts = self.care.pasts();
        if let Some(past) = pasts.get_mut(called) {
            match long {
                true => past.long_test = Timestamp::now(),
                false => past.short_test = Timestamp::now(),
            }
            history::put(self.state.settings(), called, past)?;
        }
        Ok(())
    }

    /// The disks with their states, given what the devices say.
    pub(super) fn view(&self, disks: Vec<Disk>) -> Vec<DiskView> {
        let pool = self.pool();
        let members = pool.as_ref().map_or(&[][..], |p| &p.status.members);
        let mut seen = vec![false; members.len()];
        let mut views: Vec<DiskView> = disks
            .into_iter()
            .map(|mut disk| {
                if let Contents::Member { pool, mount } = &mut disk.contents {
                    *pool = mount
                        .as_deref()
                        .and_then(|m| Pool::identify(m).ok().flatten());
                }
                let at = members.iter().position(|m| is_member(&disk, m));
                if let Some(at) = at {
                    seen[at] = true;
                }
                self.judged(disk, at.map(|at| &members[at]), pool.as_ref())
            })
            .collect();
        let away = members.iter().zip(seen).filter(|(_, seen)| !seen);
        views.extend(away.map(|(member, _)| self.away(member, pool.as_ref())));
        views
    }

    fn judged(
        &self,
        disk: Disk,
        member: Option<&MemberStatus>,
        pool: Option<&PoolView>,
    ) -> DiskView {
        let alarms = self.alarms_of(&disk);
        let kinds: Vec<AlarmKind> = alarms.iter().map(|a| a.kind).collect();
        // Of a pool that is not open nobody knows who would answer.
        let closed = pool.is_some_and(|pool| pool.problem.is_some());
        let ours = matches!(disk.contents, Contents::Member { .. });
        let place = place(&disk, member, pool);
        let (state, reason) = judge(&Facts {
            place,
            there: true,
            online: member.is_some_and(|m| m.state != MemberState::Missing) || (closed && ours),
            emptied: !ours,
            given_up: disk.given_up.is_some(),
            read_only: disk.read_only,
            pool_errors: self.pool_errors(called(&disk)) >= POOL_ERRORS,
            asleep: disk.smart.asleep,
            smart: disk.smart != Smart::default(),
            alarms: &kinds,
        });
        DiskView {
            called: called(&disk).to_owned(),
            disk,
            place,
            there: true,
            state,
            reason,
            alarms,
            seen: None,
        }
    }

    /// A member that is not there, as it was.
    fn away(&self, member: &MemberStatus, pool: Option<&PoolView>) -> DiskView {
        let past = self.care.pasts().get(&member.label).cloned();
        let place = match member.state {
            MemberState::Spare => Place::Spare,
            _ => Place::Member,
        };
        let disk = Disk {
            name: String::new(),
            model: past.as_ref().map_or_else(String::new, |p| p.model.clone()),
            serial: member.label.clone(),
            wwn: None,
            size: member.total,
            rotational: false,
            transport: String::new(),
            slot: past.as_ref().and_then(|p| p.slot.clone()),
            read_only: false,
            given_up: None,
            smart: Smart::default(),
            contents: Contents::Member {
                pool: pool.map(|p| p.status.id.clone()),
                mount: None,
            },
        };
        DiskView {
            called: member.label.clone(),
            disk,
            place,
            there: false,
            state: DiskState::Missing,
            reason: Reason::Away,
            alarms: Vec::new(),
            seen: past.map(|p| p.seen),
        }
    }

    /// What is raised already, and what the disk says just now.
    fn alarms_of(&self, disk: &Disk) -> Vec<Alarm> {
        let past = self.care.pasts().get(called(disk)).cloned();
        let mut alarms = past.map(|p| p.alarms).unwrap_or_default();
        alarms::update(&mut alarms, &disk.smart, disk.rotational, Timestamp::now());
        alarms
    }

    /// Asks every disk how it is, remembers it, and lets one test itself if it is time.
    fn look_after_disks(&self) {
        let disks = match self.disks() {
            Ok(disks) => disks,
            Err(e) => {
                tracing::warn!("the disks cannot be listed: {e}");
                return;
            }
        };
        let now = Timestamp::now();
        for disk in disks.iter().filter(|d| !called(d).is_empty()) {
            if let Err(e) = self.remember(disk, now) {
                tracing::warn!(disk = called(disk), "its figures cannot be remembered: {e}");
            }
        }
        self.forget_surplus();
        let views = self.view(disks);
        let due = {
            let pasts = self.care.pasts();
            let ours = views
                .iter()
                .filter(|v| v.there && (v.place.of_pool() || v.place == Place::System))
                .filter_map(|v| Some((v.called.as_str(), &v.disk.smart, pasts.get(&v.called)?)));
            schedule::due(ours, now, SHORT_TEST, LONG_TEST)
        };
        if let Some(due) = due {
            match self.test_disk(&due.serial, due.long) {
                Ok(()) => tracing::info!(disk = due.serial, long = due.long, "tests itself"),
                Err(e) => tracing::info!("no self-test now: {e}"),
            }
        }
    }

    fn remember(&self, disk: &Disk, now: Timestamp) -> Result<()> {
        let mut pasts = self.care.pasts();
        let serial = called(disk);
        let known = pasts.contains_key(serial);
        let past = pasts
            .entry(serial.to_owned())
            .or_insert_with(|| Past::new(serial, now, SHORT_TEST, LONG_TEST));
        let before = past.alarms.len();
        if past.take(disk, now) || !known {
            if past.alarms.len() > before {
                tracing::warn!(disk = serial, alarms = ?past.alarms, "the disk warns");
            }
            history::put(self.state.settings(), serial, past)?;
        }
        Ok(())
    }

    fn forget_surplus(&self) {
        let mut pasts = self.care.pasts();
        for serial in history::surplus(pasts.iter()) {
            pasts.remove(&serial);
            if let Err(e) = history::forget(self.state.settings(), &serial) {
                tracing::warn!("{e}");
            }
        }
    }
}

fn is_member(disk: &Disk, member: &MemberStatus) -> bool {
    let same_path = mount_of(disk).is_some_and(|mount| member.path.as_deref() == Some(mount));
    same_path || member.label == called(disk)
}

/// What a disk is to the box.
fn place(disk: &Disk, member: Option<&MemberStatus>, pool: Option<&PoolView>) -> Place {
    if disk.contents == Contents::System {
        return Place::System;
    }
    if let Some(member) = member {
        return match member.state {
            MemberState::Spare => Place::Spare,
            MemberState::Retiring => Place::Retiring,
            MemberState::Online | MemberState::Missing => Place::Member,
        };
    }
    match &disk.contents {
        Contents::System => Place::System,
        Contents::Blank => Place::Blank,
        Contents::Other { .. } => Place::OtherData,
        Contents::Member { pool: Some(id), .. } => {
            match pool.is_some_and(|pool| pool.status.id == *id) {
                true => Place::Retired,
                false => Place::OtherPool,
            }
        }
        Contents::Member { pool: None, mount } => match mount {
            Some(_) => Place::Prepared,
            None => Place::OtherPool,
        },
    }
}

fn no_disk(called: &str) -> Error {
    Error::new(
        Kind::Missing,
        format!("no disk has the serial number {called:?}; look at the list of disks again"),
    )
}

//! Disks that join the pool, leave it, or take another's place.
//!
//! The change itself is one new list of members, durable at once; what it
//! brings about, moving and rebuilding data, is the work of a settle, which
//! goes on by itself after a stop of the box until nothing is left to do.

use std::sync::{Arc, PoisonError};

use super::{NAME, Open, PoolRecord, no_pool};
use crate::engine::{Error, Kind, Result};
use crate::jobs::Id;
use crate::pool::{NewMember, Pool};
use crate::service::{DiskState, DiskView, Place, Service};

/// A disk for the pool, and its serial number once more, typed by a person
/// who wants it wiped.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDisk {
    /// Serial number, or kernel name where it has none.
    pub disk: String,
    /// The same.
    pub confirm: String,
    /// Held back until another is missing.
    #[serde(default)]
    pub spare: bool,
}

impl DiskView {
    /// Whether the pool may take it: it holds nothing of a pool, and works.
    pub fn offered(&self) -> bool {
        let usable = matches!(
            self.place,
            Place::Blank | Place::Prepared | Place::OtherData
        );
        self.there && usable && self.state != DiskState::Failing
    }
}

impl Service {
    /// The open pool.
    ///
    /// # Errors
    /// `Missing` if there is none, `Transient` while it is not open.
    pub(in crate::service) fn open_now(&self) -> Result<Arc<Pool>> {
        // Says why it is not open.
        self.repository()?;
        let now = self.pool.now();
        let open: Option<&Open> = now.open.as_ref();
        open.map(|open| open.pool.clone()).ok_or_else(no_pool)
    }

    /// Disks join the pool; its data are spread over them by the job. May take
    /// minutes, because they are formatted first.
    ///
    /// # Errors
    /// `Refused` if a disk is not offered, or its serial number was not repeated.
    pub fn add_disks(self: &Arc<Self>, new: &[NewDisk]) -> Result<Id> {
        let _change = self.change_begins();
        let pool = self.open_now()?;
        let members = self.prepare_disks(new)?;
        pool.add(&members)?;
        let labels: Vec<&str> = new.iter().map(|n| n.disk.as_str()).collect();
        tracing::info!(disks = labels.join(", "), "added to the pool");
        self.members_changed(&pool)
    }

    /// A disk takes the place of a member, which leaves when the job has moved
    /// or rebuilt its data.
    ///
    /// # Errors
    /// As for [`Service::add_disks`], and `Missing` if `old` is no member.
    pub fn replace_disk(self: &Arc<Self>, old: &str, new: &NewDisk) -> Result<Id> {
        let _change = self.change_begins();
        let pool = self.open_now()?;
        self.known_member(&pool, old)?;
        let one = NewDisk {
            spare: false,
            ..new.clone()
        };
        let members = self.prepare_disks(std::slice::from_ref(&one))?;
        for member in &members {
            pool.replace(old, member)?;
        }
        tracing::info!(old, new = new.disk, "a member is being replaced");
        self.members_changed(&pool)
    }

    /// A member gets nothing new, and its data are moved to the others by the job.
    ///
    /// # Errors
    /// `Refused` when the others are too few for the pool's redundancy.
    pub fn retire_disk(self: &Arc<Self>, disk: &str) -> Result<Id> {
        let _change = self.change_begins();
        let pool = self.open_now()?;
        pool.retire(disk)?;
        tracing::info!(disk, "a member is about to leave");
        self.members_changed(&pool)
    }

    /// Takes [`Service::retire_disk`] back.
    pub fn keep_disk(self: &Arc<Self>, disk: &str) -> Result<Id> {
        let _change = self.change_begins();
        let pool = self.open_now()?;
        pool.keep(disk)?;
        self.members_changed(&pool)
    }

    /// A spare, a member that was emptied, or one that does not come back is a
    /// member no more.
    ///
    /// # Errors
    /// `Refused` while anything lacks parts without it.
    pub fn remove_disk(self: &Arc<Self>, disk: &str) -> Result<()> {
        let _change = self.change_begins();
        let pool = self.open_now()?;
        pool.remove(disk, false)?;
        tracing::info!(disk, "is a member no more");
        self.remember_members(&pool)
    }

    fn change_begins(&self) -> std::sync::MutexGuard<'_, ()> {
        // It guards an order only.
        let changes = &self.pool.changes;
        changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_member(&self, pool: &Pool, disk: &str) -> Result<()> {
        let members = pool.status().members;
        match members.iter().any(|m| m.label == disk) {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Missing,
                format!("disk {disk} is no member of the pool; look at the list of disks again"),
            )),
        }
    }

    /// Checks all before the first is wiped.
    fn prepare_disks(&self, new: &[NewDisk]) -> Result<Vec<NewMember>> {
        let refuse = |text: String| Err(Error::new(Kind::Refused, text));
        if new.is_empty() {
            return refuse("no disk was named".to_owned());
        }
        let views = self.disk_views()?;
        for (i, one) in new.iter().enumerate() {
            let name = &one.disk;
            if new[..i].iter().any(|other| other.disk == *name) {
                return refuse(format!("disk {name} is named twice"));
            }
            let Some(view) = views.iter().find(|v| v.called == *name) else {
                return Err(Error::new(
                    Kind::Missing,
                    format!(
                        "no disk has the serial number {name:?}; look at the list of disks again"
                    ),
                ));
            };
            if !view.offered() {
                return refuse(format!(
                    "disk {name} cannot be taken into the pool ({}); choose another",
                    view.reason.as_str()
                ));
            }
            if one.confirm != *name {
                return refuse(format!(
                    "disk {name} would be wiped: to go on, confirm with its serial number"
                ));
            }
        }
        new.iter()
            .map(|one| {
                let path = self.devices.prepare(&one.disk, Some(&one.confirm));
                Ok(NewMember {
                    path: path.map_err(|e| e.context(format_args!("disk {}", one.disk)))?,
                    label: one.disk.clone(),
                    spare: one.spare,
                })
            })
            .collect()
    }

    /// After a change: remembered for when the pool is not open, and carried out.
    fn members_changed(self: &Arc<Self>, pool: &Pool) -> Result<Id> {
        self.remember_members(pool)?;
        self.want_settle(std::time::Duration::ZERO)?;
        self.run_settle()
    }

    /// Keeps the list of members by which the pool is named while it is not open.
    pub(super) fn remember_members(&self, pool: &Pool) -> Result<()> {
        // Asking the disks may take a while, so not under the lock.
        let status = pool.status();
        let mut now = self.pool.now();
        let Some(record) = &now.record else {
            return Ok(());
        };
        let members = PoolRecord::members_of(&status);
        if members == record.members && status.redundancy == record.redundancy {
            return Ok(());
        }
        let record = PoolRecord {
            members,
            redundancy: status.redundancy,
            ..record.clone()
        };
        self.state.settings().put(NAME, &record)?;
        now.record = Some(record);
        Ok(())
    }
}

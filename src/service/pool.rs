//! Disks and pool: creating it, opening it at start, finding disks again.
//!
//! A record in the settings says that there is a pool and which; whether it
//! can be opened depends on the disks, which may appear later or not at all.
//! So the daemon always starts, and a thread looks for the disks until the
//! pool is open, and again while it is degraded.

mod choice;
mod damage;
mod members;
mod watch;
mod work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CreatedPool, NewPool, PoolView, Service};
use crate::appliance::keyring::{Home, Opener};
use crate::appliance::{Record, Settings};
use crate::devices::Disk;
use crate::engine::{Error, Kind, MasterKey, Params, RecoveryKey, Repository, Result};
use crate::pool::{MemberState, MemberStatus, NewMember, Pool, PoolState, PoolStatus, Redundancy};

pub(super) use damage::sum_up;
pub use members::NewDisk;
pub(super) use watch::{Watch, Why, watch};
pub use work::PoolCare;

use choice::{Cleanup, check_disks, named};

const NAME: &str = "pool";
/// How old a list of disks may be where it need not be new.
const FRESH: Duration = Duration::from_secs(60);

/// What is remembered of the pool, to name it while it is not open.
#[derive(Clone, Serialize, Deserialize)]
struct PoolRecord {
    id: String,
    redundancy: Redundancy,
    members: Vec<MemberRecord>,
    created: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MemberRecord {
    id: String,
    label: String,
}

impl Record for PoolRecord {
    const VERSION: u32 = 1;
}

#[derive(Clone)]
struct Open {
    pool: Arc<Pool>,
    repository: Arc<Repository>,
}

/// The one pool of the box.
pub(super) struct Slot {
    now: Mutex<Now>,
    /// Held while the pool is created or opened, which takes long; `now` is
    /// only ever held for a moment.
    work: Mutex<()>,
    /// Held while disks join the pool or leave it.
    changes: Mutex<()>,
    /// The members that were there when they were last looked at, by id.
    seen: Mutex<Option<Vec<String>>>,
    /// When it was last looked at whether a scrub is due.
    looked: Mutex<Option<Instant>>,
}

struct Now {
    record: Option<PoolRecord>,
    open: Option<Open>,
    problem: Option<String>,
    /// When the disks were there but what is kept on the box did not open them.
    locked: Option<Instant>,
}

impl Now {
    fn opened(&mut self, id: &str, open: Open) {
        tracing::info!(pool = id, "pool open");
        self.open = Some(open);
        self.problem = None;
        self.locked = None;
    }
}

impl Slot {
    pub fn open(settings: &Settings) -> Result<Self> {
        let record: Option<PoolRecord> = settings.get(NAME)?;
        let problem = record
            .is_some()
            .then(|| "the disks are being looked for".to_owned());
        Ok(Self {
            now: Mutex::new(Now {
                record,
                open: None,
                problem,
                locked: None,
            }),
            work: Mutex::new(()),
            changes: Mutex::new(()),
            seen: Mutex::new(None),
            // Not at once after a start, when there is enough to do.
            looked: Mutex::new(Some(Instant::now())),
        })
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // Only assignments happen under it.
        self.now.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The disks as they were a moment ago: asking them all for their SMART
/// verdict takes too long for a page that is looked at all the time.
#[derive(Default)]
pub(super) struct LastLook(Mutex<Option<(Instant, Vec<Disk>)>>);

impl LastLook {
    /// The next one who asks is told what is there then.
    fn forget(&self) {
        *self.0.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }
}

impl Service {
    /// Every whole disk, system disk included.
    pub fn disks(&self) -> Result<Vec<Disk>> {
        self.devices.disks()
    }

    /// The same, at most a minute old; empty if they cannot be listed.
    pub(super) fn recent_disks(&self) -> Vec<Disk> {
        let mut last = self.disks.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((time, disks)) = &*last
            && time.elapsed() < FRESH
        {
            return disks.clone();
        }
        let disks = self.disks().unwrap_or_else(|e| {
            tracing::warn!("the disks cannot be listed: {e}");
            Vec::new()
        });
        *last = Some((Instant::now(), disks.clone()));
        disks
    }

    /// Prepares the disks, makes a pool on them and a repository in it. May
    /// take minutes. `Busy` if there is a pool.
    pub fn create_pool(&self, new: &NewPool) -> Result<CreatedPool> {
        let _work = match self.pool.work.try_lock() {
            Ok(work) => work,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Kind::Busy,
                    "a pool is being created or looked for; wait for it to end",
                ));
            }
        };
        if let Some(record) = &self.pool.now().record {
            return Err(Error::new(
                Kind::Busy,
                format!("the box has pool {} already; it holds one", record.id),
            ));
        }
        let redundancy: Redundancy = new.redundancy.parse()?;
        // Everything is checked before the first disk is wiped.
        check_disks(new, redundancy, &self.devices.disks()?)?;
        let mut members = Vec::new();
        for (serial, spare) in named(new) {
            let confirm = new.confirm.iter().find(|c| *c == serial);
            let path = self
                .devices
                .prepare(serial, confirm.map(String::as_str))
                .map_err(|e| e.context(format_args!("disk {serial}")))?;
            members.push(NewMember {
                path,
                label: serial.clone(),
                spare,
            });
        }
        let clean = Cleanup::new(&members)?;
        let pool = Arc::new(Pool::create(&members, redundancy)?);
        let id = pool.id().to_owned();
        // The key is durable before anything is sealed with it.
        let (master, recovery) = (MasterKey::generate()?, RecoveryKey::generate()?);
        self.state.keyring(&id, &*self.sealer)?.remember(&master)?;
        let repository = Repository::create(
            self.with_replica(pool.clone()),
            &self.state.repository(&id)?,
            &master,
            &recovery,
            Params::for_data_shards(redundancy.data),
        )?;
        let open = Open {
            pool,
            repository: Arc::new(repository),
        };
        let status = open.pool.status();
        let record = PoolRecord {
            id: id.clone(),
            redundancy,
            members: PoolRecord::members_of(&status),
            created: Timestamp::now(),
        };
        // From here on there is a pool.
        self.state.settings().put(NAME, &record)?;
        clean.keep();
        *self.pool.now() = Now {
            record: Some(record),
            open: Some(open),
            problem: None,
            locked: None,
        };
        tracing::info!(pool = id, %redundancy, disks = new.disks.len(), spares = new.spares.len(), "pool created");
        Ok(CreatedPool {
            pool: PoolView {
                status,
                problem: None,
            },
            recovery_words: std::mem::take(&mut *recovery.words()),
        })
    }

    /// The pool; `None` before it is created.
    pub fn pool(&self) -> Option<PoolView> {
        let now = self.pool.now();
        let record = now.record.clone()?;
        let (open, problem) = (now.open.clone(), now.problem.clone());
        // Asking the disks may take a while, so not under the lock.
        drop(now);
        Some(match open {
            Some(open) => PoolView {
                status: open.pool.status(),
                problem: None,
            },
            None => PoolView {
                status: record.status(),
                problem,
            },
        })
    }

    /// Looks for the pool's disks again and opens it if it was not open.
    /// `Missing` before it is created.
    pub fn rescan(&self) -> Result<PoolView> {
        self.look_for_disks()?;
        self.pool().ok_or_else(no_pool)
    }

    /// The open repository.
    ///
    /// # Errors
    /// `Missing` if there is no pool, `Transient` while it is not open.
    pub(super) fn repository(&self) -> Result<Arc<Repository>> {
        let now = self.pool.now();
        match (&now.open, &now.record) {
            (Some(open), _) => Ok(open.repository.clone()),
            (None, None) => Err(no_pool()),
            (None, Some(record)) => Err(Error::new(
                Kind::Transient,
                format!(
                    "pool {} is not open: {}",
                    record.id,
                    now.problem
                        .as_deref()
                        .unwrap_or("its disks are being looked for")
                ),
            )),
        }
    }

    /// Refuses folders that hold the box's own state or pool, or that hold
    /// folders which do: neither is a source, and no restore goes there.
    pub(super) fn check_not_ours(&self, path: &Path) -> Result<()> {
        // What does not exist yet lies in the deepest folder that does.
        let real = path
            .ancestors()
            .find_map(|folder| folder.canonicalize().ok())
            .unwrap_or_else(|| path.to_path_buf());
        let mut ours = vec![self.state.folder().to_path_buf()];
        ours.extend(self.pool().into_iter().flat_map(|pool| {
            let paths = pool.status.members.into_iter().filter_map(|m| m.path);
            paths.map(|p| p.canonicalize().unwrap_or(p))
        }));
        let whole = path.exists();
        match ours
            .iter()
            .find(|ours| real.starts_with(ours) || (whole && ours.starts_with(&real)))
        {
            None => Ok(()),
            Some(_) => Err(Error::new(
                Kind::Refused,
                format!(
                    "{} belongs to the box's own state or pool; choose another folder",
                    path.display()
                ),
            )),
        }
    }

    /// Opens the pool on the disks there are now, or shows them to the open one.
    fn look_for_disks(&self) -> Result<()> {
        let _work = self.pool.work.lock().unwrap_or_else(|e| e.into_inner());
        let (record, open) = {
            let now = self.pool.now();
            (now.record.clone().ok_or_else(no_pool)?, now.open.clone())
        };
        let found = self.devices.mount_members();
        if let Some(open) = open {
            open.pool.rescan(&found?)?;
            self.compare_members(&open.pool);
            return Ok(());
        }
        let opened = found.and_then(|found| self.open_pool(&record, &found, None));
        let mut now = self.pool.now();
        match opened {
            Ok(open) => {
                let pool = open.pool.clone();
                now.opened(&record.id, open);
                drop(now);
                self.compare_members(&pool);
                Ok(())
            }
            Err(e) => {
                now.problem = Some(e.to_string());
                Err(e)
            }
        }
    }

    /// Whether members came or went since they were last looked at, for
    /// whatever reason they are known to be there or not.
    fn compare_members(&self, pool: &Pool) {
        let members = pool.status().members;
        let ids = |there: bool| -> Vec<String> {
            let counts = |m: &&MemberStatus| !there || m.state != MemberState::Missing;
            members
                .iter()
                .filter(counts)
                .map(|m| m.id.clone())
                .collect()
        };
        let now = ids(true);
        let mut seen = self.pool.seen.lock().unwrap_or_else(|e| e.into_inner());
        let before = seen.replace(now.clone()).unwrap_or_else(|| ids(false));
        drop(seen);
        if before != now {
            self.settle_after(now.iter().any(|id| !before.contains(id)));
        }
    }

    /// Opens the pool with what a person brings.
    pub(super) fn open_by_hand(&self, opener: &Opener) -> Result<()> {
        let _work = self.pool.work.lock().unwrap_or_else(|e| e.into_inner());
        let record = {
            let now = self.pool.now();
            if now.open.is_some() {
                return Err(Error::new(Kind::Refused, "the pool is open already"));
            }
            now.record.clone().ok_or_else(no_pool)?
        };
        let found = self.devices.mount_members()?;
        let open = self.open_pool(&record, &found, Some(opener))?;
        self.pool.now().opened(&record.id, open);
        Ok(())
    }

    fn open_pool(
        &self,
        record: &PoolRecord,
        found: &[PathBuf],
        opener: Option<&Opener>,
    ) -> Result<Open> {
        let pool = Arc::new(Pool::open(found, Some(&record.id))?);
        let keyring = self.state.keyring(&record.id, &*self.sealer)?;
        let key = match opener {
            Some(opener) => keyring.open_with(&*pool, opener)?,
            None => {
                self.pool.now().locked = None;
                let key = keyring.open(&*pool);
                if key.as_ref().is_err_and(|e| e.kind() == Kind::Refused) {
                    self.pool.now().locked = Some(Instant::now());
                }
                key?
            }
        };
        let folder = self.state.repository(&record.id)?;
        let repository = Arc::new(Repository::open(
            self.with_replica(pool.clone()),
            &folder,
            &key,
        )?);
        // Never in plain where a TPM kept it, though it may have refused today.
        if opener.is_some() && matches!(keyring.home(), Ok(Home::Plain | Home::Nothing)) {
            keyring.remember(&key)?;
        }
        Ok(Open { pool, repository })
    }
}

impl PoolRecord {
    fn members_of(status: &PoolStatus) -> Vec<MemberRecord> {
        let record = |member: &MemberStatus| MemberRecord {
            id: member.id.clone(),
            label: member.label.clone(),
        };
        status.members.iter().map(record).collect()
    }

    /// The status while the pool is not open.
    fn status(&self) -> PoolStatus {
        PoolStatus {
            id: self.id.clone(),
            redundancy: self.redundancy,
            state: PoolState::Failed,
            members: self
                .members
                .iter()
                .map(|member| MemberStatus {
                    id: member.id.clone(),
                    label: member.label.clone(),
                    path: None,
                    state: MemberState::Missing,
                    total: 0,
                    free: 0,
                    reserve: 0,
                })
                .collect(),
            total: 0,
            free: 0,
        }
    }
}

pub(super) fn no_pool() -> Error {
    Error::new(
        Kind::Missing,
        "there is no pool yet; create it on the box's disks first",
    )
}

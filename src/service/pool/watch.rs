//! The threads that look for the pool's disks: at once when the kernel says
//! that a disk came or went, and every few seconds while something is missing.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::devices::Change;
use crate::engine::{Error, Result};
use crate::pool::PoolState;
use crate::service::Service;

/// How often disks are looked for while something is missing.
const LOOK: Duration = Duration::from_secs(10);
/// How often the pool is tried again while what opens it does not: a person
/// must act, and every try asks the TPM.
const LOCKED: Duration = Duration::from_secs(300);
/// A disk comes as several messages, and udev wants to see it first.
const GATHER: Duration = Duration::from_millis(300);
/// How long the listener listens before it looks whether it is to end.
const LISTEN: Duration = Duration::from_secs(1);

/// Ends a thread that looks at disks, and wakes it.
#[derive(Default)]
pub(in crate::service) struct Watch {
    now: Mutex<Bell>,
    bell: Condvar,
}

#[derive(Default)]
struct Bell {
    stop: bool,
    rung: bool,
}

/// Why the wait is over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Why {
    Stop,
    Rung,
    Time,
}

impl Watch {
    pub fn stop(&self) {
        self.set(|bell| bell.stop = true);
    }

    /// A disk came or went.
    pub fn ring(&self) {
        self.set(|bell| bell.rung = true);
    }

    fn set(&self, change: impl FnOnce(&mut Bell)) {
        change(&mut self.now.lock().unwrap_or_else(|e| e.into_inner()));
        self.bell.notify_all();
    }

    fn stopped(&self) -> bool {
        self.now.lock().unwrap_or_else(|e| e.into_inner()).stop
    }

    /// Waits until there is a reason to look, at most so long.
    pub fn wait(&self, at_most: Duration) -> Why {
        let quiet = |bell: &mut Bell| !bell.stop && !bell.rung;
        let bell = self.now.lock().unwrap_or_else(|e| e.into_inner());
        let waited = self.bell.wait_timeout_while(bell, at_most, quiet);
        let (bell, _) = waited.unwrap_or_else(|e| e.into_inner());
        if !bell.stop && !bell.rung {
            return Why::Time;
        }
        let waited = self
            .bell
            .wait_timeout_while(bell, GATHER, |bell| !bell.stop);
        let (mut bell, _) = waited.unwrap_or_else(|e| e.into_inner());
        bell.rung = false;
        if bell.stop { Why::Stop } else { Why::Rung }
    }
}

/// Starts the threads that look for disks; they end with the service.
pub(in crate::service) fn watch(service: &Arc<Service>) -> Result<()> {
    listen(service)?;
    // It holds the service only while it looks, so that it can end.
    let (weak, watch) = (Arc::downgrade(service), service.watch.clone());
    let look = move || {
        let mut why = Why::Time;
        while why != Why::Stop {
            let Some(service) = weak.upgrade() else {
                return;
            };
            match why {
                Why::Rung => service.disks_changed(),
                _ => service.look_if_needed(),
            }
            service.work_if_due();
            drop(service);
            why = watch.wait(LOOK);
        }
    };
    start("pool-watch", look)
}

/// Listens for disks that come and go. Without, they are found by looking.
fn listen(service: &Arc<Service>) -> Result<()> {
    let mut changes = match service.devices.changes() {
        Ok(changes) => changes,
        Err(e) => {
            tracing::warn!("{e}; disks that come and go are noticed late");
            return Ok(());
        }
    };
    let (watch, care) = (service.watch.clone(), service.care.bell.clone());
    start("disk-events", move || {
        while !watch.stopped() {
            match changes.wait(LISTEN) {
                Ok(Some(change)) => {
                    watch.ring();
                    // Asking disks how they are may itself stir their partitions.
                    if change == Change::Disk {
                        care.ring();
                    }
                }
                Ok(None) => {}
                Err(e) => {
                    tracing::warn!("{e}; disks that come and go are noticed late from now on");
                    return;
                }
            }
        }
    })
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map(drop)
        .map_err(|e| Error::io(format!("starting the thread {name}"), e))
}

impl Service {
    fn look_if_needed(&self) {
        let needed = self
            .pool()
            .is_some_and(|pool| pool.status.state != PoolState::Ok);
        let locked = self.pool.now().locked;
        if needed && locked.is_none_or(|since| since.elapsed() >= LOCKED) {
            self.look();
        }
    }

    /// A disk came or went: the pool is told, whatever its state.
    fn disks_changed(&self) {
        self.disks.forget();
        if self.pool().is_some() {
            self.look();
        }
    }

    fn look(&self) {
        let before = self.pool.now().problem.clone();
        if let Err(e) = self.look_for_disks() {
            let text = e.to_string();
            // Said once, not every few seconds.
            if before.as_deref() != Some(text.as_str()) {
                tracing::warn!("the pool is not open: {text}");
            }
        }
    }
}

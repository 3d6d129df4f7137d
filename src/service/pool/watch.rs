//! The thread that looks for the pool's disks while something is missing.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::engine::{Error, Result};
use crate::pool::PoolState;
use crate::service::Service;

/// How often disks are looked for while something is missing.
const LOOK: Duration = Duration::from_secs(10);
/// How often the pool is tried again while what opens it does not: a person
/// must act, and every try asks the TPM.
const LOCKED: Duration = Duration::from_secs(300);

/// Ends the thread that looks for disks.
#[derive(Default)]
pub(in crate::service) struct Watch {
    stop: Mutex<bool>,
    bell: Condvar,
}

impl Watch {
    pub fn stop(&self) {
        *self.stop.lock().unwrap_or_else(|e| e.into_inner()) = true;
        self.bell.notify_all();
    }

    /// Waits; `false` when it is time to end.
    fn wait(&self) -> bool {
        let stop = self.stop.lock().unwrap_or_else(|e| e.into_inner());
        let waited = self.bell.wait_timeout_while(stop, LOOK, |stop| !*stop);
        let (stop, _) = waited.unwrap_or_else(|e| e.into_inner());
        !*stop
    }
}

/// Starts the thread that looks for disks; it ends with the service.
pub(in crate::service) fn watch(service: &Arc<Service>) -> Result<()> {
    // It holds the service only while it looks, so that it can end.
    let (weak, watch) = (Arc::downgrade(service), service.watch.clone());
    let look = move || {
        while let Some(service) = weak.upgrade() {
            service.look_if_needed();
            drop(service);
            if !watch.wait() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("pool-watch".into())
        .spawn(look)
        .map(drop)
        .map_err(|e| Error::io("starting the thread that looks for disks", e))
}

impl Service {
    fn look_if_needed(&self) {
        let needed = self
            .pool()
            .is_some_and(|pool| pool.status.state != PoolState::Ok);
        if !needed {
            return;
        }
        let (before, locked) = {
            let now = self.pool.now();
            (now.problem.clone(), now.locked)
        };
        if locked.is_some_and(|since| since.elapsed() < LOCKED) {
            return;
        }
        if let Err(e) = self.look_for_disks() {
            let text = e.to_string();
            // Said once, not every few seconds.
            if before.as_deref() != Some(text.as_str()) {
                tracing::warn!("the pool is not open: {text}");
            }
        }
    }
}

//! The daemon's use cases, which join the rooms below: one file per use case.
//!
//! Everything here is blocking; the panel calls it from a blocking thread.
//! Long work becomes a job. Errors keep the engine's kinds.

pub mod views;

mod access;
mod backup;
mod browse;
mod disks;
mod download;
mod find;
mod jobs;
mod keys;
mod overview;
mod passwords;
mod pool;
mod provider;
mod restore;
mod sources;
mod verify;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

pub use disks::{Alarm, AlarmKind, DiskState, DiskView, Place, Reason, Sample};
pub use download::{Download, TarStream};
pub use keys::{KeysView, NewWords, opener};
pub use passwords::SHORTEST as SHORTEST_PASSWORD;
pub use pool::{NewDisk, PoolCare};
pub use views::*;

use crate::appliance::tpm::Sealer;
use crate::appliance::{self, ClaimCode, State, console};
use crate::devices::Devices;
use crate::engine::Result;
use crate::jobs::Jobs;
use crate::pool::PoolState;

/// What a service runs on.
pub struct Options {
    /// The state folder; made if it is not there.
    pub state: PathBuf,
    /// The box's disks.
    pub devices: Box<dyn Devices>,
    /// The box's TPM.
    pub sealer: Box<dyn Sealer>,
}

/// The running box. Shared as `Arc<Service>`; every method may be called from
/// any thread and may block.
pub struct Service {
    state: State,
    devices: Box<dyn Devices>,
    sealer: Box<dyn Sealer>,
    jobs: Jobs,
    pool: pool::Slot,
    /// Held while an account is made or removed, so that there is never a
    /// second first one, and never none.
    accounts: Mutex<()>,
    /// Held while what opens the pool changes.
    key_changes: Mutex<()>,
    decoy: passwords::Decoy,
    watch: Arc<pool::Watch>,
    disks: pool::LastLook,
    care: disks::Care,
    catch_up: Arc<find::CatchUp>,
    replica: Arc<provider::Replica>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.watch.stop();
        self.care.bell.stop();
        self.catch_up.stop();
    }
}

impl Service {
    /// Opens the state folder and begins to look for the pool in the
    /// background; until it is found, the rest of the service answers.
    ///
    /// # Errors
    /// Whatever keeps the state folder from being opened; `Busy` if another
    /// daemon runs on it.
    pub fn open(options: Options) -> Result<Arc<Self>> {
        let state = State::open(&options.state)?;
        let jobs = Jobs::open(&state.jobs())?;
        let service = Arc::new(Self {
            pool: pool::Slot::open(state.settings())?,
            devices: options.devices,
            sealer: options.sealer,
            accounts: Mutex::new(()),
            key_changes: Mutex::new(()),
            decoy: passwords::Decoy::default(),
            watch: Arc::default(),
            disks: pool::LastLook::default(),
            care: disks::Care::open(state.settings()),
            catch_up: Arc::default(),
            replica: Arc::default(),
            state,
            jobs,
        });
        // A provider that cannot be read is said where it is used.
        if let Err(e) = service.remember_provider() {
            tracing::warn!("{e}");
        }
        if !service.claimed() {
            ClaimCode::open(service.state.settings())?;
        }
        pool::watch(&service)?;
        disks::care(&service)?;
        Ok(service)
    }

    /// Cancels all jobs and waits for them to end; `false` if some did not
    /// end in time. Nothing can be started afterwards.
    pub fn stop(&self, patience: Duration) -> bool {
        self.watch.stop();
        self.care.bell.stop();
        self.catch_up.stop();
        self.jobs.stop(patience)
    }

    /// The box in one line.
    pub fn status(&self) -> Status {
        let (claimed, pool) = (self.claimed(), self.pool_summary());
        Status {
            version: env!("CARGO_PKG_VERSION"),
            claimed,
            pool,
            ready: claimed && matches!(pool, PoolSummary::Ok | PoolSummary::Degraded),
        }
    }

    /// The panel's certificate.
    pub fn certificate(&self) -> &appliance::tls::Certificate {
        self.state.certificate()
    }

    /// The code with which the box is claimed; `None` when it has an owner.
    pub fn claim_code(&self) -> Result<Option<String>> {
        if self.claimed() {
            return Ok(None);
        }
        ClaimCode::open(self.state.settings()).map(|code| Some(code.as_str().to_owned()))
    }

    /// Tells the console what to show.
    pub fn write_console(&self, port: u16) -> Result<()> {
        let pool = self.pool();
        let summary = pool
            .as_ref()
            .map_or(PoolSummary::None, |pool| pool.status.state.into());
        console::Status {
            version: env!("CARGO_PKG_VERSION").into(),
            hostname: appliance::hostname(),
            addresses: appliance::addresses()?,
            port,
            fingerprint: self.certificate().fingerprint().into(),
            claim_code: self.claim_code()?,
            pool: summary.as_str().into(),
            problem: pool.and_then(|pool| pool.problem),
            updated: Timestamp::now(),
        }
        .write(&self.state.runtime())
    }

    fn pool_summary(&self) -> PoolSummary {
        match self.pool() {
            None => PoolSummary::None,
            // Without its repository a pool that is whole is of no use.
            Some(pool) if pool.problem.is_some() => PoolSummary::Failed,
            Some(pool) => pool.status.state.into(),
        }
    }
}

impl From<PoolState> for PoolSummary {
    fn from(state: PoolState) -> Self {
        match state {
            PoolState::Ok => Self::Ok,
            PoolState::Degraded => Self::Degraded,
            PoolState::Failed => Self::Failed,
        }
    }
}

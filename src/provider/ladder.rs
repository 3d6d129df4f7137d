//! The pool, and below it the last rung: what the pool has no longer, the
//! replica may still have.
//!
//! For a read only the bytes asked for are fetched. A repair (a deep check, or a
//! reading of the whole object) fetches the object, proves it by its name, and puts
//! it back into the pool. What neither has is missing or corrupt as before.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::manifest::Manifest;
use super::replicate::optional;
use super::verify;
use crate::engine::storage::{Class, Health, Name, Space, Storage};
use crate::engine::{Error, Kind, Progress, Result};

/// Opens the replica when it is needed for the first time, and again when it failed.
pub type OpenReplica = dyn Fn() -> Result<Option<Arc<dyn Storage>>> + Send + Sync;

/// A pool with a replica below it, as one [`Storage`].
pub struct Ladder {
    pool: Arc<dyn Storage>,
    open: Box<OpenReplica>,
    replica: std::sync::Mutex<Option<Arc<dyn Storage>>>,
    fetched: AtomicU64,
    healed: AtomicU64,
}

fn lost(e: &Error) -> bool {
    matches!(e.kind(), Kind::Missing | Kind::Corrupt)
}

impl Ladder {
    /// `open` gives the replica, or `None` where no provider is configured. It
    /// is not called before something is lost.
    pub fn new(pool: Arc<dyn Storage>, open: Box<OpenReplica>) -> Self {
        Self {
            pool,
            open,
            replica: std::sync::Mutex::default(),
            fetched: AtomicU64::new(0),
            healed: AtomicU64::new(0),
        }
    }

    /// Forgets the open replica: the provider has changed.
    pub fn forget_replica(&self) {
        *self.replica.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }

    /// How often something was read from the replica, and how many objects were
    /// put back into the pool, since it was opened.
    pub fn counts(&self) -> (u64, u64) {
        (
            self.fetched.load(Ordering::Relaxed),
            self.healed.load(Ordering::Relaxed),
        )
    }

    /// Puts back what the replica's manifest names and the pool does not even list
    /// any more. Of what was collected since the last replication some comes
    /// back, too, and is collected again. Returns how many objects came.
    ///
    /// # Errors
    /// What the provider or the pool answers; `Ok(0)` without a provider or manifest.
    pub fn bring_back(&self, progress: &Progress) -> Result<u64> {
        let Some(replica) = (self.open)()? else {
            return Ok(0);
        };
        let Some(manifest) = optional(replica.get(&Name::Manifest))? else {
            return Ok(0);
        };
        // With disks away it is their return that is needed first.
        self.pool.complete()?;
        let manifest = Manifest::decode(&manifest)?;
        let have: HashSet<Name> = self
            .pool
            .list(Class::Segments)?
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let gone: Vec<Name> = manifest
            .objects
            .into_keys()
            .filter(|name| matches!(name, Name::Segment(_)) && !have.contains(name))
            .collect();
        let mut came = 0;
        for name in gone {
            progress.check()?;
            progress.at(&name.to_string());
            let bytes = match replica.get(&name) {
                Ok(bytes) => bytes,
                Err(e) if lost(&e) => continue,
                Err(e) => return Err(e),
            };
            verify(&name, &bytes, &replica.describe())?;
            self.pool.put(&name, &bytes)?;
            came += 1;
        }
        if came > 0 {
            self.pool.sync()?;
            self.healed.fetch_add(came, Ordering::Relaxed);
        }
        Ok(came)
    }

    /// Asks the replica for what the pool failed to give. If that fails, too, the
    /// pool's error is the answer, with the reason.
    fn instead<T>(&self, pools: Error, ask: impl Fn(&dyn Storage) -> Result<T>) -> Result<T> {
        let replica = {
            let mut known = self.replica.lock().unwrap_or_else(|e| e.into_inner());
            if known.is_none() {
                match (self.open)() {
                    Ok(opened) => *known = opened,
                    Err(e) => return Err(both(pools, "the provider does not help", &e)),
                }
            }
            known.clone()
        };
        let Some(replica) = replica else {
            return Err(pools);
        };
        match ask(&*replica) {
            Ok(got) => {
                self.fetched.fetch_add(1, Ordering::Relaxed);
                Ok(got)
            }
            Err(e) if lost(&e) => Err(both(pools, "nor does the provider have it", &e)),
            Err(e) => {
                // It may be another one by the next time.
                self.forget_replica();
                Err(both(pools, "the provider does not help", &e))
            }
        }
    }

    /// The whole object from the replica, proven, and put back into the pool.
    fn heal(&self, name: &Name, pools: Error) -> Result<Vec<u8>> {
        let bytes = self.instead(pools, |replica| {
            let bytes = replica.get(name)?;
            verify(name, &bytes, &replica.describe())?;
            Ok(bytes)
        })?;
        if matches!(name, Name::Header | Name::Manifest) {
            // These are replaced; the replica's may be an older one.
            return Ok(bytes);
        }
        // Whatever is left of it must not stand in the way.
        let put = self
            .pool
            .delete(name)
            .and_then(|()| self.pool.put(name, &bytes))
            .and_then(|()| self.pool.sync());
        match put {
            Ok(()) => {
                self.healed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%name, "lost in the pool; put back from the provider");
            }
            Err(e) => {
                tracing::warn!(%name, "read from the provider, not put back into the pool: {e}")
            }
        }
        Ok(bytes)
    }
}

fn both(pools: Error, words: &str, replicas: &Error) -> Error {
    let text = format!("{pools}; {words}: {replicas}");
    Error::with_source(pools.kind(), text, pools)
}

impl Storage for Ladder {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.pool.put(name, bytes)
    }

    fn put_to_free(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.pool.put_to_free(name, bytes)
    }

    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        match self.pool.get(name) {
            Err(e) if lost(&e) => self.heal(name, e),
            done => done,
        }
    }

    fn get_range(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        match self.pool.get_range(name, offset, len) {
            Err(e) if lost(&e) => self.instead(e, |replica| replica.get_range(name, offset, len)),
            done => done,
        }
    }

    /// The caller tells right from wrong, and asks `get_range` if it is wrong.
    fn get_sealed(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        match self.pool.get_sealed(name, offset, len) {
            Err(e) if lost(&e) => self.instead(e, |replica| replica.get_range(name, offset, len)),
            done => done,
        }
    }

    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>> {
        self.pool.list(class)
    }

    fn complete(&self) -> Result<()> {
        self.pool.complete()
    }

    fn delete(&self, name: &Name) -> Result<()> {
        self.pool.delete(name)
    }

    fn sync(&self) -> Result<()> {
        self.pool.sync()
    }

    fn space(&self) -> Result<Space> {
        self.pool.space()
    }

    fn check(&self, name: &Name, repair: bool) -> Result<Health> {
        match self.pool.check(name, repair) {
            Err(e) if lost(&e) && repair => {
                self.heal(name, e)?;
                self.pool.check(name, false).map(healed)
            }
            done => done,
        }
    }

    fn check_and_get(&self, name: &Name, repair: bool, bytes: &mut Vec<u8>) -> Result<Health> {
        match self.pool.check_and_get(name, repair, bytes) {
            Err(e) if lost(&e) && repair => {
                *bytes = self.heal(name, e)?;
                Ok(healed(Health::default()))
            }
            done => done,
        }
    }

    fn describe(&self) -> String {
        self.pool.describe()
    }
}

/// At least one part was bad, and is good now.
fn healed(health: Health) -> Health {
    Health {
        corrupt: health.corrupt.max(1),
        repaired: health.repaired.max(1),
        ..health
    }
}

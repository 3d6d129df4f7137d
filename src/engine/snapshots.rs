//! The snapshot records: the only commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::Snapshot;
use super::error::{Error, Kind, Result};
use super::format::snapshot::SnapshotV1;
use super::index::Index;
use super::keys::Keys;
use super::storage::{Class, Name, Storage, hex, unhex};

type SnapshotId = [u8; 16];

/// All records, in memory; a few hundred bytes each.
pub(crate) struct Snapshots {
    good: RwLock<BTreeMap<SnapshotId, SnapshotV1>>,
    /// Records that are there but cannot be read, and why.
    damaged: BTreeMap<SnapshotId, String>,
    /// Records that may be in the storage, or come back there after a power
    /// cut, although their commit failed.
    undone: Mutex<BTreeSet<SnapshotId>>,
    /// Records that are being forgotten.
    leaving: Mutex<BTreeSet<SnapshotId>>,
}

impl Snapshots {
    /// Reads what the storage lists, from the cache where possible.
    pub(crate) fn open(
        storage: &dyn Storage,
        index: &Index,
        keys: &Keys,
        repository: [u8; 16],
    ) -> Result<Self> {
        let mut cached: BTreeMap<SnapshotId, Vec<u8>> = index.snapshots()?.into_iter().collect();
        let mut good = BTreeMap::new();
        let mut damaged = BTreeMap::new();
        let mut fresh = Vec::new();
        for (name, _) in storage.list(Class::Snapshots)? {
            let Name::Snapshot(id) = name else { continue };
            if let Some(bytes) = cached.remove(&id)
                && let Ok(record) = SnapshotV1::open(&bytes, id, repository, keys)
            {
                good.insert(id, record);
                continue;
            }
            let read = storage.get(&name).and_then(|bytes| {
                let record = SnapshotV1::open(&bytes, id, repository, keys)?;
                Ok((bytes, record))
            });
            match read {
                Ok((bytes, record)) => {
                    fresh.push((id, bytes));
                    good.insert(id, record);
                }
                Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Missing | Kind::Refused) => {
                    tracing::warn!(snapshot = %name, error = %e, "snapshot record cannot be read");
                    damaged.insert(id, e.to_string());
                }
                Err(e) => return Err(e),
            }
        }
        let gone: Vec<_> = cached.into_keys().collect();
        if !fresh.is_empty() || !gone.is_empty() {
            index.cache_snapshots(&fresh, &gone)?;
        }
        Ok(Self {
            good: RwLock::new(good),
            damaged,
            undone: Mutex::default(),
            leaving: Mutex::default(),
        })
    }

    fn good(&self) -> RwLockReadGuard<'_, BTreeMap<SnapshotId, SnapshotV1>> {
        self.good.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the record: from here on the snapshot exists.
    pub(crate) fn commit(
        &self,
        storage: &dyn Storage,
        index: &Index,
        id: SnapshotId,
        sealed: Vec<u8>,
        record: SnapshotV1,
    ) -> Result<Snapshot> {
        let name = Name::Snapshot(id);
        let put = storage.put(&name, &sealed).and_then(|()| storage.sync());
        if let Err(e) = put {
            // It may be there or not; it must not appear later as if it had been reported.
            set(&self.undone).insert(id);
            if let Err(undo) = self.undo(storage) {
                tracing::warn!(error = %undo, "a half-committed snapshot could not be removed");
            }
            return Err(e);
        }
        let shown = show(id, &record);
        self.good
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, record);
        // Only the cache: opening would read the record from the storage.
        if let Err(e) = index.cache_snapshots(&[(id, sealed)], &[]) {
            tracing::warn!(error = %e, "the snapshot could not be cached");
        }
        Ok(shown)
    }

    /// Removes for good what commits that failed may have left. Nothing may be
    /// freed before: such a record needs segments that nobody else does.
    pub(crate) fn undo(&self, storage: &dyn Storage) -> Result<()> {
        let mut undone = set(&self.undone);
        if undone.is_empty() {
            return Ok(());
        }
        for id in &*undone {
            storage.delete(&Name::Snapshot(*id))?;
        }
        storage.sync()?;
        undone.clear();
        Ok(())
    }

    /// Removes a record.
    pub(crate) fn forget(&self, storage: &dyn Storage, index: &Index, id: &str) -> Result<()> {
        let (id, _) = self.record(id)?;
        set(&self.leaving).insert(id);
        let gone = storage
            .delete(&Name::Snapshot(id))
            .and_then(|()| storage.sync());
        if gone.is_ok() {
            self.good
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
        }
        set(&self.leaving).remove(&id);
        gone?;
        index.cache_snapshots(&[], &[id])
    }

    /// Whether a record is known and not being forgotten.
    pub(crate) fn stays(&self, id: &SnapshotId) -> bool {
        // In this order: a record that has gone was leaving before.
        !set(&self.leaving).contains(id) && self.good().contains_key(id)
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Vec<(SnapshotId, SnapshotV1)> {
        let mut all: Vec<_> = self
            .good()
            .iter()
            .map(|(id, record)| (*id, record.clone()))
            .collect();
        all.sort_by_key(|(id, r)| (r.secs, r.nanos, *id));
        all
    }

    /// As people see them, oldest first.
    pub(crate) fn list(&self) -> Vec<Snapshot> {
        self.all().iter().map(|(id, r)| show(*id, r)).collect()
    }

    /// The newest record of a name.
    pub(crate) fn newest(&self, name: &str) -> Option<(SnapshotId, SnapshotV1)> {
        self.good()
            .iter()
            .filter(|(_, r)| r.name == name)
            .max_by_key(|(id, r)| (r.secs, r.nanos, **id))
            .map(|(id, r)| (*id, r.clone()))
    }

    /// The record of a whole id.
    pub(crate) fn record(&self, id: &str) -> Result<(SnapshotId, SnapshotV1)> {
        let known = unhex::<16>(id).and_then(|id| Some((id, self.good().get(&id)?.clone())));
        known.ok_or_else(|| none(id))
    }

    /// Records that cannot be read, and why.
    pub(crate) fn damaged(&self) -> &BTreeMap<SnapshotId, String> {
        &self.damaged
    }

    /// What a person means by `wanted`.
    pub(crate) fn find(&self, wanted: &str) -> Result<Snapshot> {
        if let Some(rest) = wanted.strip_prefix("latest") {
            let newest = match rest.strip_prefix(':') {
                Some(name) => self.newest(name),
                None if rest.is_empty() => self.all().pop(),
                None => None,
            };
            return newest
                .map(|(id, record)| show(id, &record))
                .ok_or_else(|| none(wanted));
        }
        let text = wanted.to_ascii_lowercase();
        if text.len() < 4 || text.len() > 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{wanted:?} does not name a snapshot; give at least 4 hex digits of its id, \"latest\", or \"latest:NAME\""
                ),
            ));
        }
        let good = self.good();
        let mut found = good
            .iter()
            .filter(|(id, _)| hex(&id[..]).starts_with(&text));
        match (found.next(), found.next()) {
            (Some((id, record)), None) => Ok(show(*id, record)),
            (Some(_), Some(_)) => Err(Error::new(
                Kind::Refused,
                format!("several snapshots begin with {wanted}; give more digits"),
            )),
            (None, _) => {
                for (id, why) in &self.damaged {
                    if hex(id).starts_with(&text) {
                        return Err(Error::new(
                            Kind::Corrupt,
                            format!("the snapshot {} cannot be read: {why}", hex(id)),
                        ));
                    }
                }
                Err(none(wanted))
            }
        }
    }
}

fn set(ids: &Mutex<BTreeSet<SnapshotId>>) -> MutexGuard<'_, BTreeSet<SnapshotId>> {
    ids.lock().unwrap_or_else(PoisonError::into_inner)
}

fn none(wanted: &str) -> Error {
    Error::new(
        Kind::Missing,
        format!("there is no snapshot {wanted}; list the snapshots to see which there are"),
    )
}

/// The public view of a record.
pub(crate) fn show(id: SnapshotId, record: &SnapshotV1) -> Snapshot {
    // Times outside jiff's range cannot come from this program; the epoch stands in.
    let nanos = i32::try_from(record.nanos).unwrap_or_default();
    Snapshot {
        id: hex(&id),
        name: record.name.clone(),
        time: jiff::Timestamp::new(record.secs, nanos).unwrap_or_default(),
        origin: record.origin.clone(),
        files: record.files,
        bytes: record.bytes,
        new_bytes: record.new_bytes,
        stored_bytes: record.stored_bytes,
        millis: record.millis,
        full: record.full,
        warnings: record.warnings,
    }
}

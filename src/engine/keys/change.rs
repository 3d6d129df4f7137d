//! Everything that replaces the header: slots added and removed, other
//! recovery words, and the key change. Each is one atomic put, and that put is
//! the moment at which it happens.

use super::{KeyOverview, MasterKey, NewSlot, RecoveryKey, Unlock};
use crate::engine::Repository;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::header::{Features, HeaderV1};
use crate::engine::locks::Operation;
use crate::engine::repository::read_header;
use crate::engine::storage::{Name, Storage, hex};

impl Repository {
    /// Unwraps the master key from a storage's header.
    ///
    /// # Errors
    /// `Refused` when nothing opens with it.
    pub fn unlock(storage: &dyn Storage, unlock: Unlock<'_>) -> Result<MasterKey> {
        read_header(storage)?.unlock(unlock)
    }

    /// Which of several keys is the storage's master key. Whoever keeps the key
    /// outside the repository keeps the new one beside the old before a key
    /// change and asks here when opening: whatever a power cut left, one fits.
    ///
    /// # Errors
    /// `Refused` when none does.
    pub fn fitting_key(storage: &dyn Storage, keys: &[MasterKey]) -> Result<MasterKey> {
        let header = read_header(storage)?;
        let mut refused = None;
        for key in keys {
            match header.verify_key(key) {
                Ok(()) => return Ok(key.clone()),
                Err(e) if e.kind() == Kind::Refused => refused = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(refused
            .unwrap_or_else(|| Error::new(Kind::Missing, "no key was given for this repository")))
    }

    /// What a storage's header tells about its keys. None is needed, so nothing
    /// of it has been checked with one.
    pub fn key_slots(storage: &dyn Storage) -> Result<KeyOverview> {
        let header = read_header(storage)?;
        Ok(KeyOverview {
            repository: hex(&header.id),
            epoch: header.epoch,
            slots: header.slots().iter().map(|slot| slot.show()).collect(),
        })
    }

    /// Wraps the master key once more; the slot's number.
    ///
    /// # Errors
    /// `Refused` for a weak passphrase or an impossible label, `Busy` while a
    /// backup, a collection or another change of keys runs.
    pub fn add_key_slot(&self, new: &NewSlot<'_>) -> Result<u32> {
        self.replace_header(|header, master| header.add_slot(master, new))
    }

    /// Removes a slot: what opened it opens nothing in this header any more.
    /// Copies of the header made before stay as they were; only a key change
    /// protects from them, and only what is stored from then on.
    ///
    /// # Errors
    /// `Missing`; `Refused` for the recovery words, which can only be renewed.
    pub fn remove_key_slot(&self, number: u32) -> Result<()> {
        self.replace_header(|header, master| header.remove_slot(master, number))
    }

    /// Other recovery words for the same master key: for a page that was lost
    /// or may be illegible. The old words open this header no more.
    pub fn renew_recovery(&self, recovery: &RecoveryKey) -> Result<()> {
        self.replace_header(|header, master| header.renew_recovery(master, recovery))
    }

    /// The key change: a new epoch with a master key of its own, under which
    /// everything is sealed from now on. Older data stays as it is and stays
    /// readable. All slots go; `recovery` is the only one of the new header.
    ///
    /// `new` must be kept safe by the caller *before*, beside the old one, so
    /// that a power cut locks nobody out (see [`Repository::fitting_key`]).
    ///
    /// # Errors
    /// `Busy` while a backup or a collection runs. After any other error it is
    /// open whether the change happened; either key opens what there is.
    pub fn change_key(&self, new: &MasterKey, recovery: &RecoveryKey) -> Result<()> {
        self.change_key_with(new, recovery, None)
    }

    /// The same, with one slot more in the new header: for who keeps no master
    /// key outside but a secret that opens this slot. *That* must then be kept
    /// safe before.
    ///
    /// # Errors
    /// As [`Repository::change_key`] and [`Repository::add_key_slot`].
    pub fn change_key_with(
        &self,
        new: &MasterKey,
        recovery: &RecoveryKey,
        slot: Option<&NewSlot<'_>>,
    ) -> Result<()> {
        let older = self.keys.secrets();
        if older.iter().any(|old| old.0 == new.0) {
            return Err(Error::new(
                Kind::Refused,
                "the new master key was used before; generate another one",
            ));
        }
        self.replace_header(|header, _| {
            header.next_epoch(&older, new, recovery)?;
            slot.map_or(Ok(()), |slot| header.add_slot(new, slot).map(drop))
        })?;
        self.keys.push(new);
        Ok(())
    }

    /// The master key in use, for who keeps it outside the repository.
    pub fn master_key(&self) -> MasterKey {
        self.keys.master()
    }

    fn replace_header<T>(
        &self,
        change: impl FnOnce(&mut HeaderV1, &MasterKey) -> Result<T>,
    ) -> Result<T> {
        Features::allow(self.header.features.write, "change its keys")?;
        let _running = self.locks.begin(Operation::Keys)?;
        let mut header = read_header(&*self.storage)?;
        let master = self.keys.master();
        header.verify_key(&master)?;
        let out = change(&mut header, &master)?;
        self.storage.put(&Name::Header, &header.encode())?;
        self.storage.sync()?;
        Ok(out)
    }
}

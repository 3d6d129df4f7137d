//! Where a machine keeps what opens its pool, so that nobody need be there.
//!
//! Either the master keys themselves lie in a file that only its owner may
//! read, or a secret lies sealed with the machine's TPM and the header has a
//! slot that this secret opens, alone or with a passphrase. Then no key lies
//! on the machine's disks in plain.
//!
//! What is kept here changes in an order that a power cut cannot turn into a
//! lock-out: the new is durable before the header relies on it, and the old
//! goes only after the new has opened the header.

mod files;
#[cfg(any(test, fuzzing))]
pub(crate) use files::hostile;

use std::path::{Path, PathBuf};

use files::SealedSecret;

use super::tpm::Sealer;
use crate::engine::storage::Storage;
use crate::engine::{
    Error, KeySlot, Kind, MasterKey, NewSlot, OutsideKey, Passphrase, RecoveryKey, Repository,
    Result, SlotKind, Unlock,
};

/// How master keys are written in their file.
#[derive(Clone, Copy)]
pub enum Form {
    /// 32 bytes each.
    Raw,
    /// A line of hexadecimal each.
    Lines,
}

/// What opens the pool at the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Home {
    /// The key lies in the state folder as it is.
    Plain,
    /// The machine's TPM.
    Tpm,
    /// The machine's TPM and a passphrase that a person enters.
    TpmAndPassphrase,
    /// Nothing: a person must bring the words or a passphrase.
    Nothing,
}

/// What a person brings to open a pool.
pub enum Opener {
    /// The recovery words.
    Words(RecoveryKey),
    /// A passphrase, of a slot of its own or of one that needs the TPM too.
    Passphrase(Passphrase),
}

/// The keys of one pool on this machine.
pub struct Keyring<'a> {
    pool: String,
    plain: PathBuf,
    sealed: PathBuf,
    form: Form,
    sealer: &'a dyn Sealer,
}

impl<'a> Keyring<'a> {
    /// For the pool with this id: master keys in `NAME.key`, sealed secrets in
    /// `NAME.sealed`, both in `folder`, which is made when needed.
    pub fn new(
        pool: &str,
        folder: &Path,
        name: &str,
        form: Form,
        sealer: &'a dyn Sealer,
    ) -> Result<Self> {
        if pool.is_empty() || !pool.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::new(
                Kind::Refused,
                format!("{pool:?} is not the id of a pool"),
            ));
        }
        Ok(Self {
            pool: pool.to_owned(),
            plain: folder.join(format!("{name}.key")),
            sealed: folder.join(format!("{name}.sealed")),
            form,
            sealer,
        })
    }

    /// What opens the pool at the next start.
    pub fn home(&self) -> Result<Home> {
        if self.plain.exists() {
            return Ok(Home::Plain);
        }
        Ok(match self.sealed()?.first() {
            None => Home::Nothing,
            Some(secret) if secret.with_passphrase => Home::TpmAndPassphrase,
            Some(_) => Home::Tpm,
        })
    }

    /// Keeps the key of a pool that was just made, or opened by a person where
    /// nothing else was kept, in plain.
    pub fn remember(&self, key: &MasterKey) -> Result<()> {
        // Words that open it may be all there is: a damaged file is made anew.
        let older = self.plain().unwrap_or_default().unwrap_or_default();
        self.add_plain(key, &older)
    }

    /// The master key, from what lies on this machine alone.
    ///
    /// # Errors
    /// `Missing` if nothing does; `Refused` if the TPM does not open it, or a
    /// passphrase is needed as well.
    pub fn open(&self, storage: &dyn Storage) -> Result<MasterKey> {
        if let Some(keys) = self.plain()? {
            return Repository::fitting_key(storage, &keys);
        }
        let secrets = self.sealed()?;
        if secrets.is_empty() {
            return Err(Error::new(
                Kind::Missing,
                format!(
                    "the key of pool {} is not on this machine ({}); open the pool with its recovery words or a passphrase",
                    self.pool,
                    self.plain.display()
                ),
            ));
        }
        if secrets.iter().all(|s| s.with_passphrase) {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "pool {} opens with its passphrase and this machine's TPM; enter the passphrase",
                    self.pool
                ),
            ));
        }
        let alone = secrets.iter().filter(|s| !s.with_passphrase);
        self.first_that_opens(alone, |secret| {
            Repository::unlock(storage, Unlock::Outside(secret))
        })
    }

    /// The master key by what a person brings; a passphrase of a slot that
    /// needs the TPM too is tried with it first.
    ///
    /// # Errors
    /// `Refused` if nothing opens with it.
    pub fn open_with(&self, storage: &dyn Storage, opener: &Opener) -> Result<MasterKey> {
        let passphrase = match opener {
            Opener::Words(words) => return Repository::recover_key(storage, words),
            Opener::Passphrase(passphrase) => passphrase,
        };
        // A damaged file must not keep a good passphrase out.
        let secrets = self.sealed().unwrap_or_default();
        let mut both = secrets.iter().filter(|s| s.with_passphrase).peekable();
        let mut why = None;
        if both.peek().is_some() {
            let opened = self.first_that_opens(both, |secret| {
                Repository::unlock(storage, Unlock::Both(passphrase, secret))
            });
            match opened {
                Ok(key) => return Ok(key),
                Err(e) => why = Some(e),
            }
        }
        Repository::unlock(storage, Unlock::Passphrase(passphrase)).map_err(|e| match why {
            Some(why) if e.kind() == Kind::Refused => why,
            _ => e,
        })
    }

    fn first_that_opens<'s>(
        &self,
        secrets: impl Iterator<Item = &'s SealedSecret>,
        open: impl Fn(&OutsideKey) -> Result<MasterKey>,
    ) -> Result<MasterKey> {
        let mut why = None;
        for secret in secrets {
            match self.unseal(&secret.blob).and_then(|secret| open(&secret)) {
                Ok(key) => return Ok(key),
                Err(e) => why = why.or(Some(e)),
            }
        }
        let why = why.unwrap_or_else(|| Error::new(Kind::Missing, "nothing lies sealed here"));
        Err(why.context(format_args!(
            "pool {} did not open with this machine's TPM (nothing is lost: open it with its recovery words or a passphrase)",
            self.pool
        )))
    }

    /// Seals a fresh secret with the machine's TPM, gives the repository a slot
    /// that opens with it (and with `passphrase`, if there is one), and takes
    /// the plain key away. The slot's number. Slots that this machine had
    /// before are replaced.
    ///
    /// # Errors
    /// `Refused` if there is no TPM or it does not give back what it sealed;
    /// then nothing was changed.
    pub fn add_tpm(
        &self,
        repository: &Repository,
        label: &str,
        passphrase: Option<&Passphrase>,
    ) -> Result<u32> {
        let storage = &**repository.storage();
        // A damaged file is made anew.
        let before = self.sealed().unwrap_or_default();
        let (secret, sealed) = self.fresh(passphrase.is_some())?;
        let unlock = outside(passphrase, &secret);
        let mut all = vec![sealed.clone()];
        all.extend(before.iter().cloned());
        self.write_sealed(&all)?;
        let number = repository
            .add_key_slot(&NewSlot {
                label,
                unlock,
                sealed: sealed.blob.as_bytes(),
            })
            .or_else(|e| self.back_to(&before, e))?;
        // From storage as it is now, before the only other way in goes.
        let key = Repository::unlock(storage, unlock)?;
        if key.0 != repository.master_key().0 {
            return Err(Error::new(
                Kind::Corrupt,
                "the new slot opens another key than the pool's; the plain key was kept",
            ));
        }
        for slot in Repository::key_slots(storage)?.slots {
            if slot.number != number && is_one_of(&slot, &before) {
                repository.remove_key_slot(slot.number)?;
            }
        }
        self.write_sealed(&[sealed])?;
        self.erase_plain()?;
        Ok(number)
    }

    /// Removes a slot. If this machine's TPM opened it, the key lies in the
    /// state folder in plain again, before the slot goes; `true` then.
    ///
    /// # Errors
    /// Those of [`Repository::remove_key_slot`].
    pub fn remove(&self, repository: &Repository, number: u32) -> Result<bool> {
        let slots = Repository::key_slots(&**repository.storage())?.slots;
        let secrets = self.sealed().unwrap_or_default();
        let slot = slots.iter().find(|slot| slot.number == number);
        let ours = slot.is_some_and(|slot| is_one_of(slot, &secrets));
        if ours {
            self.remember(&repository.master_key())?;
        }
        repository.remove_key_slot(number)?;
        if ours {
            self.write_sealed(&[])?;
        }
        Ok(ours)
    }

    /// Changes the key (see [`Repository::change_key`]) and keeps what opens the
    /// new one as it kept what opened the old: in plain, or sealed with the TPM,
    /// in which case no key touches the disk. Other slots go.
    ///
    /// # Errors
    /// `Refused` if the TPM's slot needs a passphrase and none was given.
    pub fn change(
        &self,
        repository: &Repository,
        recovery: &RecoveryKey,
        passphrase: Option<&Passphrase>,
    ) -> Result<()> {
        let master = MasterKey::generate()?;
        let with_passphrase = match self.home()? {
            Home::Plain | Home::Nothing => {
                // Beside the old one, before the change: whichever the header then has, it opens.
                self.remember(&master)?;
                return repository.change_key(&master, recovery);
            }
            Home::Tpm => false,
            Home::TpmAndPassphrase => true,
        };
        let passphrase = passphrase.filter(|_| with_passphrase);
        if with_passphrase && passphrase.is_none() {
            return Err(Error::new(
                Kind::Refused,
                "the pool opens with the TPM and a passphrase; give the passphrase that is to open the new key",
            ));
        }
        let storage = &**repository.storage();
        let before = self.sealed()?;
        let label = Repository::key_slots(storage)?
            .slots
            .into_iter()
            .find(|slot| is_one_of(slot, &before))
            .map_or_else(String::new, |slot| slot.label);
        let (secret, sealed) = self.fresh(with_passphrase)?;
        let mut all = vec![sealed.clone()];
        all.extend(before.iter().cloned());
        self.write_sealed(&all)?;
        let slot = NewSlot {
            label: &label,
            unlock: outside(passphrase, &secret),
            sealed: sealed.blob.as_bytes(),
        };
        repository
            .change_key_with(&master, recovery, Some(&slot))
            .or_else(|e| self.back_to(&before, e))?;
        self.write_sealed(&[sealed])
    }

    /// A fresh secret, sealed, after the TPM has shown that it opens it.
    fn fresh(&self, with_passphrase: bool) -> Result<(OutsideKey, SealedSecret)> {
        let made = OutsideKey::generate()?;
        let blob = self.sealer.seal(&self.purpose(), &made.0)?;
        let secret = self.unseal(&blob)?;
        if secret.0 != made.0 {
            return Err(Error::new(
                Kind::Io,
                "the TPM gave back something else than it was given; nothing was changed",
            ));
        }
        let sealed = SealedSecret {
            with_passphrase,
            blob,
        };
        Ok((secret, sealed))
    }

    fn unseal(&self, blob: &str) -> Result<OutsideKey> {
        let secret = self.sealer.unseal(&self.purpose(), blob)?;
        Ok(OutsideKey(*secret))
    }

    fn purpose(&self) -> String {
        format!("colca-{}", self.pool.to_ascii_lowercase())
    }

    /// After an error that says that the header was not replaced, what was
    /// added goes; after any other both stay, because either may fit.
    fn back_to<T>(&self, before: &[SealedSecret], e: Error) -> Result<T> {
        if matches!(e.kind(), Kind::Busy | Kind::Refused) {
            self.write_sealed(before)?;
        }
        Err(e)
    }
}

fn outside<'k>(passphrase: Option<&'k Passphrase>, secret: &'k OutsideKey) -> Unlock<'k> {
    match passphrase {
        Some(passphrase) => Unlock::Both(passphrase, secret),
        None => Unlock::Outside(secret),
    }
}

fn is_one_of(slot: &KeySlot, secrets: &[SealedSecret]) -> bool {
    matches!(slot.kind, SlotKind::Outside | SlotKind::Both)
        && secrets.iter().any(|s| s.blob.as_bytes() == slot.sealed)
}

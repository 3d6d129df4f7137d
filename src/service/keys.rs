//! What opens the pool: looking at it and changing it while the daemon runs.

use super::{Service, pool::no_pool};
use crate::appliance::keyring::{Home, Keyring, Opener};
use crate::engine::{
    Error, KeyOverview, Kind, Passphrase, RecoveryKey, Repository, Result, Unlock,
};

/// The ways in.
#[derive(Clone, Debug, serde::Serialize)]
pub struct KeysView {
    /// What the pool's header tells.
    #[serde(flatten)]
    pub keys: KeyOverview,
    /// What opens the pool when the box starts.
    pub home: Home,
}

/// New recovery words, shown once.
#[derive(serde::Serialize)]
pub struct NewWords {
    /// The words in their order.
    pub recovery_words: Vec<String>,
    /// The page's check digits.
    pub page_check: String,
}

impl Drop for NewWords {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.recovery_words);
    }
}

impl Service {
    /// What opens the pool.
    pub fn keys(&self) -> Result<KeysView> {
        let repository = self.repository()?;
        let keys = Repository::key_slots(&**repository.storage())?;
        let home = self.keyring()?.home()?;
        Ok(KeysView { keys, home })
    }

    /// Lets a passphrase open the pool; the slot's number.
    pub fn add_passphrase(&self, label: &str, passphrase: &Passphrase) -> Result<u32> {
        let _one = self.keys_lock();
        let number = self.repository()?.add_key_slot(&crate::engine::NewSlot {
            label,
            unlock: Unlock::Passphrase(passphrase),
            sealed: &[],
        })?;
        tracing::info!(number, "a passphrase was added to the pool");
        Ok(number)
    }

    /// Lets this box's TPM open the pool, alone or with a passphrase, and takes
    /// the plain key from the state folder; the slot's number.
    pub fn add_tpm(&self, label: &str, passphrase: Option<&Passphrase>) -> Result<u32> {
        let _one = self.keys_lock();
        let repository = self.repository()?;
        let number = self.keyring()?.add_tpm(&repository, label, passphrase)?;
        tracing::info!(
            number,
            "the pool's key lies sealed with the box's TPM from now on"
        );
        Ok(number)
    }

    /// Removes a passphrase or sealed secret.
    pub fn remove_key(&self, number: u32) -> Result<()> {
        let _one = self.keys_lock();
        let repository = self.repository()?;
        let plain = self.keyring()?.remove(&repository, number)?;
        tracing::info!(number, plain, "a way into the pool was removed");
        Ok(())
    }

    /// New recovery words; the old ones open the pool no more.
    pub fn renew_words(&self) -> Result<NewWords> {
        let _one = self.keys_lock();
        let recovery = RecoveryKey::generate()?;
        self.repository()?
            .renew_recovery(&recovery)
            .map_err(perhaps)?;
        tracing::info!("the recovery words were renewed");
        Ok(new_words(&recovery))
    }

    /// Changes the key: what is stored from now on is sealed under another
    /// one. New words; of other ways in only this box's own stays.
    pub fn change_key(&self, passphrase: Option<&Passphrase>) -> Result<NewWords> {
        let _one = self.keys_lock();
        let recovery = RecoveryKey::generate()?;
        let repository = self.repository()?;
        self.keyring()?
            .change(&repository, &recovery, passphrase)
            .map_err(perhaps)?;
        tracing::info!("the pool's key was changed");
        Ok(new_words(&recovery))
    }

    /// Opens the pool with what a person brings, where it does not open by
    /// itself. Where nothing was kept that opens it, its key is kept from now on.
    pub fn open_pool_with(&self, opener: &Opener) -> Result<super::PoolView> {
        self.open_by_hand(opener)?;
        tracing::info!("the pool was opened by hand");
        self.pool().ok_or_else(no_pool)
    }

    fn keyring(&self) -> Result<Keyring<'_>> {
        let pool = self.pool().ok_or_else(no_pool)?;
        self.state.keyring(&pool.status.id, &*self.sealer)
    }

    /// One change at a time: the files and the header change together.
    fn keys_lock(&self) -> std::sync::MutexGuard<'_, ()> {
        // It guards no data of its own, so a panic under it left none half-made.
        self.key_changes.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A passphrase or words, as a request or form brings them.
pub fn opener(words: Option<&str>, passphrase: Option<&str>) -> Result<Opener> {
    match (words, passphrase) {
        (Some(words), None) => Ok(Opener::Words(RecoveryKey::parse(words)?)),
        (None, Some(passphrase)) => Ok(Opener::Passphrase(Passphrase::new(passphrase)?)),
        _ => Err(Error::new(
            Kind::Refused,
            "give either the recovery words or a passphrase",
        )),
    }
}

/// What to do when nobody can tell whether the header was replaced.
fn perhaps(e: Error) -> Error {
    match e.kind() {
        Kind::Busy | Kind::Refused => e,
        _ => e.context(
            "the change may or may not have happened; compare the page check that is shown among the keys with that of the pages you have, and renew the words if none is the same",
        ),
    }
}

fn new_words(recovery: &RecoveryKey) -> NewWords {
    NewWords {
        recovery_words: std::mem::take(&mut *recovery.words()),
        page_check: recovery.page_check(),
    }
}

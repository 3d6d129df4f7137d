//! The state folder of a running daemon.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::{BoxKey, Identity, Settings, files, tls};
use crate::engine::{Error, Kind, Result};

/// An open state folder; no other daemon runs on it.
pub struct State {
    folder: PathBuf,
    settings: Settings,
    key: BoxKey,
    identity: Identity,
    certificate: tls::Certificate,
    /// Holding it open holds the lock.
    _lock: File,
}

impl State {
    /// Opens the folder, making what is missing: on a first start everything.
    ///
    /// # Errors
    /// `Busy` if another daemon runs on it.
    pub fn open(folder: &Path) -> Result<Self> {
        files::private_folder(folder)?;
        let folder = folder
            .canonicalize()
            .map_err(|e| Error::io(format_args!("finding {}", folder.display()), e))?;
        let lock = lock(&folder)?;
        let settings = Settings::open(&folder.join("settings.redb"))?;
        let identity = Identity::open(&settings)?;
        Ok(Self {
            key: BoxKey::open(&folder.join("box.key"))?,
            certificate: tls::Certificate::open(&folder)?,
            identity,
            settings,
            folder,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder, made if need be, where the engine keeps its caches of a pool.
    pub fn repository(&self, pool: &str) -> Result<PathBuf> {
        let all = self.folder.join("repository");
        files::private_folder(&all)?;
        let one = all.join(pool);
        files::private_folder(&one)?;
        Ok(one)
    }

    /// The book of jobs.
    pub fn jobs(&self) -> PathBuf {
        self.folder.join("jobs.redb")
    }

    /// Records.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What seals secrets in records.
    pub fn key(&self) -> &BoxKey {
        &self.key
    }

    /// Who the box is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The panel's certificate.
    pub fn certificate(&self) -> &tls::Certificate {
        &self.certificate
    }

    /// Where volatile files go: systemd's runtime folder for the daemon, or the state folder.
    pub fn runtime(&self) -> PathBuf {
        super::console::runtime_folder().unwrap_or_else(|| self.folder.clone())
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let fail = |e| Error::io(format_args!("locking {}", path.display()), e);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            Kind::Busy,
            format!(
                "another daemon runs on the state folder {}; stop it or choose another folder",
                folder.display()
            ),
        )),
        Err(TryLockError::Error(e)) => Err(fail(e)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_first_start_makes_everything_private_and_a_second_finds_it_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let first = State::open(&path).unwrap();
        assert_eq!(State::open(&path).err().unwrap().kind(), Kind::Busy);
        let sealed = first.key().seal("test", b"secret").unwrap();
        let fingerprint = first.certificate().fingerprint().to_owned();
        let id = first.identity().id.clone();
        drop(first);
        for name in ["", "box.key", "tls.key"] {
            let mode = path.join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name:?} can be read by others");
        }
        let second = State::open(&path).unwrap();
        assert_eq!(second.certificate().fingerprint(), fingerprint);
        assert_eq!(second.identity().id, id);
        assert_eq!(
            *second.key().open_sealed("test", &sealed).unwrap(),
            b"secret"
        );
    }

    #[test]
    fn a_shortened_key_is_named_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        drop(State::open(folder.path()).unwrap());
        let key = folder.path().join("box.key");
        std::fs::write(&key, b"short").unwrap();
        let e = State::open(folder.path()).err().unwrap();
        assert_eq!(e.kind(), Kind::Corrupt);
        assert!(e.to_string().contains("box.key"), "{e}");
        assert_eq!(std::fs::read(&key).unwrap(), b"short");
    }
}

//! The state folder of a pool used from the command line: which folders are
//! its members, its master key, and the engine's caches.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Context, provider, secret};
use crate::appliance::keyring::{Form, Home, Keyring, Opener};
use crate::appliance::tpm::{self, Sealer};
use crate::engine::storage::Storage;
use crate::engine::{Error, Kind, MasterKey, Passphrase, Progress, Repository, Result};
use crate::pool::Pool;
use crate::provider::Ladder;

/// `$XDG_STATE_HOME/colca`, or `~/.local/state/colca`.
pub(crate) fn default_folder() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(home)
        .unwrap_or_else(|| PathBuf::from("."))
        .join("colca")
}

/// `pool.json`: where the pool was last seen.
#[derive(Serialize, Deserialize)]
struct PoolRecord {
    id: String,
    members: Vec<PathBuf>,
}

/// Refuses a state folder that already belongs to a pool.
pub(crate) fn require_unused(context: &Context) -> Result<()> {
    if record_file(context).exists() {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "the state folder {} already belongs to a pool; name another one with --state",
                context.state.display()
            ),
        ));
    }
    Ok(())
}

/// The same, unless it belongs to this very pool: whose key it may have lost.
pub(crate) fn require_unused_or(context: &Context, pool: &str) -> Result<()> {
    let record = fs::read(record_file(context)).ok();
    let same = record
        .and_then(|bytes| serde_json::from_slice::<PoolRecord>(&bytes).ok())
        .is_some_and(|record| record.id == pool);
    if same {
        Ok(())
    } else {
        require_unused(context)
    }
}

/// Makes the state folder (mode 0700) and remembers the pool and its key in it.
pub(crate) fn remember(
    context: &Context,
    id: &str,
    members: &[PathBuf],
    key: &MasterKey,
) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&context.state)
        .map_err(|e| {
            Error::io(
                format!("making the state folder {}", context.state.display()),
                e,
            )
        })?;
    let members = members
        .iter()
        .map(|path| fs::canonicalize(path).map_err(|e| Error::io(path.display(), e)))
        .collect::<Result<Vec<_>>>()?;
    keyring_of(context, id, &*tpm::direct())?.remember(key)?;
    let record = PoolRecord {
        id: id.to_owned(),
        members,
    };
    keep(context, &record)
}

/// The pool this state folder belongs to.
pub(crate) fn open_pool(context: &Context) -> Result<Pool> {
    let record = record(context)?;
    Pool::open(&record.members, Some(&record.id))
}

/// Remembers further folders that are, or are about to become, members.
pub(crate) fn know(context: &Context, folders: &[PathBuf]) -> Result<()> {
    let mut record = record(context)?;
    for folder in folders {
        let path = fs::canonicalize(folder).map_err(|e| Error::io(folder.display(), e))?;
        if !record.members.contains(&path) {
            record.members.push(path);
        }
    }
    keep(context, &record)
}

fn keep(context: &Context, record: &PoolRecord) -> Result<()> {
    let json = serde_json::to_vec_pretty(record)
        .map_err(|e| Error::with_source(Kind::Io, "writing the pool's record", e))?;
    write_private(&record_file(context), &json)
}

fn record(context: &Context) -> Result<PoolRecord> {
    let file = record_file(context);
    let bytes = fs::read(&file).map_err(|e| {
        if e.kind() == std::io::ErrorKind::NotFound {
            Error::new(
                Kind::Missing,
                format!(
                    "there is no pool in the state folder {}; make one with \"colca pool create\", open an \
                     existing one with \"colca pool open\", or name its state folder with --state",
                    context.state.display()
                ),
            )
        } else {
            Error::io(format!("reading {}", file.display()), e)
        }
    })?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Error::with_source(
            Kind::Corrupt,
            format!(
                "{} cannot be read; open the pool anew with \"colca pool open\"",
                file.display()
            ),
            e,
        )
    })
}

/// The repository on that pool.
pub(crate) fn open(context: &Context) -> Result<Arc<Repository>> {
    open_and_passphrase(context).map(|(repository, _)| repository)
}

/// The same, with the passphrase that was asked for, if one was.
pub(crate) fn open_and_passphrase(
    context: &Context,
) -> Result<(Arc<Repository>, Option<Passphrase>)> {
    open_storage(context, Arc::new(open_pool(context)?))
}

/// The repository, with the provider that the environment names below the pool.
/// What the pool does not even list any more is put back first.
pub(crate) fn open_with_replica(context: &Context) -> Result<Arc<Repository>> {
    let pool: Arc<dyn Storage> = Arc::new(open_pool(context)?);
    let ladder = Ladder::new(pool, Box::new(provider::replica));
    match ladder.bring_back(&Progress::default()) {
        Ok(0) => {}
        Ok(n) => eprintln!("warning: {n} lost objects were put back from the provider"),
        Err(e) => eprintln!("warning: the provider cannot help now: {e}"),
    }
    open_storage(context, Arc::new(ladder)).map(|(repository, _)| repository)
}

fn open_storage(
    context: &Context,
    pool: Arc<dyn Storage>,
) -> Result<(Arc<Repository>, Option<Passphrase>)> {
    let sealer = tpm::direct();
    let keyring = keyring(context, &*sealer)?;
    let mut asked = None;
    let key = match keyring.home()? {
        Home::TpmAndPassphrase => {
            let passphrase = asked.insert(secret::passphrase(None)?);
            keyring.open_with(&*pool, &Opener::Passphrase(passphrase.clone()))?
        }
        _ => keyring.open(&*pool)?,
    };
    drop(keyring);
    let repository = Repository::open(pool, &caches(context), &key)?;
    Ok((Arc::new(repository), asked))
}

/// What opens the pool from this state folder: `pool.key` or `pool.sealed`.
pub(crate) fn keyring<'a>(context: &Context, sealer: &'a dyn Sealer) -> Result<Keyring<'a>> {
    keyring_of(context, &record(context)?.id, sealer)
}

fn keyring_of<'a>(context: &Context, pool: &str, sealer: &'a dyn Sealer) -> Result<Keyring<'a>> {
    Keyring::new(pool, &context.state, "pool", Form::Lines, sealer)
}

/// Where the engine keeps index and catalogue.
pub(crate) fn caches(context: &Context) -> PathBuf {
    context.state.join("engine")
}

fn record_file(context: &Context) -> PathBuf {
    context.state.join("pool.json")
}

/// Writes a file only its owner may read: whole and durable, or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().map_err(|e| Error::io(format!("writing {}", path.display()), e))
}

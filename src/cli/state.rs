//! The state folder of a pool used from the command line: which folders are
//! its members, its master key, and the engine's caches.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Context;
use crate::engine::storage::{hex, unhex};
use crate::engine::{Error, Kind, MasterKey, Repository, Result};
use crate::pool::Pool;

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
    // Words that open it may be all there is: a damaged file of keys is made anew.
    write_keys(context, key, &keys(context).unwrap_or_default())?;
    let record = PoolRecord {
        id: id.to_owned(),
        members,
    };
    let json = serde_json::to_vec_pretty(&record)
        .map_err(|e| Error::with_source(Kind::Io, "writing the pool's record", e))?;
    write_private(&record_file(context), &json)
}

/// The pool this state folder belongs to.
pub(crate) fn open_pool(context: &Context) -> Result<Pool> {
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
    let record: PoolRecord = serde_json::from_slice(&bytes).map_err(|e| {
        Error::with_source(
            Kind::Corrupt,
            format!(
                "{} cannot be read; open the pool anew with \"colca pool open\"",
                file.display()
            ),
            e,
        )
    })?;
    Pool::open(&record.members, Some(&record.id))
}

/// The repository on that pool.
pub(crate) fn open(context: &Context) -> Result<Arc<Repository>> {
    let pool = open_pool(context)?;
    let key = Repository::fitting_key(&pool, &keys(context)?)?;
    Ok(Arc::new(Repository::open(
        Arc::new(pool),
        &caches(context),
        &key,
    )?))
}

/// Every key this state folder was ever given, the newest first. None is taken
/// away: after a power cut during a key change the older one may be the one
/// that fits, and it opens nothing that the newest does not.
fn keys(context: &Context) -> Result<Vec<MasterKey>> {
    let file = key_file(context);
    let text = fs::read_to_string(&file)
        .map(Zeroizing::new)
        .map_err(|e| Error::io(format!("reading the pool's key {}", file.display()), e))?;
    let keys: Option<Vec<_>> = text
        .lines()
        .map(|line| unhex(line).map(MasterKey))
        .collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
        Error::new(
            Kind::Corrupt,
            format!(
                "the key file {} is damaged; open the pool anew with \"colca pool open\" and the recovery words",
                file.display()
            ),
        )
    })
}

/// Keeps one more key; durable when it returns.
pub(crate) fn add_key(context: &Context, key: &MasterKey) -> Result<()> {
    write_keys(context, key, &keys(context)?)
}

fn write_keys(context: &Context, newest: &MasterKey, older: &[MasterKey]) -> Result<()> {
    let mut text = Zeroizing::new(String::with_capacity((older.len() + 1) * 65));
    let older = older.iter().filter(|key| key.0 != newest.0);
    for key in std::iter::once(newest).chain(older) {
        text.push_str(&Zeroizing::new(hex(&key.0)));
        text.push('\n');
    }
    write_private(&key_file(context), text.as_bytes())
}

/// Where the engine keeps index and catalogue.
pub(crate) fn caches(context: &Context) -> PathBuf {
    context.state.join("engine")
}

fn record_file(context: &Context) -> PathBuf {
    context.state.join("pool.json")
}

fn key_file(context: &Context) -> PathBuf {
    context.state.join("pool.key")
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

//! Opening the index.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use redb::{Database, DatabaseError, ReadableTable, StorageError};

use super::keep::{self, Limits, Work};
use super::rows::SegmentInfo;
use super::run::{Run, RunRow};
use super::{ABOUT, DAMAGED, Index, NEXT, RUNS, SEGMENTS, SNAPSHOTS, State};
use crate::engine::error::{Error, Kind, Result};

/// Memory the database may use for its pages.
const CACHE: usize = 4 << 20;
/// How tables and runs are laid out; an index of another layout is built anew.
const LAYOUT: &[u8] = &[2];

/// Turns a database failure into ours, naming the index.
pub(super) fn failed(place: &str, e: impl Into<redb::Error>) -> Error {
    match e.into() {
        redb::Error::Io(e) => Error::io(format_args!("the index in {place}"), e),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Error::new(
            Kind::Busy,
            format!(
                "the state folder {place} is in use by another program (the service, or another command); stop it or wait for it"
            ),
        ),
        e => Error::with_source(
            Kind::Corrupt,
            format!(
                "the index in {place} is damaged ({e}); stop the program and delete index.redb there: it is built anew from the storage"
            ),
            e,
        ),
    }
}

/// What the database says.
#[derive(Default)]
struct Found {
    state: State,
    runs: Vec<RunRow>,
    /// Why the chunks have to be gathered anew, if they have to.
    stale: Option<&'static str>,
}

impl Index {
    /// Opens the index of `repository` in the state folder. What is damaged is
    /// replaced by an empty index, since all of it can be built again.
    pub(crate) fn open(state: &Path, repository: [u8; 16]) -> Result<Self> {
        Self::open_with(state, repository, Limits::default())
    }

    pub(super) fn open_with(state: &Path, repository: [u8; 16], limits: Limits) -> Result<Self> {
        let place = state.display().to_string();
        make_private(state)?;
        let folder = state.join("chunks");
        make_private(&folder)?;
        // Before a transaction names files in the folder, the folder must be there to stay.
        File::open(state)
            .and_then(|f| f.sync_all())
            .map_err(|e| Error::io(format_args!("the state folder {place}"), e))?;
        let file = state.join("index.redb");
        let open = || Database::builder().set_cache_size(CACHE).create(&file);
        let replace = |why: &str| -> Result<()> {
            tracing::warn!(place, "the index {why} and is built anew");
            std::fs::remove_file(&file)
                .map_err(|e| Error::io(format_args!("removing {}", file.display()), e))
        };
        let db = match open() {
            Err(
                DatabaseError::Storage(StorageError::Corrupted(_))
                | DatabaseError::RepairAborted
                | DatabaseError::UpgradeRequired(_),
            ) => {
                replace("was damaged")?;
                open()
            }
            Err(DatabaseError::Storage(StorageError::Io(e)))
                if e.kind() == std::io::ErrorKind::InvalidData =>
            {
                replace("was no index")?;
                open()
            }
            other => other,
        }
        .map_err(|e| failed(&place, e))?;
        let found = read(&db, repository, &place)?;
        let mut index = Self {
            db,
            state: RwLock::new(found.state),
            work: Mutex::new(Work::default()),
            folder,
            place,
            limits,
        };
        let mut stale = found.stale.map(str::to_owned);
        if stale.is_none()
            && let Err(e) = index.open_runs(&found.runs)
        {
            if !matches!(e.kind(), Kind::Corrupt | Kind::Missing) {
                return Err(e);
            }
            stale = Some(format!("is damaged ({e})"));
        }
        if let Some(why) = stale {
            tracing::warn!(place = index.place, "the index {why} and is built anew");
            index.clear()?;
            index.transact(|write| {
                let mut about = write.open_table(ABOUT)?;
                about.insert("layout", LAYOUT)?;
                about.remove(DAMAGED)?;
                Ok(())
            })?;
        }
        index.remove_strays()?;
        Ok(index)
    }

    fn open_runs(&mut self, rows: &[RunRow]) -> Result<()> {
        let mut room = self.limits.resident;
        let mut runs = Vec::with_capacity(rows.len());
        // The youngest first: they are small, and kept in memory whole.
        for row in rows.iter().rev() {
            let run = Run::open(&self.folder, *row, room, true)?;
            room -= run.granted();
            runs.push(Arc::new(run));
        }
        runs.reverse();
        self.state_mut().runs = runs;
        Ok(())
    }

    /// Removes files that no transaction names.
    fn remove_strays(&self) -> Result<()> {
        let known: BTreeSet<_> = self
            .state()
            .runs
            .iter()
            .flat_map(|r| [r.files.pages.clone(), r.files.filter.clone()])
            .collect();
        let what = |e| Error::io(format_args!("the folder {}", self.folder.display()), e);
        for entry in std::fs::read_dir(&self.folder).map_err(what)? {
            let path = entry.map_err(what)?.path();
            if !known.contains(&path) {
                std::fs::remove_file(&path)
                    .map_err(|e| Error::io(format_args!("removing {}", path.display()), e))?;
            }
        }
        let next = self.state().runs.iter().map(|r| r.row.number + 1).max();
        self.work().next = next.unwrap_or(1);
        Ok(())
    }
}

fn read(db: &Database, repository: [u8; 16], place: &str) -> Result<Found> {
    let inner = || -> Result<Result<Found>, redb::Error> {
        let mut found = Found::default();
        let write = db.begin_write()?;
        {
            let mut about = write.open_table(ABOUT)?;
            let value = |name: &str| -> Result<Option<Vec<u8>>, redb::Error> {
                Ok(about.get(name)?.map(|v| v.value().to_vec()))
            };
            let (known, layout, next) = (value("repository")?, value("layout")?, value(NEXT)?);
            let damaged = value(DAMAGED)?.is_some();
            match &known {
                None => {
                    about.insert("repository", repository.as_slice())?;
                    about.insert("layout", LAYOUT)?;
                }
                Some(id) if *id == repository => {}
                Some(_) => {
                    return Ok(Err(Error::new(
                        Kind::Refused,
                        format!(
                            "the state folder {place} belongs to another repository; give each repository its own"
                        ),
                    )));
                }
            }
            if known.is_some() && layout.as_deref() != Some(LAYOUT) {
                found.stale = Some("is of another version");
            } else if damaged {
                found.stale = Some("was found damaged");
            }
            let segments = &mut found.state.segments;
            write.open_table(SNAPSHOTS)?;
            let runs = write.open_table(RUNS)?;
            for row in runs.iter()? {
                let (number, value) = row?;
                found.runs.push(keep::decode(number.value(), value.value()));
            }
            for row in write.open_table(SEGMENTS)?.iter()? {
                let (number, value) = row?;
                match SegmentInfo::decode(number.value(), value.value()) {
                    Ok(info) => segments.insert(&info),
                    Err(_) => found.stale = Some("has entries that cannot be read"),
                }
            }
            let next = next.and_then(|n| <[u8; 4]>::try_from(n).ok());
            segments.next = segments.next.max(next.map_or(0, u32::from_le_bytes));
        }
        write.commit()?;
        Ok(Ok(found))
    };
    inner().map_err(|e| failed(place, e))?
}

/// Makes a folder, readable by its owner only.
fn make_private(folder: &Path) -> Result<()> {
    let what = |e| Error::io(format_args!("the folder {}", folder.display()), e);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(what)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(what)
}

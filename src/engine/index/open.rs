//! Opening the index file.

use std::path::Path;
use std::sync::{Arc, RwLock};

use redb::{Database, DatabaseError, ReadOnlyTable, ReadableDatabase, ReadableTable, StorageError};

use super::rows::SegmentInfo;
use super::{ABOUT, CHUNKS, ChunkKey, ChunkValue, Index, SEGMENTS, SNAPSHOTS, Segments};
use crate::engine::error::{Error, Kind, Result};

/// Memory the database may use for its pages.
const CACHE: usize = 24 << 20;

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

impl Index {
    /// Opens the index of `repository` in the state folder; a damaged file is
    /// replaced by an empty one, since all of it can be built again.
    pub(crate) fn open(state: &Path, repository: [u8; 16]) -> Result<Self> {
        let place = state.display().to_string();
        make_private(state)?;
        let file = state.join("index.redb");
        let open = || Database::builder().set_cache_size(CACHE).create(&file);
        let db = match open() {
            Err(
                DatabaseError::Storage(StorageError::Corrupted(_))
                | DatabaseError::RepairAborted
                | DatabaseError::UpgradeRequired(_),
            ) => {
                tracing::warn!(place, "the index was damaged and is built anew");
                std::fs::remove_file(&file)
                    .map_err(|e| Error::io(format_args!("removing {}", file.display()), e))?;
                open()
            }
            Err(DatabaseError::Storage(StorageError::Io(e)))
                if e.kind() == std::io::ErrorKind::InvalidData =>
            {
                tracing::warn!(place, "the index was no index and is built anew");
                std::fs::remove_file(&file)
                    .map_err(|e| Error::io(format_args!("removing {}", file.display()), e))?;
                open()
            }
            other => other,
        }
        .map_err(|e| failed(&place, e))?;
        let index = Self::prepare(&db, repository, &place)?;
        let (segments, chunks) = index;
        Ok(Self {
            db,
            chunks: RwLock::new(Arc::new(chunks)),
            segments: RwLock::new(segments),
            place,
        })
    }

    #[allow(clippy::type_complexity)]
    fn prepare(
        db: &Database,
        repository: [u8; 16],
        place: &str,
    ) -> Result<(Segments, ReadOnlyTable<ChunkKey, ChunkValue>)> {
        let mut segments = Segments::default();
        let inner = |segments: &mut Segments| -> Result<Result<ReadOnlyTable<_, _>>, redb::Error> {
            let write = db.begin_write()?;
            {
                let mut about = write.open_table(ABOUT)?;
                let known = about.get("repository")?.map(|v| v.value().to_vec());
                match known {
                    None => {
                        about.insert("repository", repository.as_slice())?;
                    }
                    Some(id) if id == repository => {}
                    Some(_) => {
                        return Ok(Err(Error::new(
                            Kind::Refused,
                            format!(
                                "the state folder {place} belongs to another repository; give each repository its own"
                            ),
                        )));
                    }
                }
                write.open_table(CHUNKS)?;
                write.open_table(SNAPSHOTS)?;
                if let Some(next) = about.get("next")? {
                    let bytes = <[u8; 4]>::try_from(next.value()).unwrap_or_default();
                    segments.next = u32::from_le_bytes(bytes);
                }
                for row in write.open_table(SEGMENTS)?.iter()? {
                    let (number, value) = row?;
                    let number = number.value();
                    match SegmentInfo::decode(number, value.value()) {
                        Ok(info) => {
                            segments.by_name.insert(info.name, number);
                            segments.by_number.insert(number, Arc::new(info));
                        }
                        Err(e) => return Ok(Err(e.context(format_args!("the index in {place}")))),
                    }
                    segments.next = segments.next.max(number + 1);
                }
            }
            write.commit()?;
            Ok(Ok(db.begin_read()?.open_table(CHUNKS)?))
        };
        let table = inner(&mut segments).map_err(|e| failed(place, e))??;
        Ok((segments, table))
    }
}

/// Makes the state folder, readable by its owner only.
fn make_private(state: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let what = |e| Error::io(format_args!("the state folder {}", state.display()), e);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .map_err(what)?;
    std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700)).map_err(what)
}

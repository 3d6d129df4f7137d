//! One member folder: where things lie in it, and whether it is still there.
//!
//! Only creation makes the top folders. Everything else fails with "not found"
//! when the disk below the mount point is gone, so nothing is ever written to
//! the system disk that lies under an empty mount point.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;

use super::identity::Id;
use crate::engine::storage::{Class, Name, Space, hex, unhex};
use crate::engine::{Error, Result};

const SEGMENTS: &str = "objects/segments";
const SNAPSHOTS: &str = "objects/snapshots";
const TEMP: &str = "tmp";
const DELETED: &str = "deleted";
const LOCK: &str = "lock";

/// A member that was found.
pub(super) struct Member {
    /// Place in the roster, which only grows.
    pub slot: usize,
    pub id: Id,
    pub label: String,
    pub path: PathBuf,
    /// Weight in placement.
    pub size: u64,
    /// Device and inode of the objects folder: tells whether the same file
    /// system is still mounted here.
    place: (u64, u64),
    /// Held shared while the pool is open, so that no other opener takes our
    /// temporary files for leftovers.
    _lock: File,
}

static COUNTER: AtomicU64 = AtomicU64::new(0);

fn place(folder: &Path) -> io::Result<(u64, u64)> {
    let meta = fs::metadata(folder.join("objects"))?;
    Ok((meta.dev(), meta.ino()))
}

/// The free and total bytes of the file system a folder lies on.
pub(super) fn space_of(folder: &Path) -> io::Result<Space> {
    let s = rustix::fs::statvfs(folder)?;
    Ok(Space {
        total: s.f_blocks.saturating_mul(s.f_frsize),
        free: s.f_bavail.saturating_mul(s.f_frsize),
    })
}

/// Makes the folders of a new member.
pub(super) fn lay_out(folder: &Path) -> io::Result<()> {
    for part in ["objects", SEGMENTS, SNAPSHOTS, TEMP, DELETED] {
        fs::create_dir(folder.join(part))?;
    }
    File::create(folder.join(LOCK))?.sync_all()?;
    File::open(folder)?.sync_all()
}

/// Removes what [`lay_out`] and the identity made, after a failed creation.
pub(super) fn wipe_layout(folder: &Path) {
    for part in [SEGMENTS, SNAPSHOTS, "objects", TEMP, DELETED] {
        let _ = fs::remove_dir(folder.join(part));
    }
    for file in super::identity::FILES.iter().chain([&LOCK]) {
        let _ = fs::remove_file(folder.join(file));
    }
}

/// Whether a folder holds nothing but what a fresh file system holds.
pub(super) fn is_empty(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Member {
    /// Takes a member folder into use; cleans leftovers of a crash unless
    /// another process has the pool open.
    pub fn attach(slot: usize, id: Id, label: &str, path: &Path, size: u64) -> Result<Self> {
        let io = |e| Error::io(format_args!("opening pool member {}", path.display()), e);
        let place = place(path).map_err(io)?;
        // For reading, so that a disk that went read-only can still be read from.
        let lock = File::open(path.join(LOCK)).map_err(io)?;
        let member = |lock| Self {
            slot,
            id,
            label: label.to_owned(),
            path: path.to_owned(),
            size,
            place,
            _lock: lock,
        };
        let alone = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if alone {
            for entry in fs::read_dir(path.join(TEMP)).map_err(io)? {
                let leftover = entry.map_err(io)?.path();
                if let Err(e) = fs::remove_file(&leftover) {
                    tracing::warn!("cannot remove the leftover {}: {e}", leftover.display());
                }
            }
        }
        rustix::fs::flock(&lock, FlockOperation::LockShared).map_err(|e| io(e.into()))?;
        Ok(member(lock))
    }

    /// `label (path)` for messages.
    pub fn called(&self) -> String {
        let path = self.path.display().to_string();
        if path == self.label {
            path
        } else {
            format!("{} ({path})", self.label)
        }
    }

    /// Whether the same file system is still mounted; touches no disk.
    pub fn mounted(&self) -> bool {
        place(&self.path).is_ok_and(|p| p == self.place)
    }

    /// The device number of the member's file system.
    pub fn device(&self) -> u64 {
        self.place.0
    }

    /// Whether the disk still takes writes: a small file is written, made
    /// durable and removed.
    pub fn answers(&self) -> bool {
        let probe = || -> io::Result<()> {
            let (path, mut file) = self.temp()?;
            let wrote = file
                .write_all(b"Is this member still there?")
                .and_then(|()| file.sync_all());
            fs::remove_file(path)?;
            match wrote {
                // A full disk is there.
                Err(e) if is_full(&e) => Ok(()),
                other => other,
            }
        };
        self.mounted() && probe().is_ok()
    }

    /// A new temporary file.
    pub fn temp(&self) -> io::Result<(PathBuf, File)> {
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = self
            .path
            .join(TEMP)
            .join(format!("{}-{n}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok((path, file))
    }

    /// The folder of a name and the file name there; for listed objects the
    /// object's length follows after a dot, so that listing reads no file.
    fn shelf(&self, name: &Name) -> (PathBuf, String) {
        let (dir, id) = match name {
            Name::Header | Name::Manifest => return (self.path.join("objects"), name.to_string()),
            Name::Segment(id) => (SEGMENTS, hex(id)),
            Name::Snapshot(id) => (SNAPSHOTS, hex(id)),
        };
        (self.path.join(dir).join(&id[..3]), id)
    }

    /// Puts a finished temporary file in its place.
    pub fn settle(&self, temp: &Path, name: &Name, len: u64) -> io::Result<()> {
        let (dir, id) = self.shelf(name);
        if is_replaced(name) {
            return fs::rename(temp, dir.join(id));
        }
        let target = dir.join(format!("{id}.{len}"));
        match fs::rename(temp, &target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                match fs::create_dir(&dir) {
                    Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                    _ => {}
                }
                fs::rename(temp, &target)
            }
            done => done,
        }
    }

    /// The shard files of a name on this member; more than one only after damage.
    pub fn find(&self, name: &Name) -> io::Result<Vec<PathBuf>> {
        let (dir, id) = self.shelf(name);
        if is_replaced(name) {
            let path = dir.join(id);
            return match path.try_exists()? {
                true => Ok(vec![path]),
                false if self.mounted() => Ok(Vec::new()),
                false => Err(gone()),
            };
        }
        let mut found = Vec::new();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.mounted() => return Ok(found),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(gone()),
            Err(e) => return Err(e),
        };
        for entry in entries {
            let file = entry?.file_name();
            let is_it = file
                .to_str()
                .and_then(|f| f.strip_prefix(&id))
                .is_some_and(|rest| rest.starts_with('.'));
            if is_it {
                found.push(dir.join(file));
            }
        }
        Ok(found)
    }

    /// Removes the shards of a name; says whether there were any.
    pub fn remove(&self, name: &Name) -> io::Result<bool> {
        let found = self.find(name)?;
        for path in &found {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(!found.is_empty())
    }

    /// Every listed object of a class on this member, with its length.
    pub fn list(&self, class: Class, found: &mut dyn FnMut(Name, u64)) -> io::Result<()> {
        let top = self.path.join(match class {
            Class::Segments => SEGMENTS,
            Class::Snapshots => SNAPSHOTS,
        });
        for dir in fs::read_dir(top)? {
            for entry in fs::read_dir(dir?.path())? {
                let file = entry?.file_name();
                let Some((id, len)) = file.to_str().and_then(|f| f.split_once('.')) else {
                    continue;
                };
                let name = match class {
                    Class::Segments => unhex(id).map(Name::Segment),
                    Class::Snapshots => unhex(id).map(Name::Snapshot),
                };
                if let (Some(name), Ok(len)) = (name, len.parse()) {
                    found(name, len);
                }
            }
        }
        Ok(())
    }

    /// Notes that everything of `name` written at or before `version` is deleted.
    pub fn bury(&self, name: &Name, version: u64) -> io::Result<()> {
        let (_, id) = self.shelf(name);
        File::create(self.path.join(DELETED).join(format!("{id}.{version}")))?.sync_all()
    }

    /// The noted deletions.
    pub fn graves(&self) -> io::Result<Vec<(Name, u64)>> {
        let mut graves = Vec::new();
        for entry in fs::read_dir(self.path.join(DELETED))? {
            let file = entry?.file_name();
            let Some((id, version)) = file.to_str().and_then(|f| f.split_once('.')) else {
                continue;
            };
            let name = match id {
                "header" => Some(Name::Header),
                "manifest" => Some(Name::Manifest),
                _ => unhex(id)
                    .map(Name::Segment)
                    .or_else(|| unhex(id).map(Name::Snapshot)),
            };
            if let (Some(name), Ok(version)) = (name, version.parse()) {
                graves.push((name, version));
            }
        }
        Ok(graves)
    }

    /// Forgets all noted deletions.
    pub fn clear_graves(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.path.join(DELETED))? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Makes everything on the member durable.
    pub fn sync(&self) -> io::Result<()> {
        if !self.mounted() {
            return Err(gone());
        }
        let dir = File::open(&self.path)?;
        rustix::fs::syncfs(&dir)?;
        Ok(())
    }
}

/// Whether a name's object may be replaced by another of the same name.
pub(super) fn is_replaced(name: &Name) -> bool {
    matches!(name, Name::Header | Name::Manifest)
}

/// No room, rather than a fault.
pub(super) fn is_full(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NODEV.raw_os_error())
}

/// Fills `buf` from `offset`; a file that ends early is an error.
pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(buf, offset)
}

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

use super::fuse::Fuse;
use super::identity::{Id, Identity, Roster};
use super::layout::Geometry;
use super::{Redundancy, layout};
use crate::engine::storage::{Class, Name, hex, unhex};
use crate::engine::{Error, Result};

pub(super) const SEGMENTS: &str = "objects/segments";
pub(super) const SNAPSHOTS: &str = "objects/snapshots";
pub(super) const TEMP: &str = "tmp";
pub(super) const DELETED: &str = "deleted";
pub(super) const LOCK: &str = "lock";
/// Folders that segments, and snapshot records, are sorted into.
pub(super) const SHELVES: u16 = 4096;

/// A member that was found.
pub(super) struct Member {
    /// Place in the roster, of which no entry ever goes.
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
    /// temporary files for leftovers. None where nothing may be written.
    lock: Option<File>,
    fuse: Fuse,
}

/// Where and what a member is.
pub(super) struct Seat<'a> {
    pub slot: usize,
    pub id: Id,
    pub label: &'a str,
    pub size: u64,
}

static COUNTER: AtomicU64 = AtomicU64::new(0);

fn place(folder: &Path) -> io::Result<(u64, u64)> {
    let meta = fs::metadata(folder.join("objects"))?;
    Ok((meta.dev(), meta.ino()))
}

impl Member {
    /// Takes a member folder into use; cleans leftovers of a crash unless
    /// another process has the pool open. With `read_only` nothing is
    /// touched, not even the lock.
    pub fn attach(seat: &Seat<'_>, path: &Path, read_only: bool, fuse: &Fuse) -> Result<Self> {
        let io = |e| Error::io(format_args!("opening pool member {}", path.display()), e);
        let place = place(path).map_err(io)?;
        let lock = match read_only {
            true => None,
            // For reading, so that a disk that went read-only can still be read from.
            false => Some(File::open(path.join(LOCK)).map_err(io)?),
        };
        let member = Self {
            slot: seat.slot,
            id: seat.id,
            label: seat.label.to_owned(),
            path: path.to_owned(),
            size: seat.size,
            place,
            lock,
            fuse: fuse.clone(),
        };
        let Some(lock) = &member.lock else {
            return Ok(member);
        };
        let alone = rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if alone {
            for entry in fs::read_dir(path.join(TEMP)).map_err(io)? {
                let leftover = entry.map_err(io)?.path();
                if let Err(e) = member.remove_file(&leftover) {
                    tracing::warn!("cannot remove the leftover {}: {e}", leftover.display());
                }
            }
        }
        rustix::fs::flock(lock, FlockOperation::LockShared).map_err(|e| io(e.into()))?;
        Ok(member)
    }

    /// Whether nothing may be written to it.
    fn read_only(&self) -> bool {
        self.lock.is_none()
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
            self.remove_file(&path)?;
            match wrote {
                // A full disk is there.
                Err(e) if is_full(&e) => Ok(()),
                other => other,
            }
        };
        match self.read_only() {
            true => self.mounted() && fs::read_dir(self.path.join("objects")).is_ok(),
            false => self.mounted() && probe().is_ok(),
        }
    }

    /// Passed before every change.
    pub fn step(&self) -> io::Result<()> {
        self.fuse.step()
    }

    /// Removes one file of this member; one that is gone already is no error.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.fuse.step()?;
        match fs::remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Tells the member who the members are.
    pub fn tell(&self, roster: &Roster) -> Result<()> {
        let identity = Identity {
            member: self.id,
            roster: roster.clone(),
        };
        identity.write(&self.path, &self.fuse)
    }

    /// Replaces a small file at the top of the member, whole or not at all.
    pub fn keep(&self, file: &str, bytes: &[u8]) -> io::Result<()> {
        if !self.mounted() {
            return Err(gone());
        }
        let temp = self.path.join(format!("{file}.new"));
        self.fuse.step()?;
        let mut f = File::create(&temp)?;
        f.write_all(bytes)?;
        f.sync_all()?;
        self.fuse.step()?;
        fs::rename(&temp, self.path.join(file))
    }

    /// A new temporary file.
    pub fn temp(&self) -> io::Result<(PathBuf, File)> {
        self.fuse.step()?;
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

    /// Puts a finished temporary file in its place, which it answers.
    pub fn settle(
        &self,
        temp: &Path,
        name: &Name,
        geometry: &Geometry,
        first: Redundancy,
    ) -> io::Result<PathBuf> {
        let (dir, id) = self.shelf(name);
        self.fuse.step()?;
        if is_replaced(name) {
            let target = dir.join(id);
            return fs::rename(temp, &target).map(|()| target);
        }
        let target = dir.join(format!("{id}.{}", layout::suffix(geometry, first)));
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
        .map(|()| target)
    }

    /// Makes the names of an object's shards durable, new or removed.
    pub fn sync_names(&self, name: &Name) -> io::Result<()> {
        if !self.mounted() {
            return Err(gone());
        }
        self.fuse.step()?;
        let (dir, _) = self.shelf(name);
        match File::open(&dir) {
            Ok(shelf) => shelf.sync_all()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        // The shelf itself may be new.
        match dir.parent() {
            Some(above) if !is_replaced(name) => File::open(above)?.sync_all(),
            _ => Ok(()),
        }
    }

    /// The shard files of a name on this member; more than one only while the
    /// object changes its shape, or after damage.
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
            self.remove_file(path)?;
        }
        Ok(!found.is_empty())
    }

    /// The numbers of the shelves there are: the first three digits of the ids.
    pub fn shelves(&self, class: Class) -> io::Result<Vec<u16>> {
        let mut found = Vec::new();
        for shelf in fs::read_dir(self.path.join(top(class)))? {
            let name = shelf?.file_name();
            let number = name.to_str().and_then(|n| u16::from_str_radix(n, 16).ok());
            found.extend(number.filter(|n| *n < SHELVES));
        }
        Ok(found)
    }

    /// Every shard file of a class on this member: object, its length, and the
    /// shape, if the file's name tells it.
    pub fn list(
        &self,
        class: Class,
        found: &mut dyn FnMut(Name, u64, Option<Redundancy>),
    ) -> io::Result<()> {
        for shelf in fs::read_dir(self.path.join(top(class)))? {
            self.list_shelf(class, &shelf?.path(), found)?;
        }
        Ok(())
    }

    /// The same of one shelf: `number` is the first three digits of the ids.
    pub fn list_numbered(
        &self,
        class: Class,
        number: u16,
        found: &mut dyn FnMut(Name, u64, Option<Redundancy>),
    ) -> io::Result<()> {
        let shelf = self.path.join(top(class)).join(format!("{number:03x}"));
        match self.list_shelf(class, &shelf, found) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.mounted() => Ok(()),
            other => other,
        }
    }

    fn list_shelf(
        &self,
        class: Class,
        shelf: &Path,
        found: &mut dyn FnMut(Name, u64, Option<Redundancy>),
    ) -> io::Result<()> {
        for entry in fs::read_dir(shelf)? {
            let file = entry?.file_name();
            let Some((id, rest)) = file.to_str().and_then(|f| f.split_once('.')) else {
                continue;
            };
            let name = match class {
                Class::Segments => unhex(id).map(Name::Segment),
                Class::Snapshots => unhex(id).map(Name::Snapshot),
            };
            if let (Some(name), Some((len, shape))) = (name, layout::parse_suffix(rest)) {
                found(name, len, shape);
            }
        }
        Ok(())
    }

    /// Notes that everything of `name` written at or before `version` is deleted.
    pub fn bury(&self, name: &Name, version: u64) -> io::Result<()> {
        let (_, id) = self.shelf(name);
        self.fuse.step()?;
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
            self.remove_file(&entry?.path())?;
        }
        Ok(())
    }

    /// Makes everything on the member durable.
    pub fn sync(&self) -> io::Result<()> {
        if !self.mounted() {
            return Err(gone());
        }
        self.fuse.step()?;
        let dir = File::open(&self.path)?;
        rustix::fs::syncfs(&dir)?;
        Ok(())
    }
}

fn top(class: Class) -> &'static str {
    match class {
        Class::Segments => SEGMENTS,
        Class::Snapshots => SNAPSHOTS,
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

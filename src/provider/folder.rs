//! A plain folder as a storage: a mounted share, a USB disk, a test's folder.
//! Each object is one file under its rendered name.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Access, pace, too_short, verify};
use crate::engine::storage::{Class, Name, Space, Storage};
use crate::engine::{Error, Kind, Result};

const TEMP: &str = "tmp";

/// A plain folder as a [`Storage`]. One program at a time may write to it.
pub struct Folder {
    path: PathBuf,
    counter: AtomicU64,
    access: Access,
}

impl Folder {
    /// Opens an existing folder, empty or holding a replica; removes what an
    /// interrupted write left behind.
    ///
    /// # Errors
    /// `Missing` when there is no such folder, `Refused` when it cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Access::default())
    }

    /// The same, within bounds or to read only.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn open_with(path: &Path, access: Access) -> Result<Self> {
        let folder = Self {
            path: path.to_owned(),
            counter: AtomicU64::new(0),
            access,
        };
        let io = |e| Error::io(format_args!("opening folder {}", path.display()), e);
        if folder.access.read_only {
            fs::read_dir(path).map_err(io)?;
            return Ok(folder);
        }
        let temp = path.join(TEMP);
        match fs::create_dir(&temp) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                for entry in fs::read_dir(&temp).map_err(io)? {
                    fs::remove_file(entry.map_err(io)?.path()).map_err(io)?;
                }
            }
            other => other.map_err(io)?,
        }
        Ok(folder)
    }

    fn file(&self, name: &Name) -> PathBuf {
        self.path.join(name.to_string())
    }

    fn failed(&self, what: &str, name: &Name, e: io::Error) -> Error {
        let path = self.file(name);
        if e.kind() == io::ErrorKind::NotFound {
            return Error::new(
                Kind::Missing,
                format!("{name} is not in {}", self.path.display()),
            );
        }
        Error::io(format_args!("{what} {}", path.display()), e)
    }

    fn open_file(&self, name: &Name) -> Result<File> {
        File::open(self.file(name)).map_err(|e| self.failed("opening", name, e))
    }
}

/// Lists a folder that may not be there yet.
fn entries(dir: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

impl Storage for Folder {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.access.check_write(&self.path.display())?;
        let target = self.file(name);
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let temp = self
            .path
            .join(TEMP)
            .join(format!("{}-{n}", std::process::id()));
        let write = || -> io::Result<()> {
            let mut file = File::create_new(&temp)?;
            for piece in bytes.chunks(pace::PIECE) {
                self.access
                    .pace
                    .bytes(piece.len())
                    .map_err(io::Error::other)?;
                file.write_all(piece)?;
            }
            // The name must never stand for less than the whole.
            file.sync_data()?;
            if let Some(dir) = target.parent() {
                fs::create_dir_all(dir)?;
            }
            fs::rename(&temp, &target)
        };
        write().map_err(|e| {
            let _ = fs::remove_file(&temp);
            // Stopped, perhaps, while it waited for its turn.
            let stopped = self.access.pace.bytes(0).err();
            stopped.unwrap_or_else(|| Error::io(format_args!("writing {}", target.display()), e))
        })
    }

    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name)?
            .read_to_end(&mut bytes)
            .map_err(|e| self.failed("reading", name, e))?;
        verify(name, &bytes, &self.path.display())?;
        Ok(bytes)
    }

    fn get_range(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        let mut file = self.open_file(name)?;
        let io = |e| self.failed("reading", name, e);
        let size = file.metadata().map_err(io)?.len();
        if offset.checked_add(len as u64).is_none_or(|end| end > size) {
            return Err(too_short(name, size));
        }
        let mut bytes = vec![0; len];
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        file.read_exact(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>> {
        let top = match class {
            Class::Segments => "segments",
            Class::Snapshots => "snapshots",
        };
        let list = || -> io::Result<Vec<(Name, u64)>> {
            let mut found = Vec::new();
            let mut add = |entry: &fs::DirEntry, path: String| -> io::Result<()> {
                if let Some(name) = Name::parse(&path) {
                    found.push((name, entry.metadata()?.len()));
                }
                Ok(())
            };
            for entry in entries(&self.path.join(top))? {
                let file = entry.file_name();
                let file = file.to_string_lossy();
                if class == Class::Snapshots {
                    add(&entry, format!("{top}/{file}"))?;
                    continue;
                }
                if !entry.file_type()?.is_dir() {
                    continue;
                }
                for inner in entries(&entry.path())? {
                    let name = inner.file_name();
                    add(&inner, format!("{top}/{file}/{}", name.to_string_lossy()))?;
                }
            }
            Ok(found)
        };
        list().map_err(|e| Error::io(format_args!("listing {}", self.path.display()), e))
    }

    fn delete(&self, name: &Name) -> Result<()> {
        self.access.check_write(&self.path.display())?;
        match fs::remove_file(self.file(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.failed("deleting", name, e)),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<()> {
        File::open(&self.path)
            .and_then(|dir| Ok(rustix::fs::syncfs(&dir)?))
            .map_err(|e| Error::io(format_args!("syncing {}", self.path.display()), e))
    }

    fn space(&self) -> Result<Space> {
        let stat = rustix::fs::statvfs(&self.path).map_err(|e| {
            Error::io(
                format_args!("asking {} for its room", self.path.display()),
                e.into(),
            )
        })?;
        Ok(Space {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn describe(&self) -> String {
        format!("folder {}", self.path.display())
    }
}

//! A local folder as a [`Tree`].
//!
//! One file system is read: a folder on which another one is mounted is saved
//! as an empty folder, so that `/` can be backed up without `/proc` and the
//! mounts of others, and so that a restore leaves the place to mount on.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Advice, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::{Attributed, absolute, device, examine, failed, meta, type_of};
use crate::engine::tree::{Entry, Examined, FileType, Folder, Input, Meta, Names, Tree};
use crate::engine::{Error, Kind, Result};

/// Files up to so many bytes are read at once.
const SMALL: u64 = 1 << 20;

/// Whether the disk is being waited for. While it is, small files are asked for
/// when they are opened, which is before those opened earlier are read. While the
/// page cache has them all, asking would only cost.
#[derive(Clone, Default)]
struct Waits(Arc<AtomicU32>);

impl Waits {
    /// So many files are asked for after one that was waited for.
    const FILES: u32 = 1024;

    /// Hears how long a reading took. What is cached comes in less, a disk
    /// answers in more.
    fn hear(&self, bytes: usize, took: Duration) {
        if took > Duration::from_nanos(50_000 + bytes as u64) {
            self.0.store(Self::FILES, Ordering::Relaxed);
        }
    }

    fn ask(&self) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        // Two at once may count as one; it is not exact anyway.
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }
}

/// The folder and all below it, opened anew for each backup.
pub(in crate::sources) struct LocalTree {
    path: PathBuf,
}

impl LocalTree {
    /// Remembers where; whether it is there is seen when it is opened.
    pub fn new(path: &Path) -> Result<Self> {
        Ok(Self {
            path: absolute(path)?,
        })
    }
}

impl Tree for LocalTree {
    fn root(&self) -> Result<Box<dyn Folder>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&self.path, flags, Mode::empty()).map_err(|e| {
            let what = format!("opening the folder {}", self.path.display());
            match e {
                Errno::NOTDIR => Error::new(
                    Kind::Refused,
                    format!("{} is not a folder; give a folder", self.path.display()),
                ),
                e => failed(what, e),
            }
        })?;
        let stat = examine(&fd, b"")
            .map_err(|e| failed(format!("examining {}", self.path.display()), e))?;
        let home = device(&stat);
        Ok(Box::new(LocalFolder {
            fd,
            path: self.path.clone(),
            home,
            elsewhere: false,
            waits: Waits::default(),
        }))
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

struct LocalFolder {
    fd: OwnedFd,
    /// For messages only; everything is reached through `fd`.
    path: PathBuf,
    /// The file system that is saved.
    home: u64,
    /// Another file system is mounted here, so nothing in it is saved.
    elsewhere: bool,
    waits: Waits,
}

impl LocalFolder {
    fn child(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }

    fn entry(&self, name: &[u8]) -> Result<Option<Entry>> {
        let examining = |e| failed(format!("examining {}", self.child(name).display()), e);
        let stat = match examine(&self.fd, name) {
            Ok(stat) => stat,
            // Deleted since the folder was listed: it is simply no longer there.
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(examining(e)),
        };
        let link = if type_of(&stat) == rustix::fs::FileType::Symlink {
            rustix::fs::readlinkat(&self.fd, name, Vec::new())
                .map_err(examining)?
                .into_bytes()
        } else {
            Vec::new()
        };
        Ok(Some(Entry {
            name: name.to_vec(),
            meta: meta(&stat, link)
                .map_err(|e| e.context(format!("saving {}", self.child(name).display())))?,
        }))
    }

    fn open_at(&self, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Access times are left alone where we may (own files, or as root).
        let opened =
            match rustix::fs::openat(&self.fd, name, flags | OFlags::NOATIME, Mode::empty()) {
                Err(Errno::PERM) => rustix::fs::openat(&self.fd, name, flags, Mode::empty()),
                other => other,
            };
        opened.map_err(|e| match e {
            Errno::LOOP | Errno::NOTDIR => changed(&self.child(name)),
            e => failed(format!("opening {}", self.child(name).display()), e),
        })
    }
}

impl LocalFolder {
    fn open_file(&self, name: &[u8]) -> Result<OwnedFd> {
        // NONBLOCK: should a fifo stand here by now, opening it must not wait for a writer.
        self.open_at(name, OFlags::NONBLOCK | OFlags::NOCTTY)
    }
}

impl Folder for LocalFolder {
    fn meta(&self) -> Result<Meta> {
        let reading = |e| failed(format!("examining {}", self.path.display()), e);
        let stat = examine(&self.fd, b"").map_err(reading)?;
        let mut meta = meta(&stat, Vec::new())?;
        meta.xattrs = Attributed::Open(self.fd.as_fd()).all().map_err(reading)?;
        Ok(meta)
    }

    fn names(&self) -> Result<Names> {
        let mut names = Names::default();
        if self.elsewhere {
            return Ok(names);
        }
        let reading = |e| failed(format!("listing {}", self.path.display()), e);
        // A deleted folder lists as empty, which must not pass for an empty source.
        if examine(&self.fd, b"").map_err(reading)?.stx_nlink == 0 {
            return Err(Error::new(
                Kind::Missing,
                format!("{} was deleted while it was read", self.path.display()),
            ));
        }
        let again = self.open_at(b".", OFlags::DIRECTORY)?;
        for item in Dir::new(again).map_err(reading)? {
            let item = item.map_err(reading)?;
            let name = item.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name, &item.ino().to_le_bytes());
            }
        }
        Ok(names)
    }

    fn examine(&self, names: &Names, which: Range<usize>) -> Result<Vec<Examined>> {
        // Inode order is close to disk order, which spares a spinning disk its seeks.
        let inode = |note: &[u8]| note.try_into().map_or(0, u64::from_le_bytes);
        let mut names: Vec<_> = names
            .range(which)
            .map(|(name, note)| (inode(note), name))
            .collect();
        names.sort_unstable();
        Ok(names
            .into_iter()
            .filter_map(|(_, name)| match self.entry(name) {
                Ok(Some(entry)) => Some(Ok(entry)),
                Ok(None) => None,
                Err(e) => Some(Err((name.to_vec(), e))),
            })
            .collect())
    }

    fn xattrs(&self, name: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        Attributed::at(&self.fd, name).all().map_err(|e| {
            failed(
                format!(
                    "reading the extended attributes of {}",
                    self.child(name).display()
                ),
                e,
            )
        })
    }

    fn open(&self, name: &[u8]) -> Result<Box<dyn Input>> {
        let path = self.child(name);
        let fd = self.open_file(name)?;
        let stat =
            examine(&fd, b"").map_err(|e| failed(format!("examining {}", path.display()), e))?;
        if type_of(&stat) != rustix::fs::FileType::RegularFile {
            return Err(changed(&path));
        }
        Ok(Box::new(LocalInput {
            fd,
            path,
            waits: None,
            at: 0,
            end: u64::MAX,
            data_until: 0,
            // Fewer blocks than bytes: only then are holes worth looking for.
            sparse: stat.stx_blocks.saturating_mul(512) < stat.stx_size,
        }))
    }

    fn open_part(
        &self,
        name: &[u8],
        meta: &Meta,
        part: Range<u64>,
    ) -> Result<Option<Box<dyn Input>>> {
        let FileType::File { size } = meta.kind else {
            return self.open(name).map(Some);
        };
        let fd = self.open_file(name)?;
        // Only hints: a file system without read-ahead may refuse them.
        let advice = match size {
            1..=SMALL if self.waits.ask() => Some(Advice::WillNeed),
            0..=SMALL => None,
            _ => Some(Advice::Sequential),
        };
        if let Some(advice) = advice {
            let _ = rustix::fs::fadvise(&fd, 0, None, advice);
        }
        Ok(Some(Box::new(LocalInput {
            fd,
            path: self.child(name),
            waits: Some(self.waits.clone()).filter(|_| size <= SMALL),
            at: part.start,
            end: part.end.min(size),
            data_until: 0,
            // Small files are read at once; their zeros are found in memory.
            sparse: size > SMALL,
        })))
    }

    fn folder(&self, name: &[u8]) -> Result<Box<dyn Folder>> {
        let fd = self.open_at(name, OFlags::DIRECTORY)?;
        let path = self.child(name);
        let stat =
            examine(&fd, b"").map_err(|e| failed(format!("examining {}", path.display()), e))?;
        let elsewhere = device(&stat) != self.home;
        if elsewhere {
            tracing::info!(folder = %path.display(), "another file system is mounted here; its content is not part of this backup");
        }
        Ok(Box::new(Self {
            fd,
            path,
            home: self.home,
            elsewhere,
            waits: self.waits.clone(),
        }))
    }
}

fn changed(path: &Path) -> Error {
    Error::new(
        Kind::Transient,
        format!(
            "{} became something else while the backup ran; the next backup will save what it is then",
            path.display()
        ),
    )
}

struct LocalInput {
    fd: OwnedFd,
    path: PathBuf,
    /// Hears how long reading takes, where that is of use.
    waits: Option<Waits>,
    at: u64,
    /// Nothing is read from here on.
    end: u64,
    /// Up to here the bytes are known to be data, so a read must not go further.
    data_until: u64,
    sparse: bool,
}

impl LocalInput {
    fn reading(&self, e: Errno) -> Error {
        failed(format!("reading {}", self.path.display()), e)
    }
}

impl Input for LocalInput {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let known = self.data_until.saturating_sub(self.at);
        let limit = if known > 0 { known } else { u64::MAX };
        let limit = limit.min(self.end.saturating_sub(self.at));
        let len = buf.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(0);
        }
        loop {
            let begun = self.waits.as_ref().map(|_| Instant::now());
            match rustix::io::pread(&self.fd, &mut buf[..len], self.at) {
                Ok(n) => {
                    if let (Some(waits), Some(begun)) = (&self.waits, begun) {
                        waits.hear(n, begun.elapsed());
                    }
                    self.at += n as u64;
                    return Ok(n);
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(self.reading(e)),
            }
        }
    }

    fn skip_hole(&mut self) -> Result<u64> {
        use rustix::fs::{SeekFrom, seek};
        if !self.sparse || self.at < self.data_until || self.at >= self.end {
            return Ok(0);
        }
        let size = || examine(&self.fd, b"").map(|s| s.stx_size);
        let data = match seek(&self.fd, SeekFrom::Data(self.at)) {
            Ok(data) => data,
            // No data until the end, or already at the end.
            Err(Errno::NXIO) => size().map_err(|e| self.reading(e))?.max(self.at),
            // A file system that cannot tell: everything is data.
            Err(Errno::INVAL | Errno::NOTSUP) => {
                self.sparse = false;
                return Ok(0);
            }
            Err(e) => return Err(self.reading(e)),
        };
        self.data_until = match seek(&self.fd, SeekFrom::Hole(data)) {
            Ok(hole) => hole,
            Err(Errno::NXIO) => data,
            Err(e) => return Err(self.reading(e)),
        };
        let data = data.min(self.end).max(self.at);
        let skipped = data - self.at;
        self.at = data;
        Ok(skipped)
    }

    fn meta_now(&mut self) -> Result<Option<Meta>> {
        let stat = examine(&self.fd, b"").map_err(|e| self.reading(e))?;
        meta(&stat, Vec::new()).map(Some)
    }

    fn xattrs(&mut self) -> Result<Option<BTreeMap<Vec<u8>, Vec<u8>>>> {
        Attributed::Open(self.fd.as_fd())
            .all()
            .map(Some)
            .map_err(|e| {
                failed(
                    format!("reading the extended attributes of {}", self.path.display()),
                    e,
                )
            })
    }
}

//! A local folder as a [`Target`].
//!
//! The folder may hold links that somebody hostile placed there, so parents
//! are opened by `openat2` beneath the top and without any link, and the last
//! name is always made anew, never written through. Where something may be in
//! the way, a file is written under a temporary name and renamed when it is
//! whole; a crash can leave a `.colca-*.part` behind, nothing else. In a folder
//! this restore made itself, closed to everybody else until it is finished,
//! files get their names at once: half a file in an unfinished folder after a
//! crash is what the next restore replaces.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{absolute, device, examine, failed, type_of};
use crate::engine::tree::{FileType, Meta, Output, Target};
use crate::engine::{Error, Kind, Result};
use crate::sources::temporary_name;

mod attributes;

use attributes::How;

/// Longest path given to one `openat2`; the kernel's limit is 4096.
const STRETCH: usize = 3000;
/// Folders kept open.
const RECENT: usize = 16;

/// An open folder that things are put into.
struct Parent {
    fd: OwnedFd,
    /// The owner of files made in it, where this restore made the folder and
    /// they inherit nothing from it.
    fresh: Option<(u32, u32)>,
}

/// An open folder and the way to it from the top.
type Opened = (Vec<Vec<u8>>, Arc<Parent>);

/// A folder that a restore fills.
pub(in crate::sources) struct LocalTarget {
    top: OwnedFd,
    path: PathBuf,
    /// What this process may not set, each said once.
    said: Arc<attributes::Said>,
    /// Folders used a moment ago: files come folder by folder.
    recent: Mutex<VecDeque<Opened>>,
    /// Folders made by this restore and not finished.
    fresh: Mutex<HashSet<Vec<Vec<u8>>>>,
}

impl LocalTarget {
    /// Opens the folder, making it and its parents if they are not there.
    pub fn new(path: &Path) -> Result<Self> {
        let path = absolute(path)?;
        std::fs::create_dir_all(&path)
            .map_err(|e| Error::io(format!("making the folder {}", path.display()), e))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|e| failed(format!("opening the folder {}", path.display()), e))?;
        Ok(Self {
            top,
            path,
            said: Arc::default(),
            recent: Mutex::default(),
            fresh: Mutex::default(),
        })
    }

    fn fresh(&self) -> MutexGuard<'_, HashSet<Vec<Vec<u8>>>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, path: &[Vec<u8>]) -> String {
        let mut shown = self.path.clone();
        shown.extend(path.iter().map(|n| OsStr::from_bytes(n)));
        shown.display().to_string()
    }

    /// The open parent folder of `path`, and its last name.
    fn parent<'p>(&self, path: &'p [Vec<u8>]) -> Result<(Arc<Parent>, &'p [u8])> {
        for name in path {
            if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
                return Err(Error::new(
                    Kind::Refused,
                    format!("{} is not a name a file can have", name.escape_ascii()),
                ));
            }
        }
        let (name, folders) = path.split_last().ok_or_else(|| {
            Error::new(
                Kind::Refused,
                format!("{} is a folder and stays one", self.path.display()),
            )
        })?;
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, dir)) = recent().iter().find(|(way, _)| way == folders) {
            return Ok((dir.clone(), name));
        }
        let opening = |e| match e {
            Errno::LOOP | Errno::NOTDIR | Errno::XDEV => Error::new(
                Kind::Refused,
                format!(
                    "{} leads through a link or a file that was put in the way; remove it, then restore again",
                    self.show(path)
                ),
            ),
            e => failed(format!("opening the folder of {}", self.show(path)), e),
        };
        let open = |dir: &OwnedFd, way: &[u8]| {
            rustix::fs::openat2(
                dir,
                way,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
            )
        };
        let mut dir = open(&self.top, b".").map_err(opening)?;
        let mut way = Vec::new();
        for folder in folders {
            if !way.is_empty() {
                way.push(b'/');
            }
            way.extend_from_slice(folder);
            if way.len() > STRETCH {
                dir = open(&dir, &way).map_err(opening)?;
                way.clear();
            }
        }
        if !way.is_empty() {
            dir = open(&dir, &way).map_err(opening)?;
        }
        let fresh = if self.fresh().contains(folders) {
            attributes::inherited(&dir).map_err(opening)?
        } else {
            None
        };
        let dir = Arc::new(Parent { fd: dir, fresh });
        let mut recent = recent();
        recent.push_front((folders.to_vec(), dir.clone()));
        recent.truncate(RECENT);
        Ok((dir, name))
    }

    /// Calls `make` with a temporary name until that is new, then gives what
    /// was made its final name, replacing what is there.
    fn place(
        &self,
        path: &[Vec<u8>],
        make: impl Fn(&OwnedFd, &[u8]) -> Result<(), Errno>,
    ) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        let making = |e| failed(format!("making {}", self.show(path)), e);
        let temporary = loop {
            let temporary = temporary_name();
            match make(&dir.fd, &temporary) {
                Ok(()) => break temporary,
                Err(Errno::EXIST) => {}
                Err(e) => return Err(making(e)),
            }
        };
        replace(&dir.fd, &temporary, name).map_err(|e| occupied(e, || self.show(path)))
    }
}

/// Renames `temporary` to `name` in the same folder. An empty folder in the
/// way is removed, a filled one stays and is the error; `temporary` is gone either way.
fn replace(dir: &OwnedFd, temporary: &[u8], name: &[u8]) -> Result<(), Errno> {
    let mut renamed = rustix::fs::renameat(dir, temporary, dir, name);
    if renamed == Err(Errno::ISDIR) {
        renamed = rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
            .and_then(|()| rustix::fs::renameat(dir, temporary, dir, name));
    }
    if renamed.is_err() {
        // Nobody is left to tell; at worst a .part file stays.
        let _ = rustix::fs::unlinkat(dir, temporary, AtFlags::empty());
    }
    renamed
}

fn occupied(e: Errno, path: impl Fn() -> String) -> Error {
    match e {
        Errno::NOTEMPTY | Errno::EXIST => Error::new(
            Kind::Refused,
            format!(
                "{} is a folder with files in it; move it away, then restore again",
                path()
            ),
        ),
        e => failed(format!("putting {} in place", path()), e),
    }
}

impl Target for LocalTarget {
    fn folder(&self, path: &[Vec<u8>]) -> Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        let (dir, name) = self.parent(path)?;
        let making = |e| failed(format!("making the folder {}", self.show(path)), e);
        let dir = &dir.fd;
        match rustix::fs::mkdirat(dir, name, Mode::RWXU) {
            Ok(()) => {
                self.fresh().insert(path.to_vec());
            }
            Err(Errno::EXIST) => {
                let there = examine(dir, name).map_err(making)?;
                if type_of(&there) != rustix::fs::FileType::Directory {
                    rustix::fs::unlinkat(dir, name, AtFlags::empty()).map_err(making)?;
                    rustix::fs::mkdirat(dir, name, Mode::RWXU).map_err(making)?;
                }
            }
            Err(e) => return Err(making(e)),
        }
        if !rustix::process::geteuid().is_root() {
            attributes::open_to_owner(dir, name).map_err(making)?;
        }
        Ok(())
    }

    fn file(&self, path: &[Vec<u8>], size: u64) -> Result<Box<dyn Output>> {
        let (dir, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut made_as = match dir.fresh {
            Some(_) => name.to_vec(),
            None => temporary_name(),
        };
        let fd = loop {
            match rustix::fs::openat(&dir.fd, &made_as[..], flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => break fd,
                Err(Errno::EXIST) => made_as = temporary_name(),
                Err(e) => return Err(failed(format!("making {}", self.show(path)), e)),
            }
        };
        Ok(Box::new(LocalOutput {
            fd,
            dir,
            made_as: Some(made_as),
            name: name.to_vec(),
            path: self.show(path),
            size,
            end: AtomicU64::new(0),
            said: self.said.clone(),
        }))
    }

    fn special(&self, path: &[Vec<u8>], meta: &Meta) -> Result<()> {
        use rustix::fs::FileType as T;
        let (node, rdev) = match &meta.kind {
            FileType::Symlink { target } => {
                return self.place(path, |dir, name| {
                    rustix::fs::symlinkat(&target[..], dir, name)
                });
            }
            // A socket's name means nothing without the process behind it.
            FileType::Socket => return Ok(()),
            FileType::Fifo => (T::Fifo, 0),
            FileType::CharDevice { rdev } => (T::CharacterDevice, *rdev),
            FileType::BlockDevice { rdev } => (T::BlockDevice, *rdev),
            FileType::File { .. } | FileType::Folder => {
                return Err(Error::new(
                    Kind::Refused,
                    format!("{} is neither a link nor a device", self.show(path)),
                ));
            }
        };
        let mode = Mode::RUSR | Mode::WUSR;
        self.place(path, |dir, name| {
            rustix::fs::mknodat(dir, name, node, mode, rdev)
        })
    }

    fn hard_link(&self, original: &[Vec<u8>], path: &[Vec<u8>]) -> Result<()> {
        let (from, first) = self.parent(original)?;
        let (dir, name) = self.parent(path)?;
        let (from, dir) = (&from.fd, &dir.fd);
        let link = |name: &[u8]| rustix::fs::linkat(from, first, dir, name, AtFlags::empty());
        // Mostly nothing is in the way. If something is, it may be the very
        // same inode, and renaming one of its names to the other does nothing.
        match link(name) {
            Err(Errno::EXIST) => {}
            other => return other.map_err(|e| failed(format!("making {}", self.show(path)), e)),
        }
        let inode = |dir: &OwnedFd, name: &[u8]| {
            examine(dir, name).map(|s| (device(&s), s.stx_ino, type_of(&s)))
        };
        if inode(from, first).ok() == inode(dir, name).ok() {
            return Ok(());
        }
        self.place(path, |_, name| link(name))
    }

    fn finish(&self, path: &[Vec<u8>], meta: &Meta) -> Result<Vec<String>> {
        if meta.kind == FileType::Socket {
            return Ok(Vec::new());
        }
        let opening = |e| failed(format!("opening {}", self.show(path)), e);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = if path.is_empty() {
            rustix::fs::openat(&self.top, ".", flags, Mode::empty()).map_err(opening)?
        } else {
            let (dir, name) = self.parent(path)?;
            rustix::fs::openat(&dir.fd, name, flags, Mode::empty()).map_err(opening)?
        };
        if meta.kind == FileType::Folder {
            // From here on it may have a default ACL, which files made in it inherit.
            self.fresh().remove(path);
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.retain(|(way, _)| way != path);
        }
        let mut words = attributes::apply(&fd, How::ByPath, meta, &self.said)
            .map_err(|e| e.context(self.show(path)))?;
        if path.is_empty() {
            // The top is finished last: from here on the restore survives a power cut.
            rustix::fs::syncfs(&self.top)
                .map_err(|e| failed(format!("writing {} to disk", self.path.display()), e))?;
        }
        words.sort();
        Ok(words)
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

struct LocalOutput {
    fd: OwnedFd,
    dir: Arc<Parent>,
    /// The name it was made under; taken once the file is whole under its final one.
    made_as: Option<Vec<u8>>,
    name: Vec<u8>,
    path: String,
    size: u64,
    /// One past the last byte written.
    end: AtomicU64,
    said: Arc<attributes::Said>,
}

impl LocalOutput {
    /// Gives the file its length and its name.
    fn place(&mut self) -> Result<()> {
        if *self.end.get_mut() != self.size {
            rustix::fs::ftruncate(&self.fd, self.size)
                .map_err(|e| failed(format!("setting the length of {}", self.path), e))?;
        }
        if let Some(made_as) = self.made_as.take()
            && made_as != self.name
        {
            replace(&self.dir.fd, &made_as, &self.name)
                .map_err(|e| occupied(e, || self.path.clone()))?;
        }
        Ok(())
    }
}

impl Output for LocalOutput {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pwrite(&self.fd, &bytes[done..], offset + done as u64) {
                Ok(0) => return Err(failed(format!("writing {}", self.path), Errno::NOSPC)),
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(failed(format!("writing {}", self.path), e)),
            }
        }
        self.end.fetch_max(offset + done as u64, Ordering::Relaxed);
        Ok(())
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        self.place()
    }

    fn close_with(mut self: Box<Self>, meta: &Meta) -> Result<Option<Vec<String>>> {
        if *self.end.get_mut() != self.size {
            // Before the times are set, which a change of length would touch.
            rustix::fs::ftruncate(&self.fd, self.size)
                .map_err(|e| failed(format!("setting the length of {}", self.path), e))?;
            *self.end.get_mut() = self.size;
        }
        let how = match self.dir.fresh {
            Some(owner) => How::New(owner),
            None => How::Open,
        };
        let words = attributes::apply(&self.fd, how, meta, &self.said)
            .map_err(|e| e.context(&self.path))?;
        self.place()?;
        Ok(Some(words))
    }
}

impl Drop for LocalOutput {
    fn drop(&mut self) {
        if let Some(made_as) = &self.made_as {
            // Nobody is left to tell; at worst half a file stays.
            let _ = rustix::fs::unlinkat(&self.dir.fd, &made_as[..], AtFlags::empty());
        }
    }
}

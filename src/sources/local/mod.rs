//! Folders of this machine, for backup and for restore.
//!
//! Everything is reached through directory handles and single names relative
//! to them, never through a path that is resolved again: a link swapped in
//! while a backup or restore runs can change what one name shows, but never
//! lead outside the folder. [`tree`] reads, [`target`] writes; what both need
//! to know about inodes stands here.

pub(super) mod target;
pub(super) mod tree;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Statx, StatxFlags};
use rustix::io::Errno;

use crate::engine::tree::{FileType, Meta, Time};
use crate::engine::{Error, Kind, Result};

/// An operating-system error met while doing `what`.
fn failed(what: impl std::fmt::Display, e: Errno) -> Error {
    Error::io(what, e.into())
}

/// Examines `name` in `dir` without following a link; an empty name is `dir` itself.
fn examine(dir: impl AsFd, name: &[u8]) -> Result<Statx, Errno> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if name.is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS)
}

/// Device number of the file system an inode lives on.
fn device(stat: &Statx) -> u64 {
    rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor)
}

/// The type bits of an inode.
fn type_of(stat: &Statx) -> rustix::fs::FileType {
    rustix::fs::FileType::from_raw_mode(u32::from(stat.stx_mode))
}

/// Joins what `statx` said with the target of a symbolic link (empty for
/// others); extended attributes are left empty.
fn meta(stat: &Statx, link: Vec<u8>) -> Result<Meta> {
    use rustix::fs::FileType as T;
    let rdev = rustix::fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor);
    let kind = match type_of(stat) {
        T::RegularFile => FileType::File {
            size: stat.stx_size,
        },
        T::Directory => FileType::Folder,
        T::Symlink => FileType::Symlink { target: link },
        T::Fifo => FileType::Fifo,
        T::Socket => FileType::Socket,
        T::CharacterDevice => FileType::CharDevice { rdev },
        T::BlockDevice => FileType::BlockDevice { rdev },
        T::Unknown => {
            return Err(Error::new(
                Kind::Refused,
                format!("its type ({:#o}) is unknown to Linux", stat.stx_mode),
            ));
        }
    };
    let time = |t: &rustix::fs::StatxTimestamp| Time {
        secs: t.tv_sec,
        nanos: t.tv_nsec,
    };
    Ok(Meta {
        kind,
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        mtime: time(&stat.stx_mtime),
        ctime: time(&stat.stx_ctime),
        inode: (device(stat), stat.stx_ino),
        links: u64::from(stat.stx_nlink),
        xattrs: BTreeMap::new(),
    })
}

/// A path that leads to `name` in the open folder `dir` whatever was renamed
/// meanwhile, for the calls that know no handles; to be used with a call that
/// does not follow links. With an empty name it leads to what `dir` is open on
/// (be it a link itself), and must be used with a call that follows.
fn by_handle(dir: impl AsFd, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()).into_bytes();
    if !name.is_empty() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

/// Attributes that belong to a file. The rest of `system.*` are views the
/// kernel makes of something else, which cannot be set back.
fn is_kept(name: &[u8]) -> bool {
    [&b"user."[..], b"security.", b"trusted."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || is_acl(name)
}

/// POSIX ACLs as the kernel encodes them.
fn is_acl(name: &[u8]) -> bool {
    matches!(
        name,
        b"system.posix_acl_access" | b"system.posix_acl_default"
    )
}

/// How to reach the extended attributes of one inode.
enum Attributed<'a> {
    /// An open file, the cheapest way.
    Open(BorrowedFd<'a>),
    /// A path of [`by_handle`] whose last link is followed.
    Followed(Vec<u8>),
    /// A path of [`by_handle`] whose last link is not followed.
    Named(Vec<u8>),
}

impl<'a> Attributed<'a> {
    /// `name` in `dir` (not followed) or, with an empty name, what `dir`, be it
    /// open with `O_PATH` only, is open on.
    fn at(dir: impl AsFd, name: &[u8]) -> Self {
        let path = by_handle(dir, name);
        if name.is_empty() {
            Self::Followed(path)
        } else {
            Self::Named(path)
        }
    }

    /// The names of the attributes that are kept.
    fn names(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let list = match grown(|buf| match self {
            Self::Open(fd) => rustix::fs::flistxattr(fd, buf),
            Self::Followed(path) => rustix::fs::listxattr(&path[..], buf),
            Self::Named(path) => rustix::fs::llistxattr(&path[..], buf),
        }) {
            Ok(list) => list,
            // The file system has no attributes at all.
            Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        Ok(list
            .split(|b| *b == 0)
            .filter(|name| is_kept(name))
            .map(<[u8]>::to_vec)
            .collect())
    }

    /// All attributes that are kept.
    fn all(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
        let mut all = BTreeMap::new();
        for name in self.names()? {
            let value = grown(|buf| match self {
                Self::Open(fd) => rustix::fs::fgetxattr(fd, &name[..], buf),
                Self::Followed(path) => rustix::fs::getxattr(&path[..], &name[..], buf),
                Self::Named(path) => rustix::fs::lgetxattr(&path[..], &name[..], buf),
            });
            match value {
                Ok(value) => {
                    all.insert(name, value);
                }
                // Removed since it was listed, or a namespace that lists more than it shows.
                Err(Errno::NODATA | Errno::NOTSUP) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(all)
    }
}

/// Calls `read` with a larger buffer until the answer fits; the kernel's
/// limit for attribute lists and values is 64 KiB.
fn grown(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    // Most files have none, so the first try costs no memory.
    let mut first = [0u8; 256];
    match read(&mut first) {
        Ok(len) => return Ok(first[..len].to_vec()),
        Err(Errno::RANGE) => {}
        Err(e) => return Err(e),
    }
    let mut buf = vec![0u8; 1024];
    loop {
        match read(&mut buf) {
            Ok(len) => {
                buf.truncate(len);
                return Ok(buf);
            }
            Err(Errno::RANGE) if buf.len() <= 64 << 10 => {
                let larger = buf.len() * 8;
                buf.resize(larger, 0);
            }
            Err(e) => return Err(e),
        }
    }
}

/// `path` made absolute, so that a later change of the working folder does not matter.
fn absolute(path: &Path) -> Result<std::path::PathBuf> {
    std::path::absolute(path)
        .map_err(|e| Error::io(format!("finding out where {} is", path.display()), e))
}

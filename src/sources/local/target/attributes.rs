//! Owner, mode, attributes and times of a restored file, in the order that
//! keeps them all.
//!
//! Owner first, because changing it clears setuid bits and capabilities; then
//! plain attributes, which only a writable file takes from its owner; then the
//! mode; then ACLs and security attributes, which the mode would change or a
//! chown would clear; times last, because everything before touches them.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::super::{Attributed, by_handle, examine, failed, is_acl, type_of};
use crate::engine::tree::{FileType, Meta};
use crate::engine::{Error, Kind, Result};

/// What could not be set for lack of rights holds for every file alike, so it
/// is said once for a restore, not a million times.
#[derive(Default)]
pub(super) struct Said {
    owner: AtomicBool,
    setuid: AtomicBool,
    acl: AtomicBool,
    user: AtomicBool,
    security: AtomicBool,
    trusted: AtomicBool,
}

fn once(said: &AtomicBool, words: &mut Vec<String>, text: impl Into<String>) {
    if !said.swap(true, Ordering::Relaxed) {
        words.push(text.into());
    }
}

/// Lets the owner work in a folder whose mode or the process's umask would not.
pub(super) fn open_to_owner(dir: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let stat = examine(dir, name)?;
    if u32::from(stat.stx_mode) & 0o700 == 0o700
        || type_of(&stat) != rustix::fs::FileType::Directory
    {
        return Ok(());
    }
    let flags = rustix::fs::OFlags::PATH
        | rustix::fs::OFlags::DIRECTORY
        | rustix::fs::OFlags::NOFOLLOW
        | rustix::fs::OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    match rustix::fs::chmod(by_handle(&fd, b""), Mode::RWXU) {
        // Somebody else's folder: whether we may work in it shows soon enough.
        Err(Errno::PERM) => Ok(()),
        other => other,
    }
}

fn is_type(kind: &FileType, there: rustix::fs::FileType) -> bool {
    use rustix::fs::FileType as T;
    let wanted = match kind {
        FileType::File { .. } => T::RegularFile,
        FileType::Folder => T::Directory,
        FileType::Symlink { .. } => T::Symlink,
        FileType::Fifo => T::Fifo,
        FileType::Socket => T::Socket,
        FileType::CharDevice { .. } => T::CharacterDevice,
        FileType::BlockDevice { .. } => T::BlockDevice,
    };
    wanted == there
}

/// How a file is held whose attributes are set.
pub(super) enum How {
    /// With `O_PATH`: only its path under `/proc` serves.
    ByPath,
    /// Open for writing, so the calls for open files serve.
    Open,
    /// So too, and made a moment ago in a folder from which it [`inherited`]
    /// only this owner and group.
    New((u32, u32)),
}

/// Owner and group of files this process makes in `dir`, a folder it made, if
/// it knows them and they inherit nothing else.
pub(super) fn inherited(dir: &OwnedFd) -> Result<Option<(u32, u32)>, Errno> {
    let us = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let stat = examine(dir, b"")?;
    // Where the folder is not ours, the file system gives owners in its own way.
    let plain = (stat.stx_uid, stat.stx_gid) == us
        && !Attributed::at(dir, b"").names()?.iter().any(|n| is_acl(n));
    Ok(plain.then_some(us))
}

/// Sets everything of `meta` on the file; says what it could not.
pub(super) fn apply(fd: &OwnedFd, how: How, meta: &Meta, said: &Said) -> Result<Vec<String>> {
    let handle = match how {
        How::ByPath => Attributed::at(fd, b""),
        How::Open | How::New(_) => Attributed::Open(fd.as_fd()),
    };
    let mut words = Vec::new();
    let owner = match how {
        How::New(owner) => owner,
        How::Open | How::ByPath => {
            let there = examine(fd, b"").map_err(|e| failed("examining it", e))?;
            if !is_type(&meta.kind, type_of(&there)) {
                return Err(Error::new(
                    Kind::Refused,
                    "it became something else while the restore ran; its owner and mode were not set",
                ));
            }
            (there.stx_uid, there.stx_gid)
        }
    };
    let mut mode = meta.mode & 0o7777;

    if owner != (meta.uid, meta.gid) && !chown(fd, meta)? {
        once(
            &said.owner,
            &mut words,
            format!(
                "owner and group ({}:{}) were not set, because only root may; this holds for all files of this restore",
                meta.uid, meta.gid
            ),
        );
        if mode & 0o6000 != 0 {
            // With another owner these bits would lend that owner's rights.
            mode &= !0o6000;
            once(
                &said.setuid,
                &mut words,
                "its setuid and setgid bits were left out, because its owner could not be set; this holds for all such files of this restore",
            );
        }
    }

    let late = |name: &[u8]| !name.starts_with(b"user.");
    if !matches!(how, How::New(_)) {
        remove_strangers(&handle, meta, &mut words);
    }
    for (name, value) in meta.xattrs.iter().filter(|(n, _)| !late(n)) {
        set_xattr(&handle, name, value, said, &mut words);
    }
    if !matches!(meta.kind, FileType::Symlink { .. }) {
        let mode = Mode::from_raw_mode(mode);
        match &handle {
            Attributed::Open(fd) => rustix::fs::fchmod(fd, mode),
            Attributed::Followed(path) | Attributed::Named(path) => {
                rustix::fs::chmod(&path[..], mode)
            }
        }
        .map_err(|e| failed("setting its mode", e))?;
    }
    for (name, value) in meta.xattrs.iter().filter(|(n, _)| late(n)) {
        set_xattr(&handle, name, value, said, &mut words);
    }

    let time = Timespec {
        tv_sec: meta.mtime.secs,
        tv_nsec: i64::from(meta.mtime.nanos.min(999_999_999)),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    match &handle {
        Attributed::Open(fd) => rustix::fs::futimens(fd, &times),
        Attributed::Followed(path) | Attributed::Named(path) => {
            rustix::fs::utimensat(CWD, &path[..], &times, AtFlags::empty())
        }
    }
    .map_err(|e| failed("setting its time", e))?;
    Ok(words)
}

/// Sets owner and group, or at least the group; false when the owner is not
/// the right one afterwards for lack of rights.
fn chown(fd: &OwnedFd, meta: &Meta) -> Result<bool> {
    let set = |uid: Option<u32>, gid: u32| {
        rustix::fs::chownat(
            fd,
            "",
            uid.map(Uid::from_raw),
            Some(Gid::from_raw(gid)),
            AtFlags::EMPTY_PATH,
        )
    };
    match set(Some(meta.uid), meta.gid) {
        Ok(()) => Ok(true),
        // INVAL: the number has no meaning in this user namespace.
        Err(Errno::PERM | Errno::INVAL) => {
            // The group alone is worth having, where we are in it.
            let _ = set(None, meta.gid);
            Ok(false)
        }
        Err(e) => Err(failed("setting its owner", e)),
    }
}

/// Takes off what the file did not have: ACLs inherited from the folder it
/// was made in, attributes of an older folder of the same name.
fn remove_strangers(handle: &Attributed<'_>, meta: &Meta, words: &mut Vec<String>) {
    let names = match handle.names() {
        Ok(names) => names,
        Err(e) => {
            words.push(format!("its extended attributes could not be listed: {e}"));
            return;
        }
    };
    for name in names {
        let ours = name.starts_with(b"user.") || is_acl(&name);
        if ours && !meta.xattrs.contains_key(&name) {
            let removed = match handle {
                Attributed::Open(fd) => rustix::fs::fremovexattr(fd, &name[..]),
                Attributed::Followed(path) | Attributed::Named(path) => {
                    rustix::fs::removexattr(&path[..], &name[..])
                }
            };
            match removed {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(e) => words.push(format!(
                    "the attribute {}, which it did not have, could not be removed: {e}",
                    name.escape_ascii()
                )),
            }
        }
    }
}

fn set_xattr(
    handle: &Attributed<'_>,
    name: &[u8],
    value: &[u8],
    said: &Said,
    words: &mut Vec<String>,
) {
    let set = match handle {
        Attributed::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
        Attributed::Followed(path) | Attributed::Named(path) => {
            rustix::fs::setxattr(&path[..], name, value, XattrFlags::empty())
        }
    };
    let Err(e) = set else {
        return;
    };
    let shown = name.escape_ascii();
    if matches!(e, Errno::PERM | Errno::NOTSUP | Errno::ACCESS) {
        let said = if is_acl(name) {
            &said.acl
        } else if name.starts_with(b"security.") {
            &said.security
        } else if name.starts_with(b"trusted.") {
            &said.trusted
        } else {
            &said.user
        };
        once(
            said,
            words,
            format!(
                "the attribute {shown} was not set ({e}); this holds for all of its kind in this restore"
            ),
        );
    } else {
        words.push(format!("the attribute {shown} could not be set: {e}"));
    }
}

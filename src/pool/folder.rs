//! Folders before they are members, and after.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::member::{DELETED, LOCK, SEGMENTS, SNAPSHOTS, TEMP};
use crate::engine::storage::Space;

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

/// Removes what [`lay_out`] and the identity made, after a failed creation or
/// when an emptied member is gone. What holds something stays.
pub(super) fn wipe_layout(folder: &Path) {
    for part in [SEGMENTS, SNAPSHOTS] {
        for shelf in fs::read_dir(folder.join(part))
            .into_iter()
            .flatten()
            .flatten()
        {
            let _ = fs::remove_dir(shelf.path());
        }
    }
    for note in fs::read_dir(folder.join(DELETED))
        .into_iter()
        .flatten()
        .flatten()
    {
        let _ = fs::remove_file(note.path());
    }
    for part in [SEGMENTS, SNAPSHOTS, "objects", TEMP, DELETED] {
        let _ = fs::remove_dir(folder.join(part));
    }
    // The identity goes last: until then it is known whose this is.
    for file in [super::findings::FILE, super::memory::FILE, LOCK]
        .iter()
        .chain(&super::identity::FILES)
    {
        let _ = fs::remove_file(folder.join(file));
        let _ = fs::remove_file(folder.join(format!("{file}.new")));
    }
}

/// Whether any object has something in this member folder. What cannot be
/// looked at counts as something.
pub(super) fn holds_anything(folder: &Path) -> bool {
    let objects = folder.join("objects");
    match objects.try_exists() {
        Ok(false) => return false,
        Ok(true) => {}
        Err(_) => return true,
    }
    let shelves = |part: &str| fs::read_dir(folder.join(part));
    let empty = |part: &str| -> io::Result<bool> {
        for shelf in shelves(part)? {
            if fs::read_dir(shelf?.path())?.next().is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let singles = ["header", "manifest"];
    singles.iter().any(|file| objects.join(file).exists())
        || !empty(SEGMENTS).unwrap_or(false)
        || !empty(SNAPSHOTS).unwrap_or(false)
}

/// Whether a folder holds only what [`lay_out`] makes, in part or in whole.
pub(super) fn is_bare_layout(folder: &Path) -> bool {
    let known = ["objects", TEMP, DELETED, LOCK, "lost+found"];
    let also = super::identity::FILES.map(|file| format!("{file}.new"));
    let ours = |name: &std::ffi::OsStr| {
        name.to_str()
            .is_some_and(|name| known.contains(&name) || also.iter().any(|a| a == name))
    };
    let mut any = false;
    let all = fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.all(|entry| {
            any = true;
            entry.is_ok_and(|entry| ours(&entry.file_name()))
        })
    });
    all && any
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

//! Between what trees and targets speak of and what is stored.

use super::format::tree::{Bytes, EntryV1, KindV1, List};
use super::ids::Id;
use super::tree::{FileType, Meta, Time};

/// An entry with this metadata; content and attributes are added by the caller.
pub(crate) fn entry(name: Vec<u8>, meta: &Meta) -> EntryV1 {
    EntryV1 {
        name: Bytes(name),
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        mtime: (meta.mtime.secs, meta.mtime.nanos),
        ctime: (meta.ctime.secs, meta.ctime.nanos),
        dev: meta.inode.0,
        ino: meta.inode.1,
        links: meta.links,
        xattrs: List::default(),
        kind: match &meta.kind {
            FileType::File { size } => KindV1::File {
                size: *size,
                extents: List::default(),
            },
            FileType::Folder => KindV1::Folder {
                id: Id([0; 32]),
                entries: 0,
                bytes: 0,
            },
            FileType::Symlink { target } => KindV1::Symlink(Bytes(target.clone())),
            FileType::Fifo => KindV1::Fifo,
            FileType::Socket => KindV1::Socket,
            FileType::CharDevice { rdev } => KindV1::CharDevice(*rdev),
            FileType::BlockDevice { rdev } => KindV1::BlockDevice(*rdev),
        },
    }
}

/// The metadata of an entry, without its attributes.
pub(crate) fn meta(entry: &EntryV1) -> Meta {
    Meta {
        kind: match &entry.kind {
            KindV1::File { size, .. } => FileType::File { size: *size },
            KindV1::Folder { .. } => FileType::Folder,
            KindV1::Symlink(target) => FileType::Symlink {
                target: target.0.clone(),
            },
            KindV1::Fifo => FileType::Fifo,
            KindV1::Socket => FileType::Socket,
            KindV1::CharDevice(rdev) => FileType::CharDevice { rdev: *rdev },
            KindV1::BlockDevice(rdev) => FileType::BlockDevice { rdev: *rdev },
        },
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: Time {
            secs: entry.mtime.0,
            nanos: entry.mtime.1,
        },
        ctime: Time {
            secs: entry.ctime.0,
            nanos: entry.ctime.1,
        },
        inode: (entry.dev, entry.ino),
        links: entry.links,
        xattrs: Default::default(),
    }
}

/// Whether `now` is the same, unchanged thing as `old` as far as metadata can tell.
pub(crate) fn unchanged(old: &EntryV1, now: &Meta) -> bool {
    let same_kind = match (&old.kind, &now.kind) {
        (KindV1::File { size, .. }, FileType::File { size: now }) => size == now,
        (KindV1::Folder { .. }, FileType::Folder)
        | (KindV1::Fifo, FileType::Fifo)
        | (KindV1::Socket, FileType::Socket) => true,
        (KindV1::Symlink(a), FileType::Symlink { target }) => a.0 == *target,
        (KindV1::CharDevice(a), FileType::CharDevice { rdev })
        | (KindV1::BlockDevice(a), FileType::BlockDevice { rdev }) => a == rdev,
        _ => false,
    };
    same_kind
        && old.mtime == (now.mtime.secs, now.mtime.nanos)
        && old.ctime == (now.ctime.secs, now.ctime.nanos)
        && (old.dev, old.ino) == now.inode
}

//! The engine's upper seam: where files come from and where they go.
//!
//! [`Tree`] is read by a backup, [`Target`] is written by a restore. Names are
//! bytes, as on Linux; a path is a list of names, never a string with
//! separators in it. `sources` implements both for local folders, SFTP and,
//! later, more.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
pub use super::names::Names;

/// A point in time with nanoseconds, as file systems keep it; before 1970 `secs` is negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time {
    /// Seconds since 1970-01-01 UTC.
    pub secs: i64,
    /// Nanoseconds within that second, 0 to 999 999 999.
    pub nanos: u32,
}

/// What kind of thing a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileType {
    /// A regular file of this many bytes.
    File {
        /// Length in bytes, holes included.
        size: u64,
    },
    /// A folder.
    Folder,
    /// A symbolic link with its target, never followed.
    Symlink {
        /// The bytes the link holds.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket's name; restored as nothing, kept for completeness.
    Socket,
    /// A character device.
    CharDevice {
        /// Device number as `makedev` packs it.
        rdev: u64,
    },
    /// A block device.
    BlockDevice {
        /// Device number as `makedev` packs it.
        rdev: u64,
    },
}

/// Everything about a file but its name and its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Type, with size, link target or device number.
    pub kind: FileType,
    /// Permission bits with setuid, setgid and sticky (`mode & 0o7777`).
    pub mode: u32,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the metadata; only used to tell "unchanged". Zero where the source has none.
    pub ctime: Time,
    /// Device and inode where the source has them: (0, 0) means unknown. Used
    /// to tell "unchanged" and to join hard links.
    pub inode: (u64, u64),
    /// Number of names this file has; 1 where the source does not know.
    pub links: u64,
    /// Extended attributes by name, POSIX ACLs among them as the kernel
    /// encodes them (`system.posix_acl_access`, `system.posix_acl_default`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Meta {
    /// Bytes of content; 0 for what has none.
    pub fn size(&self) -> u64 {
        match self.kind {
            FileType::File { size } => size,
            _ => 0,
        }
    }
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name: not empty, not `.` or `..`, without `/` and NUL. The engine
    /// refuses others, because sources may be hostile.
    pub name: Vec<u8>,
    /// Its metadata. `xattrs` may be left empty and be fetched by
    /// [`Folder::xattrs`] only when the entry has changed.
    pub meta: Meta,
}

/// An entry of a folder, or its name and why it cannot be examined.
pub type Examined = Result<Entry, (Vec<u8>, Error)>;

/// A tree of files to back up. Shared by the engine's worker threads.
pub trait Tree: Send + Sync {
    /// Opens the top folder. A source that has vanished is `Missing`, an
    /// unreachable one `Transient`.
    fn root(&self) -> Result<Box<dyn Folder>>;

    /// A few words for people and for the snapshot record, e.g. `sftp://fs1/srv/data`.
    fn describe(&self) -> String;

    /// How many folders and files are worth having open at once: many where
    /// each answer takes long to come (a network), 0 for as many as there are
    /// processor cores.
    fn parallel(&self) -> usize {
        0
    }
}

/// An open folder of a [`Tree`]; local trees hold a directory handle.
pub trait Folder: Send + Sync {
    /// The folder's own metadata, xattrs included.
    fn meta(&self) -> Result<Meta>;

    /// The names of what is in it, in any order. What the listing tells beyond
    /// the names, and [`Folder::examine`] would have to ask for again, goes into
    /// the notes.
    fn names(&self) -> Result<Names>;

    /// Examines a range of its names. An entry that cannot be examined is given
    /// as its name and error, so that the rest is still saved; one that has
    /// vanished meanwhile is left out. The engine asks for a few thousand at a
    /// time, from several threads.
    fn examine(&self, names: &Names, which: Range<usize>) -> Result<Vec<Examined>>;

    /// All that is in it, where it is known to be little.
    fn entries(&self) -> Result<Vec<Examined>> {
        let names = self.names()?;
        self.examine(&names, 0..names.len())
    }

    /// Extended attributes of one entry (not following links).
    fn xattrs(&self, name: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>>;

    /// Opens a regular file for reading.
    fn open(&self, name: &[u8]) -> Result<Box<dyn Input>>;

    /// Opens a regular file whose listed metadata are `meta` to read only the
    /// bytes `part` of it (the end may lie behind the file's). The source may
    /// take the listed type and length for granted: [`Input::meta_now`] is
    /// asked afterwards. `None` where a file can only be read as a whole.
    fn open_part(
        &self,
        name: &[u8],
        meta: &Meta,
        part: Range<u64>,
    ) -> Result<Option<Box<dyn Input>>> {
        let _ = (name, meta, part);
        Ok(None)
    }

    /// Opens a folder within.
    fn folder(&self, name: &[u8]) -> Result<Box<dyn Folder>>;
}

/// An open file of a [`Tree`], read front to back.
pub trait Input: Send {
    /// Reads up to `buf.len()` bytes at the current position; 0 is the end.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize>;

    /// Length of the hole at the current position, if the source knows of one,
    /// and moves past it. 0 means data (or the end) is next.
    fn skip_hole(&mut self) -> Result<u64> {
        Ok(0)
    }

    /// The file's metadata as it is now, to notice a change during the read.
    /// `None` where the source cannot tell.
    fn meta_now(&mut self) -> Result<Option<Meta>> {
        Ok(None)
    }

    /// The file's extended attributes, where asking the open file is cheaper
    /// than [`Folder::xattrs`]; `None` where it is not.
    fn xattrs(&mut self) -> Result<Option<BTreeMap<Vec<u8>, Vec<u8>>>> {
        Ok(None)
    }
}

/// Where a restore puts files. A `path` is relative to the target's top;
/// parents are always made before their children. Called from many threads,
/// for different files at once.
pub trait Target: Send + Sync {
    /// Makes the folder if it is not there; its metadata follow in [`Target::finish`].
    /// The empty path is the top itself.
    fn folder(&self, path: &[Vec<u8>]) -> Result<()>;

    /// Begins a regular file of `size` bytes, replacing what is there.
    fn file(&self, path: &[Vec<u8>], size: u64) -> Result<Box<dyn Output>>;

    /// Makes a symbolic link, fifo or device.
    fn special(&self, path: &[Vec<u8>], meta: &Meta) -> Result<()>;

    /// Makes `path` another name of the already restored `original`.
    fn hard_link(&self, original: &[Vec<u8>], path: &[Vec<u8>]) -> Result<()>;

    /// Sets owner, mode, xattrs and times, in the order that keeps them all.
    /// For folders called after everything in them. Returns what could not be
    /// set (e.g. owner without root), in words; that is a warning, not a failure.
    fn finish(&self, path: &[Vec<u8>], meta: &Meta) -> Result<Vec<String>>;

    /// A few words for people, e.g. `/srv/restored`.
    fn describe(&self) -> String;
}

/// An open file of a [`Target`]. Parts of a big file are written by several threads at once.
pub trait Output: Send + Sync {
    /// Writes all of `bytes` at `offset`. What is never written reads as zeros
    /// and is a hole where the target can have holes.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Ends the file: its length is now the `size` it began with. Dropping an
    /// output without this leaves no half file under the final name if the
    /// target can avoid it.
    fn close(self: Box<Self>) -> Result<()>;

    /// [`Output::close`] and [`Target::finish`] in one, where the open file
    /// makes that cheaper. `None` when the metadata still have to be set.
    fn close_with(self: Box<Self>, meta: &Meta) -> Result<Option<Vec<String>>> {
        let _ = meta;
        self.close().map(|()| None)
    }
}

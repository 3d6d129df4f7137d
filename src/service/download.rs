//! A file or folder of a snapshot as one stream of bytes, never whole in memory.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::{Builder, EntryType as TarType, Header};

use super::{EntryView, Service};
use crate::engine::tree::{FileType, Meta};
use crate::engine::{Error, Kind, Node, Repository, Result};

/// What is downloaded.
pub enum Download {
    /// A file: its name, length in bytes and content.
    File {
        /// Its name, as the snapshot has it.
        name: Vec<u8>,
        /// Bytes.
        size: u64,
        /// The content, checked while read.
        content: Box<dyn Read + Send>,
    },
    /// A folder, as a tar archive of unknown length.
    Folder {
        /// Its name; the source's for the top.
        name: Vec<u8>,
        /// Makes the archive.
        tar: TarStream,
    },
}

/// A folder about to be written as tar: GNU headers, with pax records for
/// what those cannot hold (parts of seconds, extended attributes).
pub struct TarStream {
    repository: Arc<Repository>,
    folder: Node,
    name: Vec<u8>,
}

impl Service {
    /// Opens a file or folder of a snapshot for download. Links and devices are `Refused`.
    pub fn download(&self, snapshot: &str, path: &[Vec<u8>]) -> Result<Download> {
        let repository = self.repository()?;
        let snapshot = repository.find(snapshot)?;
        let node = repository.node(&snapshot, path)?;
        let name = match path.last() {
            Some(name) => name.clone(),
            None => snapshot.name.clone().into_bytes(),
        };
        match node.meta.kind {
            FileType::File { size } => Ok(Download::File {
                name,
                size,
                content: repository.read(&node)?,
            }),
            FileType::Folder => Ok(Download::Folder {
                tar: TarStream {
                    repository,
                    folder: node,
                    name: name.clone(),
                },
                name,
            }),
            _ => Err(Error::new(
                Kind::Refused,
                format!(
                    "{} is neither a file nor a folder; download the folder it is in",
                    EntryView::new(&node).name
                ),
            )),
        }
    }
}

impl TarStream {
    /// Writes the whole archive. An error means that what was written so far
    /// is not a whole archive.
    pub fn write(self, out: &mut dyn Write) -> Result<()> {
        let mut tar = Builder::new(out);
        let mut names = Names::new();
        let top = PathBuf::from(OsStr::from_bytes(&self.name));
        self.append(&mut tar, &top, &self.folder)?;
        // Folders still to be entered; the tree may be deeper than the stack.
        let mut open = vec![(top, self.folder.clone())];
        while let Some((path, folder)) = open.pop() {
            for node in self.repository.children(&folder)? {
                let path = path.join(OsStr::from_bytes(&node.name));
                match first_name(&mut names, &path, &node.meta) {
                    Some(first) => link(&mut tar, &path, &node.meta, &first)?,
                    None => self.append(&mut tar, &path, &node)?,
                }
                if node.meta.kind == FileType::Folder {
                    open.push((path, node));
                }
            }
        }
        tar.finish().map_err(|e| ended(&e))
    }

    fn append<W: Write>(&self, tar: &mut Builder<W>, path: &Path, node: &Node) -> Result<()> {
        let meta = &node.meta;
        let mut header = header(meta);
        pax(tar, meta)?;
        let written = match &meta.kind {
            FileType::File { size } => {
                header.set_entry_type(TarType::Regular);
                header.set_size(*size);
                let mut content = Faulty::new(self.repository.read(node)?);
                let written = tar.append_data(&mut header, path, &mut content);
                if content.failed || content.given != *size {
                    return Err(Error::new(
                        Kind::Corrupt,
                        format!("{} cannot be read to its end", path.display()),
                    ));
                }
                written
            }
            FileType::Folder => {
                header.set_entry_type(TarType::Directory);
                tar.append_data(&mut header, path, std::io::empty())
            }
            FileType::Symlink { target } => {
                header.set_entry_type(TarType::Symlink);
                tar.append_link(&mut header, path, OsStr::from_bytes(target))
            }
            FileType::Fifo => {
                header.set_entry_type(TarType::Fifo);
                tar.append_data(&mut header, path, std::io::empty())
            }
            FileType::CharDevice { rdev } | FileType::BlockDevice { rdev } => {
                header.set_entry_type(match meta.kind {
                    FileType::CharDevice { .. } => TarType::Char,
                    _ => TarType::Block,
                });
                let major = header.set_device_major(rustix::fs::major(*rdev));
                let minor = header.set_device_minor(rustix::fs::minor(*rdev));
                major
                    .and(minor)
                    .and_then(|()| tar.append_data(&mut header, path, std::io::empty()))
            }
            // tar has no sockets, and nobody needs one back.
            FileType::Socket => Ok(()),
        };
        written.map_err(|e| ended(&e))
    }
}

/// Where a file with several names was put first, by device and inode.
type Names = HashMap<(u64, u64), PathBuf>;

/// The first name of a file that is in the archive already.
fn first_name(names: &mut Names, path: &Path, meta: &Meta) -> Option<PathBuf> {
    if meta.links < 2 || meta.inode == (0, 0) || meta.kind == FileType::Folder {
        return None;
    }
    if let Some(first) = names.get(&meta.inode) {
        return Some(first.clone());
    }
    names.insert(meta.inode, path.to_path_buf());
    None
}

/// Another name of a file that is in the archive already.
fn link<W: Write>(tar: &mut Builder<W>, path: &Path, meta: &Meta, first: &Path) -> Result<()> {
    let mut header = header(meta);
    header.set_entry_type(TarType::Link);
    tar.append_link(&mut header, path, first)
        .map_err(|e| ended(&e))
}

fn header(meta: &Meta) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(meta.mode);
    header.set_uid(meta.uid.into());
    header.set_gid(meta.gid.into());
    header.set_mtime(u64::try_from(meta.mtime.secs).unwrap_or(0));
    header.set_size(0);
    header
}

/// What a header cannot hold goes before it.
fn pax<W: Write>(tar: &mut Builder<W>, meta: &Meta) -> Result<()> {
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    let time = meta.mtime;
    if time.nanos != 0 || time.secs < 0 {
        // A time is secs + nanos also before 1970, where text counts down from secs.
        let text = match (time.secs, time.nanos) {
            (secs @ ..0, nanos @ 1..) => format!("-{}.{:09}", -(secs + 1), 1_000_000_000 - nanos),
            (secs, nanos) => format!("{secs}.{nanos:09}"),
        };
        records.push(("mtime".into(), text.into_bytes()));
    }
    for (name, value) in &meta.xattrs {
        // A pax key is text without `=`.
        if let Ok(name) = std::str::from_utf8(name)
            && !name.contains('=')
        {
            records.push((format!("SCHILY.xattr.{name}"), value.clone()));
        }
    }
    if records.is_empty() || meta.kind == FileType::Socket {
        return Ok(());
    }
    tar.append_pax_extensions(records.iter().map(|(k, v)| (k.as_str(), v.as_slice())))
        .map_err(|e| ended(&e))
}

/// The reader went away, or the content failed under the archive's hands.
fn ended(e: &std::io::Error) -> Error {
    Error::new(
        Kind::Transient,
        format!("the archive was not written to its end: {e}"),
    )
}

/// Counts what a file gave and remembers that it failed: a short file would
/// make everything after it in the archive unreadable.
struct Faulty {
    content: Box<dyn Read + Send>,
    given: u64,
    failed: bool,
}

impl Faulty {
    fn new(content: Box<dyn Read + Send>) -> Self {
        Self {
            content,
            given: 0,
            failed: false,
        }
    }
}

impl Read for Faulty {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let result = self.content.read(buf);
        match &result {
            Ok(n) => self.given += *n as u64,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => self.failed = true,
        }
        result
    }
}

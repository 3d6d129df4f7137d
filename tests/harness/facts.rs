//! What a tree of files looks like from outside, so that two can be compared
//! without trusting the code under test.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Everything a restore must bring back about one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `file`, `folder`, `symlink`, `fifo`, `char-device`, `block-device`, `socket`.
    pub kind: &'static str,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group; left out where the target cannot set them.
    pub owner: Option<(u32, u32)>,
    /// Seconds and nanoseconds; 0 nanoseconds where the way there keeps none.
    /// `None` for symbolic links over protocols that cannot set them.
    pub mtime: Option<(i64, i64)>,
    /// BLAKE3 of the content and its length, for files.
    pub content: Option<(blake3::Hash, u64)>,
    /// Link target.
    pub link: Option<Vec<u8>>,
    /// Device number.
    pub rdev: u64,
    /// The first (smallest) path that shares this inode, when links > 1.
    pub linked_to: Option<PathBuf>,
    /// Extended attributes, ACLs among them.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What of it the way there and back can keep.
#[derive(Clone, Copy, Debug)]
pub struct Fidelity {
    /// Owners (needs root on the way back).
    pub owners: bool,
    /// Nanoseconds of times.
    pub nanoseconds: bool,
    /// Hard links, xattrs and times of symbolic links (SFTP keeps none of them).
    pub posix: bool,
}

impl Fidelity {
    /// All that a local file system keeps.
    pub const LOCAL: Self = Self {
        owners: true,
        nanoseconds: true,
        posix: true,
    };
    /// What goes over SFTP version 3: bytes, mode, mtime in seconds, link targets.
    pub const SFTP: Self = Self {
        owners: false,
        nanoseconds: false,
        posix: false,
    };
}

/// Reads the whole tree under `top`, by relative path; the top itself is the empty path.
pub fn read(top: &Path, keep: Fidelity) -> Result<BTreeMap<PathBuf, Facts>> {
    let mut all = BTreeMap::new();
    let mut inodes: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut queue = vec![PathBuf::new()];
    while let Some(relative) = queue.pop() {
        let path = top.join(&relative);
        let meta = std::fs::symlink_metadata(&path).with_context(|| path.display().to_string())?;
        let kind = meta.file_type();
        if kind.is_dir() {
            for entry in std::fs::read_dir(&path).with_context(|| path.display().to_string())? {
                queue.push(relative.join(entry?.file_name()));
            }
        }
        let symlink = kind.is_symlink();
        let facts = Facts {
            kind: match kind {
                k if k.is_file() => "file",
                k if k.is_dir() => "folder",
                k if k.is_symlink() => "symlink",
                k if k.is_fifo() => "fifo",
                k if k.is_char_device() => "char-device",
                k if k.is_block_device() => "block-device",
                _ => "socket",
            },
            mode: if symlink { 0 } else { meta.mode() & 0o7777 },
            owner: keep.owners.then(|| (meta.uid(), meta.gid())),
            mtime: (keep.posix || !symlink).then(|| {
                (
                    meta.mtime(),
                    if keep.nanoseconds {
                        meta.mtime_nsec()
                    } else {
                        0
                    },
                )
            }),
            content: if kind.is_file() {
                let mut hasher = blake3::Hasher::new();
                let file =
                    std::fs::File::open(&path).with_context(|| path.display().to_string())?;
                hasher.update_reader(file)?;
                Some((hasher.finalize(), meta.len()))
            } else {
                None
            },
            link: if symlink {
                Some(std::fs::read_link(&path)?.as_os_str().as_bytes().to_vec())
            } else {
                None
            },
            rdev: if kind.is_char_device() || kind.is_block_device() {
                meta.rdev()
            } else {
                0
            },
            linked_to: None,
            xattrs: if keep.posix {
                xattrs(&path)?
            } else {
                BTreeMap::new()
            },
        };
        if keep.posix && !kind.is_dir() && meta.nlink() > 1 {
            let first = inodes
                .entry((meta.dev(), meta.ino()))
                .or_insert_with(|| relative.clone());
            if relative < *first {
                first.clone_from(&relative);
            }
        }
        all.insert(relative, facts);
    }
    for (relative, facts) in &mut all {
        let meta = std::fs::symlink_metadata(top.join(relative))?;
        facts.linked_to = inodes.get(&(meta.dev(), meta.ino())).cloned();
    }
    Ok(all)
}

fn xattrs(path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut all = BTreeMap::new();
    for name in xattr::list(path)? {
        if let Some(value) = xattr::get(path, &name)? {
            all.insert(name.as_bytes().to_vec(), value);
        }
    }
    Ok(all)
}

/// Compares two readings; the error lists the first differences by path.
pub fn same(expected: &BTreeMap<PathBuf, Facts>, found: &BTreeMap<PathBuf, Facts>) -> Result<()> {
    let mut differences = Vec::new();
    for (path, facts) in expected {
        match found.get(path) {
            None => differences.push(format!("{} is missing", path.display())),
            Some(other) if other != facts => {
                differences.push(format!(
                    "{} differs:\n  expected {facts:?}\n  found    {other:?}",
                    path.display()
                ));
            }
            Some(_) => {}
        }
    }
    differences.extend(
        found
            .keys()
            .filter(|path| !expected.contains_key(*path))
            .map(|path| format!("{} is extra", path.display())),
    );
    if differences.is_empty() {
        return Ok(());
    }
    let count = differences.len();
    differences.truncate(10);
    anyhow::bail!("{count} differences:\n{}", differences.join("\n"))
}

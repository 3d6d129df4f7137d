//! Trees of files: make one like another, compare two, weigh, read through.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Calls `each` for everything below `top`, folders before what is in them,
/// with the path below `top`.
pub fn walk(
    top: &Path,
    each: &mut dyn FnMut(&Path, &Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let meta = entry.metadata()?;
            each(&path, &meta)?;
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

/// Bytes in all files below `top`; 0 if it is not there.
pub fn weight(top: &Path) -> io::Result<u64> {
    let mut sum = 0;
    if top.exists() {
        walk(top, &mut |_, meta| {
            if meta.is_file() {
                sum += meta.len();
            }
            Ok(())
        })?;
    }
    Ok(sum)
}

/// Files, folders and links below `top`, and the bytes in its files.
pub fn count(top: &Path) -> io::Result<(u64, u64)> {
    let (mut entries, mut bytes) = (0, 0);
    walk(top, &mut |_, meta| {
        entries += 1;
        bytes += if meta.is_file() { meta.len() } else { 0 };
        Ok(())
    })?;
    Ok((entries, bytes))
}

/// Brings all of a tree into the page cache: names and attributes, and with
/// `content` the bytes of the files.
pub fn warm(top: &Path, content: bool) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    walk(top, &mut |path, meta| {
        if content && meta.is_file() {
            let mut file = File::open(top.join(path))?;
            while file.read(&mut buffer)? > 0 {}
        }
        Ok(())
    })
}

/// Everything but owner and change time that a restored entry must have kept.
fn same_entry(a: &Metadata, b: &Metadata) -> bool {
    a.file_type() == b.file_type()
        && (a.is_symlink() || a.mode() == b.mode())
        && (a.mtime(), a.mtime_nsec()) == (b.mtime(), b.mtime_nsec())
        && (!a.is_file() || a.len() == b.len())
}

/// `None` if both files hold the same bytes, else where they begin to differ.
fn first_difference(a: &Path, b: &Path) -> io::Result<Option<u64>> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut left, mut right) = (vec![0; 256 << 10], vec![0; 256 << 10]);
    let mut at = 0u64;
    loop {
        let n = a.read(&mut left)?;
        if n == 0 {
            return Ok((b.read(&mut right)? > 0).then_some(at));
        }
        if b.read_exact(&mut right[..n]).is_err() || left[..n] != right[..n] {
            return Ok(Some(at));
        }
        at += n as u64;
    }
}

/// An error that names the first entry below `restored` that is not as in `source`.
pub fn compare(source: &Path, restored: &Path) -> io::Result<()> {
    let differs = |path: &Path, what: &str| {
        Err(io::Error::other(format!(
            "restored wrongly: {}: {what}",
            path.display()
        )))
    };
    let mut entries = 0u64;
    walk(source, &mut |path, meta| {
        entries += 1;
        let (from, to) = (source.join(path), restored.join(path));
        let Ok(there) = fs::symlink_metadata(&to) else {
            return differs(path, "is missing");
        };
        if !same_entry(meta, &there) {
            return differs(path, "type, size, mode or time differ");
        }
        if meta.is_symlink() && fs::read_link(&from)? != fs::read_link(&to)? {
            return differs(path, "points elsewhere");
        }
        if meta.is_file()
            && let Some(at) = first_difference(&from, &to)?
        {
            return differs(path, &format!("content differs from byte {at}"));
        }
        Ok(())
    })?;
    let mut back = 0u64;
    walk(restored, &mut |_, _| {
        back += 1;
        Ok(())
    })?;
    if back != entries {
        return Err(io::Error::other(format!(
            "restored wrongly: {back} entries instead of {entries}"
        )));
    }
    Ok(())
}

/// Makes `to` like `from` the way a working tree is brought to another version:
/// what is the same (type, size, mode, time) stays untouched, what differs is
/// written beside and renamed over the old, what is gone is removed.
pub fn mirror(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut gone: Vec<(PathBuf, bool)> = Vec::new();
    walk(to, &mut |path, meta| {
        let kept = fs::symlink_metadata(from.join(path))
            .is_ok_and(|there| there.file_type() == meta.file_type());
        if !kept {
            gone.push((to.join(path), meta.is_dir()));
        }
        Ok(())
    })?;
    // Deepest first, so that a folder is empty when its turn comes.
    for (path, is_folder) in gone.iter().rev() {
        if *is_folder {
            fs::remove_dir(path)?;
        } else {
            fs::remove_file(path)?;
        }
    }
    let mut folders = Vec::new();
    walk(from, &mut |path, meta| {
        let (source, target) = (from.join(path), to.join(path));
        let there = fs::symlink_metadata(&target).ok();
        if meta.is_dir() {
            if there.is_none() {
                fs::create_dir(&target)?;
            }
            folders.push((target, meta.permissions(), meta.modified()?));
            return Ok(());
        }
        let same = there.is_some_and(|there| same_entry(meta, &there));
        if meta.is_symlink() {
            let points = fs::read_link(&source)?;
            if fs::read_link(&target).is_ok_and(|old| old == points) {
                return Ok(());
            }
            let _ = fs::remove_file(&target);
            return symlink(points, &target);
        }
        if same {
            return Ok(());
        }
        let mut beside = OsString::from(&target);
        beside.push(".new");
        fs::copy(&source, &beside)?;
        fs::set_permissions(&beside, meta.permissions())?;
        File::options()
            .write(true)
            .open(&beside)?
            .set_modified(meta.modified()?)?;
        fs::rename(&beside, &target)
    })?;
    for (path, permissions, time) in folders.into_iter().rev() {
        fs::set_permissions(&path, permissions)?;
        File::open(&path)?.set_modified(time)?;
    }
    Ok(())
}

/// A plain copy of a folder of files, for what an engine keeps.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    walk(from, &mut |path, meta| {
        let target = to.join(path);
        if meta.is_dir() {
            fs::create_dir(&target)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(meta.mode()))
        } else if meta.is_symlink() {
            symlink(fs::read_link(from.join(path))?, target)
        } else {
            fs::copy(from.join(path), target).map(|_| ())
        }
    })
}

/// Removes a folder if it is there.
pub fn remove(top: &Path) -> io::Result<()> {
    match fs::remove_dir_all(top) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// A folder that goes when the bench ends, or, if the bench was cut short, when
/// the next one begins.
pub struct Temporary(PathBuf);

impl Temporary {
    /// `parent/prefix-PID`.
    pub fn new(parent: &Path, prefix: &str) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        let parent = fs::canonicalize(parent)?;
        for entry in fs::read_dir(&parent)? {
            let entry = entry?;
            let name = entry.file_name();
            let owner = name
                .to_str()
                .and_then(|n| n.strip_prefix(prefix)?.strip_prefix('-'));
            if owner.is_some_and(|pid| {
                pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()
            }) {
                remove(&entry.path())?;
            }
        }
        let path = parent.join(format!("{prefix}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = remove(&self.0);
    }
}

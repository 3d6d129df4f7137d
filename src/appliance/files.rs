//! Small private files that are either wholly there or not.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::engine::{Error, Kind, Result};

/// Small files are read whole; anything longer than this is not one of ours.
const LONGEST: u64 = 1 << 20;

/// Makes a folder only its owner may enter, or takes others' rights away.
pub(super) fn private_folder(path: &Path) -> Result<()> {
    let fail = |e| Error::io(format_args!("making the folder {}", path.display()), e);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(fail)?;
    let mode = path.metadata().map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    Ok(())
}

/// Writes a file of mode 0600 durably and all at once.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |e| Error::io(format_args!("writing {}", path.display()), e);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = folder.join(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    std::fs::rename(&new, path).map_err(fail)?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(fail)
}

/// Reads a file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let fail = |e| Error::io(format_args!("reading {}", path.display()), e);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(e)),
    };
    // Growing would leave copies of a secret behind.
    let mut bytes = Vec::with_capacity(4096);
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::new(
            Kind::Corrupt,
            format!("{} is far longer than it was written", path.display()),
        ));
    }
    Ok(Some(bytes))
}

/// Removes a file that holds a secret, after writing over it where it lies. A
/// flash disk may keep the old bytes somewhere all the same.
pub(super) fn erase(path: &Path) -> Result<()> {
    let fail = |e| Error::io(format_args!("erasing {}", path.display()), e);
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(fail(e)),
    };
    let len = file.metadata().map_err(fail)?.len().min(LONGEST);
    let zeros = vec![0; usize::try_from(len).unwrap_or(0)];
    file.write_all(&zeros)
        .and_then(|()| file.sync_all())
        .map_err(fail)?;
    remove(path)
}

/// Removes a file, durably; none is fine.
pub(super) fn remove(path: &Path) -> Result<()> {
    let fail = |e| Error::io(format_args!("removing {}", path.display()), e);
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(fail(e)),
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|f| f.sync_all()).map_err(fail)
}

/// Reads a key of 32 bytes; `None` if there is none.
pub(super) fn read_key(path: &Path) -> Result<Option<zeroize::Zeroizing<[u8; 32]>>> {
    let Some(bytes) = read(path)?.map(zeroize::Zeroizing::new) else {
        return Ok(None);
    };
    match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(key) => Ok(Some(zeroize::Zeroizing::new(key))),
        Err(_) => Err(Error::new(
            Kind::Corrupt,
            format!(
                "{} has {} bytes, but a key has 32; bring it back from a copy of the box's state",
                path.display(),
                bytes.len()
            ),
        )),
    }
}

/// Random bytes for a key.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::new(Kind::Io, "the system gave no random bytes; try again"))?;
    Ok(bytes)
}

//! Mounting member partitions, each at a folder named by its partition's UUID,
//! and taking away the mounts of disks that were pulled out.
//!
//! The folders stand below one that only root can change; otherwise the user
//! the daemon runs as could put a link in the way and have root mount or
//! change owners elsewhere.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags};
use rustix::fs::{Gid, Mode, OFlags, Uid};

use super::scan::{Node, is_uuid};
use crate::engine::{Error, Kind, Result};

/// Makes a folder if need be, and makes sure that only root can change it.
fn own_folder(path: &Path) -> Result<()> {
    // From the top down, because each folder could be exchanged by its owner.
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    for folder in way {
        let failed = |e| Error::io(format!("making the folder {}", folder.display()), e);
        match std::fs::create_dir(folder) {
            // Whatever the umask: the daemon's user must get through.
            Ok(()) => {
                std::fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(failed)?
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed(e)),
        }
        let meta = folder.symlink_metadata().map_err(failed)?;
        let others_write = meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0;
        if !meta.is_dir() || meta.uid() != 0 || others_write {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{} must be a folder that belongs to root and that only root can change, because disks are mounted below it",
                    folder.display()
                ),
            ));
        }
    }
    Ok(())
}

/// Mounts a member partition below `mounts` unless it is; with `owner`, gives
/// its top folder to that user.
pub(super) fn mount(part: &Node, mounts: &Path, owner: Option<(u32, u32)>) -> Result<PathBuf> {
    if !is_uuid(&part.partuuid) {
        return Err(Error::new(
            Kind::Refused,
            format!("{} has no partition UUID", part.path),
        ));
    }
    own_folder(mounts)?;
    let at = mounts.join(part.partuuid.to_ascii_lowercase());
    if !mounted(mounts)?.iter().any(|m| m.at == at) {
        own_folder(&at)?;
        let failed = |e: nix::Error| {
            Error::io(
                format!(
                    "mounting {} at {} (the kernel's log tells more)",
                    part.path,
                    at.display()
                ),
                e.into(),
            )
        };
        nix::mount::mount(
            Some(part.path.as_str()),
            &at,
            Some("xfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME,
            // A disk pulled out and put back is still held by whoever has files
            // open on it; only copies are a danger, and they are told apart by
            // the partition.
            Some("nouuid"),
        )
        .map_err(failed)?;
    }
    if let Some((uid, gid)) = owner {
        let giving = |e: rustix::io::Errno| {
            Error::io(format!("giving {} to its user", at.display()), e.into())
        };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let top = rustix::fs::open(&at, flags, Mode::empty()).map_err(giving)?;
        rustix::fs::fchown(&top, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(giving)?;
        rustix::fs::fchmod(&top, Mode::RWXU).map_err(giving)?;
    }
    Ok(at)
}

/// Whether a member was prepared but never used.
pub(super) fn is_empty(folder: &Path) -> Result<bool> {
    let listing = |e| Error::io(format!("listing {}", folder.display()), e);
    let mut entries = std::fs::read_dir(folder).map_err(listing)?;
    Ok(entries.next().is_none())
}

/// A mount below the folder of mounts.
#[derive(Debug, PartialEq, Eq)]
struct Mounted {
    at: PathBuf,
    /// `8:1`
    number: String,
}

fn mounted(mounts: &Path) -> Result<Vec<Mounted>> {
    let text = std::fs::read("/proc/self/mountinfo")
        .map_err(|e| Error::io("reading the list of mounts", e))?;
    Ok(parse(&String::from_utf8_lossy(&text), mounts))
}

/// Mounts whose folder stands directly in `mounts`. Names there are UUIDs, so
/// nothing needs unescaping in them; `mounts` itself is compared as the kernel
/// writes it.
fn parse(mountinfo: &str, mounts: &Path) -> Vec<Mounted> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let number = fields.nth(2)?.to_owned();
            let at = PathBuf::from(fields.nth(1)?);
            let name = at.file_name()?.to_str()?;
            (at.parent() == Some(mounts) && is_uuid(name)).then_some(Mounted { at, number })
        })
        .collect()
}

/// Unmounts members whose device the kernel no longer knows, even if files on
/// them are still open, and removes what is left of their folders.
pub(super) fn unmount_gone(mounts: &Path) -> Result<()> {
    for m in mounted(mounts)? {
        if Path::new("/sys/dev/block").join(&m.number).exists() {
            continue;
        }
        nix::mount::umount2(&m.at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).map_err(
            |e| {
                Error::io(
                    format!("unmounting {}, whose disk is gone", m.at.display()),
                    e.into(),
                )
            },
        )?;
        tracing::warn!(folder = %m.at.display(), "a pool member's disk is gone; unmounted");
        // An empty folder does no harm.
        let _ = std::fs::remove_dir(&m.at);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_named_by_a_uuid_are_ours() {
        let info = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
            90 22 8:1 / /run/colca/disks/0f6b7e0c-4c4e-4f6a-8a55-5d3b1c2a9e11 rw,nosuid - xfs /dev/sda1 rw\n\
            91 22 8:17 / /run/colca/disks/other rw - xfs /dev/sdb1 rw\n\
            92 22 8:33 / /run/colca/disks/0f6b7e0c-4c4e-4f6a-8a55-5d3b1c2a9e12/in rw - xfs /dev/sdc1 rw\n\
            short\n";
        let found = parse(info, Path::new("/run/colca/disks"));
        let at = "/run/colca/disks/0f6b7e0c-4c4e-4f6a-8a55-5d3b1c2a9e11".into();
        let number = "8:1".into();
        assert_eq!(found, [Mounted { at, number }]);
    }

    #[test]
    fn a_folder_that_others_can_change_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(4242), None).unwrap();
        let e = own_folder(&dir.path().join("disks")).unwrap_err();
        assert_eq!(e.kind(), Kind::Refused);
        std::os::unix::fs::chown(dir.path(), Some(0), None).unwrap();
        rustix::process::umask(Mode::from_raw_mode(0o077));
        own_folder(&dir.path().join("disks")).unwrap();
        let made = std::fs::metadata(dir.path().join("disks")).unwrap();
        assert_eq!(made.mode() & 0o7777, 0o755);
        std::fs::remove_dir(dir.path().join("disks")).unwrap();
        std::os::unix::fs::symlink("/tmp", dir.path().join("disks")).unwrap();
        assert!(own_folder(&dir.path().join("disks")).is_err());
    }
}

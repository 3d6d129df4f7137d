//! File servers over SFTP, for backup and for restore.
//!
//! [`crate::sftp`] speaks with the server; [`tree`] with [`input`], and
//! [`target`], are what the engine sees.
//!
//! What SFTP version 3 cannot say is not there: times are whole seconds from
//! 1970 to 2106, there are no inode numbers (hard links are saved as separate
//! files, deduplicated), no extended attributes or ACLs, no holes, no device
//! numbers.

mod input;
pub(super) mod target;
pub(super) mod tree;

use std::collections::BTreeMap;

use crate::engine::tree::{FileType, Meta, Time};
use crate::sftp::{S_IFDIR, S_IFMT, wire};

/// The other types of `st_mode`.
const S_IFSOCK: u32 = 0o140_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFREG: u32 = 0o100_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFIFO: u32 = 0o010_000;

/// What the server said, as the engine keeps it; a link's target is left empty.
/// In words if it cannot be kept.
fn meta(attrs: &wire::Attrs) -> Result<Meta, &'static str> {
    let permissions = attrs
        .permissions
        .ok_or("the server does not say what it is")?;
    let kind = match permissions & S_IFMT {
        S_IFREG => FileType::File {
            size: attrs.size.ok_or("the server does not say how long it is")?,
        },
        S_IFDIR => FileType::Folder,
        S_IFLNK => FileType::Symlink { target: Vec::new() },
        S_IFIFO => FileType::Fifo,
        S_IFSOCK => FileType::Socket,
        S_IFCHR | S_IFBLK => {
            return Err("it is a device, whose number SFTP does not give; it is not saved");
        }
        _ => return Err("it is of a type unknown to SFTP"),
    };
    let (uid, gid) = attrs.owner.unwrap_or_default();
    Ok(Meta {
        kind,
        mode: permissions & 0o7777,
        uid,
        gid,
        mtime: Time {
            secs: attrs.times.map_or(0, |(_, mtime)| i64::from(mtime)),
            nanos: 0,
        },
        ctime: Time::default(),
        inode: (0, 0),
        links: 1,
        xattrs: BTreeMap::new(),
    })
}

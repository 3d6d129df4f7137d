//! Extended attributes.

use super::folder::NAME_MAX;
use crate::engine::error::Result;
use crate::engine::format::tree::{Bytes, List};
use crate::engine::nodes::ListBuilder;
use crate::engine::store::Depositor;

/// Attributes of one entry kept in it; more go into nodes of their own.
const INLINE_XATTRS: usize = 4 << 10;
/// Longest value of one attribute, the kernel's own limit.
const XATTR_MAX: usize = 64 << 10;

/// Stores extended attributes, in the entry or, if long, in nodes.
pub(super) fn save_xattrs(
    out: &mut Depositor<'_>,
    all: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    warn: impl Fn(String),
) -> Result<List<(Bytes, Bytes)>> {
    let mut list = ListBuilder::new();
    let (mut n, mut weight) = (0, 0);
    for (name, value) in all {
        if value.len() > XATTR_MAX || name.len() > NAME_MAX {
            let name = String::from_utf8_lossy(&name).into_owned();
            warn(format!(
                "its extended attribute {name} is too long and was not saved"
            ));
            continue;
        }
        n += 1;
        weight += name.len() + value.len();
        list.push((Bytes(name), Bytes(value)), out)?;
    }
    let room = if weight <= INLINE_XATTRS { n } else { 0 };
    list.finish(room, out)
}

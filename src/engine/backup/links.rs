//! Files with several names are read once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::engine::format::tree::{EntryV1, KindV1, List};
use crate::engine::tree::Meta;

/// Content of files with several names, from the first name saved until the
/// last one was.
#[derive(Default)]
pub(crate) struct Links(Mutex<HashMap<(u64, u64), (EntryV1, u64)>>);

/// Whether this is one of several names of a file that can be recognised.
fn joined(meta: &Meta) -> bool {
    meta.links > 1 && meta.inode != (0, 0)
}

impl Links {
    /// Content and attributes of the same file, unchanged, under an earlier name.
    pub(crate) fn take(&self, meta: &Meta) -> Option<EntryV1> {
        if !joined(meta) {
            return None;
        }
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (entry, left) = map.get_mut(&meta.inode)?;
        if !crate::engine::convert::unchanged(entry, meta) {
            return None;
        }
        *left -= 1;
        if *left == 0 {
            return map.remove(&meta.inode).map(|(entry, _)| entry);
        }
        Some(entry.clone())
    }

    /// Remembers a saved file for its other names.
    pub(crate) fn put(&self, meta: &Meta, saved: &EntryV1) {
        if !joined(meta) || !matches!(saved.kind, KindV1::File { .. }) {
            return;
        }
        let mut entry = saved.clone();
        entry.name = Default::default();
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.entry(meta.inode)
            .or_insert((entry, meta.links.saturating_sub(1)));
    }
}

/// Content and attributes of one entry put into another.
pub(crate) fn adopt(entry: &mut EntryV1, from: EntryV1) {
    entry.xattrs = from.xattrs;
    if let (
        KindV1::File { size, extents },
        KindV1::File {
            size: s,
            extents: e,
        },
    ) = (&mut entry.kind, from.kind)
    {
        *size = s;
        *extents = e;
    } else {
        entry.xattrs = List::default();
    }
}

//! The previous snapshot, which tells what is unchanged.

use super::Shared;
use crate::engine::blocks::Blocks;
use crate::engine::error::{Kind, Result};
use crate::engine::format::tree::{EntryV1, Extent, KindV1, List};
use crate::engine::ids::Id;
use crate::engine::nodes::ListIter;

/// The folder's entries in the previous snapshot, walked in step with the new
/// listing. If they cannot be read, everything counts as changed.
pub(super) struct Previous<'s> {
    iter: Option<ListIter<&'s Blocks, EntryV1>>,
    next: Option<EntryV1>,
    folder: Option<(Vec<u8>, Id)>,
}

impl<'s> Previous<'s> {
    pub(super) fn new(shared: &'s Shared<'s>, old: Option<Id>) -> Self {
        let iter = old.and_then(|id| ListIter::node(shared.blocks, &id).ok());
        let mut this = Self {
            iter,
            next: None,
            folder: None,
        };
        this.advance();
        this
    }

    fn advance(&mut self) {
        self.next = loop {
            match self.iter.as_mut().and_then(Iterator::next) {
                Some(Ok(entry)) => break Some(entry),
                Some(Err(e)) => {
                    tracing::warn!(error = %e, "part of the previous snapshot cannot be read");
                }
                None => break None,
            }
        };
    }

    /// The old entry of this name; names must be asked for in ascending order.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<EntryV1> {
        while self
            .next
            .as_ref()
            .is_some_and(|old| old.name.0.as_slice() < name)
        {
            self.advance();
        }
        if self.next.as_ref().is_none_or(|old| old.name.0 != name) {
            return None;
        }
        let found = self.next.take();
        self.advance();
        if let Some(EntryV1 {
            kind: KindV1::Folder { id, .. },
            ..
        }) = &found
        {
            self.folder = Some((name.to_vec(), *id));
        }
        found
    }

    /// The old node of the folder just asked for, also if its metadata changed.
    pub(super) fn last_folder(&mut self, name: &[u8]) -> Option<Id> {
        self.folder.take().filter(|(n, _)| n == name).map(|f| f.1)
    }
}

/// Whether all content of an unchanged file is still there. It always is,
/// unless a verification found it damaged: then the file is read again,
/// which also heals older snapshots.
pub(super) fn present(shared: &Shared<'_>, entry: &EntryV1) -> Result<bool> {
    let KindV1::File { extents, .. } = &entry.kind else {
        return Ok(false);
    };
    let there = |e: &Extent| match e {
        Extent::Data { id, .. } => Ok(shared.blocks.index().lookup(id)?.is_some()),
        Extent::Zeros { .. } => Ok(true),
    };
    if let List::Items(items) = extents {
        for item in items {
            if !there(item)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    for item in ListIter::new(shared.blocks, extents.clone()) {
        match item {
            Ok(item) if there(&item)? => {}
            Ok(_) => return Ok(false),
            Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Missing) => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

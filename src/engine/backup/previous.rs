//! The previous snapshot, which tells what is unchanged.

use super::Shared;
use crate::engine::blocks::Blocks;
use crate::engine::error::{Kind, Result};
use crate::engine::format::tree::{EntryV1, Extent, Item, KindV1, List};
use crate::engine::ids::Id;
use crate::engine::nodes::{ListIter, read_node};

/// The folder's entries in the previous snapshot, walked in step with the new
/// listing. If they cannot be read, everything counts as changed.
pub(super) struct Previous<'s> {
    iter: Option<ListIter<&'s Blocks, EntryV1>>,
    next: Option<EntryV1>,
    folder: Option<(Vec<u8>, Id)>,
}

impl<'s> Previous<'s> {
    /// Begins with the first name after `after`.
    pub(super) fn new(shared: &'s Shared<'s>, old: Option<Id>, after: Option<&[u8]>) -> Self {
        let iter = old.and_then(|id| ListIter::after(shared.blocks, &id, after).ok());
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

/// Whether all that an unchanged entry refers to is still there, and from now
/// on stays. It is, unless a verification found it damaged or its snapshot was
/// forgotten and collected meanwhile: then the entry is read again, which also
/// heals older snapshots.
pub(super) fn present(shared: &Shared<'_>, entry: &EntryV1) -> Result<bool> {
    let content = match &entry.kind {
        KindV1::File { extents, .. } => list(shared, extents, |extent| match extent {
            Extent::Data { id, .. } => shared.store.rely(id),
            Extent::Zeros { .. } => Ok(true),
        })?,
        _ => true,
    };
    Ok(content && list(shared, &entry.xattrs, |_| Ok(true))?)
}

/// The same of a list: its pages, and of its items what `there` says.
fn list<T: Item>(
    shared: &Shared<'_>,
    list: &List<T>,
    there: impl Fn(&T) -> Result<bool>,
) -> Result<bool> {
    let mut pages = match list {
        List::Items(items) => return all(items, there),
        List::Pages(pages) => pages.clone(),
    };
    while let Some(page) = pages.pop() {
        if !shared.store.rely(&page.id)? {
            return Ok(false);
        }
        match read_node(shared.blocks, &page.id) {
            Ok(List::Items(items)) if all(&items, &there)? => {}
            Ok(List::Items(_)) => return Ok(false),
            Ok(List::Pages(more)) => pages.extend(more),
            Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Missing) => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

fn all<T>(items: &[T], there: impl Fn(&T) -> Result<bool>) -> Result<bool> {
    for item in items {
        if !there(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

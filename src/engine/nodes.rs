//! Lists in tree nodes: built page by page while items come, and read back
//! page by page, so that neither a folder of a million names nor a file of a
//! terabyte is ever whole in memory as nodes.

use std::ops::Deref;

use super::blocks::Blocks;
use super::error::{Error, Kind, Result};
use super::format::tree::{Bytes, Item, List, PageRef, decode_node, encode_node};
use super::ids::Id;
use super::store::Depositor;

const PAGE_MIN: usize = 32;
const PAGE_MAX: usize = 1024;
const PAGE_WEIGHT: usize = 128 << 10;
/// More levels than a list of 2^64 items needs.
const DEPTH: usize = 16;

/// Collects items in order.
pub(crate) struct ListBuilder<T> {
    items: Vec<T>,
    weight: usize,
    /// Pages not yet in a page themselves, lowest level first.
    levels: Vec<Vec<PageRef>>,
}

impl<T: Item> ListBuilder<T> {
    pub(crate) fn new() -> Self {
        Self {
            items: Vec::new(),
            weight: 0,
            levels: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, item: T, out: &mut Depositor<'_>) -> Result<()> {
        self.weight += item.weight();
        let boundary = item.boundary() == 0;
        self.items.push(item);
        let n = self.items.len();
        if (boundary && n >= PAGE_MIN) || n >= PAGE_MAX || self.weight >= PAGE_WEIGHT {
            self.close_items(out)?;
        }
        Ok(())
    }

    /// The last item, if it is not in a page yet, to extend it.
    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.items.last_mut()
    }

    fn close_items(&mut self, out: &mut Depositor<'_>) -> Result<()> {
        let items = std::mem::take(&mut self.items);
        self.weight = 0;
        let mut page = PageRef {
            id: Id([0; 32]),
            items: items.iter().map(Item::entries).sum(),
            bytes: items.iter().map(Item::bytes).sum(),
            first: Bytes(items.first().map_or_else(Vec::new, |i| i.name().to_vec())),
        };
        page.id = out.node(&encode_node(&List::Items(items))?)?;
        self.add_page(0, page, out)
    }

    fn add_page(&mut self, level: usize, page: PageRef, out: &mut Depositor<'_>) -> Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        let boundary = page.id.0[0] == 0;
        let pages = &mut self.levels[level];
        pages.push(page);
        if (boundary && pages.len() >= PAGE_MIN) || pages.len() >= PAGE_MAX {
            self.close_level(level, out)?;
        }
        Ok(())
    }

    fn close_level(&mut self, level: usize, out: &mut Depositor<'_>) -> Result<()> {
        let pages = std::mem::take(&mut self.levels[level]);
        let mut page = PageRef {
            id: Id([0; 32]),
            items: pages.iter().map(|p| p.items).sum(),
            bytes: pages.iter().map(|p| p.bytes).sum(),
            first: pages.first().map(|p| p.first.clone()).unwrap_or_default(),
        };
        page.id = out.node(&encode_node(&List::<T>::Pages(pages))?)?;
        self.add_page(level + 1, page, out)
    }

    /// The list; at most `room` items or pages are in it directly, the rest is in nodes.
    pub(crate) fn finish(mut self, room: usize, out: &mut Depositor<'_>) -> Result<List<T>> {
        if self.levels.is_empty() && self.items.len() <= room {
            return Ok(List::Items(self.items));
        }
        if !self.items.is_empty() {
            self.close_items(out)?;
        }
        let mut level = 0;
        loop {
            let top = level + 1 == self.levels.len();
            if top && self.levels[level].len() <= room.max(1) {
                return Ok(List::Pages(std::mem::take(&mut self.levels[level])));
            }
            if !self.levels[level].is_empty() {
                self.close_level(level, out)?;
            }
            level += 1;
        }
    }
}

/// Reads a list's items in order. After an unreadable page the next one
/// follows, so that a damaged page loses only what is in it.
pub(crate) struct ListIter<B, T> {
    blocks: B,
    stack: Vec<std::vec::IntoIter<PageRef>>,
    items: std::vec::IntoIter<T>,
}

impl<B: Deref<Target = Blocks>, T: Item> ListIter<B, T> {
    pub(crate) fn new(blocks: B, list: List<T>) -> Self {
        let mut iter = Self {
            blocks,
            stack: Vec::new(),
            items: Vec::new().into_iter(),
        };
        iter.enter(list);
        iter
    }

    /// The list kept in one node.
    pub(crate) fn node(blocks: B, id: &Id) -> Result<Self> {
        let list = read_node(&blocks, id)?;
        Ok(Self::new(blocks, list))
    }

    /// The list kept in one node, from the first name after `after` on; the
    /// pages before it are not read.
    pub(crate) fn after(blocks: B, id: &Id, after: Option<&[u8]>) -> Result<Self> {
        let mut iter = Self::node(blocks, id)?;
        let Some(after) = after else {
            return Ok(iter);
        };
        while let Some(level) = iter.stack.last_mut() {
            let pages = level.as_slice();
            let i = pages.partition_point(|p| p.first.0.as_slice() <= after);
            // The name may be in the last page that begins before it.
            let Some(page) = level.nth(i.saturating_sub(1)) else {
                break;
            };
            if i == 0 || iter.stack.len() > DEPTH {
                // All of them come after it.
                let list = read_node(&iter.blocks, &page.id)?;
                iter.enter(list);
                return Ok(iter);
            }
            match read_node(&iter.blocks, &page.id)? {
                List::Items(items) => {
                    iter.items = items.into_iter();
                    break;
                }
                pages => iter.enter(pages),
            }
        }
        let passed = iter.items.as_slice();
        let passed = passed.partition_point(|item| item.name() <= after);
        if let Some(last) = passed.checked_sub(1) {
            iter.items.nth(last);
        }
        Ok(iter)
    }

    fn enter(&mut self, list: List<T>) {
        match list {
            List::Items(items) => self.items = items.into_iter(),
            List::Pages(pages) => self.stack.push(pages.into_iter()),
        }
    }
}

impl<B: Deref<Target = Blocks>, T: Item> Iterator for ListIter<B, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(Ok(item));
            }
            let Some(page) = self.stack.last_mut()?.next() else {
                self.stack.pop();
                continue;
            };
            if self.stack.len() > DEPTH {
                return Some(Err(too_deep()));
            }
            match read_node(&self.blocks, &page.id) {
                Ok(list) => self.enter(list),
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

fn too_deep() -> Error {
    Error::new(
        Kind::Corrupt,
        "a tree node is damaged: its pages have too many levels",
    )
}

/// One node.
pub(crate) fn read_node<T: Item>(blocks: &Blocks, id: &Id) -> Result<List<T>> {
    decode_node(&blocks.tree(id)?).map_err(|e| e.context(format_args!("tree node {id}")))
}

/// The item with this name in the list kept in a node.
pub(crate) fn find<T: Item>(blocks: &Blocks, id: &Id, name: &[u8]) -> Result<Option<T>> {
    let mut list = read_node::<T>(blocks, id)?;
    for _ in 0..DEPTH {
        match list {
            List::Items(items) => return Ok(items.into_iter().find(|i| i.name() == name)),
            List::Pages(pages) => {
                let after = pages.partition_point(|p| p.first.0.as_slice() <= name);
                match after.checked_sub(1) {
                    Some(i) => list = read_node(blocks, &pages[i].id)?,
                    None => return Ok(None),
                }
            }
        }
    }
    Err(too_deep())
}

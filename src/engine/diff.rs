//! Comparing two trees.
//!
//! Both are walked in step. Nodes are named by their content, so equal ids
//! mean equal folders, and equal pages of one folder: neither is read. What is
//! read is the pages in which something differs and those above them, and what
//! is in memory is one page a level on each side, however many files there are.

use std::cmp::Ordering;
use std::sync::atomic::Ordering::Relaxed;

use super::blocks::Blocks;
use super::convert;
use super::error::{Error, Kind, Result};
use super::format::tree::{EntryV1, KindV1, List, PageRef};
use super::ids::Id;
use super::nodes::read_node;
use super::progress::Progress;
use super::repository::Repository;
use super::tree::Meta;
use super::warnings::display;
use super::{Change, Difference, Snapshot};

/// Pages within pages; more than a folder of 2^64 names needs.
const DEPTH: usize = 16;

/// Which of two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Old,
    New,
}

/// A comparison that could not go on, and in which tree it broke off; `None`
/// when it was the caller who stopped it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub side: Option<Side>,
    pub error: Error,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { side: None, error }
    }
}

/// What stands at one name in the old and the new tree.
pub(crate) type Pair = (Option<EntryV1>, Option<EntryV1>);

/// Takes the path, names from the entries compared downwards, of something
/// that differs, and how it does.
pub(crate) type Each<'e> = dyn FnMut(&[Vec<u8>], Change, &Pair) -> Result<()> + 'e;

/// What comes next in a folder: an entry, or a page not read yet.
enum Head {
    Entry(EntryV1),
    Page(PageRef),
}

/// A folder being walked on one side.
struct Cursor<'b> {
    blocks: &'b Blocks,
    side: Side,
    pages: Vec<std::vec::IntoIter<PageRef>>,
    items: std::vec::IntoIter<EntryV1>,
    head: Option<Head>,
}

impl<'b> Cursor<'b> {
    /// The folder's beginning; `None` for a side that has no such folder.
    fn new(blocks: &'b Blocks, side: Side, folder: Option<&Id>) -> Result<Self, Failed> {
        let mut cursor = Self {
            blocks,
            side,
            pages: Vec::new(),
            items: Vec::new().into_iter(),
            head: None,
        };
        if let Some(id) = folder {
            cursor.read(id)?;
            cursor.advance();
        }
        Ok(cursor)
    }

    fn failed(&self, error: Error) -> Failed {
        Failed {
            side: Some(self.side),
            error,
        }
    }

    fn read(&mut self, id: &Id) -> Result<(), Failed> {
        if self.pages.len() > DEPTH {
            return Err(self.failed(Error::new(
                Kind::Corrupt,
                "a tree node is damaged: its pages have too many levels",
            )));
        }
        match read_node(self.blocks, id).map_err(|e| self.failed(e))? {
            List::Items(items) => self.items = items.into_iter(),
            List::Pages(pages) => self.pages.push(pages.into_iter()),
        }
        Ok(())
    }

    fn advance(&mut self) {
        self.head = self.items.next().map(Head::Entry);
        while self.head.is_none() {
            let Some(level) = self.pages.last_mut() else {
                return;
            };
            match level.next() {
                Some(page) => self.head = Some(Head::Page(page)),
                None => {
                    self.pages.pop();
                }
            }
        }
    }

    /// Reads the page that comes next; an entry stays where it is.
    fn open(&mut self) -> Result<(), Failed> {
        if let Some(Head::Page(page)) = &self.head {
            let id = page.id;
            self.read(&id)?;
            self.advance();
        }
        Ok(())
    }

    /// Takes the entry that comes next.
    fn take(&mut self) -> Option<EntryV1> {
        let Some(Head::Entry(entry)) = self.head.take() else {
            return None;
        };
        self.advance();
        Some(entry)
    }
}

/// One folder on both sides.
struct Level<'b> {
    old: Cursor<'b>,
    new: Cursor<'b>,
}

impl Level<'_> {
    /// The next name that stands on either side, without those in pages that
    /// both sides share.
    fn next(&mut self) -> Result<Option<Pair>, Failed> {
        loop {
            let (old, new) = match (&self.old.head, &self.new.head) {
                (None, None) => return Ok(None),
                (Some(Head::Entry(_)), None) => return Ok(Some((self.old.take(), None))),
                (None, Some(Head::Entry(_))) => return Ok(Some((None, self.new.take()))),
                (Some(Head::Page(_)), None) => (true, false),
                (None, Some(Head::Page(_))) => (false, true),
                (Some(Head::Page(a)), Some(Head::Page(b))) if a.id == b.id => {
                    self.old.advance();
                    self.new.advance();
                    continue;
                }
                // What begins first or holds more is opened: a page of the other
                // side may be found again in it.
                (Some(Head::Page(a)), Some(Head::Page(b))) => {
                    match a.first.cmp(&b.first).then(b.items.cmp(&a.items)) {
                        Ordering::Less => (true, false),
                        Ordering::Greater => (false, true),
                        Ordering::Equal => (true, true),
                    }
                }
                (Some(Head::Page(page)), Some(Head::Entry(entry))) => {
                    if page.first > entry.name {
                        return Ok(Some((None, self.new.take())));
                    }
                    (true, false)
                }
                (Some(Head::Entry(entry)), Some(Head::Page(page))) => {
                    if page.first > entry.name {
                        return Ok(Some((self.old.take(), None)));
                    }
                    (false, true)
                }
                (Some(Head::Entry(a)), Some(Head::Entry(b))) => {
                    let order = a.name.cmp(&b.name);
                    let old = order.is_le().then(|| self.old.take()).flatten();
                    let new = order.is_ge().then(|| self.new.take()).flatten();
                    return Ok(Some((old, new)));
                }
            };
            if old {
                self.old.open()?;
            }
            if new {
                self.new.open()?;
            }
        }
    }
}

fn folder(entry: Option<&EntryV1>) -> Option<&Id> {
    match &entry?.kind {
        KindV1::Folder { id, .. } => Some(id),
        _ => None,
    }
}

/// How two entries of the same name differ, if they do so for people. Inode
/// numbers, counts of names and times of metadata changes tell a backup what
/// to read, and nobody else anything.
fn how(old: &EntryV1, new: &EntryV1) -> Option<Change> {
    use KindV1::{BlockDevice, CharDevice, Fifo, File, Folder, Socket, Symlink};
    let same_content = match (&old.kind, &new.kind) {
        (
            File { size, extents },
            File {
                size: s,
                extents: e,
            },
        ) => size == s && extents == e,
        (Symlink(a), Symlink(b)) => a == b,
        (CharDevice(a), CharDevice(b)) | (BlockDevice(a), BlockDevice(b)) => a == b,
        (Folder { .. }, Folder { .. }) | (Fifo, Fifo) | (Socket, Socket) => true,
        _ => return Some(Change::Type),
    };
    let same_meta = (old.mode, old.uid, old.gid, old.mtime)
        == (new.mode, new.uid, new.gid, new.mtime)
        && old.xattrs == new.xattrs;
    match (same_content, same_meta) {
        (false, _) => Some(Change::Content),
        (true, false) => Some(Change::Metadata),
        (true, true) => None,
    }
}

/// Calls `each` for everything that differs between two entries and below
/// them: a folder before what is in it, names in ascending order. Of a folder
/// that stands on one side only, everything in it is named too.
pub(crate) fn compare(
    blocks: &Blocks,
    top: Pair,
    progress: &Progress,
    each: &mut Each<'_>,
) -> Result<(), Failed> {
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut next = Some(top);
    loop {
        let Some(pair) = next else {
            if levels.pop().is_none() || levels.is_empty() {
                return Ok(());
            }
            path.pop();
            next = step(&mut levels, &path)?;
            continue;
        };
        progress.check()?;
        if !levels.is_empty() {
            let entry = pair.0.as_ref().or(pair.1.as_ref());
            path.push(entry.map(|e| e.name.0.clone()).unwrap_or_default());
        }
        let change = match &pair {
            (Some(old), Some(new)) => how(old, new),
            (None, _) => Some(Change::Added),
            (_, None) => Some(Change::Removed),
        };
        if let Some(change) = change {
            progress.files.fetch_add(1, Relaxed);
            each(&path, change, &pair)?;
        }
        let (old, new) = (folder(pair.0.as_ref()), folder(pair.1.as_ref()));
        if old == new {
            // Equal, or no folders.
            if levels.is_empty() {
                return Ok(());
            }
            path.pop();
        } else {
            let open = |side, id| Cursor::new(blocks, side, id).map_err(|e| at(e, &path));
            let level = Level {
                old: open(Side::Old, old)?,
                new: open(Side::New, new)?,
            };
            levels.push(level);
        }
        next = step(&mut levels, &path)?;
    }
}

fn step(levels: &mut [Level<'_>], path: &[Vec<u8>]) -> Result<Option<Pair>, Failed> {
    match levels.last_mut() {
        Some(level) => level.next().map_err(|e| at(e, path)),
        None => Ok(None),
    }
}

fn at(mut failed: Failed, path: &[Vec<u8>]) -> Failed {
    failed.error = failed.error.context(display(path));
    failed
}

impl Repository {
    /// What differs between two snapshots at `path` and below it: calls `each`
    /// in order of path, a folder before what is in it. The time it takes
    /// grows with what differs, not with what there is. A path that only one
    /// of them has is all added or all removed.
    ///
    /// # Errors
    /// `Missing` if neither snapshot has the path, `Corrupt` if a part of a
    /// tree that has to be read cannot be; whatever `each` returns.
    pub fn diff(
        &self,
        old: &Snapshot,
        new: &Snapshot,
        path: &[Vec<u8>],
        progress: &Progress,
        mut each: impl FnMut(Difference) -> Result<()>,
    ) -> Result<()> {
        let side = |snapshot| match self.entry(snapshot, path) {
            Ok(entry) => Ok(Some(entry)),
            Err(e) if e.kind() == Kind::Missing && !path.is_empty() => Ok(None),
            Err(e) => Err(e),
        };
        let top = (side(old)?, side(new)?);
        if let (None, None) = top {
            return self.entry(new, path).map(|_| ());
        }
        let _pins: Vec<_> = [&top.0, &top.1]
            .into_iter()
            .flatten()
            .map(|entry| self.locks.pin(entry.kind.clone()))
            .collect();
        // Still there now that they are pinned: nobody can collect them any more.
        self.snapshots.record(&old.id)?;
        self.snapshots.record(&new.id)?;
        let which = |side| match side {
            Some(Side::Old) => Some(old),
            Some(Side::New) => Some(new),
            None => None,
        };
        let meta = |entry: &Option<EntryV1>| -> Option<Meta> { entry.as_ref().map(convert::meta) };
        let compared = compare(&self.blocks, top, progress, &mut |below, change, pair| {
            each(Difference {
                path: [path, below].concat(),
                change,
                old: meta(&pair.0),
                new: meta(&pair.1),
            })
        });
        compared.map_err(|Failed { side, error }| match which(side) {
            Some(snapshot) => error.context(format_args!(
                "snapshot {} cannot be compared",
                &snapshot.id[..snapshot.id.len().min(8)]
            )),
            None => error,
        })
    }
}

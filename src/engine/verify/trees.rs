//! Walking the snapshots' trees to name what is damaged.

use super::{Findings, about_data};
use crate::engine::Repository;
use crate::engine::blocks::Blocks;
use crate::engine::error::Result;
use crate::engine::format::snapshot::SnapshotV1;
use crate::engine::format::tree::{EntryV1, Extent, Item, KindV1, List};
use crate::engine::ids::{Id, IdMap, IdSet};
use crate::engine::nodes::{ListIter, read_node};
use crate::engine::progress::Progress;
use crate::engine::storage::{Name, hex};
use crate::engine::warnings::display;

/// Most files named for one snapshot.
const FILES: usize = 100;

/// Walks snapshots. Folders found whole are not visited again; damaged ones
/// are, so that every snapshot they hurt is named.
pub(super) struct Trees<'r> {
    repository: &'r Repository,
    whole: IdSet,
    progress: &'r Progress,
}

struct Level<'r> {
    id: Id,
    name: Vec<u8>,
    entries: ListIter<&'r Blocks, EntryV1>,
    whole: bool,
}

impl<'r> Trees<'r> {
    pub(super) fn new(repository: &'r Repository, progress: &'r Progress) -> Self {
        Self {
            repository,
            whole: IdSet::default(),
            progress,
        }
    }

    /// Checks one snapshot.
    pub(super) fn snapshot(
        &mut self,
        id: &[u8; 16],
        record: &SnapshotV1,
        found: &mut Findings,
    ) -> Result<()> {
        let what = format!("snapshot {} ({})", &hex(id)[..8], record.name);
        let mut hurt = 0usize;
        let mut say = |found: &mut Findings, path: &[Vec<u8>], why: String| {
            hurt += 1;
            match hurt {
                n if n <= FILES => found.error(format!("{what}: {}: {why}", display(path))),
                n if n == FILES + 1 => found.error(format!("{what}: and more files")),
                _ => {}
            }
        };
        let mut levels: Vec<Level<'r>> = Vec::new();
        let root = record.root.clone();
        self.enter(&mut levels, root, found, &mut say)?;
        while let Some(level) = levels.last_mut() {
            match level.entries.next() {
                Some(Ok(entry)) => {
                    self.enter(&mut levels, entry, found, &mut say)?;
                }
                Some(Err(e)) if about_data(&e) => {
                    level.whole = false;
                    say(
                        found,
                        &path(&levels),
                        format!("part of this folder is lost: {e}"),
                    );
                }
                Some(Err(e)) => return Err(e),
                None => {
                    self.progress.check()?;
                    if let Some(done) = levels.pop() {
                        if done.whole {
                            self.whole.insert(done.id);
                        } else if let Some(above) = levels.last_mut() {
                            above.whole = false;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks one entry; a folder not known to be whole becomes a level.
    fn enter(
        &mut self,
        levels: &mut Vec<Level<'r>>,
        entry: EntryV1,
        found: &mut Findings,
        say: &mut impl FnMut(&mut Findings, &[Vec<u8>], String),
    ) -> Result<()> {
        let mut bad = broken_entry(self.repository, &entry, &found.lost)?;
        if let KindV1::Folder { id, .. } = &entry.kind
            && !self.whole.contains(id)
        {
            match ListIter::node(&*self.repository.blocks, id) {
                Ok(entries) => {
                    levels.push(Level {
                        id: *id,
                        name: entry.name.0.clone(),
                        entries,
                        whole: bad.is_none(),
                    });
                    if let Some(why) = bad {
                        say(found, &path(levels), why);
                    }
                    return Ok(());
                }
                Err(e) if about_data(&e) => bad = Some(format!("this folder is lost: {e}")),
                Err(e) => return Err(e),
            }
        }
        if let Some(why) = bad {
            if let Some(level) = levels.last_mut() {
                level.whole = false;
            }
            let mut at = path(levels);
            if !entry.name.0.is_empty() {
                at.push(entry.name.0);
            }
            say(found, &at, why);
        }
        Ok(())
    }
}

/// What is wrong with an entry's own content and attributes, if anything.
pub(super) fn broken_entry(
    repository: &Repository,
    entry: &EntryV1,
    lost: &IdMap<Name>,
) -> Result<Option<String>> {
    let bad = broken(repository, &entry.xattrs, |_| None)?;
    let KindV1::File { extents, .. } = &entry.kind else {
        return Ok(bad);
    };
    if bad.is_some() {
        return Ok(bad);
    }
    broken(repository, extents, |extent| match extent {
        Extent::Data { id, .. } => match lost.get(id) {
            Some(name) => Some(Ok(format!("its content is damaged in {name}"))),
            None => match repository.index.lookup(id) {
                Ok(Some(_)) => None,
                Ok(None) => Some(Ok(format!("its content (chunk {id}) is in no segment"))),
                Err(e) => Some(Err(e)),
            },
        },
        Extent::Zeros { .. } => None,
    })
}

/// What is wrong with a list or its items, if anything.
fn broken<T: Item>(
    repository: &Repository,
    list: &List<T>,
    check: impl Fn(&T) -> Option<Result<String>>,
) -> Result<Option<String>> {
    let mut pages = match list {
        List::Items(items) => return items.iter().find_map(check).transpose(),
        List::Pages(pages) => pages.clone(),
    };
    while let Some(page) = pages.pop() {
        match read_node(&repository.blocks, &page.id) {
            Ok(List::Items(items)) => {
                if let Some(why) = items.iter().find_map(&check) {
                    return why.map(Some);
                }
            }
            Ok(List::Pages(more)) => pages.extend(more),
            Err(e) if about_data(&e) => return Ok(Some(e.to_string())),
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// The path of the innermost folder.
fn path(levels: &[Level<'_>]) -> Vec<Vec<u8>> {
    levels.iter().skip(1).map(|l| l.name.clone()).collect()
}

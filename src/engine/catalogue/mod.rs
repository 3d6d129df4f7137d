//! The catalogue: every name in every snapshot, so that a file is found
//! without knowing where or when it was.
//!
//! A cache in the state folder, like the index: all of it can be read from the
//! snapshots again, and where it is absent, damaged or another repository's,
//! it is. Names are secret elsewhere, so it is sealed.
//!
//! The snapshots of one name have one *history*: each path once, in order,
//! with its versions and the snapshots that have them. Reading in a snapshot
//! costs what differs from the one before. A search reads the folded names
//! from front to back, some bytes a name; nothing but the list of blocks is in memory.

mod block;
mod file;
mod fold;
mod search;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Snapshot;
use super::diff::{Failed, Side, compare};
use super::error::{Error, Kind, Result};
use super::format::snapshot::SnapshotV1;
use super::format::tree::{EntryV1, KindV1};
use super::keys::Keys;
use super::progress::Progress;
use super::repository::Repository;
use super::storage::hex;
use block::Facts;
use file::History;
use fold::Pattern;
use update::Rewrite;

/// What to look for.
#[derive(Clone, Debug)]
pub struct Query {
    /// A part of a name, or with `*` and `?` in it a pattern for the whole
    /// name. Case and accents do not matter.
    pub text: String,
    /// Only in snapshots of this name.
    pub name: Option<String>,
    /// At most so many hits.
    pub limit: usize,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// By snapshot name, then path.
    pub hits: Vec<Hit>,
    /// Whether there are more than these.
    pub more: bool,
    /// Snapshots that are not in the catalogue yet, or cannot be read: what
    /// only they have was not found.
    pub unread: u64,
}

/// A path that matches, and the snapshots of one name that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Names from the snapshot's top.
    pub path: Vec<Vec<u8>>,
    /// What it is in the newest of these snapshots.
    pub kind: EntryKind,
    /// Bytes of content there; 0 for all but files.
    pub size: u64,
    /// Last change of the content there, to the second.
    pub mtime: jiff::Timestamp,
    /// In how many versions these snapshots have it.
    pub versions: u64,
    /// How many snapshots have it.
    pub snapshots: u64,
    /// The oldest of them.
    pub first: Snapshot,
    /// The newest of them.
    pub last: Snapshot,
}

/// Types of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl EntryKind {
    fn from_number(n: u8) -> Option<Self> {
        use EntryKind::{BlockDevice, CharDevice, Fifo, File, Folder, Socket, Symlink};
        let all = [File, Folder, Symlink, Fifo, Socket, CharDevice, BlockDevice];
        all.get(usize::from(n)).copied()
    }
}

type Histories = BTreeMap<String, Arc<History>>;

/// The open catalogue; its files are looked at when it is first asked for.
pub(crate) struct Catalogue {
    folder: PathBuf,
    histories: Mutex<Option<Histories>>,
    /// Held while it is brought up to date.
    updating: Mutex<()>,
}

impl Catalogue {
    /// In the state folder.
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            folder: state.join("catalogue"),
            histories: Mutex::default(),
            updating: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Histories>> {
        self.histories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is; what cannot be used is removed.
    fn histories(&self, repository: [u8; 16], keys: &Keys) -> Result<Histories> {
        let mut lock = self.lock();
        if let Some(known) = &*lock {
            return Ok(known.clone());
        }
        let failed = |e| Error::io(format_args!("the catalogue {}", self.folder.display()), e);
        let mut folder = std::fs::DirBuilder::new();
        folder
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(failed)?;
        let mut found = Histories::new();
        let mut files = Vec::new();
        for file in std::fs::read_dir(&self.folder).map_err(failed)? {
            files.push(file.map_err(failed)?.path());
        }
        for path in files
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == "head"))
        {
            match History::open(path, repository, keys) {
                Ok(history) => {
                    found
                        .entry(history.head.name.clone())
                        .or_insert(Arc::new(history));
                }
                Err(e) if e.kind() == Kind::Corrupt => {
                    tracing::warn!(error = %e, "part of the catalogue is given up")
                }
                Err(e) => return Err(e),
            }
        }
        // What a crash left, and what could not be opened.
        for path in files {
            if !found.values().any(|history| history.owns(&path)) {
                file::remove(&path);
            }
        }
        *lock = Some(found.clone());
        Ok(found)
    }

    /// From now on this is the history of its name; `None` takes it away.
    fn replace(&self, name: &str, history: Option<Arc<History>>) {
        if let Some(known) = &mut *self.lock() {
            match history {
                Some(history) => known.insert(name.into(), history),
                None => known.remove(name),
            };
        }
    }

    /// Takes a history away, so that it is built anew.
    fn give_up(&self, history: &Arc<History>, why: &str) {
        let name = &history.head.name;
        tracing::warn!(name, why, "the catalogue is built anew");
        if let Some(known) = &mut *self.lock() {
            // It may have been built anew already.
            if known.get(name).is_some_and(|other| !other.same(history)) {
                return;
            }
            known.remove(name);
        }
        history.remove();
    }
}

/// Whether it is of no use to try again.
fn unusable(e: &Error) -> bool {
    matches!(e.kind(), Kind::Corrupt | Kind::Missing)
}

/// How reading in one snapshot ended.
enum Read {
    Done(Arc<History>),
    /// The snapshot cannot be read.
    Lost(Error),
    /// The history cannot be used.
    Useless(Error),
}

impl Repository {
    /// Reads into the catalogue what is new since the last time and takes out
    /// what was forgotten. Takes as long as snapshots differ. Returns how many
    /// snapshots are not in it because they cannot be read.
    ///
    /// # Errors
    /// Faults of the storage and of the state folder's disk; `Cancelled`.
    /// What was read in before stays.
    pub fn update_catalogue(&self, progress: &Progress) -> Result<u64> {
        let catalogue = &self.catalogue;
        let _updating = catalogue
            .updating
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut names: BTreeMap<String, Vec<([u8; 16], SnapshotV1)>> = BTreeMap::new();
        for (id, record) in self.snapshots.all() {
            names
                .entry(record.name.clone())
                .or_default()
                .push((id, record));
        }
        for (name, history) in catalogue.histories(self.header.id, &self.keys)? {
            if !names.contains_key(&name) {
                catalogue.replace(&name, None);
                history.remove();
            }
        }
        let mut lost = 0;
        for (name, snapshots) in names {
            lost += self.update_history(&name, &snapshots, progress)?;
        }
        Ok(lost + self.snapshots.damaged().len() as u64)
    }

    fn update_history(
        &self,
        name: &str,
        snapshots: &[([u8; 16], SnapshotV1)],
        progress: &Progress,
    ) -> Result<u64> {
        let catalogue = &self.catalogue;
        // Once anew at most: a history just built agrees with its snapshots.
        for attempt in 0..2 {
            let known = catalogue
                .histories(self.header.id, &self.keys)?
                .remove(name);
            let mut history = match known {
                Some(history) => history,
                None => Arc::new(History::create(&catalogue.folder, &self.keys, name)?),
            };
            let read: BTreeSet<[u8; 16]> = history.head.snapshots.iter().map(|s| s.1).collect();
            let mut lost = 0;
            let mut useless = None;
            for (id, record) in snapshots.iter().filter(|(id, _)| !read.contains(id)) {
                progress.at(&format!("snapshot {}", hex(id)));
                match self.read_in(&history, *id, &record.root, snapshots, progress)? {
                    Read::Done(next) => {
                        history = next;
                        catalogue.replace(name, Some(history.clone()));
                    }
                    Read::Lost(e) => {
                        tracing::warn!(snapshot = hex(id), error = %e, "not in the catalogue");
                        lost += 1;
                    }
                    Read::Useless(e) => {
                        useless = Some(e);
                        break;
                    }
                }
            }
            let swept = match useless {
                Some(e) => Err(e),
                None => self.sweep(&history, snapshots),
            };
            match swept {
                Ok(swept) => {
                    if let Some(swept) = swept {
                        catalogue.replace(name, Some(Arc::new(swept)));
                    } else if history.head.snapshots.is_empty() {
                        // Never committed: none of the snapshots can be read.
                        history.remove();
                    }
                    return Ok(lost);
                }
                Err(e) if attempt == 0 && unusable(&e) => {
                    catalogue.give_up(&history, &e.to_string());
                }
                Err(e) => return Err(e),
            }
        }
        Ok(0)
    }

    /// Numbers of a history's snapshots that still exist.
    fn alive(history: &History, snapshots: &[([u8; 16], SnapshotV1)]) -> BTreeSet<u32> {
        let there: BTreeSet<&[u8; 16]> = snapshots.iter().map(|(id, _)| id).collect();
        let known = history.head.snapshots.iter();
        known
            .filter(|(_, id)| there.contains(id))
            .map(|(n, _)| *n)
            .collect()
    }

    fn read_in(
        &self,
        history: &History,
        id: [u8; 16],
        root: &EntryV1,
        snapshots: &[([u8; 16], SnapshotV1)],
        progress: &Progress,
    ) -> Result<Read> {
        let mut alive = Self::alive(history, snapshots);
        let mut next = history.writer(&self.keys)?;
        let number = next.head.next;
        alive.insert(number);
        // The last one read in may have been forgotten. Its nodes may be there
        // nevertheless; but a collection must not be asked to spare what is gone.
        let last = next.head.snapshots.last().map(|(n, _)| *n);
        let base = next.head.root.take();
        let spared = base
            .as_ref()
            .filter(|_| last.is_some_and(|n| alive.contains(&n)));
        let _pins: Vec<_> = [spared, Some(root)]
            .into_iter()
            .flatten()
            .map(|entry| self.locks.pin(entry.kind.clone()))
            .collect();
        let mut rewrite = Rewrite::new(&mut next, &alive)?;
        let mut inconsistent = false;
        let base = base.unwrap_or_else(|| EntryV1 {
            // A top that is no folder has nothing below it.
            kind: KindV1::Socket,
            ..root.clone()
        });
        let pair = (Some(base), Some(root.clone()));
        let compared = compare(&self.blocks, pair, progress, &mut |path, _, (old, new)| {
            let facts = |entry: &Option<EntryV1>| entry.as_ref().map(Facts::new);
            let (old, new) = (facts(old), facts(new));
            if path.is_empty() || old == new {
                return Ok(());
            }
            rewrite
                .change(&path.join(&0), number, old, new)
                .inspect_err(|e| inconsistent = e.kind() == Kind::Corrupt)
        });
        match compared {
            Ok(()) => {}
            Err(Failed { error, .. }) if inconsistent => return Ok(Read::Useless(error)),
            Err(Failed { side, error }) => {
                return match side {
                    Some(Side::Old) if unusable(&error) => Ok(Read::Useless(error)),
                    Some(Side::New) if unusable(&error) => Ok(Read::Lost(error)),
                    _ => Err(error),
                };
            }
        }
        if let Err(e) = rewrite.finish() {
            return match e.kind() {
                Kind::Corrupt => Ok(Read::Useless(e)),
                _ => Err(e),
            };
        }
        next.head.snapshots.push((number, id));
        next.head.next = number + 1;
        next.head.root = Some(root.clone());
        next.commit(self.header.id)?;
        Ok(Read::Done(Arc::new(next)))
    }

    /// Once more snapshots were forgotten than there are, looks through the
    /// whole history for what is left of them.
    fn sweep(
        &self,
        history: &History,
        snapshots: &[([u8; 16], SnapshotV1)],
    ) -> Result<Option<History>> {
        let alive = Self::alive(history, snapshots);
        if history.head.snapshots.len() <= 2 * alive.len().max(8) {
            return Ok(None);
        }
        let mut next = history.writer(&self.keys)?;
        let mut rewrite = Rewrite::new(&mut next, &alive)?;
        rewrite.sweep()?;
        rewrite.finish()?;
        let last = next.head.snapshots.last().copied();
        next.head
            .snapshots
            .retain(|s| alive.contains(&s.0) || Some(*s) == last);
        next.commit(self.header.id)?;
        Ok(Some(next))
    }

    /// Looks for names in all snapshots that are in the catalogue. The
    /// storage is not asked for anything.
    ///
    /// # Errors
    /// `Refused` for a text no name can contain; faults of the state folder's disk.
    pub fn search(&self, query: &Query) -> Result<Found> {
        let pattern = Pattern::new(&query.text)?;
        let all = self.snapshots()?;
        let wanted = |name: &str| query.name.as_deref().is_none_or(|wanted| wanted == name);
        let snapshots: BTreeMap<&str, &Snapshot> = all
            .iter()
            .filter(|s| wanted(&s.name))
            .map(|s| (s.id.as_str(), s))
            .collect();
        let mut unread: BTreeSet<&str> = snapshots.keys().copied().collect();
        let mut found = Found::default();
        for (name, history) in self.catalogue.histories(self.header.id, &self.keys)? {
            if !wanted(&name) {
                continue;
            }
            // One more than wanted tells that there are more.
            let left = query
                .limit
                .saturating_add(1)
                .saturating_sub(found.hits.len());
            match search::scan(&history, &pattern, &snapshots, left) {
                Ok(hits) => {
                    found.hits.extend(hits);
                    for (_, id) in &history.head.snapshots {
                        unread.remove(hex(id).as_str());
                    }
                }
                // Whoever brings it up to date at this moment finds out too.
                Err(e) if e.kind() == Kind::Corrupt => {
                    if let Ok(_updating) = self.catalogue.updating.try_lock() {
                        self.catalogue.give_up(&history, &e.to_string());
                    }
                }
                Err(e) => return Err(e),
            }
        }
        found.more = found.hits.len() > query.limit;
        found.hits.truncate(query.limit);
        found.unread = unread.len() as u64;
        Ok(found)
    }
}

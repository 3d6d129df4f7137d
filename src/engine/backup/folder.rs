//! Folders in work, and the jobs they are made of.
//!
//! A folder is taken a window of names at a time. Windows may end in any order;
//! their entries go into the folder's list in the order of names. Only so many
//! windows of a folder are in work at once, so that what a folder takes in
//! memory, but for its bare names, does not grow with it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::big::Big;
use crate::engine::error::Result;
use crate::engine::format::tree::{EntryV1, Item, KindV1, encode_node};
use crate::engine::ids::Id;
use crate::engine::nodes::ListBuilder;
use crate::engine::store::Depositor;
use crate::engine::tree::{Entry, Folder, Meta, Names};

/// A job of files is closed at so many of them or so many bytes.
const BATCH_FILES: usize = 128;
const BATCH_BYTES: u64 = 4 << 20;
/// Longest name that is saved; the kernel's are shorter.
pub(super) const NAME_MAX: usize = 4096;

/// Names of one window.
pub(super) const WINDOW: usize = 2048;

/// A folder whose entries are being saved.
pub(super) struct FolderState {
    pub(super) handle: Box<dyn Folder>,
    name: Vec<u8>,
    /// The window of the folder above and this one's place in it; `None` for the top.
    pub(super) up: Option<(Arc<Window>, usize)>,
    pub(super) depth: usize,
    made: Mutex<Made>,
    /// For the top: its metadata, and its entry when finished.
    pub(super) top: Option<(Meta, Mutex<Option<EntryV1>>)>,
}

/// What is made of a folder so far.
struct Made {
    /// Windows that ended before an earlier one.
    ended: BTreeMap<usize, Slots>,
    /// The window the list waits for.
    next: usize,
    /// How many windows there are, once it is known.
    windows: Option<usize>,
    /// The rest of the listing, set aside while many windows are in work.
    rest: Option<Listing>,
    list: ListBuilder<EntryV1>,
    entries: u64,
    bytes: u64,
}

/// The entries of a window; `None` for what is not saved yet, or cannot be.
pub(super) type Slots = Vec<Option<EntryV1>>;

/// Names of a folder that are being saved.
pub(super) struct Window {
    pub(super) folder: Arc<FolderState>,
    n: usize,
    slots: Mutex<Slots>,
    /// Jobs not ended yet, the examination included.
    pub(super) pending: AtomicUsize,
}

/// What is left of a folder's listing.
pub(super) struct Listing {
    pub(super) folder: Arc<FolderState>,
    pub(super) names: Arc<Names>,
    /// The next window.
    n: usize,
    /// The folder's node in the previous snapshot.
    pub(super) old: Option<Id>,
}

impl Listing {
    pub(super) fn new(folder: Arc<FolderState>, names: Names, old: Option<Id>) -> Self {
        Self {
            folder,
            names: Arc::new(names),
            n: 0,
            old,
        }
    }

    /// The next window and its place among the names, and what is then left.
    /// `None` if too many windows are in work: the rest is given to the one who
    /// ends the window that is waited for.
    pub(super) fn next(
        self,
        most: usize,
    ) -> Option<(Arc<Window>, std::ops::Range<usize>, Option<Self>)> {
        let folder = self.folder.clone();
        let mut made = folder.made();
        if self.n >= made.next + most {
            made.rest = Some(self);
            return None;
        }
        let begin = self.n * WINDOW;
        let range = begin..self.names.len().min(begin + WINDOW);
        let window = Arc::new(Window {
            folder: folder.clone(),
            n: self.n,
            slots: Mutex::default(),
            pending: AtomicUsize::new(1),
        });
        let rest = if range.end == self.names.len() {
            made.windows = Some(self.n + 1);
            None
        } else {
            Some(Self {
                n: self.n + 1,
                ..self
            })
        };
        Some((window, range, rest))
    }
}

impl Window {
    pub(super) fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the end of a window led to.
pub(super) enum Ended {
    /// The folder goes on.
    Open,
    /// The folder goes on with what had been set aside.
    Resume(Listing),
    /// The folder is complete; this is its content.
    Folder(KindV1),
}

/// What a worker does next.
pub(super) enum Job {
    /// List an open folder.
    List {
        folder: Arc<FolderState>,
        old: Option<Id>,
    },
    /// Save the next window of a folder.
    Next(Listing),
    /// Open a folder in `up` and list it.
    Enter {
        up: Arc<Window>,
        at: usize,
        name: Vec<u8>,
        old: Option<Id>,
    },
    /// Save files of a folder.
    Files {
        window: Arc<Window>,
        files: Vec<(usize, Entry)>,
    },
    /// Help with a big file.
    Parts(Arc<Big>),
}

impl FolderState {
    pub(super) fn new(
        handle: Box<dyn Folder>,
        name: Vec<u8>,
        up: (Arc<Window>, usize),
    ) -> Arc<Self> {
        let depth = up.0.folder.depth + 1;
        Arc::new(Self::begin(handle, name, Some(up), depth, None))
    }

    fn begin(
        handle: Box<dyn Folder>,
        name: Vec<u8>,
        up: Option<(Arc<Window>, usize)>,
        depth: usize,
        top: Option<(Meta, Mutex<Option<EntryV1>>)>,
    ) -> Self {
        Self {
            handle,
            name,
            up,
            depth,
            made: Mutex::new(Made {
                ended: BTreeMap::new(),
                next: 0,
                windows: None,
                rest: None,
                list: ListBuilder::new(),
                entries: 0,
                bytes: 0,
            }),
            top,
        }
    }

    /// The top folder, to begin with.
    pub(super) fn top(handle: Box<dyn Folder>, meta: Meta) -> Arc<Self> {
        let top = Some((meta, Mutex::default()));
        Arc::new(Self::begin(handle, Vec::new(), None, 0, top))
    }

    /// The finished top folder's entry.
    pub(super) fn into_saved(self) -> Option<EntryV1> {
        self.top?
            .1
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a window all of whose jobs ended. The folder is complete with its last one.
    pub(super) fn take_in(&self, window: &Window, out: &mut Depositor<'_>) -> Result<Ended> {
        let slots = std::mem::take(&mut *window.slots());
        let mut made = self.made();
        let made = &mut *made;
        made.ended.insert(window.n, slots);
        while let Some(slots) = made.ended.remove(&made.next) {
            made.next += 1;
            for entry in slots.into_iter().flatten() {
                made.entries = made.entries.saturating_add(entry.entries());
                made.bytes = made.bytes.saturating_add(entry.bytes());
                made.list.push(entry, out)?;
            }
        }
        if made.windows != Some(made.next) {
            return Ok(made.rest.take().map_or(Ended::Open, Ended::Resume));
        }
        let list = std::mem::replace(&mut made.list, ListBuilder::new());
        let list = list.finish(usize::MAX, out)?;
        Ok(Ended::Folder(KindV1::Folder {
            id: out.node(&encode_node(&list)?)?,
            entries: made.entries,
            bytes: made.bytes,
        }))
    }

    /// Path of an entry of this folder.
    pub(super) fn path(&self, name: &[u8]) -> Vec<Vec<u8>> {
        let mut path = vec![name.to_vec()];
        let mut folder = self;
        while let Some((up, _)) = &folder.up {
            path.push(folder.name.clone());
            folder = &up.folder;
        }
        path.reverse();
        path
    }

    pub(super) fn own_path(&self) -> Vec<Vec<u8>> {
        match &self.up {
            Some((up, _)) => up.folder.path(&self.name),
            None => Vec::new(),
        }
    }
}

/// Why a name may be neither saved nor restored.
pub(crate) fn bad_name(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" => Some("its name is empty"),
        b"." | b".." => Some("its name would lead out of its folder"),
        n if n.contains(&b'/') || n.contains(&0) => {
            Some("its name contains a byte no name may contain")
        }
        n if n.len() > NAME_MAX => Some("its name is too long"),
        _ => None,
    }
}

/// Files gathered for one job.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) files: Vec<(usize, Entry)>,
    bytes: u64,
}

impl Batch {
    /// Adds a file; returns the files of a job when there are enough.
    pub(super) fn add(
        &mut self,
        at: usize,
        entry: Entry,
        size: u64,
    ) -> Option<Vec<(usize, Entry)>> {
        self.files.push((at, entry));
        self.bytes = self.bytes.saturating_add(size);
        if self.files.len() < BATCH_FILES && self.bytes < BATCH_BYTES {
            return None;
        }
        self.bytes = 0;
        Some(std::mem::take(&mut self.files))
    }
}

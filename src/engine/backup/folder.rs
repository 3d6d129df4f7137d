//! Folders in work, and the jobs they are made of.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::big::Big;
use crate::engine::format::tree::EntryV1;
use crate::engine::ids::Id;
use crate::engine::tree::{Entry, Folder, Meta};

/// A job of files is closed at so many of them or so many bytes.
const BATCH_FILES: usize = 128;
const BATCH_BYTES: u64 = 4 << 20;
/// Longest name that is saved; the kernel's are shorter.
pub(super) const NAME_MAX: usize = 4096;

/// A folder whose entries are being saved.
pub(super) struct FolderState {
    pub(super) handle: Box<dyn Folder>,
    name: Vec<u8>,
    /// The folder above and this one's place in it; `None` for the top.
    pub(super) up: Option<(Arc<FolderState>, usize)>,
    pub(super) depth: usize,
    entries: Mutex<Vec<Option<EntryV1>>>,
    /// Jobs not ended yet, the listing included.
    pub(super) pending: AtomicUsize,
    /// For the top: its metadata, and its entry when finished.
    pub(super) top: Option<(Meta, Mutex<Option<EntryV1>>)>,
}

/// What a worker does next.
pub(super) enum Job {
    /// List an open folder.
    List {
        folder: Arc<FolderState>,
        old: Option<Id>,
    },
    /// Open a folder in `up` and list it.
    Enter {
        up: Arc<FolderState>,
        at: usize,
        name: Vec<u8>,
        old: Option<Id>,
    },
    /// Save files of a folder.
    Files {
        folder: Arc<FolderState>,
        files: Vec<(usize, Entry)>,
    },
    /// Help with a big file.
    Parts(Arc<Big>),
}

impl FolderState {
    pub(super) fn new(
        handle: Box<dyn Folder>,
        name: Vec<u8>,
        up: (Arc<FolderState>, usize),
    ) -> Arc<Self> {
        Arc::new(Self {
            handle,
            name,
            depth: up.0.depth + 1,
            up: Some(up),
            entries: Mutex::default(),
            pending: AtomicUsize::new(1),
            top: None,
        })
    }

    /// The top folder, to begin with.
    pub(super) fn top(handle: Box<dyn Folder>, meta: Meta) -> Arc<Self> {
        Arc::new(Self {
            handle,
            name: Vec::new(),
            up: None,
            depth: 0,
            entries: Mutex::default(),
            pending: AtomicUsize::new(1),
            top: Some((meta, Mutex::default())),
        })
    }

    /// The finished top folder's entry.
    pub(super) fn into_saved(self) -> Option<EntryV1> {
        self.top?
            .1
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn entries(&self) -> MutexGuard<'_, Vec<Option<EntryV1>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Path of an entry of this folder.
    pub(super) fn path(&self, name: &[u8]) -> Vec<Vec<u8>> {
        let mut path = vec![name.to_vec()];
        let mut folder = self;
        while let Some((up, _)) = &folder.up {
            path.push(folder.name.clone());
            folder = up;
        }
        path.reverse();
        path
    }

    pub(super) fn own_path(&self) -> Vec<Vec<u8>> {
        match &self.up {
            Some((up, _)) => up.path(&self.name),
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

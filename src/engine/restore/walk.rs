//! The walk: makes folders and specials, and gathers files into windows.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use super::{Path, Shared};
use crate::engine::backup::bad_name;
use crate::engine::blocks::Blocks;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::tree::{EntryV1, KindV1};
use crate::engine::nodes::ListIter;
use crate::engine::warnings::display;

/// Most files in a window.
const WINDOW_FILES: usize = 4096;
/// A window is closed at about so many bytes of content.
const WINDOW_BYTES: u64 = 256 << 20;

/// A file or other entry and where it goes.
pub(super) struct Task {
    pub path: Path,
    pub entry: EntryV1,
}

/// Part of a restore. Its lists are worked off one after another.
#[derive(Default)]
pub(super) struct Window {
    pub files: Vec<Task>,
    /// Further names of files restored before: the first one's path, and the name.
    pub links: Vec<(Path, Task)>,
    /// Folders into which nothing more will be put.
    pub folders: Vec<Task>,
    bytes: u64,
}

/// A folder whose entries are being walked.
struct Level<'a> {
    folder: Task,
    entries: ListIter<&'a Blocks, EntryV1>,
}

pub(super) struct Walker<'a> {
    shared: &'a Shared<'a>,
    send: SyncSender<Window>,
    window: Window,
    /// First restored name of each file with several.
    linked: HashMap<(u64, u64), Path>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(shared: &'a Shared<'a>, send: SyncSender<Window>) -> Self {
        Self {
            shared,
            send,
            window: Window::default(),
            linked: HashMap::new(),
        }
    }

    /// Walks `entry` to the end.
    pub(super) fn run(mut self, mut entry: EntryV1) -> Result<()> {
        let name = std::mem::take(&mut entry.name.0);
        let mut levels = Vec::new();
        if matches!(entry.kind, KindV1::Folder { .. }) {
            // The top must be usable at all, so this is no warning.
            self.shared.target.folder(&[])?;
            self.enter(&mut levels, Vec::new(), entry)?;
        } else {
            self.entry(&mut levels, vec![name], entry)?;
        }
        while let Some(level) = levels.last_mut() {
            self.shared.check()?;
            match level.entries.next() {
                Some(Ok(mut entry)) => {
                    let name = std::mem::take(&mut entry.name.0);
                    let mut path = level.folder.path.clone();
                    path.push(name);
                    self.entry(&mut levels, path, entry)?;
                }
                Some(Err(e)) => {
                    let e = e.context("part of this folder cannot be read and was not restored");
                    self.shared.tolerate(&level.folder.path, Err::<(), _>(e))?;
                }
                None => {
                    if let Some(level) = levels.pop() {
                        self.window.folders.push(level.folder);
                        self.send_if(self.window.folders.len() >= WINDOW_FILES)?;
                    }
                }
            }
        }
        self.send_if(true)
    }

    fn enter(&mut self, levels: &mut Vec<Level<'a>>, path: Path, entry: EntryV1) -> Result<()> {
        let KindV1::Folder { id, .. } = &entry.kind else {
            return Ok(());
        };
        self.shared.progress.at(&display(&path));
        let read = ListIter::node(self.shared.blocks, id)
            .map_err(|e| e.context("this folder cannot be read and was restored empty"));
        match self.shared.tolerate(&path, read)? {
            Some(entries) => levels.push(Level {
                folder: Task { path, entry },
                entries,
            }),
            None => self.window.folders.push(Task { path, entry }),
        }
        Ok(())
    }

    fn entry(&mut self, levels: &mut Vec<Level<'a>>, path: Path, entry: EntryV1) -> Result<()> {
        if let Some(why) = path.last().and_then(|name| bad_name(name)) {
            self.shared
                .warnings
                .add(&path, format_args!("{why}; it was not restored"));
            return Ok(());
        }
        let inode = (entry.dev, entry.ino);
        if entry.links > 1 && inode != (0, 0) && !matches!(entry.kind, KindV1::Folder { .. }) {
            if let Some(first) = self.linked.get(&inode) {
                self.window
                    .links
                    .push((first.clone(), Task { path, entry }));
                return self.send_if(self.window.links.len() >= WINDOW_FILES);
            }
            self.linked.insert(inode, path.clone());
        }
        match &entry.kind {
            KindV1::Folder { .. } => {
                let made = self.shared.target.folder(&path);
                self.shared.progress.files.fetch_add(1, Ordering::Relaxed);
                if self.shared.tolerate(&path, made)?.is_some() {
                    self.enter(levels, path, entry)?;
                }
                Ok(())
            }
            KindV1::File { size, .. } => {
                self.window.bytes = self.window.bytes.saturating_add(*size);
                self.window.files.push(Task { path, entry });
                let full =
                    self.window.files.len() >= WINDOW_FILES || self.window.bytes >= WINDOW_BYTES;
                self.send_if(full)
            }
            _ => {
                self.window.files.push(Task { path, entry });
                self.send_if(self.window.files.len() >= WINDOW_FILES)
            }
        }
    }

    fn send_if(&mut self, due: bool) -> Result<()> {
        if !due {
            return Ok(());
        }
        self.send
            .send(std::mem::take(&mut self.window))
            .map_err(|_| Error::new(Kind::Cancelled, "stopped by an earlier error"))
    }
}

//! The workers: they save what the listings of folders give.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Shared;
use super::attributes::save_xattrs;
use super::big::{BIG, Big, PART};
use super::folder::{Ended, FolderState, Job, Window};
use super::links::adopt;
use super::reader::{CHANGED, Failure, Reader, Xattrs};
use crate::engine::convert;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::tree::{Bytes, EntryV1, KindV1, List};
use crate::engine::store::Depositor;
use crate::engine::tree::{Entry, Folder, Input, Meta};
use crate::engine::warnings::display;

/// One worker.
pub(super) struct Worker<'s> {
    pub(super) shared: &'s Shared<'s>,
    pub(super) out: Depositor<'s>,
    reader: Reader,
}

impl<'s> Worker<'s> {
    pub(super) fn new(shared: &'s Shared<'s>) -> Result<Self> {
        Ok(Self {
            shared,
            out: shared.store.depositor()?,
            reader: Reader::new(shared.chunker),
        })
    }

    /// Works until the queue is closed.
    pub(super) fn run(&mut self) -> Result<()> {
        while let Some(job) = self.shared.queue.pop() {
            self.check()?;
            match job {
                Job::List { folder, old } => self.list(&folder, old)?,
                Job::Enter { up, at, name, old } => self.enter(up, at, name, old)?,
                Job::Next(listing) => self.next(listing)?,
                Job::Files { window, files } => self.files(&window, files)?,
                Job::Parts(big) => self.parts(&big)?,
            }
        }
        self.out.flush()
    }

    fn check(&self) -> Result<()> {
        self.shared.stop.check()?;
        self.shared.progress.check()
    }

    pub(super) fn warn(&self, path: &[Vec<u8>], message: impl std::fmt::Display) {
        self.shared.warnings.add(path, message);
    }

    /// Runs something on the source; a failure of the source becomes a warning,
    /// but for whole folders only if it is not a passing one.
    pub(super) fn source<T>(
        &self,
        path: impl FnOnce() -> Vec<Vec<u8>>,
        what: &str,
        whole_folder: bool,
        mut work: impl FnMut() -> Result<T>,
    ) -> Result<Option<T>> {
        match self.shared.faults.guard(|| work().map_err(Failure::Source)) {
            Ok(out) => Ok(Some(out)),
            Err(Failure::Source(e)) if whole_folder && e.kind() == Kind::Transient => Err(e
                .context(format_args!(
                    "{}: {what}; nothing was committed, try again when the source can be reached",
                    display(&path())
                ))),
            Err(Failure::Source(e)) => {
                self.warn(&path(), format_args!("{what}: {e}"));
                Ok(None)
            }
            Err(Failure::Store(e)) => Err(e),
        }
    }

    pub(super) fn count(&self, bytes: u64) {
        let progress = self.shared.progress;
        progress.files.fetch_add(1, Ordering::Relaxed);
        progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The entry's extended attributes; those that cannot be read are left out.
    pub(super) fn xattrs(
        &mut self,
        folder: &FolderState,
        entry: &Entry,
    ) -> Result<List<(Bytes, Bytes)>> {
        let mut all = entry.meta.xattrs.clone();
        if all.is_empty() {
            let read = self.source(
                || folder.path(&entry.name),
                "extended attributes could not be read",
                false,
                || folder.handle.xattrs(&entry.name),
            )?;
            all = read.unwrap_or_default();
        }
        self.save_xattrs(folder, &entry.name, all)
    }

    fn save_xattrs(
        &mut self,
        folder: &FolderState,
        name: &[u8],
        all: Xattrs,
    ) -> Result<List<(Bytes, Bytes)>> {
        let path = || folder.path(name);
        save_xattrs(&mut self.out, all, |m| self.shared.warnings.add(&path(), m))
    }

    fn files(&mut self, window: &Arc<Window>, files: Vec<(usize, Entry)>) -> Result<()> {
        let folder = &window.folder;
        let mut done = Vec::with_capacity(files.len());
        let mut ahead = Ahead::new(self.shared.ahead);
        for (n, (at, entry)) in files.iter().enumerate() {
            self.check()?;
            let opened = ahead.next(&*folder.handle, &files[n..]);
            let at = *at;
            let mut saved = convert::entry(entry.name.clone(), &entry.meta);
            if let Some(known) = self.shared.links.take(&entry.meta) {
                adopt(&mut saved, known);
                self.count(entry.meta.size());
                done.push((at, saved));
            } else if self.is_big(folder, entry)? {
                // Counts as a job of the window of its own.
                window.pending.fetch_add(1, Ordering::AcqRel);
                let big = Arc::new(Big::new(window.clone(), at, entry.clone(), saved));
                let helpers = (big.parts() as usize).min(self.shared.workers);
                big.helpers.store(helpers, Ordering::Release);
                let jobs = (0..helpers).map(|_| Job::Parts(big.clone()));
                self.shared.queue.push(jobs);
            } else {
                if let Some(saved) = self.file(folder, entry, saved, opened)? {
                    done.push((at, saved));
                }
                self.shared.progress.files.fetch_add(1, Ordering::Relaxed);
            }
        }
        {
            let mut slots = window.slots();
            for (at, saved) in done {
                slots[at] = Some(saved);
            }
        }
        self.ended(window, 1)
    }

    /// Whether several workers are to share the file's parts.
    fn is_big(&self, folder: &FolderState, entry: &Entry) -> Result<bool> {
        if entry.meta.size() < BIG || self.shared.workers < 2 {
            return Ok(false);
        }
        // A file that cannot be opened is dealt with where it is read.
        let parts = folder.handle.open_part(&entry.name, &entry.meta, 0..PART);
        Ok(matches!(parts, Ok(Some(_))))
    }

    /// Saves one file; `None` after a warning.
    fn file(
        &mut self,
        folder: &FolderState,
        entry: &Entry,
        mut saved: EntryV1,
        mut opened: Option<Box<dyn Input>>,
    ) -> Result<Option<EntryV1>> {
        let shared = self.shared;
        let read = shared.faults.guard(|| {
            self.reader.read(
                &*folder.handle,
                &entry.name,
                &entry.meta,
                opened.take(),
                &mut self.out,
                |n| shared.advance(n),
            )
        });
        let content = match read {
            Ok(content) => content,
            Err(Failure::Store(e)) => return Err(e),
            Err(Failure::Source(e)) => {
                self.unread(folder, entry, &e);
                return Ok(None);
            }
        };
        if let Some(how) = content.changed {
            self.warn(&folder.path(&entry.name), how);
        }
        saved.kind = KindV1::File {
            size: content.size,
            extents: content.extents,
        };
        saved.xattrs = match content.xattrs {
            Some(all) => self.save_xattrs(folder, &entry.name, all)?,
            None => self.xattrs(folder, entry)?,
        };
        if content.changed.is_none() {
            self.shared.links.put(&entry.meta, &saved);
        }
        Ok(Some(saved))
    }

    fn unread(&self, folder: &FolderState, entry: &Entry, e: &Error) {
        self.warn(
            &folder.path(&entry.name),
            format_args!("it could not be read and was not saved: {e}"),
        );
    }

    /// Helps with a big file until none of its parts is left to begin with;
    /// the last helper to leave enters the file in its folder.
    fn parts(&mut self, big: &Arc<Big>) -> Result<()> {
        let shared = self.shared;
        let folder = &big.window.folder;
        while let Some((n, range)) = big.next() {
            self.check()?;
            let entry = &big.entry;
            let read = shared.faults.guard(|| {
                self.reader.part(
                    &*folder.handle,
                    &entry.name,
                    &entry.meta,
                    range.clone(),
                    &mut self.out,
                    |n| shared.advance(n),
                )
            });
            match read {
                Ok(Some((extents, changed))) => big.put(n, extents, changed, &mut self.out)?,
                Ok(None) => big.fail(Error::new(
                    Kind::Transient,
                    "the source can no longer read parts of it",
                )),
                Err(Failure::Source(e)) => big.fail(e),
                Err(Failure::Store(e)) => return Err(e),
            }
        }
        if big.helpers.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        let saved = match big.finish(&mut self.out)? {
            Ok((mut saved, changed)) => {
                saved.xattrs = self.xattrs(folder, &big.entry)?;
                if changed {
                    self.warn(&folder.path(&big.entry.name), CHANGED);
                } else {
                    shared.links.put(&big.entry.meta, &saved);
                }
                Some(saved)
            }
            Err(e) => {
                self.unread(folder, &big.entry, &e);
                None
            }
        };
        shared.progress.files.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = big.window.slots().get_mut(big.at) {
            *slot = saved;
        }
        self.ended(&big.window, 1)
    }

    /// Notes that jobs of a window ended. After the last one its folder takes it
    /// in, and when that is complete, the window above has one job less, and so on up.
    pub(super) fn ended(&mut self, window: &Arc<Window>, jobs: usize) -> Result<()> {
        let mut window = window.clone();
        let mut jobs = jobs;
        while window.pending.fetch_sub(jobs, Ordering::AcqRel) == jobs {
            let kind = match window.folder.take_in(&window, &mut self.out)? {
                Ended::Open => return Ok(()),
                Ended::Resume(rest) => {
                    self.shared.queue.push([Job::Next(rest)]);
                    return Ok(());
                }
                Ended::Folder(kind) => kind,
            };
            let up = match &window.folder.up {
                Some((up, at)) => {
                    place(up, *at, kind);
                    up.clone()
                }
                None => {
                    if let Some((meta, saved)) = &window.folder.top {
                        let entry = top_entry(&mut self.out, meta, kind)?;
                        *saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
                    }
                    self.shared.queue.close();
                    return Ok(());
                }
            };
            window = up;
            jobs = 1;
        }
        Ok(())
    }
}

/// Files opened before they are read, so that a disk brings several at once.
struct Ahead {
    most: usize,
    opened: VecDeque<Option<Box<dyn Input>>>,
}

impl Ahead {
    fn new(most: usize) -> Self {
        Self {
            most,
            opened: VecDeque::new(),
        }
    }

    /// The first of `files`, if it is open. One that cannot be opened is dealt
    /// with where it is read.
    fn next(&mut self, folder: &dyn Folder, files: &[(usize, Entry)]) -> Option<Box<dyn Input>> {
        for (_, entry) in files.iter().take(self.most).skip(self.opened.len()) {
            let meta = &entry.meta;
            let input = match meta.size() < BIG && meta.links == 1 {
                true => folder.open_part(&entry.name, meta, 0..u64::MAX).ok(),
                false => None,
            };
            self.opened.push_back(input.flatten());
        }
        self.opened.pop_front().flatten()
    }
}

/// Enters the content of a folder in the window it lies in.
pub(super) fn place(window: &Window, at: usize, kind: KindV1) {
    if let Some(Some(entry)) = window.slots().get_mut(at) {
        entry.kind = kind;
    }
}

/// The top's own entry.
fn top_entry(out: &mut Depositor<'_>, meta: &Meta, kind: KindV1) -> Result<EntryV1> {
    let mut entry = convert::entry(Vec::new(), meta);
    entry.kind = kind;
    entry.xattrs = save_xattrs(out, meta.xattrs.clone(), |_| ())?;
    Ok(entry)
}

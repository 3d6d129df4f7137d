//! The workers: they list folders and save what is in them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Shared;
use super::attributes::save_xattrs;
use super::big::{BIG, Big, PART};
use super::folder::{Batch, FolderState, Job, bad_name};
use super::links::adopt;
use super::previous::{Previous, present};
use super::reader::{CHANGED, Failure, Reader, Xattrs};
use crate::engine::convert;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::tree::{Bytes, EntryV1, KindV1, List, encode_node};
use crate::engine::ids::Id;
use crate::engine::nodes::ListBuilder;
use crate::engine::store::Depositor;
use crate::engine::tree::{Entry, FileType, Meta};
use crate::engine::warnings::display;

/// Longest link target that is saved; the kernel's are shorter.
const TARGET_MAX: usize = 64 << 10;
/// Folders within folders; more than a path of the kernel can name. A hostile
/// source could go on for ever.
const DEPTH_MAX: usize = 2048;

/// One worker.
pub(super) struct Worker<'s> {
    shared: &'s Shared<'s>,
    out: Depositor<'s>,
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
                Job::Files { folder, files } => self.files(&folder, files)?,
                Job::Parts(big) => self.parts(&big)?,
            }
        }
        self.out.flush()
    }

    fn check(&self) -> Result<()> {
        self.shared.stop.check()?;
        self.shared.progress.check()
    }

    fn warn(&self, path: &[Vec<u8>], message: impl std::fmt::Display) {
        self.shared.warnings.add(path, message);
    }

    /// Runs something on the source; a failure of the source becomes a warning,
    /// but for whole folders only if it is not a passing one.
    fn source<T>(
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

    fn enter(
        &mut self,
        up: Arc<FolderState>,
        at: usize,
        name: Vec<u8>,
        old: Option<Id>,
    ) -> Result<()> {
        if up.depth >= DEPTH_MAX {
            self.warn(
                &up.path(&name),
                "it lies too deep in the tree; what is in it was not saved",
            );
            let empty = self.empty()?;
            self.place(&up, at, empty);
            return self.ended(&up, 1);
        }
        let opened = self.source(
            || up.path(&name),
            "the folder could not be opened; what is in it was not saved",
            true,
            || up.handle.folder(&name),
        )?;
        match opened {
            Some(handle) => {
                let folder = FolderState::new(handle, name, (up, at));
                self.list(&folder, old)
            }
            None => {
                let empty = self.empty()?;
                self.place(&up, at, empty);
                self.ended(&up, 1)
            }
        }
    }

    /// The content of a folder nothing is known of.
    fn empty(&mut self) -> Result<KindV1> {
        let id = self
            .out
            .node(&encode_node(&List::<EntryV1>::Items(Vec::new()))?)?;
        Ok(KindV1::Folder {
            id,
            entries: 0,
            bytes: 0,
        })
    }

    fn place(&self, folder: &FolderState, at: usize, kind: KindV1) {
        if let Some(Some(entry)) = folder.entries().get_mut(at) {
            entry.kind = kind;
        }
    }

    /// Lists a folder, takes over what is unchanged and makes jobs of the rest.
    fn list(&mut self, folder: &Arc<FolderState>, old: Option<Id>) -> Result<()> {
        let listed = match &folder.up {
            Some(_) => self.source(
                || folder.own_path(),
                "the folder could not be read; what is in it was not saved",
                true,
                || folder.handle.entries(),
            )?,
            // Without its top there is nothing to save; an empty snapshot would
            // look as if everything had been deleted.
            None => Some(folder.handle.entries().map_err(|e| {
                e.context("the source's top folder could not be read; nothing was committed")
            })?),
        };
        let found = self.sorted(folder, listed.unwrap_or_default());
        let n = found.len() as u64;
        let progress = self.shared.progress;
        let before = progress.files.load(Ordering::Relaxed);
        progress
            .files_total
            .fetch_max(before + n, Ordering::Relaxed);
        progress.at(&display(&folder.own_path()));

        let mut before = Previous::new(self.shared, old);
        let mut slots = Vec::with_capacity(found.len());
        let mut jobs = Vec::new();
        let mut batch = Batch::default();
        for entry in found {
            let at = slots.len();
            let previous = before.find(&entry.name);
            let mut saved = convert::entry(entry.name.clone(), &entry.meta);
            let mut keep =
                previous.filter(|old| !self.shared.full && convert::unchanged(old, &entry.meta));
            if let Some(old) = &keep
                && !present(self.shared, old)?
            {
                keep = None;
            }
            match &entry.meta.kind {
                FileType::Folder => {
                    let old = before.last_folder(&entry.name);
                    match keep.take() {
                        Some(kept) => saved.xattrs = kept.xattrs,
                        None => saved.xattrs = self.xattrs(folder, &entry)?,
                    }
                    jobs.push(Job::Enter {
                        up: folder.clone(),
                        at,
                        name: entry.name,
                        old,
                    });
                    self.count(0);
                    slots.push(Some(saved));
                }
                FileType::File { size } => {
                    let size = *size;
                    match keep.take() {
                        Some(kept) => {
                            adopt(&mut saved, kept);
                            self.count(size);
                            slots.push(Some(saved));
                        }
                        None => {
                            slots.push(None);
                            if let Some(files) = batch.add(at, entry, size) {
                                jobs.push(Job::Files {
                                    folder: folder.clone(),
                                    files,
                                });
                            }
                        }
                    }
                }
                _ => {
                    match keep.take() {
                        Some(kept) => saved.xattrs = kept.xattrs,
                        None => saved.xattrs = self.xattrs(folder, &entry)?,
                    }
                    self.count(0);
                    slots.push(Some(saved));
                }
            }
        }
        if !batch.files.is_empty() {
            jobs.push(Job::Files {
                folder: folder.clone(),
                files: batch.files,
            });
        }
        folder.pending.fetch_add(jobs.len(), Ordering::AcqRel);
        *folder.entries() = slots;
        // The first in order of names is done first.
        jobs.reverse();
        self.shared.queue.push(jobs);
        self.ended(folder, 1)
    }

    fn count(&self, bytes: u64) {
        let progress = self.shared.progress;
        progress.files.fetch_add(1, Ordering::Relaxed);
        progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What may be saved of a listing, by name.
    fn sorted(
        &self,
        folder: &FolderState,
        listed: Vec<std::result::Result<Entry, (Vec<u8>, Error)>>,
    ) -> Vec<Entry> {
        let mut found = Vec::with_capacity(listed.len());
        for entry in listed {
            match entry {
                Ok(entry) => {
                    let too_long = matches!(&entry.meta.kind,
                        FileType::Symlink { target } if target.len() > TARGET_MAX);
                    match bad_name(&entry.name) {
                        Some(why) => self.warn(
                            &folder.path(&entry.name),
                            format_args!("{why}; it was not saved"),
                        ),
                        None if too_long => self.warn(
                            &folder.path(&entry.name),
                            "its link target is too long; it was not saved",
                        ),
                        None => found.push(entry),
                    }
                }
                Err((name, e)) => self.warn(
                    &folder.path(&name),
                    format_args!("it could not be examined and was not saved: {e}"),
                ),
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|later, first| {
            let twice = later.name == first.name;
            if twice {
                self.warn(
                    &folder.path(&later.name),
                    "the source lists this name twice; the first one was saved",
                );
            }
            twice
        });
        found
    }

    /// The entry's extended attributes; those that cannot be read are left out.
    fn xattrs(&mut self, folder: &FolderState, entry: &Entry) -> Result<List<(Bytes, Bytes)>> {
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

    fn files(&mut self, folder: &Arc<FolderState>, files: Vec<(usize, Entry)>) -> Result<()> {
        let mut done = Vec::with_capacity(files.len());
        for (at, entry) in files {
            self.check()?;
            let mut saved = convert::entry(entry.name.clone(), &entry.meta);
            if let Some(known) = self.shared.links.take(&entry.meta) {
                adopt(&mut saved, known);
                self.count(entry.meta.size());
                done.push((at, saved));
            } else if self.is_big(folder, &entry)? {
                // Counts as a job of the folder of its own.
                folder.pending.fetch_add(1, Ordering::AcqRel);
                let big = Arc::new(Big::new(folder.clone(), at, entry, saved));
                let helpers = (big.parts() as usize).min(self.shared.workers);
                big.helpers.store(helpers, Ordering::Release);
                let jobs = (0..helpers).map(|_| Job::Parts(big.clone()));
                self.shared.queue.push(jobs);
            } else {
                if let Some(saved) = self.file(folder, &entry, saved)? {
                    done.push((at, saved));
                }
                self.shared.progress.files.fetch_add(1, Ordering::Relaxed);
            }
        }
        {
            let mut entries = folder.entries();
            for (at, saved) in done {
                entries[at] = Some(saved);
            }
        }
        self.ended(folder, 1)
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
    ) -> Result<Option<EntryV1>> {
        let shared = self.shared;
        let read = shared.faults.guard(|| {
            self.reader.read(
                &*folder.handle,
                &entry.name,
                &entry.meta,
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
        while let Some((n, range)) = big.next() {
            self.check()?;
            let entry = &big.entry;
            let read = shared.faults.guard(|| {
                self.reader.part(
                    &*big.folder.handle,
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
                saved.xattrs = self.xattrs(&big.folder, &big.entry)?;
                if changed {
                    self.warn(&big.folder.path(&big.entry.name), CHANGED);
                } else {
                    shared.links.put(&big.entry.meta, &saved);
                }
                Some(saved)
            }
            Err(e) => {
                self.unread(&big.folder, &big.entry, &e);
                None
            }
        };
        shared.progress.files.fetch_add(1, Ordering::Relaxed);
        if let Some(slot) = big.folder.entries().get_mut(big.at) {
            *slot = saved;
        }
        self.ended(&big.folder, 1)
    }

    /// Notes that jobs of a folder ended. After the last one its node is
    /// written and the folder above has one job less, and so on up.
    fn ended(&mut self, folder: &Arc<FolderState>, jobs: usize) -> Result<()> {
        let mut folder = folder.clone();
        let mut jobs = jobs;
        while folder.pending.fetch_sub(jobs, Ordering::AcqRel) == jobs {
            let kind = self.close(&folder)?;
            match &folder.up {
                Some((up, at)) => {
                    self.place(up, *at, kind);
                    let up = up.clone();
                    folder = up;
                    jobs = 1;
                }
                None => {
                    if let Some((meta, saved)) = &folder.top {
                        let entry = top_entry(&mut self.out, meta, kind)?;
                        *saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
                    }
                    self.shared.queue.close();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, folder: &FolderState) -> Result<KindV1> {
        let slots = std::mem::take(&mut *folder.entries());
        let (mut entries, mut bytes) = (0u64, 0u64);
        let mut list = ListBuilder::new();
        for entry in slots.into_iter().flatten() {
            use crate::engine::format::tree::Item;
            entries = entries.saturating_add(entry.entries());
            bytes = bytes.saturating_add(entry.bytes());
            list.push(entry, &mut self.out)?;
        }
        let list = list.finish(usize::MAX, &mut self.out)?;
        let id = self.out.node(&encode_node(&list)?)?;
        Ok(KindV1::Folder { id, entries, bytes })
    }
}

/// The top's own entry.
fn top_entry(out: &mut Depositor<'_>, meta: &Meta, kind: KindV1) -> Result<EntryV1> {
    let mut entry = convert::entry(Vec::new(), meta);
    entry.kind = kind;
    entry.xattrs = save_xattrs(out, meta.xattrs.clone(), |_| ())?;
    Ok(entry)
}

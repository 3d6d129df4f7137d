//! Listing folders: what is unchanged is taken over, of the rest jobs are made.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::folder::{Batch, FolderState, Job, Listing, Window, bad_name};
use super::links::adopt;
use super::previous::{Previous, present};
use super::worker::{Worker, place};
use crate::engine::convert;
use crate::engine::error::Result;
use crate::engine::format::tree::{EntryV1, KindV1, List, encode_node};
use crate::engine::ids::Id;
use crate::engine::tree::{Entry, Examined, FileType};
use crate::engine::warnings::display;

/// Longest link target that is saved; the kernel's are shorter.
const TARGET_MAX: usize = 64 << 10;
/// Folders within folders; more than a path of the kernel can name. A hostile
/// source could go on for ever.
const DEPTH_MAX: usize = 2048;

impl Worker<'_> {
    pub(super) fn enter(
        &mut self,
        up: Arc<Window>,
        at: usize,
        name: Vec<u8>,
        old: Option<Id>,
    ) -> Result<()> {
        if up.folder.depth >= DEPTH_MAX {
            self.warn(
                &up.folder.path(&name),
                "it lies too deep in the tree; what is in it was not saved",
            );
            let empty = self.empty()?;
            place(&up, at, empty);
            return self.ended(&up, 1);
        }
        let opened = self.source(
            || up.folder.path(&name),
            "the folder could not be opened; what is in it was not saved",
            true,
            || up.folder.handle.folder(&name),
        )?;
        match opened {
            Some(handle) => {
                let folder = FolderState::new(handle, name, (up, at));
                self.list(&folder, old)
            }
            None => {
                let empty = self.empty()?;
                place(&up, at, empty);
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

    /// Lists a folder and begins with its first window.
    pub(super) fn list(&mut self, folder: &Arc<FolderState>, old: Option<Id>) -> Result<()> {
        let listed = match &folder.up {
            Some(_) => self.source(
                || folder.own_path(),
                "the folder could not be read; what is in it was not saved",
                true,
                || folder.handle.names(),
            )?,
            // Without its top there is nothing to save; an empty snapshot would
            // look as if everything had been deleted.
            None => Some(folder.handle.names().map_err(|e| {
                e.context("the source's top folder could not be read; nothing was committed")
            })?),
        };
        let mut names = listed.unwrap_or_default();
        names.sort();
        let progress = self.shared.progress;
        let before = progress.files.load(Ordering::Relaxed);
        progress
            .files_total
            .fetch_max(before + names.len() as u64, Ordering::Relaxed);
        progress.at(&display(&folder.own_path()));
        self.next(Listing::new(folder.clone(), names, old))
    }

    /// Takes the next window of a folder; other workers may go on with the rest.
    pub(super) fn next(&mut self, listing: Listing) -> Result<()> {
        let (names, old) = (listing.names.clone(), listing.old);
        let most = 2 * self.shared.workers;
        let Some((window, which, rest)) = listing.next(most) else {
            return Ok(());
        };
        self.shared.queue.push(rest.map(Job::Next));
        let folder = &window.folder;
        let examined = self.source(
            || folder.own_path(),
            "part of the folder could not be examined and was not saved",
            true,
            || folder.handle.examine(&names, which.clone()),
        )?;
        let last = which.start.checked_sub(1).map(|i| names.name(i));
        let found = self.sorted(folder, last, examined.unwrap_or_default());
        self.window(&window, found, last, old)
    }

    /// Takes over what is unchanged and makes jobs of the rest. `last` is the
    /// name before the window.
    fn window(
        &mut self,
        window: &Arc<Window>,
        found: Vec<Entry>,
        last: Option<&[u8]>,
        old: Option<Id>,
    ) -> Result<()> {
        let mut before = Previous::new(self.shared, old, last);
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
                        None => saved.xattrs = self.xattrs(&window.folder, &entry)?,
                    }
                    jobs.push(Job::Enter {
                        up: window.clone(),
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
                                    window: window.clone(),
                                    files,
                                });
                            }
                        }
                    }
                }
                _ => {
                    match keep.take() {
                        Some(kept) => saved.xattrs = kept.xattrs,
                        None => saved.xattrs = self.xattrs(&window.folder, &entry)?,
                    }
                    self.count(0);
                    slots.push(Some(saved));
                }
            }
        }
        if !batch.files.is_empty() {
            jobs.push(Job::Files {
                window: window.clone(),
                files: batch.files,
            });
        }
        window.pending.fetch_add(jobs.len(), Ordering::AcqRel);
        *window.slots() = slots;
        // The first in order of names is done first.
        jobs.reverse();
        self.shared.queue.push(jobs);
        self.ended(window, 1)
    }

    /// What may be saved of what was examined, by name; `last` came before it.
    fn sorted(
        &self,
        folder: &FolderState,
        last: Option<&[u8]>,
        listed: Vec<Examined>,
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
        let mut before = last.map(<[u8]>::to_vec);
        found.retain(|entry: &Entry| {
            let twice = before.as_ref() == Some(&entry.name);
            if twice {
                self.warn(
                    &folder.path(&entry.name),
                    "the source lists this name twice; the first one was saved",
                );
            } else {
                before = Some(entry.name.clone());
            }
            !twice
        });
        found
    }
}

//! Whether all snapshots are whole, which they nearly always are: all workers
//! walk their trees together, each folder once, and name nothing. Only when
//! this finds damage are the trees walked again to say whom it hurts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::about_data;
use super::trees::broken_entry;
use crate::engine::Repository;
use crate::engine::backup::{Queue, workers};
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::tree::{EntryV1, KindV1};
use crate::engine::ids::{Id, IdMap, IdSet};
use crate::engine::nodes::ListIter;
use crate::engine::pack::Stop;
use crate::engine::progress::Progress;
use crate::engine::storage::Name;

/// The walk that the workers share.
struct Walk<'r> {
    repository: &'r Repository,
    lost: &'r IdMap<Name>,
    progress: &'r Progress,
    /// Folders to be read.
    queue: Queue<Id>,
    /// Folders found, read or not.
    seen: Mutex<IdSet>,
    /// Folders found and not read yet.
    open: AtomicUsize,
    damaged: AtomicBool,
}

/// Whether everything below these entries is there, given that `lost` is not.
pub(super) fn all_whole<'e>(
    repository: &Repository,
    roots: impl Iterator<Item = &'e EntryV1>,
    lost: &IdMap<Name>,
    progress: &Progress,
) -> Result<bool> {
    let walk = Walk {
        repository,
        lost,
        progress,
        queue: Queue::new(),
        seen: Mutex::default(),
        // One more until all roots are in the queue.
        open: AtomicUsize::new(1),
        damaged: AtomicBool::new(false),
    };
    let stop = Stop::default();
    for root in roots {
        walk.entry(root)?;
    }
    walk.ended();
    std::thread::scope(|scope| {
        let work = || {
            if let Err(e) = walk.run() {
                stop.fail(e);
            }
            walk.queue.close();
        };
        let running: Vec<_> = (0..workers()).map(|_| scope.spawn(work)).collect();
        for worker in running {
            if worker.join().is_err() {
                walk.queue.close();
                stop.fail(Error::new(
                    Kind::Io,
                    "a worker of the verification ended unexpectedly; please report this",
                ));
            }
        }
    });
    stop.into_result()?;
    Ok(!walk.damaged.into_inner())
}

impl Walk<'_> {
    fn run(&self) -> Result<()> {
        while let Some(id) = self.queue.pop() {
            self.progress.check()?;
            match self.folder(&id) {
                Ok(()) => {}
                Err(e) if about_data(&e) => self.found_damage(),
                Err(e) => return Err(e),
            }
            self.ended();
        }
        Ok(())
    }

    fn folder(&self, id: &Id) -> Result<()> {
        for entry in ListIter::node(&*self.repository.blocks, id)? {
            self.entry(&entry?)?;
        }
        Ok(())
    }

    fn entry(&self, entry: &EntryV1) -> Result<()> {
        if broken_entry(self.repository, entry, self.lost)?.is_some() {
            self.found_damage();
        }
        if let KindV1::Folder { id, .. } = &entry.kind
            && (self.seen.lock())
                .unwrap_or_else(PoisonError::into_inner)
                .insert(*id)
        {
            self.open.fetch_add(1, Ordering::AcqRel);
            self.queue.push([*id]);
        }
        Ok(())
    }

    /// Nothing more has to be known.
    fn found_damage(&self) {
        self.damaged.store(true, Ordering::Release);
        self.queue.close();
    }

    /// Notes that a folder was read; after the last one the walk ends.
    fn ended(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.queue.close();
        }
    }
}

//! Backing up a tree.
//!
//! Workers share one stack of jobs: list a folder, examine a window of its names,
//! or save some files of it.
//! The stack is last in, first out, so the tree is walked in depth and the
//! folders in work at once are about as many as the tree is deep. Whoever
//! ends the last window of a folder writes its node and reports to the folder
//! above; the node of the top ends the walk. A worker carries a file from
//! reading to sealing by itself, while its bytes are in the processor's cache.

mod attributes;
mod big;
mod folder;
mod links;
mod list;
mod previous;
mod queue;
mod reader;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::blocks::Blocks;
use super::chunker;
use super::error::{Error, Kind, Result};
use super::format::tree::{EntryV1, KindV1};
use super::pack::Stop;
use super::progress::Progress;
use super::store::{Place, Store};
use super::tree::Tree;
use super::warnings::Warnings;
use super::{BackupOptions, Warning};

pub(crate) use folder::bad_name;
use folder::{FolderState, Job};
use links::Links;
pub(crate) use queue::Queue;

/// What a finished walk knows.
pub(crate) struct Saved {
    pub root: EntryV1,
    pub new_bytes: u64,
    pub stored_bytes: u64,
    pub warnings: Vec<Warning>,
    pub warning_count: u64,
    pub millis: u64,
}

/// What all workers share.
struct Shared<'a> {
    store: &'a Store<'a>,
    blocks: &'a Blocks,
    chunker: chunker::Settings,
    full: bool,
    progress: &'a Progress,
    warnings: &'a Warnings<'a>,
    stop: &'a Stop,
    queue: Queue<Job>,
    links: Links,
    faults: reader::Faults,
    workers: usize,
    /// Files a worker opens before it reads the first of them.
    ahead: usize,
}

impl Shared<'_> {
    /// Counts bytes read; an error when the backup is to end.
    fn advance(&self, bytes: u64) -> Result<()> {
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.stop.check()?;
        self.progress.check()
    }
}

/// Saves `tree`; everything is durable on return, only the snapshot record is missing.
pub(crate) fn save(
    place: &Place<'_>,
    blocks: &Blocks,
    chunker: chunker::Settings,
    tree: &dyn Tree,
    options: &BackupOptions,
    parent: Option<&EntryV1>,
    progress: &Progress,
) -> Result<Saved> {
    let begun = Instant::now();
    progress.check()?;
    let top = tree
        .root()
        .map_err(|e| e.context(format_args!("opening {}", tree.describe())))?;
    let meta = top
        .meta()
        .map_err(|e| e.context(format_args!("reading {}", tree.describe())))?;
    if !matches!(meta.kind, super::tree::FileType::Folder) {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "{} is not a folder; give the folder it is in",
                tree.describe()
            ),
        ));
    }
    let (old, estimate) = match parent {
        Some(EntryV1 {
            kind: KindV1::Folder { id, entries, bytes },
            ..
        }) => (Some(*id), (*entries, *bytes)),
        _ => (None, (0, 0)),
    };
    // Until the walk knows better, as much as last time.
    progress
        .files_total
        .fetch_max(estimate.0, Ordering::Relaxed);
    progress
        .bytes_total
        .fetch_max(estimate.1, Ordering::Relaxed);

    let stop = Stop::default();
    let warnings = Warnings::new(progress);
    let root = FolderState::top(top, meta);
    let workers = workers().max(tree.parallel().min(MOST_WORKERS));
    let ran = Store::run(place, progress, &stop, |store| {
        let shared = Shared {
            store,
            blocks,
            chunker,
            full: options.full,
            progress,
            warnings: &warnings,
            stop: &stop,
            queue: Queue::new(),
            links: Links::default(),
            faults: reader::Faults::default(),
            workers,
            // Elsewhere opening waits for an answer, and the workers are more instead.
            ahead: if tree.parallel() == 0 { AHEAD } else { 0 },
        };
        shared.queue.push([Job::List {
            folder: root.clone(),
            old,
        }]);
        std::thread::scope(|scope| {
            let work = || {
                let _closer = Closer(&shared.queue);
                if let Err(e) = worker::Worker::new(&shared).and_then(|mut w| w.run()) {
                    stop.fail(e);
                }
            };
            let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            for worker in running {
                if worker.join().is_err() {
                    stop.fail(Error::new(
                        Kind::Io,
                        "a worker of the backup ended unexpectedly; please report this",
                    ));
                }
            }
        });
        stop.check()
    });
    stop.into_result()?;
    let ((), counts) = ran?;
    let root = Arc::into_inner(root)
        .and_then(FolderState::into_saved)
        .ok_or_else(|| {
            Error::new(
                Kind::Io,
                "the walk ended before the top folder was complete; please report this",
            )
        })?;
    Ok(Saved {
        root,
        new_bytes: counts.new_bytes.into_inner(),
        stored_bytes: counts.stored.into_inner(),
        warning_count: warnings.count(),
        warnings: warnings.into_list(),
        millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Ends the waiting of the other workers when one ends, however it ends.
struct Closer<'q>(&'q Queue<Job>);

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Enough for a disk's queue, few enough for the limit of open files.
const AHEAD: usize = 16;

/// Each worker holds a few MiB of buffers.
const MOST_WORKERS: usize = 16;

/// Two at least, so that reading and compressing overlap on one core.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, MOST_WORKERS))
}

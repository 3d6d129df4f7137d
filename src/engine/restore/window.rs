//! Restoring one window of files in the order of their bytes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Shared;
use super::walk::{Task, Window};
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::tree::{Extent, KindV1, List};
use crate::engine::index::Locator;
use crate::engine::nodes::ListIter;
use crate::engine::tree::FileType;

/// What was restored.
#[derive(Default)]
pub(super) struct Counts {
    pub files: AtomicU64,
    pub bytes: AtomicU64,
}

/// Restores a window; returns when all of it is done.
pub(super) fn restore(shared: &Shared<'_>, window: Window, counts: &Counts) -> Result<()> {
    let groups = plan(shared, &window.files)?;
    let next = AtomicUsize::new(0);
    let workers = crate::engine::backup::workers().min(groups.len());
    std::thread::scope(|scope| {
        let work = || {
            let run = || -> Result<()> {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for task in group {
                        shared.check()?;
                        one(shared, &window.files[*task], counts)?;
                    }
                }
                Ok(())
            };
            if let Err(e) = run() {
                shared.stop.fail(e);
            }
        };
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in running {
            if worker.join().is_err() {
                shared.stop.fail(Error::new(
                    Kind::Io,
                    "a worker of the restore ended unexpectedly; please report this",
                ));
            }
        }
    });
    shared.stop.check()?;
    for (original, task) in &window.links {
        shared.check()?;
        link(shared, original, task, counts)?;
    }
    for task in &window.folders {
        shared.check()?;
        shared.finish(&task.path, &task.entry)?;
        counts
            .files
            .fetch_add(u64::from(!task.path.is_empty()), Ordering::Relaxed);
    }
    Ok(())
}

/// Groups the tasks: those whose content is in one block together, ordered by place.
fn plan(shared: &Shared<'_>, tasks: &[Task]) -> Result<Vec<Vec<usize>>> {
    let mut placed = Vec::with_capacity(tasks.len());
    for (i, task) in tasks.iter().enumerate() {
        let first = match &task.entry.kind {
            KindV1::File {
                extents: List::Items(extents),
                ..
            } => extents.iter().find_map(|e| match e {
                Extent::Data { id, .. } => Some((*id, extents.len() == 1)),
                Extent::Zeros { .. } => None,
            }),
            _ => None,
        };
        let place = match first {
            Some((id, single)) => shared.blocks.index().lookup(&id)?.map(
                |Locator {
                     segment, offset, ..
                 }| (segment, offset, single),
            ),
            None => None,
        };
        placed.push((place, i));
    }
    placed.sort_unstable();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut last = None;
    for (place, i) in placed {
        match place {
            Some((_, _, true)) if place == last => {
                if let Some(group) = groups.last_mut() {
                    group.push(i);
                }
            }
            _ => groups.push(vec![i]),
        }
        last = place;
    }
    Ok(groups)
}

/// Restores one entry that is neither folder nor further name.
fn one(shared: &Shared<'_>, task: &Task, counts: &Counts) -> Result<()> {
    shared.progress.files.fetch_add(1, Ordering::Relaxed);
    let done = match &task.entry.kind {
        KindV1::File { size, extents } => file(shared, task, *size, extents),
        // A socket is made by whoever listens on it.
        KindV1::Socket => Ok(()),
        _ => shared
            .meta(&task.entry)
            .and_then(|meta| shared.target.special(&task.path, &meta)),
    };
    if shared.tolerate(&task.path, done)?.is_none() {
        return Ok(());
    }
    counts.files.fetch_add(1, Ordering::Relaxed);
    if let KindV1::File { size, .. } = &task.entry.kind {
        counts.bytes.fetch_add(*size, Ordering::Relaxed);
    }
    match task.entry.kind {
        KindV1::Socket => Ok(()),
        _ => shared.finish(&task.path, &task.entry),
    }
}

fn file(shared: &Shared<'_>, task: &Task, size: u64, extents: &List<Extent>) -> Result<()> {
    let mut output = shared.target.file(&task.path, size)?;
    let mut at = 0u64;
    for extent in ListIter::new(shared.blocks, extents.clone()) {
        let extent = extent.map_err(|e| lost(e, at))?;
        if let Extent::Data { id, len } = &extent {
            let chunk = shared.blocks.data(id).map_err(|e| lost(e, at))?;
            if chunk.len() != *len as usize {
                return Err(lost(
                    Error::new(Kind::Corrupt, "a chunk has another length than noted"),
                    at,
                ));
            }
            output.write_at(at, &chunk)?;
            shared.check()?;
        }
        at = at.saturating_add(extent.len());
        shared
            .progress
            .bytes
            .fetch_add(extent.len(), Ordering::Relaxed);
    }
    if at != size {
        return Err(lost(
            Error::new(Kind::Corrupt, "the content is not as long as the file"),
            at,
        ));
    }
    output.close()
}

fn lost(e: Error, at: u64) -> Error {
    e.context(format_args!(
        "its content is damaged at byte {at} and it was not restored"
    ))
}

/// Restores a further name of a file; by copy where the target has no hard links.
fn link(shared: &Shared<'_>, original: &[Vec<u8>], task: &Task, counts: &Counts) -> Result<()> {
    match shared.target.hard_link(original, &task.path) {
        Ok(()) => {
            shared.progress.files.fetch_add(1, Ordering::Relaxed);
            counts.files.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        Err(e) if matches!(e.kind(), Kind::Full | Kind::Transient | Kind::Cancelled) => Err(e),
        Err(e) => {
            let meta = crate::engine::convert::meta(&task.entry);
            if matches!(meta.kind, FileType::File { .. }) {
                shared.warnings.add(
                    &task.path,
                    format_args!(
                        "it could not be made a hard link of {} and was restored as a file of its own: {e}",
                        crate::engine::warnings::display(original)
                    ),
                );
            }
            one(shared, task, counts)
        }
    }
}

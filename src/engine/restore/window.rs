//! Restoring one window of files in the order of their bytes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Shared;
use super::walk::{Task, Window};
use crate::engine::blocks::Blocks;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::tree::{Extent, KindV1, List};
use crate::engine::ids::Id;
use crate::engine::index::{Index, Locator};
use crate::engine::nodes::ListIter;
use crate::engine::pack::Stop;
use crate::engine::tree::FileType;

/// What was restored.
#[derive(Default)]
pub(super) struct Counts {
    pub files: AtomicU64,
    pub bytes: AtomicU64,
}

/// Files from this length on are restored by all workers together.
const BIG: u64 = 32 << 20;
/// About what a worker takes of a big file at a time.
const PIECE: u64 = 8 << 20;

/// Restores a window; returns when all of it is done.
pub(super) fn restore(shared: &Shared<'_>, window: Window, counts: &Counts) -> Result<()> {
    let (big, files): (Vec<_>, Vec<_>) = (window.files.into_iter())
        .partition(|t| matches!(t.entry.kind, KindV1::File { size, .. } if size >= BIG));
    let groups = plan(shared, &files)?;
    let next = AtomicUsize::new(0);
    together(shared, groups.len(), || {
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            for task in group {
                shared.check()?;
                one(shared, &files[*task], counts)?;
            }
        }
        Ok(())
    });
    for task in &big {
        shared.check()?;
        one(shared, task, counts)?;
    }
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

/// Runs `work` in as many threads as there are workers, but no more than
/// `jobs`; a failure stops the restore.
fn together(shared: &Shared<'_>, jobs: usize, work: impl Fn() -> Result<()> + Sync) {
    std::thread::scope(|scope| {
        let run = || {
            if let Err(e) = work() {
                shared.stop.fail(e);
            }
        };
        let workers = crate::engine::backup::workers().min(jobs);
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        for worker in running {
            if worker.join().is_err() {
                shared.stop.fail(Error::new(
                    Kind::Io,
                    "a worker of the restore ended unexpectedly; please report this",
                ));
            }
        }
    });
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
    // Whether the metadata are set already.
    let done = match &task.entry.kind {
        KindV1::File { size, extents } => file(shared, task, *size, extents),
        // A socket is made by whoever listens on it.
        KindV1::Socket => Ok(true),
        _ => shared
            .meta(&task.entry)
            .and_then(|meta| shared.target.special(&task.path, &meta))
            .map(|()| false),
    };
    let Some(finished) = shared.tolerate(&task.path, done)? else {
        return Ok(());
    };
    counts.files.fetch_add(1, Ordering::Relaxed);
    if let KindV1::File { size, .. } = &task.entry.kind {
        counts.bytes.fetch_add(*size, Ordering::Relaxed);
    }
    if finished {
        return Ok(());
    }
    shared.finish(&task.path, &task.entry)
}

/// A chunk to be written: where in the file, which one, how long.
type Write = (u64, Id, u32);
/// The block a chunk is in: segment and offset.
type Place = Option<(u32, u32)>;

/// What is still to be written of a file.
struct Rest<'a> {
    extents: ListIter<&'a Blocks, Extent>,
    at: u64,
    /// Taken from `extents` and left for the next piece.
    held: Option<(Write, Place)>,
}

impl Rest<'_> {
    /// The next chunks: about [`PIECE`] bytes, ending where a stored block
    /// ends, so that no two workers read the same one.
    fn take(&mut self, index: &Index, out: &mut Vec<Write>) -> Result<()> {
        out.clear();
        let mut last = None;
        if let Some((write, place)) = self.held.take() {
            out.push(write);
            last = place;
        }
        let from = self.at;
        for extent in self.extents.by_ref() {
            let at = self.at;
            let extent = extent.map_err(|e| lost(e, at))?;
            self.at = at.saturating_add(extent.len());
            if let Extent::Data { id, len } = extent {
                let place = index.lookup(&id)?.map(|l| (l.segment, l.offset));
                if at - from >= PIECE && place != last && !out.is_empty() {
                    self.held = Some(((at, id, len), place));
                    break;
                }
                out.push((at, id, len));
                last = place;
            }
        }
        Ok(())
    }
}

/// Restores a file's content. True when its metadata are set as well.
fn file(shared: &Shared<'_>, task: &Task, size: u64, extents: &List<Extent>) -> Result<bool> {
    let output = shared.target.file(&task.path, size)?;
    let rest = Mutex::new(Rest {
        extents: ListIter::new(shared.blocks, extents.clone()),
        at: 0,
        held: None,
    });
    let failed = Stop::default();
    let write = || {
        let run = || -> Result<()> {
            let mut piece = Vec::new();
            loop {
                failed.check()?;
                {
                    let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
                    rest.take(shared.blocks.index(), &mut piece)?;
                }
                if piece.is_empty() {
                    return Ok(());
                }
                for (at, id, len) in piece.drain(..) {
                    shared.check()?;
                    let chunk = shared.blocks.data(&id).map_err(|e| lost(e, at))?;
                    if chunk.len() != len as usize {
                        let e = Error::new(Kind::Corrupt, "a chunk has another length than noted");
                        return Err(lost(e, at));
                    }
                    output.write_at(at, &chunk)?;
                    let n = u64::from(len);
                    shared.progress.bytes.fetch_add(n, Ordering::Relaxed);
                }
            }
        };
        if let Err(e) = run() {
            failed.fail(e);
        }
        // Failures concern this file; the caller says what becomes of the rest.
        Ok(())
    };
    if size >= BIG {
        together(shared, usize::MAX, write);
    } else {
        write()?;
    }
    shared.check()?;
    failed.into_result()?;
    let at = rest.into_inner().unwrap_or_else(PoisonError::into_inner).at;
    if at != size {
        return Err(lost(
            Error::new(Kind::Corrupt, "the content is not as long as the file"),
            at,
        ));
    }
    let Some(meta) = shared.tolerate(&task.path, shared.meta(&task.entry))? else {
        return output.close().map(|()| true);
    };
    let Some(mut said) = output.close_with(&meta)? else {
        return Ok(false);
    };
    said.sort();
    for what in said {
        shared.warnings.add(&task.path, what);
    }
    Ok(true)
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

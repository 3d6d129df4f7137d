//! Restoring a file or a folder with all below it.
//!
//! One thread walks the snapshot's tree in order, makes the folders and
//! gathers *windows* of files; the others restore a window while the next is
//! gathered. Within a window the work is ordered by where the bytes are: files
//! that share a block are written together from one reading of it, and big
//! files follow in the order of their first chunk. When the files of a window are done come its
//! hard links, whose originals are in this or an earlier window, and then the
//! metadata of folders left in it, into which nothing more will be put.

mod walk;
mod window;

use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;

use super::RestoreReport;
use super::blocks::Blocks;
use super::error::{Error, Kind, Result};
use super::format::tree::EntryV1;
use super::format::tree::KindV1;
use super::nodes::ListIter;
use super::pack::Stop;
use super::progress::Progress;
use super::tree::{Meta, Target};
use super::warnings::Warnings;

/// A path below the target's top.
type Path = Vec<Vec<u8>>;

/// What all threads of a restore share.
struct Shared<'a> {
    blocks: &'a Blocks,
    target: &'a dyn Target,
    progress: &'a Progress,
    warnings: &'a Warnings<'a>,
    stop: &'a Stop,
}

/// Restores `entry`: a folder's content into the target's top, anything else under its name.
pub(crate) fn restore(
    blocks: &Blocks,
    entry: EntryV1,
    target: &dyn Target,
    progress: &Progress,
) -> Result<RestoreReport> {
    let (files, bytes) = match &entry.kind {
        KindV1::Folder { entries, bytes, .. } => (*entries, *bytes),
        KindV1::File { size, .. } => (1, *size),
        _ => (1, 0),
    };
    progress.files_total.store(files, Ordering::Relaxed);
    progress.bytes_total.store(bytes, Ordering::Relaxed);
    let warnings = Warnings::new(progress);
    let stop = Stop::default();
    let shared = Shared {
        blocks,
        target,
        progress,
        warnings: &warnings,
        stop: &stop,
    };
    let counts = window::Counts::default();
    let (send, windows) = sync_channel(1);
    std::thread::scope(|scope| {
        let walker = scope.spawn(|| {
            if let Err(e) = walk::Walker::new(&shared, send).run(entry) {
                stop.fail(e);
            }
        });
        for window in windows {
            if stop.failed() {
                // Drained, so that the walker does not wait.
                continue;
            }
            if let Err(e) = window::restore(&shared, window, &counts) {
                stop.fail(e);
            }
        }
        if walker.join().is_err() {
            stop.fail(Error::new(
                Kind::Io,
                "the walk of the snapshot ended unexpectedly; please report this",
            ));
        }
    });
    stop.into_result()?;
    Ok(RestoreReport {
        files: counts.files.into_inner(),
        bytes: counts.bytes.into_inner(),
        warning_count: warnings.count(),
        warnings: warnings.into_list(),
    })
}

impl Shared<'_> {
    fn check(&self) -> Result<()> {
        self.stop.check()?;
        self.progress.check()
    }

    /// Turns a failure that concerns one entry into a warning; one that
    /// concerns the whole restore is passed on.
    fn tolerate<T>(&self, path: &[Vec<u8>], result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(out) => Ok(Some(out)),
            Err(e) => match e.kind() {
                Kind::Full | Kind::Cancelled | Kind::Transient | Kind::Busy => Err(e),
                _ => {
                    self.warnings.add(path, e);
                    Ok(None)
                }
            },
        }
    }

    /// The entry's metadata with its attributes.
    fn meta(&self, entry: &EntryV1) -> Result<Meta> {
        let mut meta = super::convert::meta(entry);
        for item in ListIter::new(self.blocks, entry.xattrs.clone()) {
            let (name, value) = item?;
            meta.xattrs.insert(name.0, value.0);
        }
        Ok(meta)
    }

    /// Sets an entry's metadata; what could not be set becomes warnings.
    fn finish(&self, path: &[Vec<u8>], entry: &EntryV1) -> Result<()> {
        let Some(meta) = self.tolerate(path, self.meta(entry))? else {
            return Ok(());
        };
        let said = self.tolerate(path, self.target.finish(path, &meta))?;
        for what in said.into_iter().flatten() {
            self.warnings.add(path, what);
        }
        Ok(())
    }
}

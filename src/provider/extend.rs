//! Extending locks: what snapshots still need must stay locked as long as
//! they are promised, so locks that would end too early are set anew.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::S3;
use super::copy::several;
use super::manifest::Manifest;
use super::memory::Memory;
use super::replicate::{Lock, ReplicateReport};
use crate::engine::storage::Name;
use crate::engine::{Kind, Progress, Result};

/// Extends every lock of the manifest's objects, and of the manifest, that
/// would end too early or is not known. One that cannot be extended now is
/// counted, and tried again by the next replication.
///
/// # Errors
/// `Cancelled`; what the memory answers.
pub(super) fn extend(
    s3: &S3,
    lock: Lock,
    wanted: &Manifest,
    memory: &mut Memory,
    progress: &Progress,
    report: &mut ReplicateReport,
) -> Result<()> {
    let short: Vec<Name> = wanted
        .objects
        .keys()
        .chain([&Name::Manifest])
        .filter(|name| memory.locked_until(name).is_none_or(|at| at < lock.need))
        .copied()
        .collect();
    let (extended, failed) = (Mutex::new(Vec::new()), AtomicU64::new(0));
    let done = several(&short, progress, None, |name| {
        progress.check()?;
        progress.at(&name.to_string());
        match s3.retain(name, lock.set) {
            Ok(()) => {
                if let Ok(mut extended) = extended.lock() {
                    extended.push(*name);
                }
            }
            // There is none before the first replication has ended.
            Err(e) if *name == Name::Manifest && e.kind() == Kind::Missing => {}
            Err(e) if e.kind() == Kind::Cancelled => return Err(e),
            Err(e) => {
                tracing::warn!("{e}");
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    });
    let extended = extended.into_inner().unwrap_or_default();
    report.extended = extended.len() as u64;
    report.not_extended = failed.into_inner();
    for name in extended {
        memory.note_lock(name, lock.set);
    }
    memory.save()?;
    done
}

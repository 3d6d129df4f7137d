//! Makes a replica equal to the pool: what is lacking is copied, then the
//! manifest says so, and only then what is no longer wanted goes.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use crate::engine::storage::{Class, Name, Storage};
use crate::engine::{Error, Kind, Progress, Result};

/// Objects under way at the same time; each is held in memory.
const WORKERS: usize = 4;

/// Result of a replication.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ReplicateReport {
    /// Objects copied now.
    pub copied: u64,
    /// Bytes copied now.
    pub bytes: u64,
    /// Objects that were there already.
    pub present: u64,
    /// Objects removed from the replica (of forgotten snapshots and collected segments).
    pub removed: u64,
}

/// Makes `to` hold what `from` holds: segments first, then snapshot records,
/// and the manifest last, so that an interrupted replication never
/// leaves a manifest that promises more than there is. The header goes before
/// all: a newer one opens older data, but an older one nothing sealed after a key change.
///
/// What differs is found by one listing of each side, so an interrupted
/// replication goes on where it stopped.
///
/// # Errors
/// `Missing` when `from` cannot say all it holds (nothing is removed then),
/// `Refused` when `to` holds the replica of something else, `Cancelled`, and
/// whatever either side answers.
pub fn replicate(
    from: &dyn Storage,
    to: &dyn Storage,
    progress: &Progress,
) -> Result<ReplicateReport> {
    progress.check()?;
    from.complete()?;
    // Snapshots first: every segment that a snapshot listed here needs was
    // there before it, so it is in the list made after.
    let snapshots = from.list(Class::Snapshots)?;
    let segments = from.list(Class::Segments)?;
    let header = optional(from.get(&Name::Header))?;
    let mut there: HashMap<Name, u64> = HashMap::new();
    for class in [Class::Segments, Class::Snapshots] {
        there.extend(to.list(class)?);
    }
    let old_header = optional(to.get(&Name::Header))?;
    let known = |(name, _): &(Name, u64)| there.contains_key(name);
    if header != old_header && !there.is_empty() && !segments.iter().chain(&snapshots).any(known) {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "{} holds the replica of something else; choose another bucket or prefix",
                to.describe()
            ),
        ));
    }

    let copy = Copy {
        from,
        to,
        progress,
        bytes: AtomicU64::new(0),
    };
    let mut report = ReplicateReport::default();
    let mut wanted = Manifest::default();
    let lacking = |all: Vec<(Name, u64)>, wanted: &mut Manifest| -> Vec<(Name, u64)> {
        wanted.objects.extend(all.iter().copied());
        let there = &there;
        all.into_iter()
            .filter(|(name, len)| there.get(name) != Some(len))
            .collect()
    };
    if let Some(bytes) = &header {
        wanted.objects.insert(Name::Header, bytes.len() as u64);
        if old_header.as_ref() == Some(bytes) {
            report.present += 1;
        } else {
            to.put(&Name::Header, bytes)?;
            to.sync()?;
            report.copied += 1;
            copy.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    }
    let segments = lacking(segments, &mut wanted);
    let snapshots = lacking(snapshots, &mut wanted);
    let of_header = u64::from(header.is_some());
    let objects = wanted.objects.len() as u64 - of_header;
    report.present += objects - (segments.len() + snapshots.len()) as u64;
    let expect = segments.iter().chain(&snapshots);
    progress
        .bytes_total
        .store(expect.clone().map(|(_, len)| len).sum(), Ordering::Relaxed);
    progress
        .files_total
        .store(expect.count() as u64, Ordering::Relaxed);
    report.copied += (segments.len() + snapshots.len()) as u64;
    copy.all(&segments)?;
    copy.all(&snapshots)?;
    // Everything the manifest names lasts before the manifest is there, and
    // the manifest lasts before anything goes.
    to.sync()?;
    progress.check()?;
    progress.at("manifest");
    let manifest = wanted.encode();
    if optional(to.get(&Name::Manifest))?.as_ref() != Some(&manifest) {
        to.put(&Name::Manifest, &manifest)?;
        to.sync()?;
    }
    let mut unwanted: Vec<Name> = there
        .into_keys()
        .filter(|name| !wanted.objects.contains_key(name))
        .collect();
    // A snapshot goes before the segments it needs.
    unwanted.sort_by_key(|name| matches!(name, Name::Segment(_)));
    for name in &unwanted {
        progress.check()?;
        progress.at(&name.to_string());
        to.delete(name)?;
        report.removed += 1;
    }
    if !unwanted.is_empty() {
        to.sync()?;
    }
    report.bytes = copy.bytes.into_inner();
    Ok(report)
}

/// `None` for what is not there.
fn optional(result: Result<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == Kind::Missing => Ok(None),
        Err(e) => Err(e),
    }
}

struct Copy<'a> {
    from: &'a dyn Storage,
    to: &'a dyn Storage,
    progress: &'a Progress,
    bytes: AtomicU64,
}

impl Copy<'_> {
    fn one(&self, name: &Name, len: u64) -> Result<()> {
        self.progress.check()?;
        self.progress.at(&name.to_string());
        let bytes = self.from.get(name).map_err(|e| match e.kind() {
            Kind::Missing => Error::new(
                Kind::Transient,
                format!("the pool changed while it was replicated; run it again ({e})"),
            ),
            _ => e,
        })?;
        if bytes.len() as u64 != len {
            return Err(Error::new(
                Kind::Corrupt,
                format!("{name} has {} bytes, {len} were listed", bytes.len()),
            ));
        }
        self.to.put(name, &bytes)?;
        self.bytes.fetch_add(len, Ordering::Relaxed);
        self.progress.files.fetch_add(1, Ordering::Relaxed);
        self.progress.bytes.fetch_add(len, Ordering::Relaxed);
        self.progress.stored_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    /// Copies all, several at a time; the first error stops the rest.
    fn all(&self, objects: &[(Name, u64)]) -> Result<()> {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let first_error = Mutex::new(None);
        thread::scope(|scope| {
            for _ in 0..WORKERS.min(objects.len()) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let Some((name, len)) = objects.get(next.fetch_add(1, Ordering::Relaxed))
                        else {
                            break;
                        };
                        if let Err(e) = self.one(name, *len) {
                            stop.store(true, Ordering::Relaxed);
                            if let Ok(mut first) = first_error.lock() {
                                first.get_or_insert(e);
                            }
                        }
                    }
                });
            }
        });
        match first_error.into_inner() {
            Ok(Some(e)) => Err(e),
            _ => Ok(()),
        }
    }
}

//! Checking that every snapshot can be restored, and with `data` that every
//! stored byte is what was written, repairing what the storage can repair.
//!
//! Content that is lost for good is dropped from the index: the next backup
//! that meets the same bytes stores them again, and then older snapshots that
//! need them are whole again too.

mod data;
mod records;
mod sound;
mod trees;

use std::collections::{BTreeSet, HashMap};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::error::{Error, Kind, Result};
use super::ids::{Id, IdMap};
use super::index::Locator;
use super::progress::Progress;
use super::storage::{Class, Name, hex};
use super::{Repository, VerifyReport};

/// Most errors that are listed.
const LISTED: usize = 1000;

#[derive(Default)]
struct Findings {
    report: VerifyReport,
    /// Chunks that are lost, with the object that held them.
    lost: IdMap<Name>,
    /// Good copies of chunks in places the index does not use.
    copies: IdMap<Locator>,
    /// Segments whose bytes are not what was written.
    damaged: BTreeSet<u32>,
}

impl Findings {
    fn error(&mut self, text: String) {
        if self.report.errors.len() < LISTED {
            self.report.errors.push(text);
        }
    }
}

/// Runs a verification.
pub(crate) fn verify(
    repository: &Repository,
    data: bool,
    progress: &Progress,
) -> Result<VerifyReport> {
    let mut found = Findings::default();
    for (id, why) in repository.snapshots.damaged() {
        found.error(format!("the snapshot {} is lost: {why}", hex(id)));
    }
    for (name, why) in &repository.unusable {
        found.error(format!("{} cannot be used: {why}", Name::Segment(*name)));
    }
    let away = missing(repository, &mut found)?;
    let snapshots = repository.snapshots.all();
    let mut segments = repository.index.numbers();
    segments.retain(|number| !away.contains(number));
    let total = segments.len() + snapshots.len();
    progress.files_total.store(total as u64, Ordering::Relaxed);
    if data {
        let bytes = repository.index.segments().map(|s| s.stored).sum();
        progress.bytes_total.store(bytes, Ordering::Relaxed);
        records::read_all(repository, &mut found, progress)?;
        found = data::read_all(repository, &segments, found, progress)?;
        found = settle(repository, found)?;
    }
    found.report.segments = segments.len() as u64;
    let roots = snapshots.iter().map(|(_, record)| &record.root);
    if sound::all_whole(repository, roots, &found.lost, progress)? {
        found.report.snapshots = snapshots.len() as u64;
        (progress.files).fetch_add(found.report.snapshots, Ordering::Relaxed);
        return Ok(found.report);
    }
    let mut trees = trees::Trees::new(repository, progress);
    for (id, record) in &snapshots {
        progress.check()?;
        progress.at(&format!("snapshot {}", hex(id)));
        trees.snapshot(id, record, &mut found)?;
        found.report.snapshots += 1;
        progress.files.fetch_add(1, Ordering::Relaxed);
    }
    Ok(found.report)
}

/// Names the files of snapshots that need what only the given objects hold, as
/// [`verify`] would if these were lost. Changes nothing, reads no content.
pub(crate) fn hurt_by(
    repository: &Repository,
    objects: &[Name],
    progress: &Progress,
) -> Result<Vec<String>> {
    let mut found = Findings::default();
    let numbers: HashMap<u32, Name> = (repository.index.segments())
        .map(|segment| (segment.number, segment.object()))
        .filter(|(_, name)| objects.contains(name))
        .collect();
    repository.index.each(|id, place| {
        if let Some(name) = numbers.get(&place.segment) {
            found.lost.insert(id, *name);
        }
    })?;
    let mut trees = trees::Trees::new(repository, progress);
    for (id, record) in &repository.snapshots.all() {
        if objects.contains(&Name::Snapshot(*id)) {
            found.error(format!("the snapshot {} is lost", hex(id)));
        }
        progress.check()?;
        trees.snapshot(id, record, &mut found)?;
    }
    Ok(found.report.errors)
}

/// Brings the index in step with what was read: chunks that are lost leave it,
/// unless another segment has them.
fn settle(repository: &Repository, mut found: Findings) -> Result<Findings> {
    let mut moved = Vec::new();
    for (id, place) in std::mem::take(&mut found.copies) {
        if found.lost.remove(&id).is_some() || repository.index.lookup(&id)?.is_none() {
            moved.push((id, place));
        }
    }
    let lost: Vec<Id> = found.lost.keys().copied().collect();
    if !moved.is_empty() || !lost.is_empty() {
        repository.index.correct(&moved, &lost)?;
    }
    *repository
        .damaged
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut found.damaged);
    Ok(found)
}

/// Notes segments the index relies on that the storage does not list. Those
/// that only cannot be reached now are named in the report and returned; their
/// chunks are not lost.
fn missing(repository: &Repository, found: &mut Findings) -> Result<BTreeSet<u32>> {
    let whole = repository.storage.complete();
    let mut away = BTreeSet::new();
    let listed: HashMap<Name, u64> = repository
        .storage
        .list(Class::Segments)?
        .into_iter()
        .collect();
    let mut gone: HashMap<u32, Name> = HashMap::new();
    for segment in repository.index.segments() {
        let name = segment.object();
        match listed.get(&name) {
            Some(len) if *len == segment.stored => continue,
            Some(len) => found.error(format!(
                "{name} is {len} bytes long, not {}",
                segment.stored
            )),
            None => match &whole {
                Ok(()) => found.error(format!("{name} is missing")),
                Err(why) => {
                    found.error(format!("{name} cannot be reached now: {why}"));
                    away.insert(segment.number);
                    continue;
                }
            },
        }
        gone.insert(segment.number, name);
    }
    if !gone.is_empty() {
        repository.index.each(|id, place| {
            if let Some(name) = gone.get(&place.segment) {
                found.lost.insert(id, *name);
            }
        })?;
    }
    Ok(away)
}

/// Whether a failure says something about stored data, not about the moment.
fn about_data(e: &Error) -> bool {
    matches!(e.kind(), Kind::Corrupt | Kind::Missing | Kind::Refused)
}

//! Is out there what should be? The inventory against the manifest and the pool,
//! a sample read back, and what is not replicated yet.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::copy::several;
use super::manifest::Manifest;
use super::memory::Memory;
use super::replicate::optional;
use crate::engine::storage::{Class, Name, Storage};
use crate::engine::{Kind, Progress, Result};

/// Errors kept; the count has all.
const KEPT: usize = 1000;

/// What an inspection of the replica found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InspectReport {
    /// When.
    pub time: Option<Timestamp>,
    /// Whether a manifest is there: without one no replication has ever ended.
    pub manifest: bool,
    /// Objects that the manifest names.
    pub objects: u64,
    /// All bytes that are stored there, also of what is to go.
    pub stored_bytes: u64,
    /// Objects there that the manifest does not name (to go, or not yet named).
    pub extra: u64,
    /// Objects read back and found right.
    pub sampled: u64,
    /// Their bytes.
    pub sampled_bytes: u64,
    /// Objects the manifest names that are not there, or are damaged.
    pub bad: u64,
    /// They and why, in words.
    pub errors: Vec<String>,
    /// Objects of the pool that are not there yet.
    pub lag_objects: u64,
    /// Their bytes.
    pub lag_bytes: u64,
    /// The oldest snapshot that is not there yet, 32 hex digits each.
    pub lag_snapshots: Vec<String>,
}

/// Inspects a replica: lists it, compares it with its manifest and with what
/// `pool` holds, and reads back up to `budget` bytes (at least one object, if it
/// is not 0). The samples of one run follow those of the run before in an order
/// that is as good as random, so that by and by everything is read.
///
/// # Errors
/// `Cancelled`, and whatever either side answers; that something is lost or
/// damaged is no error, but what the report says.
pub fn inspect(
    pool: &dyn Storage,
    replica: &dyn Storage,
    budget: u64,
    memory: &mut Memory,
    progress: &Progress,
) -> Result<InspectReport> {
    progress.check()?;
    memory.is_about(&replica.describe());
    let mut report = InspectReport {
        time: Some(Timestamp::now()),
        ..InspectReport::default()
    };
    let mut have: BTreeMap<Name, u64> = BTreeMap::new();
    for class in [Class::Snapshots, Class::Segments] {
        have.extend(pool.list(class)?);
    }
    let found = optional(replica.get(&Name::Manifest))?;
    report.manifest = found.is_some();
    let manifest = match &found {
        Some(bytes) => Manifest::decode(bytes)?,
        None => Manifest::default(),
    };
    let mut there: BTreeMap<Name, u64> = BTreeMap::new();
    for class in [Class::Segments, Class::Snapshots] {
        there.extend(replica.list(class)?);
    }
    if let Some(header) = optional(replica.get(&Name::Header))? {
        there.insert(Name::Header, header.len() as u64);
    }
    report.objects = manifest.objects.len() as u64;
    report.stored_bytes = there.values().sum();
    let (errors, damaged) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let bad = AtomicU64::new(0);
    let complain = |name: &Name, text: String| {
        if let Ok(mut damaged) = damaged.lock() {
            damaged.push(*name);
        }
        bad.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut errors) = errors.lock()
            && errors.len() < KEPT
        {
            errors.push(text);
        }
    };
    let place = replica.describe();
    for (name, len) in &manifest.objects {
        match there.get(name) {
            Some(found) if found == len => {}
            Some(found) => complain(
                name,
                format!("{name} has {found} bytes at {place}, {len} are right; replicate again"),
            ),
            None => complain(name, format!("{name} is not at {place}; replicate again")),
        }
    }
    report.extra = there
        .keys()
        .filter(|name| !manifest.objects.contains_key(name))
        .count() as u64;
    for (name, len) in &have {
        if there.get(name) != Some(len) {
            report.lag_objects += 1;
            report.lag_bytes += len;
            if let Name::Snapshot(id) = name {
                report.lag_snapshots.push(crate::engine::storage::hex(id));
            }
        }
    }
    let sample = choose(&manifest, budget, memory);
    progress
        .files_total
        .store(sample.len() as u64, Ordering::Relaxed);
    progress
        .bytes_total
        .store(sample.iter().map(|(_, len)| len).sum(), Ordering::Relaxed);
    several(&sample, progress, None, |(name, len)| {
        progress.check()?;
        progress.at(&name.to_string());
        match replica.get(name) {
            Ok(bytes) if bytes.len() as u64 == *len => {}
            Ok(bytes) => complain(
                name,
                format!(
                    "{name} gives {} bytes at {place}, {len} are right; replicate again",
                    bytes.len()
                ),
            ),
            // Lacking ones are named already.
            Err(e) if e.kind() == Kind::Missing => {}
            Err(e) if e.kind() == Kind::Corrupt => complain(name, e.to_string()),
            Err(e) => return Err(e),
        }
        progress.files.fetch_add(1, Ordering::Relaxed);
        progress.bytes.fetch_add(*len, Ordering::Relaxed);
        Ok(())
    })?;
    report.sampled = progress.files.load(Ordering::Relaxed);
    report.sampled_bytes = progress.bytes.load(Ordering::Relaxed);
    report.bad = bad.into_inner();
    report.errors = errors.into_inner().unwrap_or_default();
    if report.bad > 0 {
        // The next replication looks at everything, and brings it again.
        memory.note_damaged(&damaged.into_inner().unwrap_or_default());
        memory.begin()?;
    }
    memory.save()?;
    Ok(report)
}

/// The next segments, in the order of their names from where the last run
/// ended: names are hashes, so that order is as good as random.
fn choose(manifest: &Manifest, budget: u64, memory: &mut Memory) -> Vec<(Name, u64)> {
    let segments: Vec<(Name, u64)> = manifest
        .objects
        .iter()
        .filter(|(name, _)| matches!(name, Name::Segment(_)))
        .map(|(name, len)| (*name, *len))
        .collect();
    let key = |name: &Name| match name {
        Name::Segment(id) => id
            .first_chunk()
            .map_or(0, |first| u64::from_be_bytes(*first)),
        _ => 0,
    };
    let from = *memory.sampled();
    let start = segments.partition_point(|(name, _)| key(name) < from);
    let mut left = budget;
    let mut chosen = Vec::new();
    for (name, len) in segments[start..].iter().chain(&segments[..start]) {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(*len);
        chosen.push((*name, *len));
    }
    if let Some((last, _)) = chosen.last() {
        *memory.sampled() = key(last).wrapping_add(1);
    }
    chosen
}

//! Makes a replica equal to the pool: what is lacking is copied, then the
//! manifest says so, and only then what is no longer wanted goes.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::copy::Copy;
use super::extend::extend;
use super::manifest::Manifest;
use super::memory::Memory;
use super::s3::Removal;
use super::{Pace, S3};
use crate::engine::storage::{Class, Name, Storage};
use crate::engine::{Error, Kind, Progress, Result};

/// Result of a replication.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicateReport {
    /// Objects copied now.
    pub copied: u64,
    /// Bytes copied now.
    pub bytes: u64,
    /// Objects that were there already.
    pub present: u64,
    /// Objects removed from the replica (of forgotten snapshots and collected segments).
    pub removed: u64,
    /// Objects that are to go and are locked still; a later replication removes them.
    pub postponed: u64,
    /// Objects whose lock was extended.
    pub extended: u64,
    /// Objects whose lock could not be extended now; the next replication tries again.
    pub not_extended: u64,
    /// Objects not copied because the day's bytes were used up; 0 when the
    /// replica is whole.
    pub left: u64,
    /// Their bytes.
    pub left_bytes: u64,
    /// Objects that the pool does not list and that are kept, because it lacks
    /// something that its snapshots need.
    pub kept: u64,
    /// Unfinished uploads that were ended, and replaced versions that were removed.
    pub cleared: u64,
    /// Whether everything there was listed.
    pub listed: bool,
    /// Until when everything is locked at least.
    pub locked_until: Option<Timestamp>,
}

/// From now (by the clock that only goes forward) to the end of the locks.
pub type RetainUntil<'a> = &'a (dyn Fn(Timestamp) -> Timestamp + Sync);

/// How to replicate.
#[derive(Default)]
pub struct Replication<'a> {
    /// The provider, if it is S3.
    pub s3: Option<&'a S3>,
    /// Until when all that is needed shall be locked, at least. Only with S3
    /// that was opened with a lock mode.
    pub retain_until: Option<RetainUntil<'a>>,
    /// What `to` was opened with, so that a cancelled replication does not wait for its turn.
    pub pace: Option<&'a Pace>,
    /// Bytes to send on one day; 0 for any number.
    pub bytes_a_day: u64,
    /// When the newest snapshot was made.
    pub newest_snapshot: Option<Timestamp>,
    /// Asked before a segment is removed from the replica: has the pool all that
    /// its snapshots need? If not, the replica may hold the last copy of a
    /// segment that the pool does not even list any more, and keeps it.
    pub sound: Option<&'a (dyn Fn() -> Result<bool> + Sync)>,
}

/// [`Replication::run`] that remembers nothing and locks nothing.
///
/// # Errors
/// As there.
pub fn replicate(
    from: &dyn Storage,
    to: &dyn Storage,
    progress: &Progress,
) -> Result<ReplicateReport> {
    Replication::default().run(from, to, &mut Memory::none(), progress)
}

impl Replication<'_> {
    /// Makes `to` hold what `from` holds: segments first, then snapshot records,
    /// and the manifest last, so that an interrupted replication never
    /// leaves a manifest that promises more than there is. The header goes before
    /// all: a newer one opens older data, but an older one nothing sealed after a key change.
    ///
    /// What differs is found from the manifest there, if it is the one that is
    /// remembered; else, after an interruption, and every week, by a full listing. So
    /// an interrupted replication goes on where it stopped.
    ///
    /// # Errors
    /// `Missing` when `from` cannot say all it holds (nothing is removed then),
    /// `Refused` when `to` holds the replica of something else, `Cancelled`, and
    /// whatever either side answers.
    pub fn run(
        &self,
        from: &dyn Storage,
        to: &dyn Storage,
        memory: &mut Memory,
        progress: &Progress,
    ) -> Result<ReplicateReport> {
        progress.check()?;
        from.complete()?;
        memory.is_about(&to.describe());
        let mut report = ReplicateReport::default();
        // Snapshots first: every segment that a snapshot listed here needs was
        // there before it, so it is in the list made after.
        let snapshots = from.list(Class::Snapshots)?;
        let segments = from.list(Class::Segments)?;
        let header = optional(from.get(&Name::Header))?;
        let old_manifest = optional(to.get(&Name::Manifest))?;
        let now = self.look_at_clock(memory);
        let mut there = self.there(to, old_manifest.as_deref(), memory, now, &mut report)?;
        let old_header = optional(to.get(&Name::Header))?;
        let known = |(name, _): &(Name, u64)| there.contains_key(name);
        let foreign = header != old_header && !there.is_empty();
        if foreign && !segments.iter().chain(&snapshots).any(known) {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{} holds the replica of something else; choose another bucket or prefix",
                    to.describe()
                ),
            ));
        }
        let wanted = segments.iter().chain(&snapshots);
        let wanted: HashSet<&Name> = wanted.map(|(name, _)| name).collect();
        for name in memory.damaged().filter(|name| wanted.contains(name)) {
            there.remove(&name);
        }
        let lock = self.lock(now)?;
        if let Some(s3) = self.s3 {
            s3.lock_puts(lock.map(|lock| lock.set));
        }
        let done = self.bring(Plan {
            from,
            to,
            progress,
            segments,
            snapshots,
            header,
            there,
            old_header,
            old_manifest,
            lock,
            now,
            memory,
            report,
        });
        if let Some(s3) = self.s3 {
            s3.lock_puts(None);
        }
        done
    }

    /// It is at least this late.
    fn look_at_clock(&self, memory: &mut Memory) -> Timestamp {
        if let Some(at) = self.s3.and_then(S3::server_time) {
            memory.clock_mut().see_provider(at);
        }
        if let Some(at) = self.newest_snapshot {
            memory.clock_mut().see_snapshot(at);
        }
        memory.clock().now()
    }

    fn lock(&self, now: Timestamp) -> Result<Option<Lock>> {
        let Some(until) = self.retain_until else {
            return Ok(None);
        };
        if self.s3.and_then(S3::lock_mode).is_none() {
            return Err(Error::new(
                Kind::Refused,
                "only an S3 provider opened with a lock mode can lock what is stored",
            ));
        }
        let need = until(now);
        // Locked a little longer, so that not every run has to extend all.
        let more = need.duration_since(now) / 8;
        Ok(Some(Lock {
            need,
            set: need.checked_add(more).unwrap_or(need),
        }))
    }

    /// What is at the replica, listed if need be.
    fn there(
        &self,
        to: &dyn Storage,
        manifest: Option<&[u8]>,
        memory: &mut Memory,
        now: Timestamp,
        report: &mut ReplicateReport,
    ) -> Result<HashMap<Name, u64>> {
        let mut there = HashMap::new();
        if !memory.must_list(manifest, now)
            && let Some(manifest) = manifest.and_then(|bytes| Manifest::decode(bytes).ok())
        {
            there.extend(manifest.objects);
            there.remove(&Name::Header);
            // Their length is of no interest: they are to go.
            there.extend(memory.postponed().map(|name| (name, u64::MAX)));
            return Ok(there);
        }
        for class in [Class::Segments, Class::Snapshots] {
            there.extend(to.list(class)?);
        }
        if let Some(s3) = self.s3 {
            report.cleared = s3.clear_uploads()?;
        }
        report.listed = true;
        memory.listed(now);
        Ok(there)
    }

    fn bring(&self, plan: Plan<'_>) -> Result<ReplicateReport> {
        let Plan {
            from,
            to,
            progress,
            segments,
            snapshots,
            header,
            there,
            old_header,
            old_manifest,
            lock,
            now,
            memory,
            mut report,
        } = plan;
        let left = memory.allowance(self.bytes_a_day, now);
        let copy = Copy::new(from, to, progress, self.pace, left);
        let mut wanted = Manifest::default();
        let lacking = |all: Vec<(Name, u64)>, wanted: &mut Manifest| -> Vec<(Name, u64)> {
            wanted.objects.extend(all.iter().copied());
            let there = &there;
            all.into_iter()
                .filter(|(name, len)| there.get(name) != Some(len))
                .collect()
        };
        let segments = lacking(segments, &mut wanted);
        let snapshots = lacking(snapshots, &mut wanted);
        if let Some(bytes) = &header {
            wanted.objects.insert(Name::Header, bytes.len() as u64);
        }
        if let Some(sound) = self.sound {
            let gone: Vec<_> = there
                .iter()
                .filter(|(name, len)| {
                    matches!(name, Name::Segment(_))
                        && **len != u64::MAX
                        && !wanted.objects.contains_key(name)
                })
                .map(|(name, len)| (*name, *len))
                .collect();
            if !gone.is_empty() && !sound()? {
                report.kept = gone.len() as u64;
                wanted.objects.extend(gone);
            }
        }
        let manifest = wanted.encode();
        let new_header = header.is_some() && old_header != header;
        let differs = old_manifest.as_ref() != Some(&manifest);
        if differs || new_header || !segments.is_empty() || !snapshots.is_empty() {
            memory.begin()?;
        }
        if let Some(bytes) = &header {
            if new_header {
                to.put(&Name::Header, bytes)?;
                to.sync()?;
                report.copied += 1;
                copy.sent(Name::Header, bytes.len() as u64);
            } else {
                report.present += 1;
            }
        }
        let of_header = u64::from(header.is_some());
        let objects = wanted.objects.len() as u64 - of_header - report.kept;
        report.present += objects - (segments.len() + snapshots.len()) as u64;
        let expect = segments.iter().chain(&snapshots);
        progress
            .bytes_total
            .store(expect.clone().map(|(_, len)| len).sum(), Ordering::Relaxed);
        progress
            .files_total
            .store(expect.count() as u64, Ordering::Relaxed);
        let copied = copy.all(&segments).and_then(|()| {
            // A snapshot is there only with all it needs.
            if copy.skipped().0 > 0 {
                snapshots.iter().for_each(|(_, len)| copy.skip(*len));
                return Ok(());
            }
            copy.all(&snapshots)
        });
        report.bytes = copy.bytes();
        (report.left, report.left_bytes) = copy.skipped();
        memory.sent(report.bytes, now);
        if let Some(lock) = lock {
            for name in copy.copied() {
                memory.note_lock(name, lock.set);
            }
        }
        if copied.is_err() {
            // What was sent counts, whatever came after.
            memory.save()?;
        }
        copied?;
        report.copied += (segments.len() + snapshots.len()) as u64 - report.left;
        if report.left > 0 {
            to.sync()?;
            memory.save()?;
            return Ok(report);
        }
        // Everything the manifest names lasts before the manifest is there, and
        // the manifest lasts before anything goes.
        to.sync()?;
        progress.check()?;
        progress.at("manifest");
        if let (Some(lock), Some(s3)) = (lock, self.s3) {
            extend(s3, lock, &wanted, memory, progress, &mut report)?;
            report.locked_until = (report.not_extended == 0).then_some(lock.need);
        }
        if differs {
            to.put(&Name::Manifest, &manifest)?;
            if let Some(lock) = lock {
                memory.note_lock(Name::Manifest, lock.set);
            }
            to.sync()?;
        }
        let unwanted: Vec<Name> = there
            .into_keys()
            .filter(|name| !wanted.objects.contains_key(name))
            .collect();
        let postponed = self.remove(to, unwanted, memory, progress, &mut report)?;
        if report.listed
            && let Some(s3) = self.s3
        {
            report.cleared += s3.clear_versions()?;
        }
        memory.keep_locks(|name| {
            *name == Name::Manifest || wanted.objects.contains_key(name) || postponed.contains(name)
        });
        memory.end(&manifest, &postponed)?;
        Ok(report)
    }

    /// Removes what is not wanted; what is locked stays, and is returned.
    fn remove(
        &self,
        to: &dyn Storage,
        mut unwanted: Vec<Name>,
        memory: &Memory,
        progress: &Progress,
        report: &mut ReplicateReport,
    ) -> Result<Vec<Name>> {
        // A snapshot goes before the segments it needs.
        unwanted.sort_by_key(|name| (matches!(name, Name::Segment(_)), *name));
        let mut postponed = Vec::new();
        for name in unwanted {
            progress.check()?;
            progress.at(&name.to_string());
            // No segment goes while a snapshot that may need it must stay.
            let needed = matches!(name, Name::Segment(_))
                && postponed.iter().any(|n| matches!(n, Name::Snapshot(_)));
            let clock = memory.clock();
            let locked = memory.locked_until(&name);
            let stays = match self.s3 {
                _ if needed || locked.is_some_and(|until| !clock.is_past(until)) => true,
                Some(s3) => matches!(s3.remove(&name)?, Removal::Locked(_)),
                None => {
                    to.delete(&name)?;
                    false
                }
            };
            if stays {
                report.postponed += 1;
                postponed.push(name);
            } else {
                report.removed += 1;
            }
        }
        if report.removed > 0 {
            to.sync()?;
        }
        Ok(postponed)
    }
}

/// Until when what is needed is locked.
#[derive(Clone, Copy)]
pub(super) struct Lock {
    /// At least.
    pub need: Timestamp,
    /// When it is set anew.
    pub set: Timestamp,
}

struct Plan<'a> {
    from: &'a dyn Storage,
    to: &'a dyn Storage,
    progress: &'a Progress,
    segments: Vec<(Name, u64)>,
    snapshots: Vec<(Name, u64)>,
    header: Option<Vec<u8>>,
    there: HashMap<Name, u64>,
    old_header: Option<Vec<u8>>,
    old_manifest: Option<Vec<u8>>,
    lock: Option<Lock>,
    now: Timestamp,
    memory: &'a mut Memory,
    report: ReplicateReport,
}

/// `None` for what is not there.
pub(super) fn optional(result: Result<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == Kind::Missing => Ok(None),
        Err(e) => Err(e),
    }
}

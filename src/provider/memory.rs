//! What the box remembers of its replica between two runs, so that it need not
//! be listed every time. All of it can be found anew by a full listing: a lost
//! or damaged memory costs one, and nothing else.
//!
//! In the caller's folder: `replica.json`, and `replica-locks` with a line
//! `UNTIL NAME` for every locked object (`UNTIL` in seconds since 1970, at
//! least until when it is locked).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::pace::zone;
use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};

/// How old a full listing may become.
const LISTED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// The replica this is about, as its storage describes itself.
    place: String,
    /// BLAKE3 of the manifest as it was written or found last.
    manifest: String,
    /// When everything there was listed last.
    listed: Option<Timestamp>,
    /// A run has begun to change something and has not ended.
    unfinished: bool,
    /// Removed from the manifest, and locked still.
    postponed: Vec<String>,
    /// There, but not as it should be: to be brought again.
    damaged: Vec<String>,
    /// Bytes sent on `day`.
    day: Option<Date>,
    sent: u64,
    /// Where the checks of a sample go on.
    sampled: u64,
    clock: Clock,
}

/// What is remembered of one replica.
pub struct Memory {
    /// `None` when nothing is kept.
    folder: Option<PathBuf>,
    kept: Kept,
    locks: HashMap<Name, i64>,
    locks_changed: bool,
}

impl Memory {
    /// Remembers nothing: every run lists the replica.
    pub fn none() -> Self {
        Self {
            folder: None,
            kept: Kept::default(),
            locks: HashMap::new(),
            locks_changed: false,
        }
    }

    /// Reads what is remembered in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// Whatever keeps the folder from being made or read.
    pub fn open(folder: &Path) -> Result<Self> {
        let io = |e| Error::io(format_args!("opening {}", folder.display()), e);
        fs::create_dir_all(folder).map_err(io)?;
        let read = |name: &str| match fs::read(folder.join(name)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(io),
        };
        let kept = read("replica.json")?;
        // Damaged is as good as lost.
        let kept = serde_json::from_slice(&kept).unwrap_or_default();
        let locks = read("replica-locks")?;
        let locks = String::from_utf8_lossy(&locks)
            .lines()
            .filter_map(|line| {
                let (until, name) = line.split_once(' ')?;
                Some((Name::parse(name)?, until.parse().ok()?))
            })
            .collect();
        Ok(Self {
            folder: Some(folder.to_owned()),
            kept,
            locks,
            locks_changed: false,
        })
    }

    /// Writes it down, durably.
    ///
    /// # Errors
    /// Whatever keeps the files from being written.
    pub fn save(&mut self) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let json = serde_json::to_vec_pretty(&self.kept).map_err(|e| {
            Error::with_source(Kind::Io, "writing down what is known of the replica", e)
        })?;
        if self.locks_changed {
            let mut text = String::new();
            for (name, until) in &self.locks {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{until} {name}");
            }
            replace(&folder.join("replica-locks"), text.as_bytes())?;
            self.locks_changed = false;
        }
        replace(&folder.join("replica.json"), &json)
    }

    /// Forgets everything but the clock if the replica is another one than before.
    pub(super) fn is_about(&mut self, place: &str) {
        if self.kept.place != place {
            self.locks_changed |= !self.locks.is_empty();
            self.locks.clear();
            self.kept = Kept {
                place: place.to_owned(),
                clock: self.kept.clock,
                day: self.kept.day,
                sent: self.kept.sent,
                ..Kept::default()
            };
        }
    }

    /// Whether what is there must be listed; `manifest` is the one found there.
    pub(super) fn must_list(&self, manifest: Option<&[u8]>, now: Timestamp) -> bool {
        let known = manifest.is_some_and(|bytes| self.kept.manifest == sum(bytes));
        let fresh = self
            .kept
            .listed
            .is_some_and(|at| at <= now && now.duration_since(at) < LISTED_FOR);
        self.kept.unfinished || !known || !fresh
    }

    pub(super) fn listed(&mut self, now: Timestamp) {
        self.kept.listed = Some(now);
    }

    /// When everything there was listed last.
    pub fn last_listing(&self) -> Option<Timestamp> {
        self.kept.listed
    }

    /// A run begins to change something.
    pub(super) fn begin(&mut self) -> Result<()> {
        if self.kept.unfinished {
            return Ok(());
        }
        self.kept.unfinished = true;
        self.save()
    }

    /// What the replica's manifest names is there.
    pub(super) fn end(&mut self, manifest: &[u8], postponed: &[Name]) -> Result<()> {
        self.kept.unfinished = false;
        self.kept.manifest = sum(manifest);
        self.kept.damaged.clear();
        self.kept.postponed = postponed.iter().map(Name::to_string).collect();
        self.save()
    }

    /// These are to be brought again.
    pub(super) fn note_damaged(&mut self, names: &[Name]) {
        self.kept.damaged = names.iter().map(Name::to_string).collect();
    }

    pub(super) fn damaged(&self) -> impl Iterator<Item = Name> {
        self.kept.damaged.iter().filter_map(|n| Name::parse(n))
    }

    pub(super) fn postponed(&self) -> impl Iterator<Item = Name> {
        self.kept.postponed.iter().filter_map(|n| Name::parse(n))
    }

    /// Bytes that may still be sent on the day of `now`.
    pub(super) fn allowance(&self, a_day: u64, now: Timestamp) -> u64 {
        if a_day == 0 {
            return u64::MAX;
        }
        let today = now.to_zoned(zone()).date();
        let sent = if self.kept.day == Some(today) {
            self.kept.sent
        } else {
            0
        };
        a_day.saturating_sub(sent)
    }

    pub(super) fn sent(&mut self, bytes: u64, now: Timestamp) {
        let today = now.to_zoned(zone()).date();
        if self.kept.day != Some(today) {
            self.kept.day = Some(today);
            self.kept.sent = 0;
        }
        self.kept.sent += bytes;
    }

    pub(super) fn locked_until(&self, name: &Name) -> Option<Timestamp> {
        Timestamp::from_second(*self.locks.get(name)?).ok()
    }

    pub(super) fn note_lock(&mut self, name: Name, until: Timestamp) {
        self.locks.insert(name, until.as_second());
        self.locks_changed = true;
    }

    /// Forgets the locks of objects that `keep` does not want.
    pub(super) fn keep_locks(&mut self, keep: impl Fn(&Name) -> bool) {
        let before = self.locks.len();
        self.locks.retain(|name, _| keep(name));
        self.locks_changed |= self.locks.len() != before;
    }

    /// The clock that decides what is still protected.
    pub fn clock(&self) -> Clock {
        self.kept.clock
    }

    /// See [`Memory::clock`].
    pub fn clock_mut(&mut self) -> &mut Clock {
        &mut self.kept.clock
    }

    pub(super) fn sampled(&mut self) -> &mut u64 {
        &mut self.kept.sampled
    }
}

fn sum(manifest: &[u8]) -> String {
    blake3::hash(manifest).to_hex().to_string()
}

/// Writes a file whole and durable, or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().map_err(|e| Error::io(format_args!("writing {}", path.display()), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_due_after_a_week_an_interruption_or_a_strange_manifest() {
        let dir = tempfile::TempDir::new().unwrap();
        let now: Timestamp = "2026-11-24T18:00:00Z".parse().unwrap();
        let mut memory = Memory::open(dir.path()).unwrap();
        memory.is_about("here");
        assert!(memory.must_list(Some(b"manifest"), now), "never listed");
        memory.listed(now);
        memory.end(b"manifest", &[Name::Segment([7; 32])]).unwrap();
        let mut memory = Memory::open(dir.path()).unwrap();
        assert_eq!(memory.last_listing(), Some(now));
        assert_eq!(
            memory.postponed().collect::<Vec<_>>(),
            [Name::Segment([7; 32])]
        );
        assert!(!memory.must_list(Some(b"manifest"), now));
        assert!(memory.must_list(Some(b"another"), now));
        assert!(memory.must_list(None, now));
        let week = SignedDuration::from_hours(7 * 24);
        assert!(!memory.must_list(Some(b"manifest"), now + week - SignedDuration::from_secs(1)));
        assert!(memory.must_list(Some(b"manifest"), now + week));
        memory.begin().unwrap();
        let mut memory = Memory::open(dir.path()).unwrap();
        assert!(
            memory.must_list(Some(b"manifest"), now),
            "it was interrupted"
        );
        // The bytes of a day end with it, in Lima.
        memory.sent(700, now);
        assert_eq!(memory.allowance(1000, now), 300);
        assert_eq!(
            memory.allowance(1000, now + SignedDuration::from_hours(12)),
            1000
        );
        assert_eq!(memory.allowance(0, now), u64::MAX);
        // Locks last, and go with what they are about.
        memory.note_lock(Name::Header, now);
        memory.save().unwrap();
        let mut memory = Memory::open(dir.path()).unwrap();
        assert_eq!(memory.locked_until(&Name::Header), Some(now));
        memory.is_about("elsewhere");
        assert_eq!(memory.locked_until(&Name::Header), None);
        // A damaged memory is a lost one.
        std::fs::write(dir.path().join("replica.json"), "{half").unwrap();
        let memory = Memory::open(dir.path()).unwrap();
        assert!(memory.must_list(Some(b"manifest"), now));
    }
}

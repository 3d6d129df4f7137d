//! Reading everything again and again, the oldest first, so that damage is
//! found while there is redundancy to heal it.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::findings::{Finding, now};
use super::memory::{Cursor, FILE, Memory};
use super::objects::Object;
use super::{Pace, Pool};
use crate::engine::storage::{Class, Name};
use crate::engine::{Kind, Result};

/// How often what was verified is written down.
const SAVE: Duration = Duration::from_secs(30);
/// Findings in a report; the number of all is there besides.
const SHOWN: usize = 1000;

/// What a scrub verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubOptions {
    /// Whatever was verified longer ago than this is due.
    pub period: Duration,
    /// Everything is due.
    pub all: bool,
    /// Stop after reading about so many bytes; 0 means no limit.
    pub limit: u64,
}

impl Default for ScrubOptions {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(30 * 24 * 3600),
            all: false,
            limit: 0,
        }
    }
}

/// What a scrub found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Objects verified.
    pub objects: u64,
    /// Bytes of shards read.
    pub bytes: u64,
    /// Damaged or missing shards found.
    pub damaged: u64,
    /// Of these, written anew.
    pub healed: u64,
    /// What was found, at most a thousand.
    pub findings: Vec<Finding>,
    /// Objects that cannot be read from this pool, as
    /// [`Name`] is rendered; its `parse` reads them. Among them may be the rest
    /// of a write that a crash cut short, which no snapshot needs.
    pub lost: Vec<String>,
    /// The limit was reached, and more is due.
    pub more: bool,
}

/// The times of all members that are there.
struct Memories(HashMap<usize, Memory>);

impl Memories {
    fn of(pool: &Pool) -> Self {
        let members = pool.online().into_iter();
        Self(
            members
                .map(|m| (m.slot, Memory::read(&m.path, &pool.id)))
                .collect(),
        )
    }

    fn oldest(&self, shelf: u16) -> u64 {
        let times = self.0.values().map(|m| m.times[usize::from(shelf)]);
        times.min().unwrap_or(0)
    }

    fn cursor(&self) -> Option<Cursor> {
        let cursors = self.0.values().filter_map(|m| m.cursor);
        cursors.max_by_key(|c| (c.begun, c.last))
    }
}

impl Pool {
    /// Verifies every block of every shard that is due, those verified longest
    /// ago first, and heals what it finds. Goes on where an earlier one stopped.
    ///
    /// # Errors
    /// `Busy` when one, or a settle, is under way; `Cancelled`.
    pub fn scrub(&self, options: &ScrubOptions, pace: &Pace<'_>) -> Result<ScrubReport> {
        self.writable()?;
        let _working = self.work_begins()?;
        self.look_around();
        let mut memories = Memories::of(self);
        let mut report = ScrubReport::default();
        let result = self.scrub_due(options, pace, &mut memories, &mut report);
        self.save(&memories);
        self.remember_findings();
        let kept = self.make_durable();
        result.and(kept).map(|()| report)
    }

    /// Seconds since 1970 since when everything on the members that are there was
    /// verified or written; 0 when something never was, or nobody knows.
    pub fn verified_since(&self) -> Result<u64> {
        let memories = Memories::of(self);
        let shelves = self.shelves_there()?;
        let times = shelves.iter().map(|shelf| memories.oldest(*shelf));
        Ok(times.min().unwrap_or_else(now))
    }

    fn shelves_there(&self) -> Result<BTreeSet<u16>> {
        let mut shelves = BTreeSet::new();
        for class in [Class::Segments, Class::Snapshots] {
            for member in self.online() {
                match member.shelves(class) {
                    Ok(found) => shelves.extend(found),
                    Err(e) => self.unlisted(&member, e)?,
                }
            }
        }
        Ok(shelves)
    }

    fn save(&self, memories: &Memories) {
        for member in self.online() {
            let Some(memory) = memories.0.get(&member.slot) else {
                continue;
            };
            if let Err(e) = member.keep(FILE, &memory.encode(&self.id)) {
                tracing::warn!("cannot note on {} what was verified: {e}", member.called());
            }
        }
    }

    fn scrub_due(
        &self,
        options: &ScrubOptions,
        pace: &Pace<'_>,
        memories: &mut Memories,
        report: &mut ScrubReport,
    ) -> Result<()> {
        let before = match options.all {
            true => u64::MAX,
            false => now().saturating_sub(options.period.as_secs()),
        };
        let cursor = memories.cursor();
        let mut due: Vec<u16> = self.shelves_there()?.into_iter().collect();
        due.retain(|shelf| memories.oldest(*shelf) <= before);
        // What was begun is ended first.
        let begun = cursor.map(|c| c.shelf);
        due.sort_by_key(|shelf| (Some(*shelf) != begun, memories.oldest(*shelf), *shelf));
        let shelf_objects = |shelf: u16| -> Result<Vec<Object>> {
            let mut objects = self.objects_on(Class::Segments, &[shelf])?;
            objects.extend(self.objects_on(Class::Snapshots, &[shelf])?);
            Ok(objects)
        };
        for shelf in &due {
            let objects = shelf_objects(*shelf)?;
            pace.expect_more(objects.len() as u64, objects.iter().map(|o| o.len).sum());
        }
        // They stand on no shelf, and are small.
        for name in [Name::Header, Name::Manifest] {
            self.scrub_one(&name, report)?;
        }
        let mut saved = Instant::now();
        for shelf in due {
            let resumed = cursor.filter(|c| c.shelf == shelf);
            let start = resumed.map_or_else(now, |c| c.begun);
            // Who comes later has not been verified.
            let there: Vec<usize> = self.online().iter().map(|m| m.slot).collect();
            for object in shelf_objects(shelf)? {
                if resumed.is_some_and(|c| object.name <= c.last) {
                    pace.done(object.len, 0);
                    continue;
                }
                if options.limit > 0 && report.bytes >= options.limit {
                    report.more = true;
                    return Ok(());
                }
                pace.wait()?;
                pace.progress().at(&object.name.to_string());
                let parts: u64 = (object.sets.iter())
                    .map(|s| s.slots.len() as u64 * object.len / u64::from(s.shape.data))
                    .sum();
                self.scrub_one(&object.name, report)?;
                report.bytes += parts;
                pace.done(object.len, parts);
                for memory in memories.0.values_mut() {
                    memory.cursor = Some(Cursor {
                        shelf,
                        begun: start,
                        last: object.name,
                    });
                }
                if saved.elapsed() > SAVE {
                    self.save(memories);
                    self.remember_findings();
                    saved = Instant::now();
                }
            }
            for (slot, memory) in &mut memories.0 {
                memory.cursor = None;
                if there.contains(slot) && self.look().online[*slot].is_some() {
                    memory.times[usize::from(shelf)] = start;
                }
            }
        }
        Ok(())
    }

    fn scrub_one(&self, name: &Name, report: &mut ScrubReport) -> Result<()> {
        let mut found = Vec::new();
        let result = self.check_and_tell(name, true, &mut found);
        report.damaged += found.len() as u64;
        report.healed += found.iter().filter(|f| f.healed).count() as u64;
        let room = SHOWN - report.findings.len().min(SHOWN);
        report.findings.extend(found.into_iter().take(room));
        match result {
            Ok(_) => report.objects += 1,
            // Deleted meanwhile, or on members that are away: nothing can be said.
            Err(e) if e.kind() == Kind::Missing => {}
            Err(e) => {
                tracing::warn!("{e}");
                report.objects += 1;
                if e.kind() == Kind::Corrupt {
                    report.lost.push(name.to_string());
                }
            }
        }
        Ok(())
    }
}

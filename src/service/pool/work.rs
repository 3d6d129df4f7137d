//! The long work on the pool, in the background and at bounded rates: bringing
//! its data to where they should be (settle), and reading all of them again and
//! again (scrub).
//!
//! That there is something to settle is written down before it begins, so that
//! it goes on by itself after a stop of the box, and forgotten when nothing is
//! left to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::damage::bring_or_name;
use crate::appliance::Record;
use crate::engine::{Error, Kind, Result};
use crate::jobs::Id;
use crate::pool::{MemberState, Pace, Pool, ScrubOptions, SettleReport};
use crate::service::jobs::Ended;
use crate::service::{JobKind, Service};

const WANTED: &str = "pool-settle";
const SETTINGS: &str = "pool-care";
/// Both go through everything, so one after the other.
const CLASS: &str = "pool-care";
/// A disk pulled for a moment is not rebuilt on the others.
pub(super) const GRACE: Duration = Duration::from_secs(600);
/// When something waits for disks that are missing, it is tried again so much later;
/// whether a scrub is due is looked at as often.
const AGAIN: Duration = Duration::from_secs(3600);
/// Scrubs begin when this part of their period is over, so as to end within it.
const EARLY: f64 = 0.75;
const DAY: u64 = 86_400;
/// Most days between two scrubs, and most bytes a second.
const DAYS: std::ops::RangeInclusive<u32> = 1..=365;
const RATE: u64 = 10 << 30;

/// That there is something to settle.
#[derive(Clone, Serialize, Deserialize)]
struct Wanted {
    /// Another number each time it is wanted: what comes while one runs is not forgotten.
    number: u64,
    /// Not before.
    from: Timestamp,
}

impl Record for Wanted {
    const VERSION: u32 = 1;
}

/// How the pool is looked after in the background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolCare {
    /// Bytes a second at which data are moved and rebuilt; 0 is no limit.
    pub settle_rate: u64,
    /// Bytes a second at which data are read to verify them; 0 is no limit.
    pub scrub_rate: u64,
    /// Days within which everything is read once.
    pub scrub_days: u32,
}

impl Default for PoolCare {
    fn default() -> Self {
        Self {
            settle_rate: 100 << 20,
            scrub_rate: 50 << 20,
            scrub_days: 30,
        }
    }
}

impl Record for PoolCare {
    const VERSION: u32 = 1;
}

impl Service {
    /// How the pool is looked after.
    pub fn pool_care(&self) -> Result<PoolCare> {
        Ok(self.state.settings().get(SETTINGS)?.unwrap_or_default())
    }

    /// Changes how; work under way goes on as it began.
    ///
    /// # Errors
    /// `Refused` outside 1 to 365 days and 10 GiB a second.
    pub fn set_pool_care(&self, care: &PoolCare) -> Result<()> {
        if !DAYS.contains(&care.scrub_days) || care.settle_rate.max(care.scrub_rate) > RATE {
            return Err(Error::new(
                Kind::Refused,
                "everything is to be read within 1 to 365 days, at no more than 10 GiB a second",
            ));
        }
        self.state.settings().put(SETTINGS, care)
    }

    /// Brings the pool's data to where they should be, as a job.
    pub fn run_settle(self: &Arc<Self>) -> Result<Id> {
        self.open_now()?;
        if let Some(job) = self.active(JobKind::Settle, None) {
            return Ok(job.id);
        }
        self.start(JobKind::Settle, "pool", CLASS, move |task| {
            let service = task.service;
            let pool = service.open_now()?;
            let wanted: Option<Wanted> = service.state.settings().get(WANTED)?;
            let rate = service.pool_care()?.settle_rate;
            let mut report = pool.settle(&Pace::new(task.progress, rate))?;
            service.let_emptied_go(&pool, &mut report);
            for label in &report.gone {
                task.log.line(format!(
                    "{label} holds nothing any more and has left the pool"
                ));
            }
            service.remember_members(&pool)?;
            service.settled(wanted.as_ref(), report.waiting > 0)?;
            Ok(match report.waiting + report.lost.len() as u64 {
                0 => Ended::Well(report),
                _ => Ended::Warnings(report),
            })
        })
    }

    /// Reads what was not read for longest, as a job; `all`: everything.
    pub fn run_scrub(self: &Arc<Self>, all: bool) -> Result<Id> {
        self.open_now()?;
        self.start(JobKind::Scrub, "pool", CLASS, move |task| {
            let pool = task.service.open_now()?;
            let care = task.service.pool_care()?;
            let options = ScrubOptions {
                period: early(care.scrub_days),
                all,
                limit: 0,
            };
            let mut report = pool.scrub(&options, &Pace::new(task.progress, care.scrub_rate))?;
            report.lost = bring_or_name(task, report.lost)?;
            if report.damaged > report.healed {
                // What could not be healed where it lies may be rebuilt elsewhere.
                task.service.want_settle(Duration::ZERO)?;
            }
            Ok(match report.damaged + report.lost.len() as u64 {
                0 => Ended::Well(report),
                _ => Ended::Warnings(report),
            })
        })
    }

    /// Since when everything in the pool was verified or written; `None` if
    /// nobody knows.
    pub fn verified_since(&self) -> Option<Timestamp> {
        let since = self.open_now().ok()?.verified_since().ok()?;
        let since = i64::try_from(since).ok().filter(|s| *s > 0)?;
        Timestamp::from_second(since).ok()
    }

    /// Members whose data have all been moved away are members no more.
    fn let_emptied_go(&self, pool: &Pool, report: &mut SettleReport) {
        for member in pool.status().members {
            if member.state != MemberState::Retiring {
                continue;
            }
            match pool.remove(&member.label, false) {
                Ok(_) => report.gone.push(member.label),
                // Something is still needed of it; the next settle moves that.
                Err(e) => tracing::info!("{e}"),
            }
        }
    }

    /// Writes down that there is something to settle, after `wait`.
    pub(super) fn want_settle(&self, wait: Duration) -> Result<()> {
        let before: Option<Wanted> = self.state.settings().get(WANTED)?;
        let from = Timestamp::now() + SignedDuration::try_from(wait).unwrap_or_default();
        let wanted = Wanted {
            number: before.as_ref().map_or(1, |b| b.number.wrapping_add(1)),
            from: before.map_or(from, |b| b.from.min(from)),
        };
        self.state.settings().put(WANTED, &wanted)
    }

    /// A settle has ended.
    fn settled(&self, begun: Option<&Wanted>, waits: bool) -> Result<()> {
        let now: Option<Wanted> = self.state.settings().get(WANTED)?;
        let same = now.as_ref().map(|w| w.number) == begun.map(|w| w.number);
        match now {
            Some(wanted) if same && waits => {
                let later = SignedDuration::try_from(AGAIN).unwrap_or_default();
                let wanted = Wanted {
                    from: Timestamp::now() + later,
                    ..wanted
                };
                self.state.settings().put(WANTED, &wanted)
            }
            Some(_) if same => self.state.settings().remove(WANTED).map(drop),
            _ => Ok(()),
        }
    }

    /// Members came or went: what lacks shards now is rebuilt, at once when a
    /// disk came, later when one went.
    pub(super) fn settle_after(&self, came: bool) {
        let wait = if came { Duration::ZERO } else { GRACE };
        if let Err(e) = self.want_settle(wait) {
            tracing::warn!("{e}");
        }
    }

    /// Begins what is due, if nothing of it runs.
    pub(super) fn work_if_due(self: &Arc<Self>) {
        let busy = [JobKind::Settle, JobKind::Scrub]
            .iter()
            .any(|kind| self.active(*kind, None).is_some());
        if busy || self.open_now().is_err() {
            return;
        }
        let begun = self.settle_if_wanted().and_then(|begun| match begun {
            true => Ok(()),
            false => self.scrub_if_due(),
        });
        if let Err(e) = begun {
            tracing::warn!("the pool is not looked after: {e}");
        }
    }

    fn settle_if_wanted(self: &Arc<Self>) -> Result<bool> {
        let wanted: Option<Wanted> = self.state.settings().get(WANTED)?;
        let due = wanted.is_some_and(|wanted| wanted.from <= Timestamp::now());
        if due {
            self.run_settle()?;
        }
        Ok(due)
    }

    fn scrub_if_due(self: &Arc<Self>) -> Result<()> {
        // One that failed or was stopped is not begun anew at once.
        let mut looked = self.pool.looked.lock().unwrap_or_else(|e| e.into_inner());
        if looked.is_some_and(|at| at.elapsed() < AGAIN) {
            return Ok(());
        }
        *looked = Some(Instant::now());
        drop(looked);
        let since = self.open_now()?.verified_since()?;
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
        let period = early(self.pool_care()?.scrub_days).as_secs();
        if now.saturating_sub(since) > period {
            self.run_scrub(false)?;
        }
        Ok(())
    }
}

/// After how long what was verified is verified again.
fn early(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * DAY).mul_f64(EARLY)
}

//! Which snapshots a rule keeps, and why.
//!
//! A pure function of the snapshots, the rule of the register (7.1.1.c) and
//! the time. Of each of the latest days, weeks, months and years that have a
//! snapshot the last one is kept, as many as the rule says; a period without
//! one takes nobody's place. Nothing goes before its minimum days, its lock or
//! its legal hold have passed, and the newest never goes. A lock once given is
//! never shortened: a new register changes only what is not locked.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{after, lima_date};

/// The most that a rule may ask for, in days: a century.
const MOST_DAYS: u32 = 36_525;
const DAY: i64 = 24 * 3600;

/// How long snapshots are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Days of which the last snapshot is kept.
    pub daily: u32,
    /// Weeks (Monday to Sunday) of which the last snapshot is kept.
    pub weekly: u32,
    /// Months of which the last snapshot is kept.
    pub monthly: u32,
    /// Years of which the last snapshot is kept.
    pub yearly: u32,
    /// Days for which every snapshot is kept and locked.
    pub min_days: u32,
}

/// Why a rule is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invalid {
    /// It keeps nothing.
    #[error("the rule keeps nothing")]
    Nothing,
    /// It keeps for more than a century.
    #[error("the rule keeps for more than a century")]
    TooMuch,
}

impl Rule {
    /// Plain "N days".
    pub fn days(min_days: u32) -> Self {
        Self {
            min_days,
            ..Self::default()
        }
    }

    /// Whether it is a rule at all.
    pub fn check(&self) -> Result<(), Invalid> {
        if *self == Self::default() {
            return Err(Invalid::Nothing);
        }
        let days = [
            (self.daily, 1),
            (self.weekly, 7),
            (self.monthly, 30),
            (self.yearly, 365),
        ];
        let too_much = |(count, days): (u32, u32)| count > MOST_DAYS / days;
        if self.min_days > MOST_DAYS || days.into_iter().any(too_much) {
            return Err(Invalid::TooMuch);
        }
        Ok(())
    }

    /// Until when a snapshot is locked: the minimum days after its time, and
    /// never less than the lock it already has.
    pub fn lock(&self, time: Timestamp, locked: Option<Timestamp>) -> Timestamp {
        let until = after(time, i64::from(self.min_days) * DAY);
        locked.map_or(until, |locked| locked.max(until))
    }
}

/// A snapshot, as far as retention looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Its name.
    pub id: String,
    /// When it was taken.
    pub time: Timestamp,
    /// Until when nobody may remove it.
    pub locked_until: Option<Timestamp>,
    /// Whether a legal hold keeps it (OSI and DG set and lift it).
    pub held: bool,
}

/// Why a snapshot is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The newest never goes.
    Newest,
    /// The last of its day.
    Daily,
    /// The last of its week.
    Weekly,
    /// The last of its month.
    Monthly,
    /// The last of its year.
    Yearly,
    /// Younger than the minimum days, until then.
    MinDays(Timestamp),
    /// Locked, until then.
    Locked(Timestamp),
    /// Under legal hold.
    Held,
}

/// What becomes of a snapshot: it expires if nothing keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// All that keeps it.
    pub reasons: BTreeSet<Reason>,
}

impl Decision {
    /// Whether it stays.
    pub fn keeps(&self) -> bool {
        !self.reasons.is_empty()
    }
}

/// Decides over the snapshots of one source, oldest first. A snapshot that
/// seems to come from the future is one like the others.
pub fn decide(snapshots: &[Snapshot], rule: &Rule, now: Timestamp) -> Vec<Decision> {
    let mut sorted: Vec<&Snapshot> = snapshots.iter().collect();
    sorted.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    let mut all: Vec<Decision> = sorted
        .into_iter()
        .map(|snapshot| Decision {
            snapshot: snapshot.clone(),
            reasons: alone(snapshot, rule, now),
        })
        .collect();
    if let Some(newest) = all.last_mut() {
        newest.reasons.insert(Reason::Newest);
    }
    last_of(&mut all, rule.daily, Reason::Daily, |t| {
        let date = lima_date(t);
        (date.year(), date.day_of_year())
    });
    last_of(&mut all, rule.weekly, Reason::Weekly, |t| {
        let week = lima_date(t).iso_week_date();
        (week.year(), i16::from(week.week()))
    });
    last_of(&mut all, rule.monthly, Reason::Monthly, |t| {
        let date = lima_date(t);
        (date.year(), i16::from(date.month()))
    });
    last_of(&mut all, rule.yearly, Reason::Yearly, |t| {
        (lima_date(t).year(), 0)
    });
    all
}

/// What keeps a snapshot whatever others there are.
fn alone(snapshot: &Snapshot, rule: &Rule, now: Timestamp) -> BTreeSet<Reason> {
    let mut reasons = BTreeSet::new();
    let min = after(snapshot.time, i64::from(rule.min_days) * DAY);
    if now < min {
        reasons.insert(Reason::MinDays(min));
    }
    if let Some(until) = snapshot.locked_until.filter(|until| now < *until) {
        reasons.insert(Reason::Locked(until));
    }
    if snapshot.held {
        reasons.insert(Reason::Held);
    }
    reasons
}

fn last_of(
    all: &mut [Decision],
    count: u32,
    reason: Reason,
    period: impl Fn(Timestamp) -> (i16, i16),
) {
    let last: BTreeMap<(i16, i16), usize> = all
        .iter()
        .enumerate()
        .map(|(n, decision)| (period(decision.snapshot.time), n))
        .collect();
    for n in last.values().rev().take(count as usize) {
        if let Some(decision) = all.get_mut(*n) {
            decision.reasons.insert(reason);
        }
    }
}

/// The simulator: what would be there at a time, if snapshots were taken at
/// `runs` under a rule and the expired ones were removed after each. Shows a
/// person what a rule means before it is approved.
pub fn simulate(
    snapshots: &[Snapshot],
    rule: &Rule,
    runs: impl IntoIterator<Item = Timestamp>,
    until: Timestamp,
) -> Vec<Decision> {
    let mut left = snapshots.to_vec();
    for time in runs.into_iter().take_while(|time| *time <= until) {
        left.push(Snapshot {
            id: time.to_string(),
            time,
            locked_until: Some(rule.lock(time, None)),
            held: false,
        });
        left = kept(decide(&left, rule, time));
    }
    let left = kept(decide(&left, rule, until));
    decide(&left, rule, until)
}

fn kept(decisions: Vec<Decision>) -> Vec<Snapshot> {
    decisions
        .into_iter()
        .filter(Decision::keeps)
        .map(|decision| decision.snapshot)
        .collect()
}

//! The clock of a service level (7.1.2.f): runs, pauses, and warns in time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Severity;
use crate::directive::after;

/// Of the limit, when to warn.
const WARN_PERCENT: i64 = 80;

/// How long the service may take, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Until it answers.
    pub response: u32,
    /// Until it is solved.
    pub solution: u32,
}

/// The contract's levels by severity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    /// Whether these are the shipped example's figures, not the contract's.
    pub example: bool,
    /// The levels. A severity without one takes the next worse's.
    pub levels: BTreeMap<Severity, Level>,
}

impl Default for Sheet {
    /// The shipped example: one hour to respond, eight to solve.
    fn default() -> Self {
        let level = Level {
            response: 3600,
            solution: 8 * 3600,
        };
        Self {
            example: true,
            levels: [(Severity::Low, level), (Severity::Critical, level)].into(),
        }
    }
}

impl Sheet {
    /// The level for a severity; none if the sheet says nothing.
    pub fn level(&self, severity: Severity) -> Option<Level> {
        let worse = self.levels.range(severity..).next();
        worse
            .or_else(|| self.levels.last_key_value())
            .map(|(_, level)| *level)
    }
}

/// How a clock stands against its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// Less than 80 % of the limit.
    InTime,
    /// En riesgo: 80 % or more.
    AtRisk,
    /// Vencido: all of it.
    Breached,
}

/// A clock that counts the seconds it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    limit: u32,
    /// Seconds counted before it was paused last.
    spent: i64,
    /// Since when it runs.
    running: Option<Timestamp>,
}

impl Clock {
    /// Starts one with a limit in seconds.
    pub fn start(limit: u32, at: Timestamp) -> Self {
        Self {
            limit,
            spent: 0,
            running: Some(at),
        }
    }

    /// Stops it; running again is not excluded.
    pub fn pause(&mut self, at: Timestamp) {
        self.spent = self.spent(at);
        self.running = None;
    }

    /// Lets it go on.
    pub fn resume(&mut self, at: Timestamp) {
        self.running.get_or_insert(at);
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// Seconds counted. A clock of the box that was set back takes none away.
    pub fn spent(&self, now: Timestamp) -> i64 {
        let since = |since: Timestamp| now.duration_since(since).as_secs().max(0);
        self.spent.saturating_add(self.running.map_or(0, since))
    }

    /// How it stands.
    pub fn pace(&self, now: Timestamp) -> Pace {
        let (spent, limit) = (self.spent(now), i64::from(self.limit));
        if spent >= limit {
            Pace::Breached
        } else if spent.saturating_mul(100) >= limit * WARN_PERCENT {
            Pace::AtRisk
        } else {
            Pace::InTime
        }
    }

    /// When it will have come to a pace if it runs on; none if it is paused.
    pub fn reaches(&self, pace: Pace) -> Option<Timestamp> {
        let limit = i64::from(self.limit);
        let seconds = match pace {
            Pace::InTime => 0,
            Pace::AtRisk => (limit * WARN_PERCENT + 99) / 100,
            Pace::Breached => limit,
        };
        let since = self.running?;
        Some(after(since, (seconds - self.spent).max(0)))
    }
}

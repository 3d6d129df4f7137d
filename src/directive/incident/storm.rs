//! Alerts in a storm: the first goes at once, what follows goes together.
//!
//! A dead switch fails forty backups in a minute. Forty mails hide the cause;
//! a silent box hides everything. The first alert is sent immediately, and
//! those that come within the pause after a mail wait for its end and go as
//! one. None waits longer than the pause.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directive::after;

/// What to send now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alert {
    /// One incident's mail.
    One(String),
    /// One mail on several incidents.
    Digest(Vec<String>),
}

/// The alerts of a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// Seconds between two mails.
    pause: u32,
    last: Option<Timestamp>,
    waiting: Vec<String>,
}

impl Storm {
    /// With a pause in seconds; 60 keeps every alert within a minute.
    pub fn new(pause: u32) -> Self {
        Self {
            pause,
            last: None,
            waiting: Vec::new(),
        }
    }

    /// An incident wants an alert; says what to send now, if anything.
    pub fn offer(&mut self, incident: String, now: Timestamp) -> Option<Alert> {
        if !self.waiting.contains(&incident) {
            self.waiting.push(incident);
        }
        self.due(now)
    }

    /// When [`Storm::due`] has something to say; none if nothing waits.
    pub fn next(&self) -> Option<Timestamp> {
        let last = self.last.filter(|_| !self.waiting.is_empty())?;
        Some(after(last, i64::from(self.pause)))
    }

    /// What to send now, if anything.
    pub fn due(&mut self, now: Timestamp) -> Option<Alert> {
        // A clock that was set back holds nothing up.
        let quiet = self
            .last
            .is_some_and(|last| last <= now && now < after(last, i64::from(self.pause)));
        if quiet || self.waiting.is_empty() {
            return None;
        }
        self.last = Some(now);
        let mut waiting = std::mem::take(&mut self.waiting);
        Some(if waiting.len() == 1 {
            Alert::One(waiting.remove(0))
        } else {
            Alert::Digest(waiting)
        })
    }
}

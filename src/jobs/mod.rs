//! Every long piece of work is one concept: queued, running, ended with a
//! result that outlives the process.
//!
//! A job is a closure run on its own thread. Around it this room keeps its
//! state, its log, its live progress (asked from the work, never understood
//! here) and the wish to stop it, and writes all of that to a small database
//! so that a restart shows what was running when the box stopped. Jobs of one
//! class run one after the other, in the order they were asked for; classes
//! run side by side.

mod book;
mod run;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use run::{Jobs, Log, Outcome, Run, Spec, Work};

/// A job's number: 1, 2, 3… never used again, also not after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub u64);

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Waits for another of its class.
    Queued,
    /// Works.
    Running,
    /// Ended well.
    Done,
    /// Ended, with something left out that the result names.
    Warnings,
    /// Ended without doing what it should; the error says why.
    Failed,
    /// Stopped on request.
    Cancelled,
}

impl JobState {
    /// Whether it will not change any more.
    pub fn ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class of the failure, e.g. `missing`.
    pub kind: String,
    /// What happened, to which thing, and what to do next.
    pub message: String,
}

/// A line of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub time: Timestamp,
    /// What.
    pub text: String,
}

/// Everything about a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: Id,
    /// What it does, as its owner calls it.
    pub kind: String,
    /// To what.
    pub subject: String,
    /// Where it stands.
    pub state: JobState,
    /// When it was asked for.
    pub queued: Timestamp,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Live figures, in its owner's form; of an ended job, the last ones.
    pub progress: serde_json::Value,
    /// What came out, in its owner's form.
    pub result: Option<serde_json::Value>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// What it said on the way, oldest first.
    pub log: Vec<LogLine>,
}

/// A job in a listing, without log, progress and result, which may be long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// See [`Job::id`].
    pub id: Id,
    /// See [`Job::kind`].
    pub kind: String,
    /// See [`Job::subject`].
    pub subject: String,
    /// See [`Job::state`].
    pub state: JobState,
    /// See [`Job::ended`].
    pub ended: Option<Timestamp>,
}

impl From<&Job> for Head {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id,
            kind: job.kind.clone(),
            subject: job.subject.clone(),
            state: job.state,
            ended: job.ended,
        }
    }
}

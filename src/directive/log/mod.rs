//! The activity log: what was done, by whom, when, never to be rewritten.
//!
//! The Registro de actividades (7.1.1.d, Anexo 02) and every act that an
//! auditor may ask about stand in one file of JSON lines, one record a line.
//! Each record holds the hash of the one before and ends with its own, so a
//! record that was changed, taken out or put in breaks the chain at a known
//! place. The form is described byte by byte in `docs/directive.md`.
//!
//! A record is on the disk before [`Log::append`] returns. A line that a power
//! cut left half written is cut off when the log is opened, and the caller
//! learns how much; whatever else is wrong is refused.

mod check;
mod file;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Actor, Hash};

pub use check::{Break, Checked, Checker, Reason, check};
pub use file::{Cut, Log, Pending};

/// The file's name in its folder.
pub const FILE: &str = "activity.jsonl";
/// No line is longer, in bytes, its newline included.
pub const LONGEST: usize = 1 << 20;
/// Between a record and its own hash.
const MARK: &[u8] = b",\"hash\":\"";
/// After the hash.
const END: &[u8] = b"\"}";

/// What is to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub time: Timestamp,
    /// Who did it; the box itself if nobody.
    pub who: Option<Actor>,
    /// What was done, e.g. `verification.close`.
    pub act: String,
    /// To what, e.g. `2026-03-01/internal`.
    pub subject: String,
    /// Whatever else belongs to it.
    pub data: Value,
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The form's version, 1.
    pub v: u32,
    /// Its number: 0, 1, 2…
    pub seq: u64,
    /// See [`Event::time`].
    pub time: Timestamp,
    /// See [`Event::who`].
    pub who: Option<Actor>,
    /// See [`Event::act`].
    pub act: String,
    /// See [`Event::subject`].
    pub subject: String,
    /// See [`Event::data`].
    pub data: Value,
    /// The hash of the record before; zeros in the first.
    pub prev: Hash,
}

/// The end of a chain: proves everything up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The number of its last record.
    pub seq: u64,
    /// That record's hash.
    pub hash: Hash,
}

/// Why the log cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The chain is broken.
    #[error("the activity log is broken: {0}")]
    Broken(#[from] Break),
    /// Another program has it open.
    #[error("the activity log is in use")]
    Busy,
    /// The event would make a line longer than [`LONGEST`].
    #[error("the event is too long for the activity log: {0} bytes")]
    TooLong(usize),
    /// A write failed before, so nobody knows what is on the disk; open it anew.
    #[error("the activity log must be opened again after a failed write")]
    Failed,
    /// A record was made for another end of the chain than there is.
    #[error("the record does not follow the end of the activity log")]
    NotNext,
    /// The operating system refused.
    #[error("the activity log: {0}")]
    Io(#[from] std::io::Error),
    /// The event cannot be written as JSON.
    #[error("the event cannot be written down: {0}")]
    Json(#[from] serde_json::Error),
}

//! Is what the provider promises true? The probe stores a small locked object,
//! tries to delete it and to shorten its lock, and must be refused. What was
//! asked and answered is kept as evidence.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::http::{Answer, Method};
use super::s3::{LockMode, S3};
use super::xml::element;
use crate::engine::{Error, Kind, Result};

/// How long the probe's object is locked, and so kept.
const TERM: SignedDuration = SignedDuration::from_hours(24);
/// Where the records are, one JSON document a line.
const FILE: &str = "probes.jsonl";

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// What: `delete`, `shorten`, `look`, `bypass`.
    pub what: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The answer's error code, if it had one.
    pub code: String,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When, by the provider's clock.
    pub time: Timestamp,
    /// Where.
    pub endpoint: String,
    /// In which bucket.
    pub bucket: String,
    /// The probe's object.
    pub key: String,
    /// Its version.
    pub version: String,
    /// How it was locked.
    pub mode: LockMode,
    /// Until when.
    pub until: Timestamp,
    /// What was tried and answered, in order.
    pub tried: Vec<Tried>,
    /// Deleting and shortening were refused, and the object was still there.
    pub held: bool,
    /// This box's key can lift a governance lock: it protects against
    /// mistakes, not against whoever holds the key. `None` in compliance mode.
    pub can_bypass: Option<bool>,
}

fn tried(what: &str, answer: &Answer) -> Tried {
    let xml = String::from_utf8_lossy(&answer.body);
    Tried {
        what: what.into(),
        status: answer.status,
        code: element(&xml, "Code").unwrap_or_default().into(),
    }
}

fn refused(answer: &Answer) -> bool {
    (400..500).contains(&answer.status) && answer.status != 404
}

/// Probes the lock of a bucket. The object stays until its lock has ended; a later
/// probe removes it.
///
/// # Errors
/// `Refused` if the storage was opened without lock mode; whatever the provider
/// answers to storing the object. That a lock does not hold is no error, but
/// what the evidence says.
pub fn probe(s3: &S3) -> Result<Evidence> {
    let mode = s3.lock_mode().ok_or_else(|| {
        Error::new(
            Kind::Refused,
            "the provider is used without lock; choose governance or compliance first",
        )
    })?;
    let clock = || s3.server_time().unwrap_or_else(Timestamp::now);
    s3.clear_probes(clock())?;
    let now = clock();
    let until = now.checked_add(TERM).unwrap_or(now);
    let key = format!("{}probe/{}", s3.prefix(), now.as_second());
    s3.lock_puts(Some(until));
    let stored = s3.store_probe(&key, format!("lock probe of {now}\n").as_bytes());
    s3.lock_puts(None);
    let version = stored?;
    let mut evidence = Evidence {
        time: now,
        endpoint: s3.endpoint().into(),
        bucket: s3.bucket().into(),
        key: key.clone(),
        version: version.clone(),
        mode,
        until,
        tried: Vec::new(),
        held: false,
        can_bypass: None,
    };
    let deleted = s3.ask_delete(&key, &version, false)?;
    evidence.tried.push(tried("delete", &deleted));
    let sooner = now.checked_add(TERM / 2).unwrap_or(now);
    let shortened = s3.ask_retention(&key, Some(&version), mode, sooner)?;
    evidence.tried.push(tried("shorten", &shortened));
    let look = s3.ask_version(Method::Head, &key, &version)?;
    evidence.tried.push(tried("look", &look));
    let still = matches!(s3.retention_of(&key, Some(&version)), Ok(Some((_, at))) if at >= until);
    evidence.held = refused(&deleted) && refused(&shortened) && look.status < 300 && still;
    if mode == LockMode::Governance {
        let lifted = s3.ask_delete(&key, &version, true)?;
        evidence.tried.push(tried("bypass", &lifted));
        evidence.can_bypass = Some(lifted.status < 300);
    }
    Ok(evidence)
}

/// Adds a record to the evidence in a folder, durably. Nothing is ever removed there.
///
/// # Errors
/// Whatever keeps the file from being written.
pub fn record(folder: &Path, evidence: &Evidence) -> Result<()> {
    let path = folder.join(FILE);
    let mut line = serde_json::to_vec(evidence)
        .map_err(|e| Error::with_source(Kind::Io, "writing down what the probe found", e))?;
    line.push(b'\n');
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all(&line)?;
        file.sync_all()
    };
    write().map_err(|e| Error::io(format_args!("writing {}", path.display()), e))
}

/// The records in a folder, oldest first; a line that a power cut left half is passed over.
///
/// # Errors
/// Whatever keeps the file from being read.
pub fn records(folder: &Path) -> Result<Vec<Evidence>> {
    let path = folder.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(format_args!("reading {}", path.display()), e)),
    };
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

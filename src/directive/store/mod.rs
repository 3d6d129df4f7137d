//! Where the records of the directive are kept, each change with its log line.
//!
//! A folder holds the database `directive.redb` (what is true now) and the
//! activity log (how it became so). A change is one transaction: the records
//! and the log's next line are committed together, then the line goes to the
//! log. If the power fails in between, the next opening finds the line in the
//! database and writes it, so that neither a change without its line nor a
//! line without its change is left. A log that does not belong to the database
//! is refused. The log's lines name the hash of every record they changed, so
//! [`Store::audit`] shows records that were changed behind the log's back.

mod change;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document::Broken;
use super::log::{self, Cut, Head, Log, Pending};
use super::{Actor, Hash};

use change::{Changed, event, parse, range};

pub use change::Change;
pub use records::{Record, Records};

/// The database's name in its folder.
pub const FILE: &str = "directive.redb";
/// By kind and key: a version, and the record as JSON.
const RECORDS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("records");
/// By nothing: the head and the line that the log ends with.
const LAST: TableDefinition<(), &[u8]> = TableDefinition::new("last");
const VERSION: u32 = 1;
/// The database needs little memory of its own.
const CACHE: usize = 4 << 20;

/// Why the store does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The activity log does not open, or refuses.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The log is not the one that belongs to the database.
    #[error("the activity log does not end where the database knows it to end")]
    Mismatch,
    /// The change stands; its line is kept and goes to the log first thing
    /// with the next change or opening.
    #[error("the change is made, but not yet in the activity log: {0}")]
    LogBehind(log::Error),
    /// The database failed.
    #[error("the directive's database: {0}")]
    Database(#[from] redb::Error),
    /// A record is not one.
    #[error("record {kind} {key} is not readable: {why}")]
    Unreadable {
        /// Its kind.
        kind: String,
        /// Its key.
        key: String,
        /// Why.
        why: serde_json::Error,
    },
    /// A later software wrote a record.
    #[error("record {kind} {key} has version {version}, unknown to this software")]
    Version {
        /// Its kind.
        kind: String,
        /// Its key.
        key: String,
        /// Its version.
        version: u32,
    },
    /// A record cannot be written as JSON.
    #[error("a record cannot be written down: {0}")]
    Json(#[from] serde_json::Error),
    /// Versions that cannot be those of one document.
    #[error(transparent)]
    Series(#[from] Broken),
}

/// What a change is about, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Who; the box itself if nobody.
    pub who: Option<Actor>,
    /// When.
    pub time: Timestamp,
    /// What is done, e.g. `incident.close`.
    pub act: String,
    /// To what.
    pub subject: String,
    /// Whatever else belongs into the log.
    pub more: Value,
}

/// A record that differs from what the log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The record's kind.
    pub kind: String,
    /// The record's key.
    pub key: String,
    /// Its hash by the log; none if the log does not know it.
    pub logged: Option<Hash>,
    /// Its hash as it is; none if it is gone.
    pub found: Option<Hash>,
}

/// The head that the log must have, and the line that it ends with.
#[derive(Serialize, Deserialize)]
struct Last {
    head: Head,
    line: String,
}

/// The records and their log. One program at a time; threads wait.
pub struct Store {
    folder: PathBuf,
    database: Database,
    /// None after a failed write, until it is opened again.
    log: Mutex<Option<Log>>,
}

impl Store {
    /// Opens the store in a folder, or begins one.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self, Error> {
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create(folder.join(FILE))
            .map_err(redb::Error::from)?;
        let store = Self {
            folder: folder.to_owned(),
            database,
            log: Mutex::new(None),
        };
        let make = || {
            let transaction = store.database.begin_write()?;
            transaction.open_table(RECORDS)?;
            transaction.open_table(LAST)?;
            transaction.commit()?;
            Ok(())
        };
        make().map_err(|e: redb::Error| e)?;
        store.ready(&mut store.lock(), now)?;
        Ok(store)
    }

    /// Makes one change: `with` reads and writes records, and either all of it
    /// is there afterwards, with its line in the log, or nothing. A change
    /// that writes nothing is a line in the log all the same.
    pub fn change<T, E: From<Error>>(
        &self,
        reason: Reason,
        with: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut guard = self.lock();
        let log = self.ready(&mut guard, reason.time)?;
        let (value, pending) = self.commit(log, reason, with)?;
        if let Err(e) = log.write(&pending) {
            *guard = None;
            return Err(Error::LogBehind(e).into());
        }
        Ok(value)
    }

    /// Everything of a change but the log's line.
    fn commit<T, E: From<Error>>(
        &self,
        log: &Log,
        reason: Reason,
        with: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<(T, Pending), E> {
        let transaction = self.database.begin_write().map_err(failed)?;
        let (value, pending) = {
            let records = transaction.open_table(RECORDS).map_err(failed)?;
            let mut change = Change::new(records);
            let value = with(&mut change)?;
            let event = event(reason, change.changed());
            let pending = log.prepare(event).map_err(Error::from)?;
            let last = Last {
                head: pending.head,
                line: String::from_utf8_lossy(&pending.line).into_owned(),
            };
            let bytes = serde_json::to_vec(&last).map_err(Error::from)?;
            let mut table = transaction.open_table(LAST).map_err(failed)?;
            table.insert((), bytes.as_slice()).map_err(failed)?;
            (value, pending)
        };
        transaction.commit().map_err(failed)?;
        Ok((value, pending))
    }

    /// The open log, which ends where the database says.
    fn ready<'a>(&self, log: &'a mut Option<Log>, now: Timestamp) -> Result<&'a mut Log, Error> {
        let log = match log {
            Some(log) => return Ok(log),
            None => {
                let (opened, cut) = self.catch_up()?;
                let opened = log.insert(opened);
                if let Some(cut) = cut {
                    self.note_cut(opened, cut, now)?;
                }
                opened
            }
        };
        Ok(log)
    }

    /// Opens the log and writes the line that it may lack.
    fn catch_up(&self) -> Result<(Log, Option<Cut>), Error> {
        let (mut log, cut) = Log::open(&self.folder, None)?;
        let last = self.last()?;
        match last {
            None if log.head().is_some() => return Err(Error::Mismatch),
            None => {}
            Some(last) => {
                let pending = Pending {
                    head: last.head,
                    line: last.line.into_bytes(),
                };
                log.write(&pending).map_err(|e| match e {
                    log::Error::NotNext => Error::Mismatch,
                    e => Error::Log(e),
                })?;
            }
        }
        Ok((log, cut))
    }

    fn note_cut(&self, log: &mut Log, cut: Cut, now: Timestamp) -> Result<(), Error> {
        let reason = Reason {
            who: None,
            time: now,
            act: "log.cut".into(),
            subject: log::FILE.into(),
            more: json!({"bytes": cut.bytes, "hash": cut.hash}),
        };
        let ((), pending) = self.commit(log, reason, |_| Ok::<(), Error>(()))?;
        log.write(&pending)?;
        Ok(())
    }

    fn last(&self) -> Result<Option<Last>, Error> {
        let look = || {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(LAST)?;
            Ok(table.get(())?.map(|bytes| bytes.value().to_vec()))
        };
        let bytes = look().map_err(|e: redb::Error| e)?;
        Ok(bytes
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()?)
    }

    /// Gives the log to `with`: to read, check and export it.
    pub fn log<T>(
        &self,
        now: Timestamp,
        with: impl FnOnce(&Log) -> Result<T, log::Error>,
    ) -> Result<T, Error> {
        let mut guard = self.lock();
        Ok(with(self.ready(&mut guard, now)?)?)
    }

    /// Holds every record against the log; empty if each is as it was written.
    pub fn audit(&self, now: Timestamp) -> Result<Vec<Difference>, Error> {
        let mut guard = self.lock();
        let log = self.ready(&mut guard, now)?;
        let mut logged: BTreeMap<(String, String), Hash> = BTreeMap::new();
        log.each(|record, _| {
            let Some(changed) = record.data.get("changed") else {
                return Ok(());
            };
            for Changed { kind, key, hash } in Vec::<Changed>::deserialize(changed)? {
                logged.insert((kind, key), hash);
            }
            Ok(())
        })?;
        let mut differences = Vec::new();
        let look = || {
            let transaction = self.database.begin_read()?;
            for entry in transaction.open_table(RECORDS)?.iter()? {
                let (name, bytes) = entry?;
                let (kind, key) = name.value();
                let name = (kind.to_owned(), key.to_owned());
                let (logged, found) = (logged.remove(&name), Hash::of(bytes.value()));
                if logged != Some(found) {
                    differences.push(Difference {
                        kind: name.0,
                        key: name.1,
                        logged,
                        found: Some(found),
                    });
                }
            }
            Ok(())
        };
        let mut look = look;
        look().map_err(|e: redb::Error| e)?;
        differences.extend(logged.into_iter().map(|((kind, key), hash)| Difference {
            kind,
            key,
            logged: Some(hash),
            found: None,
        }));
        Ok(differences)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Log>> {
        // A change that panicked left its transaction undone; the log is whole.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records for Store {
    fn bytes(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let look = || {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(RECORDS)?;
            Ok(table.get((kind, key))?.map(|bytes| bytes.value().to_vec()))
        };
        Ok(look().map_err(|e: redb::Error| e)?)
    }

    fn all_bytes(&self, kind: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let look = || {
            let transaction = self.database.begin_read()?;
            range(&transaction.open_table(RECORDS)?, kind)
        };
        Ok(look().map_err(|e: redb::Error| e)?)
    }
}

fn failed(e: impl Into<redb::Error>) -> Error {
    Error::Database(e.into())
}

//! The book of jobs on disk: one record for each, as JSON in redb.
//!
//! JSON because results are of any shape; each record carries the version of
//! its form. Written at every change of state, so that a crash leaves a job
//! as queued or running, which the next start turns into a failure.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::{Head, Id, Job};
use crate::engine::{Error, Kind, Result};

const JOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("jobs");
const VERSION: u32 = 1;
/// Ended jobs that are remembered.
const HISTORY: usize = 1000;
/// The database needs little memory of its own.
const CACHE: usize = 4 << 20;

#[derive(Serialize)]
struct StoredRef<'a> {
    version: u32,
    job: &'a Job,
}

#[derive(Deserialize)]
struct Stored {
    version: u32,
    job: Job,
}

pub(super) struct Book {
    database: Database,
}

impl Book {
    pub fn open(path: &Path) -> Result<Self> {
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create(path)
            .map_err(|e| failed(&format!("opening the book of jobs {}", path.display()), e))?;
        let book = Self { database };
        book.change(|_| Ok(()))?;
        Ok(book)
    }

    /// Every job that can be read, oldest first. A record that cannot is
    /// logged and left alone.
    pub fn all(&self) -> Result<Vec<Job>> {
        self.look(|table| {
            let mut jobs = Vec::new();
            for record in table.iter()? {
                let (id, bytes) = record?;
                match parse(bytes.value()) {
                    Ok(job) => jobs.push(job),
                    Err(e) => tracing::warn!(job = id.value(), "record of a job ignored: {e}"),
                }
            }
            Ok(jobs)
        })
    }

    pub fn get(&self, id: Id) -> Result<Option<Job>> {
        let bytes = self.look(|table| Ok(table.get(id.0)?.map(|bytes| bytes.value().to_vec())))?;
        bytes.map(|bytes| parse(&bytes)).transpose()
    }

    pub fn put(&self, job: &Job) -> Result<()> {
        let record = StoredRef {
            version: VERSION,
            job,
        };
        let bytes = serde_json::to_vec(&record)
            .map_err(|e| failed(&format!("writing down job {}", job.id), e))?;
        self.change(|table| {
            table.insert(job.id.0, bytes.as_slice())?;
            Ok(())
        })
    }

    /// Forgets the oldest ended jobs beyond what is remembered; returns those left.
    pub fn trim(&self, heads: Vec<Head>) -> Result<Vec<Head>> {
        let ended = heads.iter().filter(|head| head.state.ended()).count();
        let mut surplus = ended.saturating_sub(HISTORY);
        if surplus == 0 {
            return Ok(heads);
        }
        let (gone, left): (Vec<_>, Vec<_>) = heads.into_iter().partition(|head| {
            let go = surplus > 0 && head.state.ended();
            surplus -= usize::from(go);
            go
        });
        self.change(|table| {
            for head in &gone {
                table.remove(head.id.0)?;
            }
            Ok(())
        })?;
        Ok(left)
    }

    fn look<T>(
        &self,
        with: impl FnOnce(&redb::ReadOnlyTable<u64, &'static [u8]>) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let look = || {
            let transaction = self.database.begin_read()?;
            with(&transaction.open_table(JOBS)?)
        };
        look().map_err(|e: redb::Error| failed("reading the book of jobs", e))
    }

    fn change(
        &self,
        with: impl FnOnce(&mut redb::Table<'_, u64, &'static [u8]>) -> Result<(), redb::Error>,
    ) -> Result<()> {
        let change = || {
            let transaction = self.database.begin_write()?;
            with(&mut transaction.open_table(JOBS)?)?;
            transaction.commit()?;
            Ok(())
        };
        change().map_err(|e: redb::Error| failed("writing the book of jobs", e))
    }
}

fn parse(bytes: &[u8]) -> Result<Job> {
    let stored: Stored = serde_json::from_slice(bytes)
        .map_err(|e| Error::with_source(Kind::Corrupt, format!("not readable: {e}"), e))?;
    if stored.version != VERSION {
        return Err(Error::new(
            Kind::Refused,
            format!("version {} is unknown to this software", stored.version),
        ));
    }
    Ok(stored.job)
}

fn failed(what: &str, e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::with_source(Kind::Io, format!("{what}: {e}"), e)
}

//! What happens within one change, and the form of a record on disk.

use std::collections::BTreeMap;

use redb::{ReadableTable, Table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Error, Reason, Record, Records, VERSION, failed};
use crate::directive::Hash;
use crate::directive::log::Event;

type RecordsTable<'a> = Table<'a, (&'static str, &'static str), &'static [u8]>;

#[derive(Serialize)]
struct StoredRef<'a, R> {
    version: u32,
    record: &'a R,
}

#[derive(Deserialize)]
struct StoredVersion {
    version: u32,
}

#[derive(Deserialize)]
struct Stored<R> {
    record: R,
}

/// A change on its way.
pub struct Change<'a> {
    records: RecordsTable<'a>,
    changed: BTreeMap<(String, String), Hash>,
}

impl<'a> Change<'a> {
    pub(super) fn new(records: RecordsTable<'a>) -> Self {
        Self {
            records,
            changed: BTreeMap::new(),
        }
    }

    pub(super) fn changed(&self) -> &BTreeMap<(String, String), Hash> {
        &self.changed
    }

    /// Writes a record; one that is there already as it is, is none.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), Error> {
        let version = VERSION;
        let bytes = serde_json::to_vec(&StoredRef { version, record })?;
        let key = record.key();
        if self.bytes(R::KIND, &key)?.as_ref() == Some(&bytes) {
            return Ok(());
        }
        let put = self
            .records
            .insert((R::KIND, key.as_str()), bytes.as_slice());
        put.map_err(failed)?;
        self.changed
            .insert((R::KIND.to_owned(), key), Hash::of(&bytes));
        Ok(())
    }

    /// Writes those of several records that changed.
    pub fn put_all<R: Record>(&mut self, records: &[R]) -> Result<(), Error> {
        records.iter().try_for_each(|record| self.put(record))
    }
}

impl Records for Change<'_> {
    fn bytes(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let bytes = self.records.get((kind, key)).map_err(failed)?;
        Ok(bytes.map(|bytes| bytes.value().to_vec()))
    }

    fn all_bytes(&self, kind: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        Ok(range(&self.records, kind)?)
    }
}

/// What the log says of a record that was written.
#[derive(Serialize, Deserialize)]
pub(super) struct Changed {
    pub kind: String,
    pub key: String,
    pub hash: Hash,
}

pub(super) fn event(reason: Reason, changed: &BTreeMap<(String, String), Hash>) -> Event {
    let changed: Vec<Value> = changed
        .iter()
        .map(|((kind, key), hash)| json!({"kind": kind, "key": key, "hash": hash}))
        .collect();
    Event {
        time: reason.time,
        who: reason.who,
        act: reason.act,
        subject: reason.subject,
        data: json!({"changed": changed, "more": reason.more}),
    }
}

pub(super) fn range(
    table: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    kind: &str,
) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
    let mut found = Vec::new();
    for entry in table.range((kind, "")..)? {
        let (name, bytes) = entry?;
        let (its_kind, key) = name.value();
        if its_kind != kind {
            break;
        }
        found.push((key.to_owned(), bytes.value().to_vec()));
    }
    Ok(found)
}

pub(super) fn parse<R: DeserializeOwned>(kind: &str, key: &str, bytes: &[u8]) -> Result<R, Error> {
    let unreadable = |why| Error::Unreadable {
        kind: kind.to_owned(),
        key: key.to_owned(),
        why,
    };
    let StoredVersion { version } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if version != VERSION {
        return Err(Error::Version {
            kind: kind.to_owned(),
            key: key.to_owned(),
            version,
        });
    }
    let stored: Stored<R> = serde_json::from_slice(bytes).map_err(unreadable)?;
    Ok(stored.record)
}

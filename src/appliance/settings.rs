//! The settings store: versioned records under names such as `source/fs1`.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::{Error, Kind, Result};

const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
/// The database needs little memory of its own.
const CACHE: usize = 4 << 20;

/// Something kept in the settings. Its stored form may only change together
/// with its version.
pub trait Record: Serialize + DeserializeOwned {
    /// Version of the stored form.
    const VERSION: u32;
}

/// The settings store. Every change is durable when its call returns.
pub struct Settings {
    database: Database,
}

#[derive(Serialize)]
struct StoredRef<'a, T> {
    version: u32,
    record: &'a T,
}

#[derive(Deserialize)]
struct Stored {
    version: u32,
    record: serde_json::Value,
}

impl Settings {
    /// Opens the store, making it if it is not there.
    pub fn open(path: &Path) -> Result<Self> {
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create(path)
            .map_err(|e| failed(&format!("opening the settings {}", path.display()), e))?;
        let settings = Self { database };
        settings.change(|_| Ok(()))?;
        Ok(settings)
    }

    /// One record; `None` if there is none.
    ///
    /// # Errors
    /// `Refused` if a newer software wrote it, `Corrupt` if it cannot be read.
    pub fn get<T: Record>(&self, name: &str) -> Result<Option<T>> {
        let bytes = self.look(|table| Ok(table.get(name)?.map(|bytes| bytes.value().to_vec())))?;
        bytes.map(|bytes| parse(name, &bytes)).transpose()
    }

    /// Every record whose name begins with `prefix`, by the rest of its name.
    pub fn list<T: Record>(&self, prefix: &str) -> Result<Vec<(String, T)>> {
        let found = self.look(|table| {
            let mut found = Vec::new();
            for record in table.range(prefix..)? {
                let (name, bytes) = record?;
                let Some(rest) = name.value().strip_prefix(prefix) else {
                    break;
                };
                found.push((rest.to_owned(), bytes.value().to_vec()));
            }
            Ok(found)
        })?;
        found
            .into_iter()
            .map(|(rest, bytes)| {
                let record = parse(&format!("{prefix}{rest}"), &bytes)?;
                Ok((rest, record))
            })
            .collect()
    }

    /// Writes a record, replacing what was there.
    pub fn put<T: Record>(&self, name: &str, record: &T) -> Result<()> {
        let bytes = encode(name, record)?;
        self.change(|table| {
            table.insert(name, bytes.as_slice())?;
            Ok(())
        })
    }

    /// Writes a record only where there is none; `false` if there is one.
    pub fn insert<T: Record>(&self, name: &str, record: &T) -> Result<bool> {
        let bytes = encode(name, record)?;
        let mut inserted = false;
        self.change(|table| {
            if table.get(name)?.is_none() {
                table.insert(name, bytes.as_slice())?;
                inserted = true;
            }
            Ok(())
        })?;
        Ok(inserted)
    }

    /// Removes a record; `false` if there was none.
    pub fn remove(&self, name: &str) -> Result<bool> {
        let mut removed = false;
        self.change(|table| {
            removed = table.remove(name)?.is_some();
            Ok(())
        })?;
        Ok(removed)
    }

    fn look<T>(
        &self,
        with: impl FnOnce(&redb::ReadOnlyTable<&'static str, &'static [u8]>) -> Result<T, redb::Error>,
    ) -> Result<T> {
        let look = || {
            let transaction = self.database.begin_read()?;
            with(&transaction.open_table(RECORDS)?)
        };
        look().map_err(|e: redb::Error| failed("reading the settings", e))
    }

    fn change(
        &self,
        with: impl FnOnce(&mut redb::Table<'_, &'static str, &'static [u8]>) -> Result<(), redb::Error>,
    ) -> Result<()> {
        let change = || {
            let transaction = self.database.begin_write()?;
            with(&mut transaction.open_table(RECORDS)?)?;
            transaction.commit()?;
            Ok(())
        };
        change().map_err(|e: redb::Error| failed("writing the settings", e))
    }
}

fn encode<T: Record>(name: &str, record: &T) -> Result<Vec<u8>> {
    let stored = StoredRef {
        version: T::VERSION,
        record,
    };
    serde_json::to_vec(&stored).map_err(|e| failed(&format!("writing the setting {name}"), e))
}

fn parse<T: Record>(name: &str, bytes: &[u8]) -> Result<T> {
    let corrupt = |e: serde_json::Error| {
        Error::with_source(
            Kind::Corrupt,
            format!("the setting {name} cannot be read ({e}); set it again"),
            e,
        )
    };
    let stored: Stored = serde_json::from_slice(bytes).map_err(corrupt)?;
    if stored.version != T::VERSION {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "the setting {name} has version {}, this software knows {}; start the software that wrote it",
                stored.version,
                T::VERSION
            ),
        ));
    }
    serde_json::from_value(stored.record).map_err(corrupt)
}

fn failed(what: &str, e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::with_source(Kind::Io, format!("{what}: {e}"), e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Old(u32);
    impl Record for Old {
        const VERSION: u32 = 1;
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct New(u32);
    impl Record for New {
        const VERSION: u32 = 2;
    }

    #[test]
    fn records_are_found_again_by_name_and_prefix_and_only_in_their_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.redb");
        let settings = Settings::open(&path).unwrap();
        settings.put("a/x", &Old(1)).unwrap();
        settings.put("a/y", &Old(2)).unwrap();
        settings.put("b", &Old(3)).unwrap();
        assert!(!settings.insert("b", &Old(4)).unwrap());
        drop(settings);
        let settings = Settings::open(&path).unwrap();
        let all = settings.list::<Old>("a/").unwrap();
        assert_eq!(all, [("x".into(), Old(1)), ("y".into(), Old(2))]);
        assert_eq!(settings.get("b").unwrap(), Some(Old(3)));
        assert_eq!(settings.get::<New>("b").unwrap_err().kind(), Kind::Refused);
        assert!(settings.remove("b").unwrap());
        assert_eq!(settings.get::<Old>("b").unwrap(), None);
    }
}

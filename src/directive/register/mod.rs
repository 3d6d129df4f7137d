//! The backup register: the Directorio de Información a Respaldar (7.1, Anexo 01).
//!
//! What is backed up, how often, how, and how long it is kept. Everything else
//! follows from the version in force: no job, no retention and no test without
//! an entry. Units that the directive leaves out are refused with the article,
//! and so is a host that is not one of the office's own (6.4).

mod entry;
mod scope;
#[cfg(test)]
pub(in crate::directive) mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Role;
use super::document::{Content, Series, Version};
use super::{retention, schedule};

pub use entry::{Entry, Field, Kind, Level};
pub use scope::{Excluded, Scope, SourceClass, excluded};

/// All versions of the register.
pub type Register = Series<Entries>;
/// One version of it.
pub type RegisterVersion = Version<Entries>;

/// What the register says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entries {
    /// The servers and devices that the office runs.
    pub inventory: BTreeSet<String>,
    /// The entries, in their order on the form.
    pub entries: Vec<Entry>,
}

/// What keeps a register from being approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// It has no entry.
    #[error("the register has no entry")]
    Empty,
    /// Two entries have this code.
    #[error("two entries have the code {0}")]
    Twice(String),
    /// A field is not filled in.
    #[error("entry {code}: {field:?} is missing")]
    Missing {
        /// The entry's code.
        code: String,
        /// The field.
        field: Field,
    },
    /// Its owner is out of the directive's scope.
    #[error("entry {code}: {excluded}")]
    Excluded {
        /// The entry's code.
        code: String,
        /// By which article.
        excluded: Excluded,
    },
    /// Its host is not in the inventory (6.4).
    #[error("entry {code}: {host} is not in the inventory")]
    Outside {
        /// The entry's code.
        code: String,
        /// The host.
        host: String,
    },
    /// Its plan of runs is none.
    #[error("entry {code}: {why}")]
    Schedule {
        /// The entry's code.
        code: String,
        /// Why.
        why: schedule::Invalid,
    },
    /// Its retention is none.
    #[error("entry {code}: {why}")]
    Retention {
        /// The entry's code.
        code: String,
        /// The internal or the external one.
        scope: Scope,
        /// Why.
        why: retention::Invalid,
    },
}

impl Content for Entries {
    const DRAFTERS: &'static [Role] = &[Role::Infrastructure, Role::Operator];
    type Problem = Problem;

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.entries.is_empty() {
            problems.push(Problem::Empty);
        }
        let mut codes = BTreeSet::new();
        for entry in &self.entries {
            if !codes.insert(&entry.code) {
                problems.push(Problem::Twice(entry.code.clone()));
            }
            problems.extend(entry.problems());
            if !entry.host.is_empty() && !self.inventory.contains(&entry.host) {
                problems.push(Problem::Outside {
                    code: entry.code.clone(),
                    host: entry.host.clone(),
                });
            }
        }
        problems
    }
}

impl Entries {
    /// An entry by its code.
    pub fn get(&self, code: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.code == code)
    }

    /// Puts an entry in, in place of the one with its code if there is one.
    /// An excluded unit and a host outside the inventory are refused at once.
    pub fn put(&mut self, entry: Entry) -> Result<(), Problem> {
        let code = || entry.code.clone();
        if let Some(excluded) = excluded(&entry.owner_unit) {
            return Err(Problem::Excluded {
                code: code(),
                excluded,
            });
        }
        if !entry.host.is_empty() && !self.inventory.contains(&entry.host) {
            return Err(Problem::Outside {
                code: code(),
                host: entry.host.clone(),
            });
        }
        match self.entries.iter_mut().find(|e| e.code == entry.code) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        Ok(())
    }

    /// Which entries protect each of the nine classes, inside and outside.
    pub fn coverage(&self) -> BTreeMap<SourceClass, Coverage> {
        let mut all: BTreeMap<_, _> = SourceClass::ALL
            .into_iter()
            .map(|class| (class, Coverage::default()))
            .collect();
        for entry in &self.entries {
            let Some(covered) = entry.class.and_then(|class| all.get_mut(&class)) else {
                continue;
            };
            if entry.retention(Scope::Internal).is_some() {
                covered.internal.push(entry.code.clone());
            }
            if entry.retention(Scope::External).is_some() {
                covered.external.push(entry.code.clone());
            }
        }
        all
    }

    /// Hosts of the inventory that no entry protects.
    pub fn without_entry(&self) -> BTreeSet<&str> {
        let hosts = self.inventory.iter().map(String::as_str);
        hosts
            .filter(|host| self.entries.iter().all(|entry| entry.host != *host))
            .collect()
    }
}

/// What protects a class of sources; empty is a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Codes of the entries backed up inside.
    pub internal: Vec<String>,
    /// Codes of the entries backed up outside.
    pub external: Vec<String>,
}

/// A difference between two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// The entry with this code is new.
    Added(String),
    /// The entry with this code is gone.
    Removed(String),
    /// A field changed.
    Changed {
        /// The entry's code.
        code: String,
        /// The field's name.
        field: String,
        /// What it was.
        from: serde_json::Value,
        /// What it is.
        to: serde_json::Value,
    },
    /// A host is new in the inventory.
    HostAdded(String),
    /// A host is gone from the inventory.
    HostRemoved(String),
}

/// What changed from one version to another, by entry, then by field.
pub fn differences(from: &Entries, to: &Entries) -> Result<Vec<Difference>, serde_json::Error> {
    let mut found = Vec::new();
    for old in &from.entries {
        match to.get(&old.code) {
            None => found.push(Difference::Removed(old.code.clone())),
            Some(new) => compare(old, new, &mut found)?,
        }
    }
    let new = to.entries.iter().filter(|e| from.get(&e.code).is_none());
    found.extend(new.map(|entry| Difference::Added(entry.code.clone())));
    let (old, new) = (&from.inventory, &to.inventory);
    found.extend(old.difference(new).cloned().map(Difference::HostRemoved));
    found.extend(new.difference(old).cloned().map(Difference::HostAdded));
    Ok(found)
}

fn compare(old: &Entry, new: &Entry, found: &mut Vec<Difference>) -> Result<(), serde_json::Error> {
    let (old_fields, new_fields) = (serde_json::to_value(old)?, serde_json::to_value(new)?);
    for (field, from) in old_fields.as_object().into_iter().flatten() {
        let to = &new_fields[field];
        if from != to {
            found.push(Difference::Changed {
                code: old.code.clone(),
                field: field.clone(),
                from: from.clone(),
                to: to.clone(),
            });
        }
    }
    Ok(())
}

//! One line of the register, with the columns of Anexo 01.

use serde::{Deserialize, Serialize};

use super::{Problem, Scope, SourceClass, excluded};
use crate::directive::blank;
use crate::directive::retention::Rule;
use crate::directive::schedule::Schedule;

/// Clase de copia: these two and no other (6.1.l, 6.1.m).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Total: every byte is read again.
    Full,
    /// Incremental: what changed since the last copy.
    Incremental,
}

/// How much depends on the information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// An entry. A draft may leave anything open; what must be filled in before
/// it is approved is what [`Entry::problems`] asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its code, e.g. `BD-003`; never changes, never used again.
    pub code: String,
    /// The class of 6.2.
    pub class: Option<SourceClass>,
    /// The information.
    pub description: String,
    /// The unit that owns it.
    pub owner_unit: String,
    /// The server or device.
    pub host: String,
    /// Its address.
    pub address: String,
    /// Path, database, virtual machine or device.
    pub locator: String,
    /// How it is fetched.
    pub connector: String,
    /// Full or incremental.
    pub kind: Option<Kind>,
    /// When it runs.
    pub schedule: Option<Schedule>,
    /// How long it is kept on this box; `None`: no internal backup.
    pub internal: Option<Rule>,
    /// How long it is kept at the provider; `None`: no external backup.
    pub external: Option<Rule>,
    /// How much depends on it.
    pub criticality: Option<Level>,
    /// The most that may be lost, in minutes.
    pub rpo: Option<u32>,
    /// The longest it may take to come back, in minutes.
    pub rto: Option<u32>,
    /// Whether it holds personal data.
    pub personal_data: bool,
    /// Its classification.
    pub classification: String,
    /// How it is encrypted.
    pub encryption: String,
    /// The pool on this box.
    pub target_pool: String,
    /// The provider outside.
    pub target_provider: String,
    /// Who answers for it technically.
    pub technical_owner: String,
    /// Remarks.
    pub notes: String,
}

/// A field that must be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// See [`Entry::code`].
    Code,
    /// See [`Entry::class`].
    Class,
    /// See [`Entry::description`].
    Description,
    /// See [`Entry::owner_unit`].
    OwnerUnit,
    /// See [`Entry::host`].
    Host,
    /// See [`Entry::locator`].
    Locator,
    /// See [`Entry::connector`].
    Connector,
    /// See [`Entry::kind`].
    Kind,
    /// See [`Entry::schedule`].
    Schedule,
    /// [`Entry::internal`] or [`Entry::external`], or both.
    Retention,
    /// See [`Entry::target_provider`]; only for an external backup.
    TargetProvider,
}

impl Entry {
    /// How long it is kept inside or outside; `None` if not backed up there.
    pub fn retention(&self, scope: Scope) -> Option<&Rule> {
        match scope {
            Scope::Internal => self.internal.as_ref(),
            Scope::External => self.external.as_ref(),
        }
    }

    /// What keeps the entry from being approved, taken alone.
    pub fn problems(&self) -> Vec<Problem> {
        let code = || self.code.clone();
        let neither = self.internal.is_none() && self.external.is_none();
        let missing = [
            (Field::Code, blank(&self.code)),
            (Field::Class, self.class.is_none()),
            (Field::Description, blank(&self.description)),
            (Field::OwnerUnit, blank(&self.owner_unit)),
            (Field::Host, blank(&self.host)),
            (Field::Locator, blank(&self.locator)),
            (Field::Connector, blank(&self.connector)),
            (Field::Kind, self.kind.is_none()),
            (Field::Schedule, self.schedule.is_none()),
            (Field::Retention, neither),
            (
                Field::TargetProvider,
                self.external.is_some() && blank(&self.target_provider),
            ),
        ];
        let missing = missing.into_iter().filter(|(_, missing)| *missing);
        let mut problems: Vec<Problem> = missing
            .map(|(field, _)| Problem::Missing {
                code: code(),
                field,
            })
            .collect();
        if let Some(excluded) = excluded(&self.owner_unit) {
            problems.push(Problem::Excluded {
                code: code(),
                excluded,
            });
        }
        if let Some(Err(why)) = self.schedule.as_ref().map(Schedule::check) {
            problems.push(Problem::Schedule { code: code(), why });
        }
        for scope in [Scope::Internal, Scope::External] {
            if let Some(Err(why)) = self.retention(scope).map(Rule::check) {
                problems.push(Problem::Retention {
                    code: code(),
                    scope,
                    why,
                });
            }
        }
        problems
    }
}

//! What a user must say (7.2.2.a).

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::directive::blank;

/// What of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabasePart {
    /// Its data.
    Data,
    /// Its logical structure.
    Structure,
    /// Both.
    Both,
}

/// The form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Who asks.
    pub requester: String,
    /// Of which unit.
    pub unit: String,
    /// Telephone extension.
    pub extension: String,
    /// Mail of who asks.
    pub email: String,
    /// Mail of the immediate boss, who gets a copy.
    pub boss_email: String,
    /// Why.
    pub justification: String,
    /// The shared folder, or the database's name.
    pub share: String,
    /// Files and folders; of a database, objects, if not the whole.
    pub names: Vec<String>,
    /// Where in the shared folder they lie.
    pub path: String,
    /// What of a database; `None` for files.
    pub database: Option<DatabasePart>,
    /// As it was from this day on…
    pub wanted_from: Option<Date>,
    /// …to this day; the same for a single day.
    pub wanted_to: Option<Date>,
}

/// Something that must be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// See [`Form::requester`].
    Requester,
    /// See [`Form::email`].
    Email,
    /// See [`Form::boss_email`].
    BossEmail,
    /// See [`Form::justification`].
    Justification,
    /// See [`Form::share`].
    Share,
    /// See [`Form::names`]; not for a database.
    Names,
    /// See [`Form::path`]; not for a database.
    Path,
    /// [`Form::wanted_from`] and [`Form::wanted_to`], in this order.
    Wanted,
}

impl Form {
    /// What is missing. Files need names and a place, a database does not.
    pub fn missing(&self) -> Vec<Field> {
        let files = self.database.is_none();
        let names = self.names.iter().all(|name| blank(name));
        let wanted = match (self.wanted_from, self.wanted_to) {
            (Some(from), Some(to)) => from > to,
            _ => true,
        };
        let fields = [
            (Field::Requester, blank(&self.requester)),
            (Field::Email, blank(&self.email)),
            (Field::BossEmail, blank(&self.boss_email)),
            (Field::Justification, blank(&self.justification)),
            (Field::Share, blank(&self.share)),
            (Field::Names, files && names),
            (Field::Path, files && blank(&self.path)),
            (Field::Wanted, wanted),
        ];
        let missing = fields.into_iter().filter(|(_, missing)| *missing);
        missing.map(|(field, _)| field).collect()
    }
}

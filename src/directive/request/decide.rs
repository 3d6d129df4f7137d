//! Whether a request proceeds: the copies there are decide (7.2.2.c, d).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Form;
use crate::directive::lima_date;

/// A copy that is kept, as far as a request looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// The snapshot's name.
    pub snapshot: String,
    /// When it was taken.
    pub taken: Timestamp,
    /// Whether what is asked for is in it.
    pub holds: bool,
}

/// Why a request does not proceed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotProceeding {
    /// No copy of that time is kept any more, or yet. The nearest ones, to be
    /// shown.
    OutOfRetention {
        /// The last copy before it.
        before: Option<Timestamp>,
        /// The first copy after it.
        after: Option<Timestamp>,
    },
    /// There are copies of that time, and what is asked for is in none.
    NotInCopies,
    /// The copy cannot be read.
    Unavailable(String),
}

/// What the copies say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Procede, with this copy: the newest of the time that holds it.
    Proceeds {
        /// The snapshot's name.
        snapshot: String,
        /// When it was taken.
        taken: Timestamp,
    },
    /// No procede.
    NotProceeding(NotProceeding),
}

/// Decides over a complete form, by the copies that are kept.
pub fn decide(form: &Form, copies: &[Copy]) -> Decision {
    let (from, to) = (form.wanted_from, form.wanted_to);
    let early = |copy: &&Copy| from.is_none_or(|from| lima_date(copy.taken) < from);
    let late = |copy: &&Copy| to.is_none_or(|to| to < lima_date(copy.taken));
    let within: Vec<&Copy> = copies.iter().filter(|c| !early(c) && !late(c)).collect();
    if within.is_empty() {
        return Decision::NotProceeding(NotProceeding::OutOfRetention {
            before: copies.iter().filter(early).map(|copy| copy.taken).max(),
            after: copies.iter().filter(late).map(|copy| copy.taken).min(),
        });
    }
    let newest = within.into_iter().filter(|copy| copy.holds);
    match newest.max_by_key(|copy| copy.taken) {
        Some(copy) => Decision::Proceeds {
            snapshot: copy.snapshot.clone(),
            taken: copy.taken,
        },
        None => Decision::NotProceeding(NotProceeding::NotInCopies),
    }
}

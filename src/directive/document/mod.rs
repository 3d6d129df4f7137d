//! A document that people draft, see and sign: the register and the test plan.
//!
//! Both are drawn up by some, seen by them (visto), and put in force by the
//! Director General's approval (7.1, 7.2.1.a). A visto and an approval belong
//! to the hash of the content that was before the person's eyes: a changed
//! content has none. A version is never edited once it left the drafting
//! table; whoever wants another clones it into the next number. [`Series`]
//! holds all versions and sees to it that at most one is in force.

mod series;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Hash, Role, Stamp, blank};

pub use series::{Broken, Series};

/// What a document says.
pub trait Content: Serialize + DeserializeOwned + Clone + PartialEq {
    /// The roles that draft it and must each give a visto.
    const DRAFTERS: &'static [Role];
    /// Something that keeps it from being seen and approved.
    type Problem;
    /// Everything that does.
    fn problems(&self) -> Vec<Self::Problem>;
}

/// A visto.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visto {
    /// Whose, and when.
    pub stamp: Stamp,
    /// Of which content.
    pub content: Hash,
}

/// What the check of a signed PDF came to, in Firma Perú's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// VÁLIDO.
    Valid,
    /// NO VÁLIDO.
    NotValid,
    /// INDETERMINADO.
    Undetermined,
}

/// What an approval rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The PDF that was issued came back signed.
    Signed {
        /// The file's hash.
        file: Hash,
        /// The hash of the PDF that it was signed on.
        pdf: Hash,
        /// What the check came to.
        signature: Signature,
    },
    /// A press of a button, where the box is set so.
    InPanel {
        /// The hash of the content that was shown.
        content: Hash,
        /// Whether a second factor was given for it.
        second_factor: bool,
    },
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Whose, and when.
    pub stamp: Stamp,
    /// Of which content.
    pub content: Hash,
    /// What it rests on.
    pub proof: Proof,
}

/// Where a version stands, with what belongs to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Borrador: on the drafting table, some vistos given.
    Draft(Vec<Visto>),
    /// En revisión: every visto given.
    InReview(Vec<Visto>),
    /// Por firmar: the PDF is out.
    ToSign {
        /// The vistos on it.
        vistos: Vec<Visto>,
        /// Its hash.
        pdf: Hash,
    },
    /// Vigente.
    InForce(Approval),
    /// Sustituido.
    Superseded {
        /// What had put it in force.
        approval: Approval,
        /// Since when it is not.
        until: Timestamp,
        /// By which version.
        by: u32,
    },
    /// Observado: sent back by the director.
    Returned,
    /// Anulado.
    Annulled,
}

/// The name of a [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// See [`State::Draft`].
    Draft,
    /// See [`State::InReview`].
    InReview,
    /// See [`State::ToSign`].
    ToSign,
    /// See [`State::InForce`].
    InForce,
    /// See [`State::Superseded`].
    Superseded,
    /// See [`State::Returned`].
    Returned,
    /// See [`State::Annulled`].
    Annulled,
}

/// Something that was done to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Begun, from scratch or as a clone.
    Begin,
    /// Its content changed.
    Edit,
    /// A visto given.
    Visto,
    /// The PDF issued.
    Issue,
    /// Approved.
    Approve,
    /// Sent back.
    Return,
    /// Annulled.
    Annul,
}

/// A line of a version's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What.
    pub act: Act,
    /// Who, and when.
    pub stamp: Stamp,
    /// Why, where a reason is asked for.
    pub why: String,
}

/// Why something is not done to a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Not in this state.
    #[error("this cannot be done to a version that is {0:?}")]
    State(Stage),
    /// Not by this role.
    #[error("the role may not do this")]
    Role,
    /// The content has problems; ask it which.
    #[error("the content is not complete")]
    Incomplete,
    /// The role's visto is there already.
    #[error("this visto is given already")]
    VistoGiven,
    /// The content is not the one that was seen.
    #[error("the content is not the one that was seen")]
    NotAsSeen,
    /// One person would have given every visto and the approval.
    #[error("two persons are needed for vistos and approval")]
    OnePerson,
    /// The signature is not valid.
    #[error("the signature is not valid")]
    SignatureNotValid,
    /// Whether the signature is valid could not be found out.
    #[error("the signature could not be checked to the end")]
    SignatureUndetermined,
    /// The box is not set to take approvals in the panel.
    #[error("approval in the panel is not allowed")]
    NotInPanel,
    /// An approval in the panel needs a second factor.
    #[error("a second factor is needed")]
    SecondFactor,
    /// A reason must be given.
    #[error("a reason is needed")]
    NoReason,
    /// Another version is still on its way.
    #[error("version {0} must be approved, returned or annulled first")]
    Open(u32),
    /// There is no such version.
    #[error("there is no version {0}")]
    NoVersion(u32),
    /// The content cannot be written as JSON.
    #[error("the content cannot be written down")]
    Unwritable,
}

/// A version of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "C: Content")]
pub struct Version<C> {
    number: u32,
    from: Option<u32>,
    content: C,
    state: State,
    history: Vec<Entry>,
}

impl<C: Content> Version<C> {
    /// Its number: 1, 2, 3…
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The version it was cloned from.
    pub fn cloned_from(&self) -> Option<u32> {
        self.from
    }

    /// What it says.
    pub fn content(&self) -> &C {
        &self.content
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What was done to it, oldest first.
    pub fn history(&self) -> &[Entry] {
        &self.history
    }

    /// Where it stands, by name.
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Draft(_) => Stage::Draft,
            State::InReview(_) => Stage::InReview,
            State::ToSign { .. } => Stage::ToSign,
            State::InForce(_) => Stage::InForce,
            State::Superseded { .. } => Stage::Superseded,
            State::Returned => Stage::Returned,
            State::Annulled => Stage::Annulled,
        }
    }

    /// Whether it is on its way to be approved.
    pub fn open(&self) -> bool {
        matches!(
            self.state,
            State::Draft(_) | State::InReview(_) | State::ToSign { .. }
        )
    }

    /// The hash that vistos and approvals are bound to.
    pub fn hash(&self) -> Result<Hash, Refusal> {
        Hash::of_value(&self.content).map_err(|_| Refusal::Unwritable)
    }

    /// Puts another content on the drafting table. Vistos on the one before
    /// fall, and a version in review is a draft again.
    pub fn edit(&mut self, content: C, stamp: Stamp) -> Result<(), Refusal> {
        if !matches!(self.state, State::Draft(_) | State::InReview(_)) {
            return Err(Refusal::State(self.stage()));
        }
        drafter::<C>(&stamp)?;
        if content != self.content {
            self.content = content;
            self.state = State::Draft(Vec::new());
            self.note(Act::Edit, stamp, String::new());
        }
        Ok(())
    }

    /// Gives a visto on the content with this hash. The last one that is
    /// needed puts the version in review.
    pub fn visto(&mut self, seen: Hash, stamp: Stamp) -> Result<(), Refusal> {
        let State::Draft(vistos) = &self.state else {
            return Err(Refusal::State(self.stage()));
        };
        drafter::<C>(&stamp)?;
        if vistos.iter().any(|v| v.stamp.by.role == stamp.by.role) {
            return Err(Refusal::VistoGiven);
        }
        if seen != self.hash()? {
            return Err(Refusal::NotAsSeen);
        }
        if !self.content.problems().is_empty() {
            return Err(Refusal::Incomplete);
        }
        let mut vistos = vistos.clone();
        vistos.push(Visto {
            stamp: stamp.clone(),
            content: seen,
        });
        self.state = if vistos.len() == C::DRAFTERS.len() {
            State::InReview(vistos)
        } else {
            State::Draft(vistos)
        };
        self.note(Act::Visto, stamp, String::new());
        Ok(())
    }

    /// The PDF to be signed is out; `pdf` is its hash.
    pub fn issue(&mut self, pdf: Hash, stamp: Stamp) -> Result<(), Refusal> {
        let State::InReview(vistos) = &self.state else {
            return Err(Refusal::State(self.stage()));
        };
        drafter::<C>(&stamp)?;
        let vistos = vistos.clone();
        self.state = State::ToSign { vistos, pdf };
        self.note(Act::Issue, stamp, String::new());
        Ok(())
    }

    /// The director sends it back; it is cloned to go on.
    pub fn send_back(&mut self, why: &str, stamp: Stamp) -> Result<(), Refusal> {
        if !matches!(self.state, State::InReview(_) | State::ToSign { .. }) {
            return Err(Refusal::State(self.stage()));
        }
        if stamp.by.role != Role::Director {
            return Err(Refusal::Role);
        }
        self.end(State::Returned, Act::Return, why, stamp)
    }

    /// Gives it up.
    pub fn annul(&mut self, why: &str, stamp: Stamp) -> Result<(), Refusal> {
        if !self.open() {
            return Err(Refusal::State(self.stage()));
        }
        drafter::<C>(&stamp)?;
        self.end(State::Annulled, Act::Annul, why, stamp)
    }

    fn end(&mut self, state: State, act: Act, why: &str, stamp: Stamp) -> Result<(), Refusal> {
        if blank(why) {
            return Err(Refusal::NoReason);
        }
        self.state = state;
        self.note(act, stamp, why.to_owned());
        Ok(())
    }

    /// Puts it in force. Only [`Series`] may, which supersedes the other.
    fn approve(&mut self, proof: Proof, in_panel: bool, stamp: Stamp) -> Result<(), Refusal> {
        let (vistos, issued) = match &self.state {
            State::InReview(vistos) => (vistos, None),
            State::ToSign { vistos, pdf } => (vistos, Some(*pdf)),
            _ => return Err(Refusal::State(self.stage())),
        };
        if stamp.by.role != Role::Director {
            return Err(Refusal::Role);
        }
        if vistos.iter().all(|v| v.stamp.by.person == stamp.by.person) {
            return Err(Refusal::OnePerson);
        }
        let content = self.hash()?;
        match proof {
            Proof::Signed { pdf, signature, .. } => {
                let issued = issued.ok_or(Refusal::State(self.stage()))?;
                match signature {
                    _ if pdf != issued => return Err(Refusal::NotAsSeen),
                    Signature::Valid => {}
                    Signature::NotValid => return Err(Refusal::SignatureNotValid),
                    Signature::Undetermined => return Err(Refusal::SignatureUndetermined),
                }
            }
            Proof::InPanel { .. } if !in_panel => return Err(Refusal::NotInPanel),
            Proof::InPanel { content: seen, .. } if seen != content => {
                return Err(Refusal::NotAsSeen);
            }
            Proof::InPanel { second_factor, .. } if !second_factor => {
                return Err(Refusal::SecondFactor);
            }
            Proof::InPanel { .. } => {}
        }
        if vistos.iter().any(|v| v.content != content) {
            return Err(Refusal::NotAsSeen);
        }
        self.state = State::InForce(Approval {
            stamp: stamp.clone(),
            content,
            proof,
        });
        self.note(Act::Approve, stamp, String::new());
        Ok(())
    }

    fn note(&mut self, act: Act, stamp: Stamp, why: String) {
        self.history.push(Entry { act, stamp, why });
    }
}

fn drafter<C: Content>(stamp: &Stamp) -> Result<(), Refusal> {
    if C::DRAFTERS.contains(&stamp.by.role) {
        Ok(())
    } else {
        Err(Refusal::Role)
    }
}

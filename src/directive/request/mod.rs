//! A restore that a user asks for (7.2.2): from the mail to the closed ticket.
//!
//! The helpdesk registers it and assigns it to an operator. Whether it
//! proceeds is decided by what copies there are, not by a person: within
//! retention it does, outside it does not, and the dates are kept with it. The
//! operator restores, tells the user and attends the ticket; the helpdesk
//! closes it. Where the helpdesk has no account, the operator writes down what
//! its named specialist did.

mod decide;
mod form;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Role, Stamp, blank};

pub use decide::{Copy, Decision, NotProceeding, decide};
pub use form::{DatabasePart, Field, Form};

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Por completar: something on the form is missing.
    Incomplete,
    /// Recibida.
    Received,
    /// Registrada: it has a ticket.
    Registered,
    /// Asignada.
    Assigned,
    /// En verificación.
    Verifying,
    /// Procede.
    Proceeds,
    /// No procede.
    NotProceeding,
    /// Restaurada.
    Restored,
    /// Comunicada.
    Notified,
    /// Atendida.
    Attended,
    /// Cerrada.
    Closed,
}

/// Why the external copy is used (7.2.1.d): only where the internal one
/// cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExternalReason {
    /// There is none on this box.
    InternalMissing,
    /// The one on this box is damaged.
    InternalDamaged,
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// Into a new folder beside the original; see [`Request::folder`].
    Beside(String),
    /// Over the original, which was confirmed a second time.
    Over {
        /// Whether it was.
        confirmed: bool,
    },
}

/// A restore that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Where to.
    pub destination: Destination,
    /// Why from the external copy, if it was.
    pub external: Option<ExternalReason>,
    /// Files restored.
    pub files: u64,
    /// Bytes restored.
    pub bytes: u64,
    /// Why it did not succeed; `None` if it did.
    pub error: Option<String>,
}

/// Why something is not done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Not in this stage.
    #[error("this cannot be done to a request that is {0:?}")]
    Stage(Stage),
    /// Not by this role.
    #[error("the role may not do this")]
    Role,
    /// A text that is needed is empty.
    #[error("a text is needed")]
    NoText,
    /// The operator must name the helpdesk's specialist.
    #[error("the helpdesk's specialist must be named")]
    NoSpecialist,
    /// It is assigned to another operator.
    #[error("the request is assigned to another operator")]
    NotAssigned,
    /// Writing over the original must be confirmed a second time.
    #[error("writing over the original must be confirmed")]
    NotConfirmed,
    /// Nothing was tried that failed.
    #[error("no restore has failed")]
    NotTried,
}

/// What was done, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The stage it led to.
    pub stage: Stage,
    /// Who, and when.
    pub stamp: Stamp,
    /// The helpdesk's specialist for whom the operator wrote it down.
    pub for_specialist: Option<String>,
}

/// A restore request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    id: String,
    form: Form,
    stage: Stage,
    ticket: Option<String>,
    operator: Option<String>,
    decision: Option<Decision>,
    attempts: Vec<Attempt>,
    mail: Option<String>,
    history: Vec<Entry>,
}

impl Request {
    /// Takes in a request, complete or not: the helpdesk, or the operator who
    /// writes down a mail.
    pub fn receive(id: String, form: Form, stamp: Stamp) -> Result<Self, Refusal> {
        if !matches!(stamp.by.role, Role::Helpdesk | Role::Operator) {
            return Err(Refusal::Role);
        }
        let mut it = Self {
            id,
            form,
            stage: Stage::Incomplete,
            ticket: None,
            operator: None,
            decision: None,
            attempts: Vec::new(),
            mail: None,
            history: Vec::new(),
        };
        it.go(it.received(), stamp, None);
        Ok(it)
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The form.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The helpdesk's ticket.
    pub fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    /// The operator it is assigned to.
    pub fn operator(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// What the copies decided.
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// The restores that were tried.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The mail that told the user.
    pub fn mail(&self) -> Option<&str> {
        self.mail.as_deref()
    }

    /// What was done, oldest first.
    pub fn history(&self) -> &[Entry] {
        &self.history
    }

    /// The folder that a restore goes to, beside the original.
    pub fn folder(&self, on: Timestamp) -> String {
        let ticket = self.ticket.as_deref().unwrap_or_default();
        let safe = |c: char| if c.is_alphanumeric() { c } else { '-' };
        let ticket: String = ticket.chars().map(safe).collect();
        format!("_Restaurado_{ticket}_{}", super::lima_date(on))
    }

    /// Fills in the form again, until a copy has been decided on.
    pub fn complete(&mut self, form: Form, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Incomplete, Stage::Received])?;
        if !matches!(stamp.by.role, Role::Helpdesk | Role::Operator) {
            return Err(Refusal::Role);
        }
        self.form = form;
        self.go(self.received(), stamp, None);
        Ok(())
    }

    /// The helpdesk gives it a ticket.
    pub fn register(
        &mut self,
        ticket: &str,
        specialist: Option<&str>,
        stamp: Stamp,
    ) -> Result<(), Refusal> {
        self.at(&[Stage::Received])?;
        helpdesk(specialist, &stamp)?;
        text(ticket)?;
        self.ticket = Some(ticket.to_owned());
        self.go(Stage::Registered, stamp, specialist);
        Ok(())
    }

    /// The helpdesk assigns it to an operator.
    pub fn assign(
        &mut self,
        operator: &str,
        specialist: Option<&str>,
        stamp: Stamp,
    ) -> Result<(), Refusal> {
        self.at(&[Stage::Registered, Stage::Assigned, Stage::Verifying])?;
        helpdesk(specialist, &stamp)?;
        text(operator)?;
        self.operator = Some(operator.to_owned());
        self.go(Stage::Assigned, stamp, specialist);
        Ok(())
    }

    /// The operator takes it in hand.
    pub fn verify(&mut self, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Assigned])?;
        self.own(&stamp)?;
        self.go(Stage::Verifying, stamp, None);
        Ok(())
    }

    /// The copies of what is asked for decide whether it proceeds.
    pub fn decide(&mut self, copies: &[Copy], stamp: Stamp) -> Result<&Decision, Refusal> {
        self.at(&[Stage::Verifying])?;
        self.own(&stamp)?;
        let decision = decide(&self.form, copies);
        let stage = match decision {
            Decision::Proceeds { .. } => Stage::Proceeds,
            Decision::NotProceeding(_) => Stage::NotProceeding,
        };
        self.go(stage, stamp, None);
        Ok(self.decision.insert(decision))
    }

    /// A restore was tried; a good one goes on.
    pub fn restore(&mut self, attempt: Attempt, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Proceeds])?;
        self.own(&stamp)?;
        match &attempt.destination {
            Destination::Over { confirmed: false } => return Err(Refusal::NotConfirmed),
            Destination::Beside(folder) => text(folder)?,
            Destination::Over { .. } => {}
        }
        let good = attempt.error.is_none();
        self.attempts.push(attempt);
        self.go(
            if good {
                Stage::Restored
            } else {
                Stage::Proceeds
            },
            stamp,
            None,
        );
        Ok(())
    }

    /// The copy cannot be read after all, as a failed attempt shows: it does
    /// not proceed.
    pub fn give_up(&mut self, why: &str, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Proceeds])?;
        self.own(&stamp)?;
        text(why)?;
        if self.attempts.is_empty() {
            return Err(Refusal::NotTried);
        }
        let why = NotProceeding::Unavailable(why.to_owned());
        self.decision = Some(Decision::NotProceeding(why));
        self.go(Stage::NotProceeding, stamp, None);
        Ok(())
    }

    /// The user was told, by this mail.
    pub fn notify(&mut self, mail: &str, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Restored, Stage::NotProceeding])?;
        self.own(&stamp)?;
        text(mail)?;
        self.mail = Some(mail.to_owned());
        self.go(Stage::Notified, stamp, None);
        Ok(())
    }

    /// The operator has attended the ticket.
    pub fn attend(&mut self, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Notified])?;
        self.own(&stamp)?;
        self.go(Stage::Attended, stamp, None);
        Ok(())
    }

    /// The helpdesk closes the ticket.
    pub fn close(&mut self, specialist: Option<&str>, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Attended])?;
        helpdesk(specialist, &stamp)?;
        self.go(Stage::Closed, stamp, specialist);
        Ok(())
    }

    fn received(&self) -> Stage {
        if self.form.missing().is_empty() {
            Stage::Received
        } else {
            Stage::Incomplete
        }
    }

    fn go(&mut self, stage: Stage, stamp: Stamp, specialist: Option<&str>) {
        self.stage = stage;
        self.history.push(Entry {
            stage,
            stamp,
            for_specialist: specialist.map(str::to_owned),
        });
    }

    fn at(&self, stages: &[Stage]) -> Result<(), Refusal> {
        if stages.contains(&self.stage) {
            Ok(())
        } else {
            Err(Refusal::Stage(self.stage))
        }
    }

    /// Whether it is the operator to whom the request is assigned.
    fn own(&self, stamp: &Stamp) -> Result<(), Refusal> {
        if stamp.by.role != Role::Operator {
            return Err(Refusal::Role);
        }
        if self.operator.as_deref() != Some(stamp.by.person.as_str()) {
            return Err(Refusal::NotAssigned);
        }
        Ok(())
    }
}

/// The helpdesk itself, or the operator who names its specialist.
fn helpdesk(specialist: Option<&str>, stamp: &Stamp) -> Result<(), Refusal> {
    match stamp.by.role {
        Role::Helpdesk => Ok(()),
        Role::Operator if specialist.is_none_or(blank) => Err(Refusal::NoSpecialist),
        Role::Operator => Ok(()),
        _ => Err(Refusal::Role),
    }
}

fn text(text: &str) -> Result<(), Refusal> {
    if blank(text) {
        Err(Refusal::NoText)
    } else {
        Ok(())
    }
}

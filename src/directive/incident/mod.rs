//! Incidents: whatever is wrong with a backup, from notice to closing.
//!
//! Every failed, missing or suspicious backup opens one, or joins the open one
//! of the same thing (7.1.1.e). An internal one is attended by the operator,
//! who finds the cause and repeats the backup where that helps. An external
//! one is reported to the service's manager, who answers within the contract's
//! service level; the operator verifies, and only the operator closes
//! (7.1.2.e to g). Each has a helpdesk ticket before it is closed.
//!
//! The alert and the ticket are facts beside the stage: a mail may be late,
//! and a ticket may come at any time.

mod acts;
mod sla;
mod storm;
#[cfg(test)]
mod tests;
mod unusual;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::register::Scope;
use super::{Actor, Hash, Stamp};

pub use acts::{Act, REOPEN};
pub use sla::{Clock, Level, Pace, Sheet};
pub use storm::{Alert, Storm};
pub use unusual::{Finding, Limits, Measure, Observation, unusual};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A backup with warnings.
    Low,
    /// A backup that is missing.
    Medium,
    /// Backups of several sources, or none for days.
    High,
    /// Data may be lost or under attack.
    Critical,
}

/// The probable cause, from a list; more is said in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The source did not answer.
    SourceUnreachable,
    /// The source refused the account.
    Credentials,
    /// Files were open or not readable.
    UnreadableFiles,
    /// The network failed.
    Network,
    /// The provider failed.
    Provider,
    /// No room was left.
    NoRoom,
    /// A disk or the box itself failed.
    Hardware,
    /// No power, or the box was off.
    Power,
    /// A setting was wrong.
    Configuration,
    /// Somebody did it on purpose.
    Attack,
    /// Something else.
    Other,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Detectado.
    Detected,
    /// Alertado: the mail server took the alert.
    Alerted,
    /// En atención.
    Attending,
    /// Causa identificada (internal).
    CauseKnown,
    /// Respaldo repetido (internal).
    Repeated,
    /// Resuelto (internal).
    Solved,
    /// Reportado al responsable del servicio (external).
    Reported,
    /// Acusado (external).
    Acknowledged,
    /// En solución (external); also after it was sent back.
    Working,
    /// Absuelto (external).
    Answered,
    /// Verificado por el operador (external).
    Verified,
    /// Cierre coordinado con mesa de ayuda (external).
    Coordinated,
    /// Cerrado.
    Closed,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 13] = [
        Self::Detected,
        Self::Alerted,
        Self::Attending,
        Self::CauseKnown,
        Self::Repeated,
        Self::Solved,
        Self::Reported,
        Self::Acknowledged,
        Self::Working,
        Self::Answered,
        Self::Verified,
        Self::Coordinated,
        Self::Closed,
    ];
}

/// Something that happened and belongs to the incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The run, if it was one.
    pub run: Option<String>,
    /// What, as the box saw it.
    pub what: String,
}

/// A backup that was repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rerun {
    /// The new run.
    pub run: String,
    /// Whether it came out well.
    pub good: bool,
}

/// Something done to the incident. The box itself if nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Who.
    pub by: Option<Actor>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub act: Act,
}

/// The clocks of the service level, from the report on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clocks {
    /// Until the service's manager answers at all.
    pub response: Clock,
    /// Until it is solved.
    pub solution: Clock,
}

/// Why something is not done to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Not in this stage.
    #[error("this cannot be done to an incident that is {0:?}")]
    Stage(Stage),
    /// Not by this role.
    #[error("the role may not do this")]
    Role,
    /// A text that is needed is empty.
    #[error("a text is needed")]
    NoText,
    /// No cause is named.
    #[error("the probable cause is needed")]
    NoCause,
    /// No ticket is named.
    #[error("the helpdesk ticket is needed")]
    NoTicket,
    /// The backup was not repeated with success, and nobody said why not.
    #[error("a good repetition of the backup, or why there is none, is needed")]
    NoRerun,
    /// The answer that was brought in has no mail with it.
    #[error("the mail that is answered with is needed")]
    NoMail,
    /// Who answered cannot verify the answer.
    #[error("another person must verify it")]
    SamePerson,
    /// Closed too long ago to be opened again.
    #[error("it was closed too long ago to be opened again")]
    TooLate,
    /// A time before the last act: a clock was set back.
    #[error("the time is before the last act's")]
    Early,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// Its name.
    pub id: String,
    /// Internal or external.
    pub scope: Scope,
    /// The register entry's code, or another thing of the box.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// Whether security is touched, so that the security officer is told.
    pub security: bool,
    /// Whether personal data are touched: to be reported within 48 hours.
    pub personal_data: bool,
    /// What happened, the first time and since.
    pub events: Vec<Event>,
    stage: Stage,
    alerted: Option<Timestamp>,
    cause: Option<(Cause, String)>,
    reruns: Vec<Rerun>,
    no_rerun: Option<String>,
    ticket: Option<String>,
    clocks: Option<Clocks>,
    answer: Option<(Stamp, Option<Hash>)>,
    history: Vec<Entry>,
}

impl Incident {
    /// Opens one, with what happened.
    pub fn open(
        id: String,
        scope: Scope,
        subject: String,
        severity: Severity,
        event: Event,
    ) -> Self {
        Self {
            id,
            scope,
            subject,
            severity,
            security: false,
            personal_data: false,
            events: vec![event],
            stage: Stage::Detected,
            alerted: None,
            cause: None,
            reruns: Vec::new(),
            no_rerun: None,
            ticket: None,
            clocks: None,
            answer: None,
            history: Vec::new(),
        }
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// When it was noticed.
    pub fn since(&self) -> Option<Timestamp> {
        self.events.first().map(|event| event.at)
    }

    /// When the mail server took the alert.
    pub fn alerted(&self) -> Option<Timestamp> {
        self.alerted
    }

    /// The probable cause, with what was said about it.
    pub fn cause(&self) -> Option<(Cause, &str)> {
        self.cause
            .as_ref()
            .map(|(cause, text)| (*cause, text.as_str()))
    }

    /// The repetitions of the backup.
    pub fn reruns(&self) -> &[Rerun] {
        &self.reruns
    }

    /// Why the backup was not repeated.
    pub fn no_rerun(&self) -> Option<&str> {
        self.no_rerun.as_deref()
    }

    /// The helpdesk's ticket.
    pub fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    /// The clocks of the service level.
    pub fn clocks(&self) -> Option<&Clocks> {
        self.clocks.as_ref()
    }

    /// The last answer of the service's manager, with its mail.
    pub fn answer(&self) -> Option<(&Stamp, Option<Hash>)> {
        self.answer.as_ref().map(|(stamp, mail)| (stamp, *mail))
    }

    /// What was done, oldest first.
    pub fn history(&self) -> &[Entry] {
        &self.history
    }

    /// How often it was sent back.
    pub fn sent_back(&self) -> usize {
        let acts = self.history.iter().map(|entry| &entry.act);
        acts.filter(|act| matches!(act, Act::SendBack(_))).count()
    }

    /// Until when personal data that were touched are to be reported (48
    /// hours, DS 016-2024-JUS).
    pub fn personal_data_until(&self) -> Option<Timestamp> {
        let since = self.since().filter(|_| self.personal_data)?;
        Some(super::after(since, 48 * 3600))
    }

    /// Whether another event belongs here instead of opening a new one: the
    /// same thing, not closed, and not a security matter inside an ordinary one.
    pub fn takes(&self, scope: Scope, subject: &str, security: bool) -> bool {
        self.stage != Stage::Closed
            && (self.scope, self.subject.as_str()) == (scope, subject)
            && self.security == security
    }

    /// Another event of the same thing.
    pub fn join(&mut self, event: Event) -> Result<(), Refusal> {
        if self.stage == Stage::Closed {
            return Err(Refusal::Stage(self.stage));
        }
        self.events.push(event);
        Ok(())
    }
}

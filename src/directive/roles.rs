//! Who may do what, and what needs a second person.
//!
//! The directive names the persons; who of them does what follows from its
//! articles and stands here as one table. An act for which the table asks a
//! second person is first asked for by one and then allowed by another, under
//! another hat, before it expires; both are written down.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Actor, Hash, Role, Stamp, after};

/// How long a request for a second person stands, in seconds: a day.
pub const EXPIRES: i64 = 24 * 3600;

/// Everything that a person can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// Draft the register, give one's visto (7.1).
    DraftRegister,
    /// Approve the register or the test plan (7.1, 7.2.1.a).
    Approve,
    /// Run, repeat, verify backups; work on incidents (7.1.1, 7.1.2).
    Operate,
    /// Change an external job or its service levels (7.1.2.b).
    ChangeExternalJob,
    /// Confirm such a change, answer for the external service (7.1.2.b, f).
    AnswerExternal,
    /// Restore (7.2).
    Restore,
    /// Draft the yearly test plan, give one's visto (7.2.1.a).
    PreparePlan,
    /// Carry out a planned test (7.2.1.b).
    RunTest,
    /// Coordinate an external test (7.2.1.b).
    AcknowledgeTest,
    /// Evaluate tests and report on them (7.2.1.c).
    EvaluateTest,
    /// Take the report on tests (7.2.1.c).
    ReceiveReport,
    /// Register a restore request (7.2.2.b).
    RegisterRequest,
    /// Attend a restore request (7.2.2.c to e).
    AttendRequest,
    /// Close a restore request (7.2.2.f).
    CloseRequest,
    /// Shorten a retention, delete copies, wipe the pool, export keys.
    Destroy,
    /// Set or lift a legal hold.
    LegalHold,
    /// Users, network, updates.
    ManageBox,
    /// Give roles to users, or take them.
    ChangeRoles,
    /// Read the log, take the audit package.
    Audit,
}

impl Function {
    /// Every function, in the order of the table.
    pub const ALL: [Self; 19] = [
        Self::DraftRegister,
        Self::Approve,
        Self::Operate,
        Self::ChangeExternalJob,
        Self::AnswerExternal,
        Self::Restore,
        Self::PreparePlan,
        Self::RunTest,
        Self::AcknowledgeTest,
        Self::EvaluateTest,
        Self::ReceiveReport,
        Self::RegisterRequest,
        Self::AttendRequest,
        Self::CloseRequest,
        Self::Destroy,
        Self::LegalHold,
        Self::ManageBox,
        Self::ChangeRoles,
        Self::Audit,
    ];
}

/// What a role may do with a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Not even see it.
    No,
    /// See one's own part.
    ViewOwn,
    /// See it.
    View,
    /// Do it, for the external backup only.
    External,
    /// Do it, with a second person.
    Second,
    /// Do it.
    Yes,
}

/// A row: the function, then a grant for each role in the order of [`Role::ALL`].
type Row = (Function, [Grant; 7]);

/// The permission matrix.
pub const MATRIX: [Row; 19] = {
    use Function as F;
    use Grant::{External as E, No as N, Second as S, View as V, ViewOwn as O, Yes as X};
    [
        (F::DraftRegister, [X, V, X, V, V, N, N]),
        (F::Approve, [N, N, N, N, X, N, N]),
        (F::Operate, [X, E, V, V, V, V, N]),
        (F::ChangeExternalJob, [S, V, V, V, V, N, N]),
        (F::AnswerExternal, [V, X, V, V, V, N, N]),
        (F::Restore, [X, E, V, V, N, N, N]),
        (F::PreparePlan, [V, V, X, V, V, N, N]),
        (F::RunTest, [X, V, V, V, V, N, N]),
        (F::AcknowledgeTest, [V, X, V, V, V, N, N]),
        (F::EvaluateTest, [V, V, V, X, V, N, N]),
        (F::ReceiveReport, [V, V, V, V, X, N, N]),
        (F::RegisterRequest, [V, N, V, V, N, X, N]),
        (F::AttendRequest, [X, N, V, V, N, V, N]),
        (F::CloseRequest, [V, N, V, V, N, X, N]),
        (F::Destroy, [S, N, S, S, N, N, N]),
        (F::LegalHold, [V, N, V, S, S, N, N]),
        (F::ManageBox, [N, N, X, V, N, N, X]),
        (F::ChangeRoles, [N, N, S, V, N, N, S]),
        (F::Audit, [O, O, V, X, X, N, O]),
    ]
};

/// What a role may do with a function.
pub fn grant(role: Role, function: Function) -> Grant {
    MATRIX
        .iter()
        .find(|(f, _)| *f == function)
        .and_then(|(_, grants)| grants.get(role as usize))
        .copied()
        .unwrap_or(Grant::No)
}

/// The roles that may be the second person of an act that one alone may not
/// do. A change of roles is also allowed by who supervises accounts.
pub fn seconds(function: Function) -> &'static [Role] {
    match function {
        Function::ChangeExternalJob => &[Role::ServiceManager],
        Function::Destroy => &[Role::Operator, Role::Infrastructure, Role::SecurityOfficer],
        Function::LegalHold => &[Role::SecurityOfficer, Role::Director],
        Function::ChangeRoles => &[
            Role::Infrastructure,
            Role::SecurityOfficer,
            Role::Administrator,
        ],
        _ => &[],
    }
}

/// Whether a role may do a function alone, for the external backup or not.
pub fn may(role: Role, function: Function, external: bool) -> bool {
    match grant(role, function) {
        Grant::Yes => true,
        Grant::External => external,
        _ => false,
    }
}

/// Why an act of two persons is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The role may not ask for it.
    #[error("the role may not do this")]
    Role,
    /// The same person cannot stand on both sides.
    #[error("the second person must be another person")]
    SamePerson,
    /// Both act under one hat.
    #[error("the second person must have another role")]
    SameRole,
    /// Nobody allowed it in time.
    #[error("the request has expired")]
    Expired,
    /// It was allowed, refused or taken back already.
    #[error("the request is settled already")]
    Settled,
    /// What is to be done changed since it was asked for.
    #[error("what is to be done is not what was asked for")]
    Changed,
    /// An answer before the question: a clock was set back.
    #[error("the time is before the request's")]
    Early,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Nobody answered yet.
    Open,
    /// The second person allows it; it is to be done now.
    Allowed(Stamp),
    /// The second person refuses it.
    Refused(Stamp),
    /// Who asked takes it back.
    Withdrawn(Stamp),
}

/// A request of one person that another must allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoPersons {
    /// Its name.
    pub id: String,
    /// What kind of act.
    pub function: Function,
    /// To what.
    pub subject: String,
    /// The hash of all that is to be done, so that nothing else is.
    pub content: Hash,
    /// Who asked, and when.
    pub asked: Stamp,
    /// Until when it can be allowed.
    pub expires: Timestamp,
    /// What became of it.
    pub answer: Answer,
}

impl TwoPersons {
    /// Asks for an act.
    pub fn ask(
        id: String,
        function: Function,
        subject: String,
        content: Hash,
        by: Actor,
        at: Timestamp,
    ) -> Result<Self, Refusal> {
        if grant(by.role, function) != Grant::Second {
            return Err(Refusal::Role);
        }
        Ok(Self {
            id,
            function,
            subject,
            content,
            asked: Stamp { by, at },
            expires: after(at, EXPIRES),
            answer: Answer::Open,
        })
    }

    /// Whether nobody can answer it any more, though nobody has.
    pub fn expired(&self, now: Timestamp) -> bool {
        self.answer == Answer::Open && now >= self.expires
    }

    /// The second person allows it, having seen this content.
    pub fn allow(&mut self, by: Actor, at: Timestamp, content: Hash) -> Result<(), Refusal> {
        self.second(&by, at)?;
        if content != self.content {
            return Err(Refusal::Changed);
        }
        self.answer = Answer::Allowed(Stamp { by, at });
        Ok(())
    }

    /// The second person refuses it.
    pub fn refuse(&mut self, by: Actor, at: Timestamp) -> Result<(), Refusal> {
        self.second(&by, at)?;
        self.answer = Answer::Refused(Stamp { by, at });
        Ok(())
    }

    /// Who asked takes it back.
    pub fn withdraw(&mut self, by: Actor, at: Timestamp) -> Result<(), Refusal> {
        self.open(at)?;
        if by.person != self.asked.by.person {
            return Err(Refusal::Role);
        }
        self.answer = Answer::Withdrawn(Stamp { by, at });
        Ok(())
    }

    fn open(&self, at: Timestamp) -> Result<(), Refusal> {
        match self.answer {
            Answer::Open if at < self.asked.at => Err(Refusal::Early),
            Answer::Open if at >= self.expires => Err(Refusal::Expired),
            Answer::Open => Ok(()),
            _ => Err(Refusal::Settled),
        }
    }

    fn second(&self, by: &Actor, at: Timestamp) -> Result<(), Refusal> {
        self.open(at)?;
        if by.person == self.asked.by.person {
            return Err(Refusal::SamePerson);
        }
        if by.role == self.asked.by.role {
            return Err(Refusal::SameRole);
        }
        if !seconds(self.function).contains(&by.role) {
            return Err(Refusal::Role);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

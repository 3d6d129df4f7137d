//! What can be done to an incident, by whom and when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Cause, Clock, Clocks, Entry, Incident, Level, Refusal, Rerun, Stage};
use crate::directive::register::Scope;
use crate::directive::{Actor, Hash, Role, Stamp, after, blank};

/// How long after closing it can be opened again, in seconds: 7 days.
pub const REOPEN: i64 = 7 * 24 * 3600;

/// Something done to an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// The mail server took the alert (the box).
    Alert,
    /// The operator takes it in hand.
    Attend,
    /// The operator names the probable cause.
    Cause(Cause, String),
    /// The operator repeated the backup.
    Repeat(Rerun),
    /// The operator says why the backup is not repeated.
    NoRepeat(String),
    /// The helpdesk's ticket is known.
    Ticket(String),
    /// The operator holds it for solved (internal).
    Solve,
    /// The operator reports it to the service's manager: the clocks start.
    Report(Level),
    /// The service's manager has read it.
    Acknowledge,
    /// The service's manager works on it.
    Work,
    /// The service's manager answers that it is solved, in this mail; brought
    /// in by the operator where the manager has no account.
    Answer(Option<Hash>),
    /// The operator finds it solved.
    Verify,
    /// The operator finds it not solved, and says why: the clock goes on.
    SendBack(String),
    /// The operator told the helpdesk that it may be closed.
    Coordinate,
    /// The operator closes it.
    Close,
    /// The operator opens it again, and says why.
    Reopen(String),
}

impl Incident {
    /// Does something to it; `by` is nobody if it is the box itself.
    pub fn act(&mut self, by: Option<Actor>, at: Timestamp, act: Act) -> Result<(), Refusal> {
        let next = self.next(&act).ok_or(Refusal::Stage(self.stage))?;
        allowed(by.as_ref(), &act)?;
        if self.history.last().is_some_and(|last| at < last.at) {
            return Err(Refusal::Early);
        }
        self.guard(by.as_ref(), at, &act)?;
        self.take(by.as_ref(), at, &act);
        self.stage = next;
        self.history.push(Entry { by, at, act });
        Ok(())
    }

    /// The stage that an act leads to; none if it cannot be done now.
    fn next(&self, act: &Act) -> Option<Stage> {
        use Stage as S;
        let (here, internal) = (self.stage, self.scope == Scope::Internal);
        let attended = !matches!(here, S::Detected | S::Alerted | S::Closed);
        let next = match act {
            Act::Alert if here == S::Detected => S::Alerted,
            // Later than the operator, but not twice.
            Act::Alert if self.alerted.is_none() && here != S::Closed => here,
            Act::Attend if matches!(here, S::Detected | S::Alerted) => S::Attending,
            Act::Ticket(_) if attended => here,
            Act::Cause(..) if internal && matches!(here, S::Attending | S::CauseKnown) => {
                S::CauseKnown
            }
            Act::Cause(..) if attended && here != S::Solved => here,
            Act::Repeat(_) if internal && matches!(here, S::CauseKnown | S::Repeated) => {
                S::Repeated
            }
            Act::Repeat(_) if !internal && attended => here,
            Act::NoRepeat(_) if internal && matches!(here, S::CauseKnown | S::Repeated) => here,
            Act::Solve if matches!(here, S::CauseKnown | S::Repeated) => S::Solved,
            Act::Report(_) if !internal && here == S::Attending => S::Reported,
            Act::Acknowledge if here == S::Reported => S::Acknowledged,
            Act::Work if matches!(here, S::Reported | S::Acknowledged) => S::Working,
            Act::Answer(_) if matches!(here, S::Reported | S::Acknowledged | S::Working) => {
                S::Answered
            }
            Act::Verify if here == S::Answered => S::Verified,
            Act::SendBack(_) if here == S::Answered => S::Working,
            Act::Coordinate if here == S::Verified => S::Coordinated,
            Act::Close if matches!(here, S::Solved | S::Coordinated) => S::Closed,
            Act::Reopen(_) if here == S::Closed => S::Attending,
            _ => return None,
        };
        Some(next)
    }

    fn guard(&self, by: Option<&Actor>, at: Timestamp, act: &Act) -> Result<(), Refusal> {
        let refuse = |when, why| if when { Err(why) } else { Ok(()) };
        match act {
            Act::Cause(_, text) | Act::NoRepeat(text) | Act::Ticket(text) | Act::SendBack(text) => {
                refuse(blank(text), Refusal::NoText)
            }
            Act::Repeat(rerun) => refuse(blank(&rerun.run), Refusal::NoText),
            Act::Solve => {
                refuse(self.cause.is_none(), Refusal::NoCause)?;
                let good = self.reruns.last().is_some_and(|rerun| rerun.good);
                refuse(!good && self.no_rerun.is_none(), Refusal::NoRerun)
            }
            Act::Answer(mail) => {
                let brought = by.is_some_and(|by| by.role == Role::Operator);
                refuse(brought && mail.is_none(), Refusal::NoMail)
            }
            Act::Verify => {
                let answered = self.answer.as_ref().map(|(stamp, _)| &stamp.by);
                let own = answered.is_some_and(|answered| {
                    answered.role == Role::ServiceManager
                        && by.is_some_and(|by| by.person == answered.person)
                });
                refuse(own, Refusal::SamePerson)
            }
            Act::Close => refuse(self.ticket.is_none(), Refusal::NoTicket),
            Act::Reopen(why) => {
                refuse(blank(why), Refusal::NoText)?;
                let closed = self.history.iter().rev().find(|e| e.act == Act::Close);
                let late = closed.is_some_and(|entry| at > after(entry.at, REOPEN));
                refuse(late, Refusal::TooLate)
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, by: Option<&Actor>, at: Timestamp, act: &Act) {
        match act {
            Act::Alert => self.alerted = Some(at),
            Act::Cause(cause, text) => self.cause = Some((*cause, text.clone())),
            Act::Repeat(rerun) => self.reruns.push(rerun.clone()),
            Act::NoRepeat(why) => self.no_rerun = Some(why.clone()),
            Act::Ticket(ticket) => self.ticket = Some(ticket.clone()),
            Act::Report(level) => {
                self.clocks = Some(Clocks {
                    response: Clock::start(level.response, at),
                    solution: Clock::start(level.solution, at),
                });
            }
            Act::Answer(mail) => {
                if let Some(by) = by.cloned() {
                    self.answer = Some((Stamp { by, at }, *mail));
                }
            }
            Act::Reopen(_) => {
                // What was found out may not be true; what is known stays.
                self.cause = None;
                self.no_rerun = None;
                self.reruns.clear();
                self.answer = None;
            }
            _ => {}
        }
        if let Some(clocks) = &mut self.clocks {
            match act {
                Act::Acknowledge | Act::Work => clocks.response.pause(at),
                Act::Answer(_) => {
                    clocks.response.pause(at);
                    clocks.solution.pause(at);
                }
                Act::SendBack(_) => clocks.solution.resume(at),
                _ => {}
            }
        }
    }
}

/// Whether somebody may do an act at all.
fn allowed(by: Option<&Actor>, act: &Act) -> Result<(), Refusal> {
    let role = by.map(|by| by.role);
    let good = match act {
        Act::Alert => role.is_none(),
        Act::Acknowledge | Act::Work => role == Some(Role::ServiceManager),
        Act::Answer(_) => matches!(role, Some(Role::ServiceManager | Role::Operator)),
        Act::Ticket(_) => matches!(role, Some(Role::Operator | Role::Helpdesk)),
        _ => role == Some(Role::Operator),
    };
    if good { Ok(()) } else { Err(Refusal::Role) }
}

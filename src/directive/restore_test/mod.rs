//! A restore test of the plan, carried out and evaluated (7.2.1.b, c).
//!
//! The operator runs it, for an external one after the service's manager has
//! agreed; the box measures; the security officer says whether it complies
//! and reports to the director. A test moved to another day keeps the days it
//! was planned for before, and one that its quarter ended without is not
//! carried out, which stays.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::register::Scope;
use super::test_plan::{Line, Quarter};
use super::{Hash, Role, Stamp, blank, lima_date};

/// What the box measured: the act of the test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The copy that was used.
    pub snapshot: String,
    /// When that copy was taken.
    pub taken: Timestamp,
    /// When the restore began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Files restored.
    pub files: u64,
    /// Bytes restored.
    pub bytes: u64,
    /// Files whose checksum is another than the original's.
    pub differing: u64,
    /// Files whose access rights are others.
    pub rights_differing: u64,
    /// Hash over the original checksums.
    pub original: Hash,
    /// Hash over the restored checksums.
    pub restored: Hash,
    /// Who opened what was restored and found it usable.
    pub opened_by: Option<String>,
    /// What went wrong on the way.
    pub incidents: Vec<String>,
    /// What is to be done about it.
    pub corrections: String,
}

impl Measured {
    /// How old the copy was when the restore began, in seconds: the real RPO.
    pub fn rpo(&self) -> i64 {
        self.started.duration_since(self.taken).as_secs()
    }

    /// How long the restore took, in seconds: the real RTO.
    pub fn rto(&self) -> i64 {
        self.ended.duration_since(self.started).as_secs()
    }

    /// Whether what came back is what had been there.
    pub fn equal(&self) -> bool {
        self.differing == 0 && self.rights_differing == 0 && self.original == self.restored
    }
}

/// The security officer's evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evaluation {
    /// Cumple.
    Complies,
    /// Cumple con observaciones.
    WithRemarks,
    /// No cumple.
    Fails,
}

/// Where a test stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Programada.
    Planned,
    /// Coordinada con el responsable del servicio (external).
    Coordinated,
    /// Ejecutada.
    Done,
    /// Evaluada por el oficial de seguridad.
    Evaluated,
    /// Informada al director.
    Reported,
    /// No ejecutada.
    NotDone,
}

/// Why something is not done to a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Not in this stage.
    #[error("this cannot be done to a test that is {0:?}")]
    Stage(Stage),
    /// Not by this role.
    #[error("the role may not do this")]
    Role,
    /// A text that is needed is empty.
    #[error("a text is needed")]
    NoText,
    /// An external test is coordinated first; an internal one is not.
    #[error("the test is not of the right type for this")]
    Scope,
    /// Who carried it out cannot evaluate it.
    #[error("another person must evaluate it")]
    SamePerson,
    /// What is not equal to the original does not comply.
    #[error("what was restored is not what was there")]
    NotEqual,
    /// The measured times are not in order.
    #[error("the measured times are not in order")]
    Times,
    /// The quarter has not ended.
    #[error("the quarter has not ended")]
    Early,
}

/// A planned test and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreTest {
    line: Line,
    stage: Stage,
    moved: Vec<(Date, Stamp, String)>,
    coordinated: Option<Stamp>,
    done: Option<(Measured, Stamp)>,
    evaluated: Option<(Evaluation, Stamp, String)>,
    reported: Option<Stamp>,
}

impl RestoreTest {
    /// The test of a line of the plan in force.
    pub fn planned(line: Line) -> Self {
        Self {
            line,
            stage: Stage::Planned,
            moved: Vec::new(),
            coordinated: None,
            done: None,
            evaluated: None,
            reported: None,
        }
    }

    /// The line, with the day it is planned for now.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The days it was planned for before, who moved it, and why.
    pub fn moved(&self) -> &[(Date, Stamp, String)] {
        &self.moved
    }

    /// What was measured, and who carried it out.
    pub fn done(&self) -> Option<&(Measured, Stamp)> {
        self.done.as_ref()
    }

    /// The evaluation, whose, and its words.
    pub fn evaluated(&self) -> Option<&(Evaluation, Stamp, String)> {
        self.evaluated.as_ref()
    }

    /// When the service's manager agreed.
    pub fn coordinated(&self) -> Option<&Stamp> {
        self.coordinated.as_ref()
    }

    /// When the director took the report.
    pub fn reported(&self) -> Option<&Stamp> {
        self.reported.as_ref()
    }

    /// Moves it to another day, in the year of the plan.
    pub fn reschedule(&mut self, to: Date, why: &str, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Planned, Stage::Coordinated])?;
        by(Role::Infrastructure, &stamp)?;
        if blank(why) {
            return Err(Refusal::NoText);
        }
        if to.year() != self.line.planned_on.year() {
            return Err(Refusal::Times);
        }
        let before = std::mem::replace(&mut self.line.planned_on, to);
        self.moved.push((before, stamp, why.to_owned()));
        // Another day is to be agreed on anew.
        self.stage = Stage::Planned;
        self.coordinated = None;
        Ok(())
    }

    /// The service's manager agrees to an external test.
    pub fn coordinate(&mut self, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Planned])?;
        by(Role::ServiceManager, &stamp)?;
        if self.line.scope != Scope::External {
            return Err(Refusal::Scope);
        }
        self.coordinated = Some(stamp);
        self.stage = Stage::Coordinated;
        Ok(())
    }

    /// It was carried out; this is what the box measured.
    pub fn carry_out(&mut self, measured: Measured, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Planned, Stage::Coordinated])?;
        by(Role::Operator, &stamp)?;
        if self.line.scope == Scope::External && self.coordinated.is_none() {
            return Err(Refusal::Scope);
        }
        let in_order = measured.taken <= measured.started
            && measured.started <= measured.ended
            && measured.ended <= stamp.at;
        if !in_order {
            return Err(Refusal::Times);
        }
        self.done = Some((measured, stamp));
        self.stage = Stage::Done;
        Ok(())
    }

    /// The security officer evaluates it.
    pub fn evaluate(
        &mut self,
        evaluation: Evaluation,
        words: &str,
        stamp: Stamp,
    ) -> Result<(), Refusal> {
        self.at(&[Stage::Done])?;
        by(Role::SecurityOfficer, &stamp)?;
        let Some((measured, done)) = &self.done else {
            return Err(Refusal::Stage(self.stage));
        };
        if done.by.person == stamp.by.person {
            return Err(Refusal::SamePerson);
        }
        match evaluation {
            Evaluation::Complies if !measured.equal() => return Err(Refusal::NotEqual),
            Evaluation::Complies => {}
            _ if blank(words) => return Err(Refusal::NoText),
            _ => {}
        }
        self.evaluated = Some((evaluation, stamp, words.to_owned()));
        self.stage = Stage::Evaluated;
        Ok(())
    }

    /// The director takes the report.
    pub fn report(&mut self, stamp: Stamp) -> Result<(), Refusal> {
        self.at(&[Stage::Evaluated])?;
        by(Role::Director, &stamp)?;
        self.reported = Some(stamp);
        self.stage = Stage::Reported;
        Ok(())
    }

    /// Its quarter ended without it; the box itself says so.
    pub fn not_done(&mut self, now: Timestamp) -> Result<(), Refusal> {
        self.at(&[Stage::Planned, Stage::Coordinated])?;
        if lima_date(now) <= self.last_day() {
            return Err(Refusal::Early);
        }
        self.stage = Stage::NotDone;
        Ok(())
    }

    /// The last day on which it can be carried out: the end of the quarter of
    /// the day it is planned for now.
    pub fn last_day(&self) -> Date {
        let planned = self.line.planned_on;
        Quarter::of(planned).last_day(planned.year())
    }

    fn at(&self, stages: &[Stage]) -> Result<(), Refusal> {
        if stages.contains(&self.stage) {
            Ok(())
        } else {
            Err(Refusal::Stage(self.stage))
        }
    }
}

fn by(role: Role, stamp: &Stamp) -> Result<(), Refusal> {
    if stamp.by.role == role {
        Ok(())
    } else {
        Err(Refusal::Role)
    }
}

/// Quarters of a year, ended by a day, in which no test was carried out: each
/// is a breach of 7.2.1.a, whatever was planned or moved.
pub fn untested(tests: &[RestoreTest], year: i16, today: Date) -> Vec<Quarter> {
    let day = |test: &RestoreTest| test.done.as_ref().map(|(m, _)| lima_date(m.started));
    Quarter::ALL
        .into_iter()
        .filter(|quarter| quarter.last_day(year) < today)
        .filter(|quarter| {
            let mut days = tests.iter().filter_map(day);
            !days.any(|day| day.year() == year && Quarter::of(day) == *quarter)
        })
        .collect()
}

/// The figures of the security officer's report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Tests planned.
    pub planned: u64,
    /// Of those, carried out.
    pub done: u64,
    /// Of those, evaluated.
    pub evaluated: u64,
    /// Of those, compliant, with or without remarks.
    pub complying: u64,
}

/// The figures over tests.
pub fn summary(tests: &[RestoreTest]) -> Summary {
    let mut summary = Summary::default();
    for test in tests {
        summary.planned += 1;
        summary.done += u64::from(test.done.is_some());
        if let Some((evaluation, ..)) = &test.evaluated {
            summary.evaluated += 1;
            summary.complying += u64::from(*evaluation != Evaluation::Fails);
        }
    }
    summary
}

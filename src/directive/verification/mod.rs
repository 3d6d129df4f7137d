//! The daily verification (7.1.1.d, 7.1.2.c): somebody looks at every backup.
//!
//! There is one for each day and type (internal, external) on which something
//! was to run. The box fills in what it saw; the operator says of each run
//! whether it is conforming. A run that failed cannot be called conforming,
//! and one that is not conforming names its incident. A verification that was
//! not closed by its cut-off is omitted, visibly, and late when it is closed
//! after all. Once closed it does not change.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::register::{Kind, Scope};
use super::{Hash, Role, Stamp, blank};

/// How a run came out, as the box saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Not ended yet.
    Running,
    /// Correcto.
    Good,
    /// Con advertencias: something could not be read.
    Warnings,
    /// Fallido.
    Failed,
    /// Cancelado.
    Cancelled,
    /// Omitido: the box was off.
    Missed,
}

/// A run, as the form shows it (Anexo 02).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The register entry's code.
    pub code: String,
    /// Its server or device.
    pub host: String,
    /// Full or incremental.
    pub kind: Kind,
    /// When it was to begin.
    pub planned: Timestamp,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Bytes read at the source.
    pub bytes_read: u64,
    /// Bytes added to the pool, after deduplication and compression.
    pub bytes_stored: u64,
    /// Files taken.
    pub files: u64,
    /// Files that could not be read.
    pub files_failed: u64,
    /// Pool or provider.
    pub target: String,
    /// The snapshot's name.
    pub snapshot: Option<String>,
    /// How it came out.
    pub outcome: Outcome,
}

/// What the operator says of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Conforme.
    Conforming,
    /// No conforme, with the incident's name.
    NotConforming(String),
}

/// A verdict, whose, and with which remark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// What.
    pub verdict: Verdict,
    /// Whose, and when.
    pub stamp: Stamp,
    /// Remarks.
    pub notes: String,
}

/// A line of the form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What the box saw.
    pub run: Run,
    /// What the operator says.
    pub judged: Option<Judged>,
}

/// The end of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// Who closed it, and when.
    pub stamp: Stamp,
    /// Whether that was after the cut-off.
    pub late: bool,
    /// The hash of its lines.
    pub hash: Hash,
}

/// Where a verification stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Pendiente.
    Pending,
    /// Every run judged, all conforming; to be closed.
    Conforming,
    /// Every run judged, not all conforming; to be closed.
    NotConforming,
    /// Vencido: the cut-off passed; can still be done, late.
    Omitted,
    /// Cerrado.
    Closed {
        /// Whether every run was conforming.
        conforming: bool,
        /// Whether it was closed after the cut-off.
        late: bool,
    },
}

/// The sums at the foot of the form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Runs.
    pub runs: u64,
    /// Judged conforming.
    pub conforming: u64,
    /// Judged not conforming.
    pub not_conforming: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes added.
    pub bytes_stored: u64,
}

/// Why a verification is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Only the operator verifies, also the external backup (7.1.2.c).
    #[error("the role may not do this")]
    Role,
    /// It is closed.
    #[error("the verification is closed")]
    Closed,
    /// There is no such line.
    #[error("there is no such line")]
    NoLine,
    /// The run has not ended.
    #[error("the run has not ended")]
    Running,
    /// A run that did not succeed is not conforming.
    #[error("the run did not succeed")]
    NotGood,
    /// Why warnings are accepted must be said.
    #[error("a remark is needed")]
    NoNotes,
    /// No incident is named.
    #[error("an incident is needed")]
    NoIncident,
    /// Runs without a verdict.
    #[error("{0} runs are not judged")]
    Unjudged(usize),
    /// The line was judged, so what the box saw stays.
    #[error("the line is judged already")]
    Judged,
    /// It cannot be written as JSON.
    #[error("the verification cannot be written down")]
    Unwritable,
}

/// A daily verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    date: Date,
    scope: Scope,
    due: Timestamp,
    lines: Vec<Line>,
    closed: Option<Closed>,
}

impl Verification {
    /// Begins the verification of a day's runs, to be closed by `due`; none
    /// if nothing was to run.
    pub fn begin(date: Date, scope: Scope, due: Timestamp, runs: Vec<Run>) -> Option<Self> {
        let lines: Vec<Line> = runs
            .into_iter()
            .map(|run| Line { run, judged: None })
            .collect();
        (!lines.is_empty()).then_some(Self {
            date,
            scope,
            due,
            lines,
            closed: None,
        })
    }

    /// The day.
    pub fn date(&self) -> Date {
        self.date
    }

    /// Internal or external.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The cut-off.
    pub fn due(&self) -> Timestamp {
        self.due
    }

    /// The runs, with their verdicts.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Its end, if it has one.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Where it stands.
    pub fn status(&self, now: Timestamp) -> Status {
        let totals = self.totals();
        let conforming = totals.conforming == totals.runs;
        match &self.closed {
            Some(closed) => Status::Closed {
                conforming,
                late: closed.late,
            },
            None if now >= self.due => Status::Omitted,
            None if conforming => Status::Conforming,
            None if totals.conforming + totals.not_conforming == totals.runs => {
                Status::NotConforming
            }
            None => Status::Pending,
        }
    }

    /// The sums of the day.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for line in &self.lines {
            totals.runs += 1;
            totals.bytes_read = totals.bytes_read.saturating_add(line.run.bytes_read);
            totals.bytes_stored = totals.bytes_stored.saturating_add(line.run.bytes_stored);
            match line.judged.as_ref().map(|judged| &judged.verdict) {
                Some(Verdict::Conforming) => totals.conforming += 1,
                Some(Verdict::NotConforming(_)) => totals.not_conforming += 1,
                None => {}
            }
        }
        totals
    }

    /// What the box saw of a run changed: it ended meanwhile.
    pub fn update(&mut self, number: usize, run: Run) -> Result<(), Refusal> {
        let line = self.line(number)?;
        if line.judged.is_some() {
            return Err(Refusal::Judged);
        }
        line.run = run;
        Ok(())
    }

    /// Judges a run; until the verification is closed one may think again.
    pub fn judge(
        &mut self,
        number: usize,
        verdict: Verdict,
        notes: &str,
        stamp: Stamp,
    ) -> Result<(), Refusal> {
        let line = self.line(number)?;
        operator(&stamp)?;
        match (&verdict, line.run.outcome) {
            (_, Outcome::Running) => return Err(Refusal::Running),
            (Verdict::NotConforming(incident), _) if blank(incident) => {
                return Err(Refusal::NoIncident);
            }
            (Verdict::NotConforming(_), _) | (Verdict::Conforming, Outcome::Good) => {}
            (Verdict::Conforming, Outcome::Warnings) if blank(notes) => {
                return Err(Refusal::NoNotes);
            }
            (Verdict::Conforming, Outcome::Warnings) => {}
            (Verdict::Conforming, _) => return Err(Refusal::NotGood),
        }
        line.judged = Some(Judged {
            verdict,
            stamp,
            notes: notes.to_owned(),
        });
        Ok(())
    }

    /// Judges every good run that is not judged as conforming; says how many.
    pub fn judge_good(&mut self, stamp: &Stamp) -> Result<usize, Refusal> {
        if self.closed.is_some() {
            return Err(Refusal::Closed);
        }
        operator(stamp)?;
        let good = self
            .lines
            .iter_mut()
            .filter(|line| line.judged.is_none() && line.run.outcome == Outcome::Good);
        let mut count = 0;
        for line in good {
            line.judged = Some(Judged {
                verdict: Verdict::Conforming,
                stamp: stamp.clone(),
                notes: String::new(),
            });
            count += 1;
        }
        Ok(count)
    }

    /// Closes it: what it says goes into the activity log and stays.
    pub fn close(&mut self, stamp: Stamp) -> Result<&Closed, Refusal> {
        if self.closed.is_some() {
            return Err(Refusal::Closed);
        }
        operator(&stamp)?;
        let unjudged = self.lines.iter().filter(|l| l.judged.is_none()).count();
        if unjudged > 0 {
            return Err(Refusal::Unjudged(unjudged));
        }
        let hash = Hash::of_value(&self.lines).map_err(|_| Refusal::Unwritable)?;
        let late = stamp.at >= self.due;
        Ok(self.closed.insert(Closed { stamp, late, hash }))
    }

    fn line(&mut self, number: usize) -> Result<&mut Line, Refusal> {
        if self.closed.is_some() {
            return Err(Refusal::Closed);
        }
        self.lines.get_mut(number).ok_or(Refusal::NoLine)
    }
}

fn operator(stamp: &Stamp) -> Result<(), Refusal> {
    if stamp.by.role == Role::Operator {
        Ok(())
    } else {
        Err(Refusal::Role)
    }
}

//! The yearly plan of restore tests (7.2.1.a), and when it is kept.
//!
//! Drawn up by the infrastructure's head, approved like the register. A plan
//! that leaves a calendar quarter without a test cannot be approved; one that
//! leaves a class of sources, an internal backup a quarter or an external one
//! a half-year untested can, with a warning.

#[cfg(test)]
pub(in crate::directive) mod tests;

use std::collections::BTreeSet;

use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

use super::document::{Content, Series, Version};
use super::register::{Scope, SourceClass};
use super::{Role, blank};

/// Days between two tests from which on to warn.
const LONG_GAP: i32 = 100;

/// All versions of a year's plan.
pub type TestPlan = Series<Lines>;
/// One version of it.
pub type TestPlanVersion = Version<Lines>;

/// A quarter of the calendar, 1 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Quarter(u8);

/// There is no such quarter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no quarter {0}")]
pub struct NoQuarter(pub u8);

impl Quarter {
    /// Every quarter.
    pub const ALL: [Self; 4] = [Self(1), Self(2), Self(3), Self(4)];

    /// The quarter of a day.
    pub fn of(date: Date) -> Self {
        Self((date.month().unsigned_abs() - 1) / 3 + 1)
    }

    /// Its last day in a year.
    pub fn last_day(self, year: i16) -> Date {
        match self.0 {
            1 => date(year, 3, 31),
            2 => date(year, 6, 30),
            3 => date(year, 9, 30),
            _ => date(year, 12, 31),
        }
    }
}

impl TryFrom<u8> for Quarter {
    type Error = NoQuarter;

    fn try_from(number: u8) -> Result<Self, NoQuarter> {
        if (1..=4).contains(&number) {
            Ok(Self(number))
        } else {
            Err(NoQuarter(number))
        }
    }
}

impl From<Quarter> for u8 {
    fn from(quarter: Quarter) -> Self {
        quarter.0
    }
}

/// How much is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A database.
    Database,
    /// A virtual machine.
    VirtualMachine,
    /// A device's configuration.
    Configuration,
    /// A whole machine.
    Machine,
}

/// A planned test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its number in the year: 1, 2, 3…
    pub seq: u32,
    /// When.
    pub planned_on: Date,
    /// The register entry's code.
    pub code: String,
    /// That entry's class.
    pub class: SourceClass,
    /// From the internal or the external backup.
    pub scope: Scope,
    /// How much.
    pub extent: Extent,
    /// Which copy, in words.
    pub point_rule: String,
    /// Where to.
    pub target_env: String,
    /// When it counts as passed.
    pub acceptance: String,
    /// The longest it may take, in minutes.
    pub rto_goal: Option<u32>,
    /// The oldest the copy may be, in minutes.
    pub rpo_goal: Option<u32>,
    /// The operator who carries it out.
    pub executor: String,
    /// The security officer who supervises it.
    pub supervisor: String,
}

/// What the plan says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// The year.
    pub year: i16,
    /// The tests.
    pub lines: Vec<Line>,
}

/// What keeps a plan from being approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// A quarter has no test.
    #[error("there is no test in quarter {}", u8::from(*.0))]
    Quarter(Quarter),
    /// A test is not in the plan's year.
    #[error("test {0} is in another year")]
    Year(u32),
    /// Two tests have this number.
    #[error("two tests have the number {0}")]
    Twice(u32),
    /// A test does not say which entry, or when it counts as passed.
    #[error("test {0} does not say what is tested or when it is passed")]
    Missing(u32),
}

/// What a plan lacks, though it can be approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warning {
    /// No entry of the class is tested in the year.
    Class(SourceClass),
    /// No internal backup is tested in the quarter.
    Internal(Quarter),
    /// No external backup is tested in the half-year, 1 or 2.
    External(u8),
    /// More than 100 days between two tests.
    Gap(Date, Date),
}

impl Content for Lines {
    const DRAFTERS: &'static [Role] = &[Role::Infrastructure];
    type Problem = Problem;

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut numbers = BTreeSet::new();
        for line in &self.lines {
            if !numbers.insert(line.seq) {
                problems.push(Problem::Twice(line.seq));
            }
            if line.planned_on.year() != self.year {
                problems.push(Problem::Year(line.seq));
            }
            if blank(&line.code) || blank(&line.acceptance) {
                problems.push(Problem::Missing(line.seq));
            }
        }
        let quarters: BTreeSet<Quarter> =
            self.in_year().map(|l| Quarter::of(l.planned_on)).collect();
        let without = Quarter::ALL.into_iter().filter(|q| !quarters.contains(q));
        problems.extend(without.map(Problem::Quarter));
        problems
    }
}

impl Lines {
    fn in_year(&self) -> impl Iterator<Item = &Line> {
        self.lines
            .iter()
            .filter(|line| line.planned_on.year() == self.year)
    }

    /// What it lacks, though it can be approved.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let tested: BTreeSet<SourceClass> = self.in_year().map(|line| line.class).collect();
        let classes = SourceClass::ALL.into_iter().filter(|c| !tested.contains(c));
        warnings.extend(classes.map(Warning::Class));
        let of = |scope| self.in_year().filter(move |line| line.scope == scope);
        let quarters: BTreeSet<Quarter> = of(Scope::Internal)
            .map(|l| Quarter::of(l.planned_on))
            .collect();
        let without = Quarter::ALL.into_iter().filter(|q| !quarters.contains(q));
        warnings.extend(without.map(Warning::Internal));
        let half = |line: &Line| if line.planned_on.month() <= 6 { 1 } else { 2 };
        let halves: BTreeSet<u8> = of(Scope::External).map(half).collect();
        warnings.extend(
            [1, 2]
                .into_iter()
                .filter(|h| !halves.contains(h))
                .map(Warning::External),
        );
        let days: Vec<Date> = self
            .in_year()
            .map(|l| l.planned_on)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        for (one, next) in days.iter().zip(days.iter().skip(1)) {
            if one.duration_until(*next).as_hours() > i64::from(LONG_GAP) * 24 {
                warnings.push(Warning::Gap(*one, *next));
            }
        }
        warnings
    }
}

/// From when on the lack of a plan for a year is to be alerted: 1 December
/// before it.
pub fn due_from(year: i16) -> Date {
    date(year.saturating_sub(1), 12, 1)
}

/// Whether to alert that a year has no plan: from 1 December before it until
/// one is in force.
pub fn plan_missing(plan: Option<&TestPlan>, year: i16, today: Date) -> bool {
    let in_force = plan.and_then(Series::in_force);
    today >= due_from(year) && in_force.is_none_or(|plan| plan.content().year != year)
}

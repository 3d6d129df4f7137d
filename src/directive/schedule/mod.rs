//! When backups run, and which days people work.
//!
//! Times are those of the wall in Lima. A planned run may begin until its
//! window ends; one whose window passed while the box was off was missed, and
//! stays visible as such.

mod holidays;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::{Date, Time, Weekday};
use serde::{Deserialize, Serialize};

use super::{after, lima_date, lima_time};

pub use holidays::{BadLine, Holidays};

/// On which days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Days {
    /// Every day.
    Daily,
    /// These days of the week: 1 is Monday, 7 Sunday.
    Weekly(BTreeSet<u8>),
    /// This day of the month; its last day where it is shorter.
    Monthly(u8),
}

/// A plan of runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// On which days.
    pub days: Days,
    /// At which times of the day.
    pub times: BTreeSet<Time>,
    /// How long after its time a run may still begin, in minutes.
    pub window: u32,
}

/// Why a plan of runs is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invalid {
    /// No time of the day.
    #[error("no time of the day is given")]
    NoTime,
    /// No day.
    #[error("no day is given")]
    NoDay,
    /// A day of the week or month that there is not.
    #[error("there is no such day")]
    Day,
    /// A window of nothing, or of more than a week.
    #[error("the window must be between one minute and a week")]
    Window,
}

/// A planned run whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Due {
    /// Begin it.
    Run(Timestamp),
    /// Its window passed, or a later one is to begin instead.
    Missed(Timestamp),
}

impl Schedule {
    /// Whether it is a plan at all.
    pub fn check(&self) -> Result<(), Invalid> {
        let good = match &self.days {
            Days::Daily => true,
            Days::Weekly(days) if days.is_empty() => return Err(Invalid::NoDay),
            Days::Weekly(days) => days.iter().all(|day| (1..=7).contains(day)),
            Days::Monthly(day) => (1..=31).contains(day),
        };
        if !good {
            return Err(Invalid::Day);
        }
        if self.times.is_empty() {
            return Err(Invalid::NoTime);
        }
        if !(1..=7 * 24 * 60).contains(&self.window) {
            return Err(Invalid::Window);
        }
        Ok(())
    }

    /// Whether it runs on a day.
    pub fn on(&self, date: Date) -> bool {
        match &self.days {
            Days::Daily => true,
            Days::Weekly(days) => u8::try_from(date.weekday().to_monday_one_offset())
                .is_ok_and(|day| days.contains(&day)),
            Days::Monthly(day) => {
                i8::try_from(*day).is_ok_and(|day| date.day() == day.min(date.days_in_month()))
            }
        }
    }

    /// The planned runs after a moment, without end.
    pub fn after(&self, moment: Timestamp) -> impl Iterator<Item = Timestamp> {
        let days = std::iter::successors(Some(lima_date(moment)), |date| date.tomorrow().ok());
        days.filter(|date| self.on(*date))
            .flat_map(|date| {
                self.times
                    .iter()
                    .map(move |time| lima_time(date.to_datetime(*time)))
            })
            .filter(move |at| *at > moment)
    }

    /// The next planned run after a moment; none if it is no plan.
    pub fn next(&self, moment: Timestamp) -> Option<Timestamp> {
        self.check().ok()?;
        self.after(moment).next()
    }

    /// What has come due after `done` (the planned time settled last) up to
    /// now, oldest first. At most one is to begin: the last, if its window is
    /// still open.
    pub fn due(&self, done: Timestamp, now: Timestamp) -> Vec<Due> {
        if self.check().is_err() {
            return Vec::new();
        }
        let mut due: Vec<Due> = self
            .after(done)
            .take_while(|at| *at <= now)
            .map(Due::Missed)
            .collect();
        if let Some(Due::Missed(at)) = due.last().copied()
            && now < after(at, i64::from(self.window) * 60)
        {
            due.pop();
            due.push(Due::Run(at));
        }
        due
    }
}

/// Whether people work on a day: Monday to Friday, no holiday.
pub fn working(date: Date, holidays: &Holidays) -> bool {
    !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) && !holidays.contains(date)
}

/// The first working day after a day; simply the day after, where a calendar
/// leaves none within a year.
pub fn next_working(date: Date, holidays: &Holidays) -> Date {
    let next = date.tomorrow().unwrap_or(Date::MAX);
    std::iter::successors(Some(next), |date| date.tomorrow().ok())
        .take(366)
        .find(|date| working(*date, holidays))
        .unwrap_or(next)
}

/// Until when the backups of a day are to be verified: this time of the next
/// working day.
pub fn verify_until(date: Date, cut_off: Time, holidays: &Holidays) -> Timestamp {
    lima_time(next_working(date, holidays).to_datetime(cut_off))
}

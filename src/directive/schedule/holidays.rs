//! The days on which nobody works, from a file that people can edit.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Peru's national holidays, as shipped.
const PERU: &str = include_str!("peru.txt");

/// A calendar of holidays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Holidays {
    text: String,
    /// Month and day.
    every_year: BTreeSet<(i8, i8)>,
    /// Days from Easter Sunday.
    easter: BTreeSet<i32>,
    once: BTreeSet<Date>,
}

/// A line that is no holiday, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} names no day")]
pub struct BadLine(pub usize);

impl Holidays {
    /// Peru's national holidays.
    pub fn peru() -> Self {
        // The shipped file is read by a test.
        Self::parse(PERU).unwrap_or_default()
    }

    /// Reads a calendar. A line begins with `MM-DD` (every year),
    /// `YYYY-MM-DD` (once) or `easter-N` (N days before Easter Sunday), then a
    /// name; what follows a `#` is a remark.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut it = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            if let Some(day) = line.split_whitespace().next() {
                it.add(day).ok_or(BadLine(number))?;
            }
        }
        Ok(it)
    }

    fn add(&mut self, day: &str) -> Option<()> {
        if let Some(before) = day.strip_prefix("easter-") {
            self.easter.insert(-i32::from(before.parse::<u8>().ok()?));
        } else if day.len() == 5 {
            // Held against a leap year, so that 29 February is a day.
            let date: Date = format!("2000-{day}").parse().ok()?;
            self.every_year.insert((date.month(), date.day()));
        } else if day.len() == 10 {
            self.once.insert(day.parse().ok()?);
        } else {
            return None;
        }
        Some(())
    }

    /// Whether a day is a holiday.
    pub fn contains(&self, date: Date) -> bool {
        self.every_year.contains(&(date.month(), date.day()))
            || self.once.contains(&date)
            || easter(date.year()).is_some_and(|sunday| {
                self.easter
                    .iter()
                    .any(|days| sunday.checked_add(days.days()).is_ok_and(|day| day == date))
            })
    }
}

impl TryFrom<String> for Holidays {
    type Error = BadLine;

    fn try_from(text: String) -> Result<Self, BadLine> {
        Self::parse(&text)
    }
}

impl From<Holidays> for String {
    fn from(it: Holidays) -> Self {
        it.text
    }
}

/// Easter Sunday of a year (the Gregorian computus as printed in Nature, 1876).
fn easter(year: i16) -> Option<Date> {
    let year_number = i32::from(year);
    let a = year_number % 19;
    let (b, c) = (year_number / 100, year_number % 100);
    let (d, e) = (b / 4, b % 4);
    let f = (b + 8) / 25;
    let g = (b - f + 1) / 3;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    let month = i8::try_from(n / 31).ok()?;
    let day = i8::try_from(n % 31 + 1).ok()?;
    Date::new(year, month, day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_of_known_years() {
        for day in [
            "1961-04-02",
            "2000-04-23",
            "2008-03-23",
            "2011-04-24",
            "2016-03-27",
            "2024-03-31",
            "2025-04-20",
            "2026-04-05",
            "2027-03-28",
            "2038-04-25",
        ] {
            let date: Date = day.parse().unwrap();
            assert_eq!(easter(date.year()), Some(date));
        }
    }

    #[test]
    fn the_shipped_calendar_is_read() {
        let peru = Holidays::parse(PERU).unwrap();
        let count = |year: i16| {
            let first = Date::new(year, 1, 1).unwrap();
            std::iter::successors(Some(first), |day| day.tomorrow().ok())
                .take_while(|day| day.year() == year)
                .filter(|day| peru.contains(*day))
                .count()
        };
        assert_eq!((count(2026), count(2028)), (16, 16));
        for day in ["2026-04-02", "2026-04-03", "2026-07-28", "2027-03-26"] {
            assert!(peru.contains(day.parse().unwrap()), "{day}");
        }
        assert!(!peru.contains("2026-04-06".parse().unwrap()));
    }

    #[test]
    fn a_bad_line_is_named() {
        let read = |text: &str| Holidays::parse(text).map(|_| ());
        assert_eq!(read("# remark\n\n01-01 New year # yes\n02-29 x"), Ok(()));
        for bad in [
            "13-01",
            "02-30",
            "2026-02-29",
            "easter",
            "easter-x",
            "1-1",
            "christmas",
        ] {
            assert_eq!(read(&format!("01-01\n{bad} x")), Err(BadLine(2)), "{bad}");
        }
        let once = Holidays::parse("2026-05-04 bridge").unwrap();
        assert!(once.contains("2026-05-04".parse().unwrap()));
        assert!(!once.contains("2027-05-04".parse().unwrap()));
        let back: Holidays = serde_json::from_str(&serde_json::to_string(&once).unwrap()).unwrap();
        assert_eq!(back, once);
    }
}

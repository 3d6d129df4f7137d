//! How fast a provider may be spoken to: bytes a second by the hour of the
//! day, and requests a second.
//!
//! Every piece that is about to be sent is announced here first, and waits its
//! turn; so the bound holds for all lanes together, and from second to second.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::engine::{Error, Kind, Result};

/// The hours of a schedule are those of the ministry, whatever the box's clock shows.
const ZONE: &str = "America/Lima";
/// Bytes announced at once.
pub(super) const PIECE: usize = 64 << 10;
/// Longest sleep without looking whether to stop.
const NAP: Duration = Duration::from_millis(200);

/// Bytes a second by the hour of the day, such as
/// `08:00-18:00 2 MiB/s, else unlimited`. The first hours that fit count; what
/// no rule names is unlimited. Hours are those of America/Lima.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Schedule(Vec<Rule>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    /// From, and until before; `None` for "else".
    hours: Option<(Time, Time)>,
    /// Bytes a second; `None` for unlimited.
    rate: Option<u64>,
}

impl Rule {
    fn holds(&self, at: Time) -> bool {
        match self.hours {
            None => true,
            Some((from, to)) if from <= to => from <= at && at < to,
            // Past midnight.
            Some((from, to)) => from <= at || at < to,
        }
    }
}

impl Schedule {
    /// The same number of bytes a second all day.
    pub fn always(rate: u64) -> Self {
        Self(vec![Rule {
            hours: None,
            rate: Some(rate.max(1)),
        }])
    }

    /// Bytes a second at a time of the day in Lima; `None` for unlimited.
    pub fn rate_at(&self, at: Time) -> Option<u64> {
        self.0.iter().find(|rule| rule.holds(at))?.rate
    }

    fn rate(&self, at: Timestamp) -> Option<u64> {
        self.rate_at(at.to_zoned(zone()).time())
    }

    fn is_bounded(&self) -> bool {
        self.0.iter().any(|rule| rule.rate.is_some())
    }
}

/// The zone of schedules and of the day whose bytes are counted.
pub(super) fn zone() -> TimeZone {
    // Peru has had no summer time since 1994: where the zone's file is
    // missing, five hours behind is the same.
    TimeZone::get(ZONE).unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(-5)))
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |part: &str| {
            Error::new(
                Kind::Refused,
                format!(
                    "\"{part}\" is not a rule of a schedule; write it like \"08:00-18:00 2 MiB/s, else unlimited\""
                ),
            )
        };
        let mut rules = Vec::new();
        for part in text.split([',', ';']).map(str::trim) {
            if part.is_empty() {
                continue;
            }
            // A rule without hours is the speed alone, which has a space in it, too.
            let (hours, rate) = match part.split_once(' ') {
                Some((hours, rate)) if hours.contains('-') || is_rest(hours) => (hours, rate),
                _ => ("else", part),
            };
            let hours = match is_rest(hours) {
                true => None,
                false => {
                    let (from, to) = hours.split_once('-').ok_or_else(|| bad(part))?;
                    Some((
                        clock(from).ok_or_else(|| bad(part))?,
                        clock(to).ok_or_else(|| bad(part))?,
                    ))
                }
            };
            let rate = match is_unlimited(rate.trim()) {
                true => None,
                false => Some(speed(rate).ok_or_else(|| bad(part))?),
            };
            rules.push(Rule { hours, rate });
        }
        Ok(Self(rules))
    }
}

/// The word for all other hours, in English or Spanish.
fn is_rest(word: &str) -> bool {
    ["else", "resto"]
        .iter()
        .any(|w| word.eq_ignore_ascii_case(w))
}

/// The words for no limit, in English or Spanish.
fn is_unlimited(words: &str) -> bool {
    ["unlimited", "sin límite", "sin limite"].contains(&words.to_lowercase().as_str())
}

/// `HH:MM`; 24:00 is midnight.
fn clock(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two = |t: &str| (t.len() <= 2).then(|| t.parse::<i8>().ok()).flatten();
    match (two(hour)?, two(minute)?) {
        (24, 0) => Some(Time::midnight()),
        (hour, minute) => Time::new(hour, minute, 0, 0).ok(),
    }
}

/// `2 MiB/s` in bytes a second.
fn speed(text: &str) -> Option<u64> {
    bytes(text.trim().strip_suffix("/s")?).filter(|n| *n > 0)
}

/// `2 MiB`, `500 kB`, `1000 B`, `1000` in bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, rule) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match rule.hours {
                Some((from, to)) => write!(
                    f,
                    "{:02}:{:02}-{:02}:{:02} ",
                    from.hour(),
                    from.minute(),
                    to.hour(),
                    to.minute()
                )?,
                None => f.write_str("else ")?,
            }
            match rule.rate {
                None => f.write_str("unlimited")?,
                Some(rate) => {
                    let (n, unit) = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
                        .into_iter()
                        .find(|(size, _)| rate % size == 0)
                        .map_or((rate, "B"), |(size, unit)| (rate / size, unit));
                    write!(f, "{n} {unit}/s")?;
                }
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Schedule {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> String {
        schedule.to_string()
    }
}

/// What a provider, and the line to it, may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes a second by the hour.
    pub bandwidth: Schedule,
    /// Requests a second; 0 for any number.
    pub requests: u32,
    /// Bytes a replication may send on one day (of Lima); 0 for any number.
    pub bytes_a_day: u64,
}

/// Keeps all that is sent to a provider within [`Limits`].
pub struct Pace {
    schedule: Schedule,
    requests: u32,
    bounded: bool,
    stopped: AtomicBool,
    /// When the next byte, and the next request, may go.
    next: Mutex<(Instant, Instant)>,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

impl Pace {
    /// Keeps within `limits`; their bytes a day are the replication's to count.
    pub fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            bounded: limits.bandwidth.is_bounded(),
            schedule: limits.bandwidth.clone(),
            requests: limits.requests,
            stopped: AtomicBool::new(false),
            next: Mutex::new((now, now)),
        }
    }

    /// The same, shared.
    pub fn shared(limits: &Limits) -> Arc<Self> {
        Arc::new(Self::new(limits))
    }

    /// Whether bytes ever have to wait.
    pub(super) fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// Ends every waiting, now and later, with `Cancelled`.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Waits until `n` more bytes may go, at most [`PIECE`] or a little more.
    ///
    /// # Errors
    /// `Cancelled` after [`Pace::stop`].
    pub fn bytes(&self, n: usize) -> Result<()> {
        self.check()?;
        if !self.bounded {
            return Ok(());
        }
        let Some(rate) = self.schedule.rate(Timestamp::now()) else {
            return Ok(());
        };
        let takes = Duration::from_secs_f64(n as f64 / rate as f64);
        self.wait(|next| &mut next.0, takes)
    }

    /// Waits until another request may go.
    ///
    /// # Errors
    /// `Cancelled` after [`Pace::stop`].
    pub fn request(&self) -> Result<()> {
        self.check()?;
        match self.requests {
            0 => Ok(()),
            n => self.wait(|next| &mut next.1, Duration::from_secs(1) / n),
        }
    }

    /// Takes the next turn, which lasts `takes`, and waits for it.
    fn wait(
        &self,
        which: impl Fn(&mut (Instant, Instant)) -> &mut Instant,
        takes: Duration,
    ) -> Result<()> {
        let turn = {
            // Nothing that can panic is done under this lock.
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let next = which(&mut next);
            let turn = (*next).max(Instant::now());
            *next = turn + takes;
            turn
        };
        loop {
            self.check()?;
            let left = turn.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(NAP));
        }
    }

    fn check(&self) -> Result<()> {
        match self.stopped.load(Ordering::Relaxed) {
            true => Err(Error::new(Kind::Cancelled, "stopped on request")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_is_written() {
        let schedule: Schedule = "08:00-18:00 2 MiB/s, else unlimited".parse().unwrap();
        let at = |h, m| schedule.rate_at(Time::new(h, m, 0, 0).unwrap());
        assert_eq!(at(8, 0), Some(2 << 20));
        assert_eq!(at(17, 59), Some(2 << 20));
        assert_eq!((at(7, 59), at(18, 0)), (None, None));
        let night: Schedule = "22:00-06:30 unlimited; 512 kB/s".parse().unwrap();
        let at = |h, m| night.rate_at(Time::new(h, m, 0, 0).unwrap());
        assert_eq!((at(23, 0), at(6, 29)), (None, None));
        assert_eq!((at(6, 30), at(12, 0)), (Some(512_000), Some(512_000)));
        let spanish: Schedule = "08:00-18:00 2 MiB/s, resto sin límite".parse().unwrap();
        assert_eq!(spanish, schedule);
        for schedule in [schedule, night, Schedule::default(), Schedule::always(7)] {
            let text = schedule.to_string();
            assert_eq!(text.parse::<Schedule>().unwrap(), schedule, "{text}");
        }
        for bad in [
            "8-18 2 MiB/s",
            "08:00-25:00 2 MiB/s",
            "08:00-18:00 fast",
            "08:00-18:00 0 MiB/s",
            "else 2 MiB",
            "08:00-18:00",
            "08:61-09:00 1 B/s",
        ] {
            let e = bad.parse::<Schedule>().unwrap_err();
            assert_eq!(e.kind(), Kind::Refused, "{bad}");
        }
    }

    #[test]
    fn the_hours_are_those_of_lima() {
        let schedule: Schedule = "08:00-18:00 2 MiB/s".parse().unwrap();
        let at = |text: &str| schedule.rate(text.parse().unwrap());
        assert_eq!(at("2026-11-24T13:00:00Z"), Some(2 << 20));
        assert_eq!(at("2026-11-24T12:59:00Z"), None);
        assert_eq!(at("2026-11-24T23:00:00Z"), None);
    }

    #[test]
    fn all_lanes_together_keep_the_pace() {
        let limits = Limits {
            bandwidth: Schedule::always(1 << 20),
            requests: 50,
            bytes_a_day: 0,
        };
        let pace = Pace::new(&limits);
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..4 {
                        pace.bytes(PIECE).unwrap();
                    }
                });
            }
        });
        // The last of 16 pieces goes when 15 have had their time.
        let took = began.elapsed().as_millis();
        assert!((930..2000).contains(&took), "{took} ms");
        let began = Instant::now();
        (0..11).for_each(|_| pace.request().unwrap());
        let took = began.elapsed().as_millis();
        assert!((195..1000).contains(&took), "{took} ms");
        pace.stop();
        assert_eq!(pace.bytes(1).unwrap_err().kind(), Kind::Cancelled);
        assert_eq!(pace.request().unwrap_err().kind(), Kind::Cancelled);
    }
}

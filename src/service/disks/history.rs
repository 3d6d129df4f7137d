//! What is remembered of each disk, by serial number: its figures over time,
//! what it warns of, where it was, and when it last tested itself.
//!
//! Bounded: figures of every hour for a week, of every day for two years, and
//! at most 128 disks; of more, those not seen for longest are forgotten.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::alarms::{self, Alarm};
use crate::appliance::{Record, Settings};
use crate::devices::{Disk, Smart};
use crate::engine::Result;

/// Name of a disk's record, before its serial number.
const NAME: &str = "disk/";
/// Disks remembered.
const DISKS: usize = 128;
/// Least time between two figures. Less than an hour, so that every hour has one.
const GAP: SignedDuration = SignedDuration::from_mins(55);
/// Figures of every hour are kept for so long, then of every day.
const HOURLY: SignedDuration = SignedDuration::from_hours(7 * 24);
const DAILY: SignedDuration = SignedDuration::from_hours(730 * 24);

/// A disk's figures at one time; see [`Smart`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub time: Timestamp,
    /// Degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<i64>,
    /// Hours powered on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_on_hours: Option<u64>,
    /// Sectors replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reallocated: Option<u64>,
    /// Sectors that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// Sectors that its own scan could not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncorrectable: Option<u64>,
    /// Reads and writes it could not correct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_errors: Option<u64>,
    /// Percent of its rated life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wear: Option<u8>,
}

impl Sample {
    /// `None` if nothing is known now.
    fn of(smart: &Smart, time: Timestamp) -> Option<Self> {
        let sample = Self {
            time,
            temperature: smart.temperature,
            power_on_hours: smart.power_on_hours,
            reallocated: smart.reallocated,
            pending: smart.pending,
            uncorrectable: smart.uncorrectable,
            media_errors: smart.media_errors,
            wear: smart.wear,
        };
        let empty = Smart {
            passed: smart.passed,
            test: smart.test.clone(),
            asleep: smart.asleep,
            ..Smart::default()
        };
        (*smart != empty).then_some(sample)
    }
}

/// What is remembered of one disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    pub model: String,
    /// Where it was last.
    pub slot: Option<String>,
    pub seen: Timestamp,
    pub samples: Vec<Sample>,
    pub alarms: Vec<Alarm>,
    /// When the box last had it test itself.
    pub short_test: Timestamp,
    pub long_test: Timestamp,
}

impl Record for Past {
    const VERSION: u32 = 1;
}

impl Past {
    /// Of a disk never seen before. Its first tests are due at times of its own
    /// within the periods, so that disks bought together do not test together.
    pub fn new(serial: &str, now: Timestamp, short: SignedDuration, long: SignedDuration) -> Self {
        let hash = blake3::hash(serial.as_bytes());
        let share = f64::from(hash.as_bytes()[0]) / 256.0;
        let ago = |period: SignedDuration| {
            let back = SignedDuration::from_secs_f64(period.as_secs_f64() * share);
            now.checked_sub(back).unwrap_or(now)
        };
        Self {
            model: String::new(),
            slot: None,
            seen: now,
            samples: Vec::new(),
            alarms: Vec::new(),
            short_test: ago(short),
            long_test: ago(long),
        }
    }

    /// Takes in how a disk is now; whether anything is worth writing down.
    pub fn take(&mut self, disk: &Disk, now: Timestamp) -> bool {
        let before = (self.alarms.clone(), self.slot.clone(), self.model.clone());
        self.model.clone_from(&disk.model);
        self.slot.clone_from(&disk.slot);
        alarms::update(&mut self.alarms, &disk.smart, disk.rotational, now);
        let due = self
            .samples
            .last()
            .is_none_or(|last| now.duration_since(last.time).abs() >= GAP);
        let sample = Sample::of(&disk.smart, now).filter(|_| due);
        let grown = sample.is_some();
        if let Some(sample) = sample {
            self.samples.push(sample);
            self.thin(now);
        }
        let stale = now.duration_since(self.seen).abs() >= GAP;
        let news = grown
            || stale
            || before != (self.alarms.clone(), self.slot.clone(), self.model.clone());
        if news {
            self.seen = now;
        }
        news
    }

    /// Forgets what is older than is kept.
    fn thin(&mut self, now: Timestamp) {
        let mut day = None;
        self.samples.retain(|sample| {
            let age = now.duration_since(sample.time);
            if age <= HOURLY {
                return true;
            }
            let of = Some(sample.time.as_second().div_euclid(86_400));
            let first = day != of;
            day = of;
            first && age <= DAILY
        });
        // A clock that was wrong must not make the record grow.
        let most = 2048;
        if self.samples.len() > most {
            self.samples.drain(..self.samples.len() - most);
        }
    }
}

/// Every record there is, by serial number. One that cannot be read is left
/// out and written anew.
pub(super) fn all(settings: &Settings) -> Vec<(String, Past)> {
    settings.list(NAME).unwrap_or_else(|e| {
        tracing::warn!("the history of the disks is not readable: {e}");
        Vec::new()
    })
}

/// Writes a record down.
pub(super) fn put(settings: &Settings, serial: &str, past: &Past) -> Result<()> {
    settings.put(&format!("{NAME}{serial}"), past)
}

/// Which disks are too many.
pub(super) fn surplus<'a>(all: impl Iterator<Item = (&'a String, &'a Past)>) -> Vec<String> {
    let mut known: Vec<_> = all.map(|(serial, past)| (past.seen, serial)).collect();
    known.sort_by(|a, b| b.cmp(a));
    let old = known.into_iter().skip(DISKS);
    old.map(|(_, serial)| serial.clone()).collect()
}

/// Forgets a disk.
pub(super) fn forget(settings: &Settings, serial: &str) -> Result<bool> {
    settings.remove(&format!("{NAME}{serial}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Contents;

    const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
    const QUARTER: SignedDuration = SignedDuration::from_hours(90 * 24);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + minutes * 60).unwrap()
    }

    fn disk(temperature: Option<i64>) -> Disk {
        Disk {
            name: "sda".into(),
            model: "M".into(),
            serial: "S".into(),
            wwn: None,
            size: 1,
            rotational: true,
            transport: "sata".into(),
            slot: Some("Slot 05".into()),
            read_only: false,
            given_up: None,
            smart: Smart {
                temperature,
                ..Smart::default()
            },
            contents: Contents::Blank,
        }
    }

    #[test]
    fn a_year_of_looks_every_ten_minutes_stays_small() {
        let mut past = Past::new("S", at(0), WEEK, QUARTER);
        let mut written = 0;
        let year = 365 * 24 * 60;
        for minute in (0..year).step_by(10) {
            written += usize::from(past.take(&disk(Some(30 + minute % 7)), at(minute)));
        }
        assert!((8_700..=8_800).contains(&written), "{written}");
        let hours = past
            .samples
            .iter()
            .filter(|s| s.time > at(year - 7 * 24 * 60));
        assert!((160..=169).contains(&hours.count()));
        assert!(
            (520..=540).contains(&past.samples.len()),
            "{}",
            past.samples.len()
        );
        assert!(serde_json::to_vec(&past).unwrap().len() < 64 << 10);
        assert!(past.samples.is_sorted_by_key(|s| s.time));
        assert_eq!(past.slot.as_deref(), Some("Slot 05"));
    }

    #[test]
    fn two_years_is_the_end() {
        let mut past = Past::new("S", at(0), WEEK, QUARTER);
        for day in 0..1000 {
            past.take(&disk(Some(30)), at(day * 24 * 60));
        }
        let oldest = past.samples[0].time;
        assert!(oldest >= at((999 - 731) * 24 * 60));
    }

    #[test]
    fn a_disk_that_sleeps_leaves_no_figures() {
        let mut past = Past::new("S", at(0), WEEK, QUARTER);
        past.take(&disk(None), at(60));
        assert!(past.samples.is_empty());
    }

    #[test]
    fn disks_not_seen_for_longest_are_forgotten() {
        let all: Vec<(String, Past)> = (0..130)
            .map(|i| (format!("S{i}"), Past::new("S", at(i), WEEK, QUARTER)))
            .collect();
        let gone = surplus(all.iter().map(|(s, p)| (s, p)));
        assert_eq!(gone, ["S1", "S0"]);
    }
}

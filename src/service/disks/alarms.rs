//! What a disk warns of: one alarm for each kind, raised once and taken back
//! only after it has been quiet for a while, so that a figure that goes to and
//! fro is one finding, not a storm of them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::devices::{Smart, TestOutcome};

/// How long a figure must be back before its alarm is taken back.
const QUIET: SignedDuration = SignedDuration::from_hours(12);

/// What a disk can warn of, gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// Its own verdict: it will fail soon.
    SmartFailing,
    /// A self-test found a fault.
    TestFailed,
    /// Sectors that its own scan could not read.
    Uncorrectable,
    /// Sectors that could not be read.
    Pending,
    /// Reads or writes that it could not correct.
    MediaErrors,
    /// Sectors replaced by spare ones, grown defects.
    Reallocated,
    /// Percent of its rated life.
    Wear,
    /// Degrees Celsius.
    Hot,
}

impl AlarmKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SmartFailing,
        Self::TestFailed,
        Self::Uncorrectable,
        Self::Pending,
        Self::MediaErrors,
        Self::Reallocated,
        Self::Wear,
        Self::Hot,
    ];

    /// It is about to stop working, rather than worn.
    pub fn failing(self) -> bool {
        matches!(self, Self::SmartFailing | Self::TestFailed)
    }

    /// As serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SmartFailing => "smart-failing",
            Self::TestFailed => "test-failed",
            Self::Uncorrectable => "uncorrectable",
            Self::Pending => "pending",
            Self::MediaErrors => "media-errors",
            Self::Reallocated => "reallocated",
            Self::Wear => "wear",
            Self::Hot => "hot",
        }
    }

    /// The figure now; `None` if it is not known.
    fn figure(self, smart: &Smart) -> Option<u64> {
        match self {
            Self::SmartFailing => smart.passed.map(|passed| u64::from(!passed)),
            Self::TestFailed => {
                let last = smart.test.as_ref()?.last.as_ref()?;
                match last.outcome {
                    TestOutcome::Passed => Some(0),
                    TestOutcome::Failed => Some(1),
                    TestOutcome::Aborted => None,
                }
            }
            Self::Uncorrectable => smart.uncorrectable,
            Self::Pending => smart.pending,
            Self::MediaErrors => smart.media_errors,
            Self::Reallocated => smart.reallocated,
            Self::Wear => smart.wear.map(u64::from),
            Self::Hot => smart.temperature.and_then(|t| u64::try_from(t).ok()),
        }
    }

    /// From which figure on it is raised, and up to which it counts as quiet.
    fn limits(self, rotational: bool) -> (u64, u64) {
        match self {
            Self::Reallocated => (10, 9),
            Self::Wear => (90, 85),
            // What makers allow: about 60 for spinning disks, 70 for flash.
            Self::Hot if rotational => (60, 55),
            Self::Hot => (70, 65),
            _ => (1, 0),
        }
    }
}

/// One alarm of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What it warns of.
    pub kind: AlarmKind,
    /// When it was raised.
    pub since: Timestamp,
    /// The figure now.
    pub value: u64,
    /// Since when it has been quiet.
    pub quiet: Option<Timestamp>,
}

/// Brings a disk's alarms up to what it says now. What it does not say now
/// (asleep, or gone) changes nothing.
pub fn update(alarms: &mut Vec<Alarm>, smart: &Smart, rotational: bool, now: Timestamp) {
    for kind in AlarmKind::ALL {
        let Some(value) = kind.figure(smart) else {
            continue;
        };
        let (raise, calm) = kind.limits(rotational);
        let at = alarms.iter().position(|a| a.kind == kind);
        match at {
            None if value >= raise => alarms.push(Alarm {
                kind,
                since: now,
                value,
                quiet: None,
            }),
            None => {}
            Some(at) if value > calm => {
                alarms[at].value = value;
                alarms[at].quiet = None;
            }
            Some(at) => {
                let quiet = *alarms[at].quiet.get_or_insert(now);
                alarms[at].value = value;
                if now.duration_since(quiet) >= QUIET {
                    alarms.remove(at);
                }
            }
        }
    }
    alarms.sort_by_key(|a| a.kind);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::{SelfTest, TestResult};

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + hours * 3600).unwrap()
    }

    fn hot(temperature: i64) -> Smart {
        Smart {
            temperature: Some(temperature),
            ..Smart::default()
        }
    }

    #[test]
    fn a_figure_that_goes_to_and_fro_is_one_alarm() {
        let mut alarms = Vec::new();
        let mut raised = 0;
        let mut before = 0;
        // Two days, each hour a few degrees up or down around the limit.
        for hour in 0..48 {
            let temperature = if hour % 2 == 0 { 61 } else { 54 };
            update(&mut alarms, &hot(temperature), true, at(hour));
            raised += usize::from(alarms.len() > before);
            before = alarms.len();
        }
        assert_eq!(raised, 1);
        assert_eq!(alarms[0].since, at(0));
    }

    #[test]
    fn an_alarm_ends_when_it_was_quiet_for_long_enough() {
        let mut alarms = Vec::new();
        update(&mut alarms, &hot(60), true, at(0));
        // Below the limit, not yet quiet.
        update(&mut alarms, &hot(58), true, at(1));
        update(&mut alarms, &hot(50), true, at(2));
        update(&mut alarms, &hot(50), true, at(13));
        assert_eq!(alarms.len(), 1);
        // Asleep: nothing is known, nothing ends.
        update(&mut alarms, &Smart::default(), true, at(40));
        assert_eq!(alarms.len(), 1);
        update(&mut alarms, &hot(50), true, at(41));
        assert!(alarms.is_empty());
    }

    #[test]
    fn each_kind_has_its_limit() {
        let raised = |smart: Smart, rotational| {
            let mut alarms = Vec::new();
            update(&mut alarms, &smart, rotational, at(0));
            alarms
                .into_iter()
                .map(|a| (a.kind, a.value))
                .collect::<Vec<_>>()
        };
        let well = Smart {
            passed: Some(true),
            temperature: Some(59),
            power_on_hours: Some(90_000),
            reallocated: Some(9),
            pending: Some(0),
            uncorrectable: Some(0),
            media_errors: Some(0),
            wear: Some(89),
            ..Smart::default()
        };
        assert_eq!(raised(well, true), []);
        assert_eq!(raised(hot(69), false), []);
        let test = |outcome| {
            Some(SelfTest {
                remaining: None,
                last: Some(TestResult {
                    long: true,
                    outcome,
                    hours: None,
                }),
            })
        };
        let ill = Smart {
            passed: Some(false),
            temperature: Some(70),
            reallocated: Some(10),
            pending: Some(1),
            uncorrectable: Some(2),
            media_errors: Some(3),
            wear: Some(103),
            test: test(TestOutcome::Failed),
            ..Smart::default()
        };
        let expected = [1, 1, 2, 1, 3, 10, 103, 70];
        let expected: Vec<_> = AlarmKind::ALL.into_iter().zip(expected).collect();
        assert_eq!(raised(ill, false), expected);
        let aborted = Smart {
            test: test(TestOutcome::Aborted),
            ..Smart::default()
        };
        assert_eq!(raised(aborted, true), []);
    }
}

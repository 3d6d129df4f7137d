//! Which disk is to test itself next. One test begins at a time, and a long one
//! only while no other disk tests itself: a disk that tests itself is slower.

use jiff::{SignedDuration, Timestamp};

use super::history::Past;
use crate::devices::Smart;

/// A test that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub serial: String,
    pub long: bool,
}

/// The test that is due longest. `disks`: those that may be tested.
pub(super) fn due<'a>(
    disks: impl Iterator<Item = (&'a str, &'a Smart, &'a Past)> + Clone,
    now: Timestamp,
    short: SignedDuration,
    long: SignedDuration,
) -> Option<Due> {
    let running = |smart: &Smart| smart.test.as_ref().is_some_and(|t| t.remaining.is_some());
    let busy = disks.clone().any(|(_, smart, _)| running(smart));
    let mut best: Option<(SignedDuration, Due)> = None;
    for (serial, smart, past) in disks {
        if smart.test.is_none() || smart.asleep || running(smart) {
            continue;
        }
        let late = |last: Timestamp, period: SignedDuration| {
            let late = now.duration_since(last) - period;
            (!late.is_negative()).then_some(late)
        };
        // A long test does the work of a short one.
        let found = match late(past.long_test, long).filter(|_| !busy) {
            Some(by) => Some((by, true)),
            None => late(past.short_test.max(past.long_test), short).map(|by| (by, false)),
        };
        if let Some((by, long)) = found
            && best.as_ref().is_none_or(|(most, _)| by > *most)
        {
            let serial = serial.to_owned();
            best = Some((by, Due { serial, long }));
        }
    }
    best.map(|(_, due)| due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::SelfTest;

    const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
    const QUARTER: SignedDuration = SignedDuration::from_hours(90 * 24);

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + hours * 3600).unwrap()
    }

    fn smart(remaining: Option<u8>) -> Smart {
        Smart {
            test: Some(SelfTest {
                remaining,
                last: None,
            }),
            ..Smart::default()
        }
    }

    /// Half a year of eight disks, looked at every ten minutes; a short test
    /// takes two minutes, a long one eleven hours.
    #[test]
    fn every_disk_is_tested_in_time_and_never_two_of_them_long() {
        let serials: Vec<String> = (0..8).map(|i| format!("WSD0A1B{i}")).collect();
        let mut pasts: Vec<Past> = serials
            .iter()
            .map(|s| Past::new(s, at(0), WEEK, QUARTER))
            .collect();
        let mut until = [at(-1); 8];
        let (mut short, mut long) = ([0; 8], [0; 8]);
        let mut now = at(0);
        while now < at(180 * 24) {
            let smarts: Vec<Smart> = until
                .iter()
                .map(|u| smart((*u > now).then_some(50)))
                .collect();
            let disks = (0..8).map(|i| (serials[i].as_str(), &smarts[i], &pasts[i]));
            if let Some(found) = due(disks, now, WEEK, QUARTER) {
                let i = serials.iter().position(|s| *s == found.serial).unwrap();
                assert!(until[i] <= now, "it tests itself already");
                if found.long {
                    assert!(until.iter().all(|u| *u <= now), "another tests itself");
                    until[i] = now + SignedDuration::from_hours(11);
                    pasts[i].long_test = now;
                    long[i] += 1;
                } else {
                    until[i] = now + SignedDuration::from_mins(2);
                    pasts[i].short_test = now;
                    short[i] += 1;
                }
            }
            now += SignedDuration::from_mins(10);
        }
        assert!(long.iter().all(|n| (1..=3).contains(n)), "{long:?}");
        assert!(short.iter().all(|n| (22..=26).contains(n)), "{short:?}");
    }

    #[test]
    fn a_disk_that_sleeps_or_has_no_tests_is_left_alone() {
        let mut past = Past::new("S", at(0), WEEK, QUARTER);
        past.short_test = at(-10_000);
        past.long_test = at(-10_000);
        let asleep = Smart {
            asleep: true,
            ..smart(None)
        };
        for smart in [asleep, Smart::default(), smart(Some(10))] {
            let disks = std::iter::once(("S", &smart, &past));
            assert_eq!(due(disks, at(0), WEEK, QUARTER), None);
        }
        let smart = smart(None);
        let disks = std::iter::once(("S", &smart, &past));
        let found = due(disks, at(0), WEEK, QUARTER).unwrap();
        assert!(found.long);
    }
}

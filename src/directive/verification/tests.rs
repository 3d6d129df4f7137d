use proptest::prelude::*;

use super::*;
use crate::directive::schedule::{Holidays, verify_until};
use crate::directive::{Actor, after, lima_time};

pub(in crate::directive) fn run(code: &str, outcome: Outcome) -> Run {
    Run {
        code: code.into(),
        host: "bd01".into(),
        kind: Kind::Full,
        planned: time(0),
        started: Some(time(1)),
        ended: Some(time(2)),
        bytes_read: 10,
        bytes_stored: 3,
        files: 2,
        files_failed: 0,
        target: "pool".into(),
        snapshot: Some("s1".into()),
        outcome,
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn stamp(role: Role, at: i64) -> Stamp {
    Stamp {
        by: Actor {
            person: "ana".into(),
            role,
        },
        at: time(at),
    }
}

fn day(outcomes: &[Outcome]) -> Verification {
    let runs = outcomes
        .iter()
        .map(|outcome| run("BD-1", *outcome))
        .collect();
    Verification::begin(
        "2027-01-15".parse().unwrap(),
        Scope::External,
        time(1000),
        runs,
    )
    .unwrap()
}

#[test]
fn a_day_without_runs_needs_no_verification() {
    let date = "2027-01-15".parse().unwrap();
    assert_eq!(
        Verification::begin(date, Scope::Internal, time(0), Vec::new()),
        None
    );
}

/// Every verdict on every outcome, with and without remark.
#[test]
fn what_may_be_called_conforming() {
    use Outcome::{Cancelled, Failed, Good, Missed, Running, Warnings};
    for outcome in [Running, Good, Warnings, Failed, Cancelled, Missed] {
        for notes in ["", "accepted"] {
            let judge =
                |verdict| day(&[outcome]).judge(0, verdict, notes, stamp(Role::Operator, 1));
            let expected = match outcome {
                Running => Err(Refusal::Running),
                Good => Ok(()),
                Warnings if notes.is_empty() => Err(Refusal::NoNotes),
                Warnings => Ok(()),
                _ => Err(Refusal::NotGood),
            };
            assert_eq!(judge(Verdict::Conforming), expected, "{outcome:?}");
            let not = |incident: &str| judge(Verdict::NotConforming(incident.into()));
            let running = outcome == Running;
            assert_eq!(
                not("I-1"),
                if running {
                    Err(Refusal::Running)
                } else {
                    Ok(())
                }
            );
            assert_eq!(
                not(" "),
                Err(if running {
                    Refusal::Running
                } else {
                    Refusal::NoIncident
                })
            );
        }
    }
}

/// Every act under every role, open and closed.
#[test]
fn every_role_act_and_state() {
    for closed in [false, true] {
        for role in Role::ALL {
            for act in ["judge", "judge-good", "close"] {
                let mut it = day(&[Outcome::Good]);
                if closed || act == "close" {
                    it.judge_good(&stamp(Role::Operator, 1)).unwrap();
                }
                if closed {
                    it.close(stamp(Role::Operator, 2)).unwrap();
                }
                let before = it.clone();
                let done = match act {
                    "judge" => it.judge(0, Verdict::Conforming, "", stamp(role, 3)),
                    "judge-good" => it.judge_good(&stamp(role, 3)).map(drop),
                    _ => it.close(stamp(role, 3)).map(drop),
                };
                let expected = if closed {
                    Err(Refusal::Closed)
                } else if role == Role::Operator {
                    Ok(())
                } else {
                    Err(Refusal::Role)
                };
                assert_eq!(done, expected, "{closed} {role:?} {act}");
                assert_eq!(done.is_err(), it == before);
            }
        }
    }
}

#[test]
fn nothing_is_closed_unjudged_and_nothing_changes_after() {
    let mut it = day(&[Outcome::Good, Outcome::Running, Outcome::Failed]);
    assert_eq!(it.judge_good(&stamp(Role::Operator, 1)), Ok(1));
    assert_eq!(
        it.close(stamp(Role::Operator, 2)),
        Err(Refusal::Unjudged(2))
    );
    assert_eq!(
        it.update(0, run("BD-1", Outcome::Failed)),
        Err(Refusal::Judged)
    );
    it.update(1, run("BD-1", Outcome::Good)).unwrap();
    assert_eq!(it.judge_good(&stamp(Role::Operator, 3)), Ok(1));
    let not = Verdict::NotConforming("I-1".into());
    assert_eq!(
        it.judge(9, not.clone(), "", stamp(Role::Operator, 4)),
        Err(Refusal::NoLine)
    );
    it.judge(2, not, "", stamp(Role::Operator, 4)).unwrap();
    assert_eq!(it.status(time(5)), Status::NotConforming);
    let hash = Hash::of_value(&it.lines()).unwrap();
    assert_eq!(it.close(stamp(Role::Operator, 6)).unwrap().hash, hash);
    assert_eq!(
        it.status(time(9000)),
        Status::Closed {
            conforming: false,
            late: false
        }
    );
    let totals = Totals {
        runs: 3,
        conforming: 2,
        not_conforming: 1,
        bytes_read: 30,
        bytes_stored: 9,
    };
    assert_eq!(it.totals(), totals);
    assert_eq!(
        it.update(2, run("BD-1", Outcome::Good)),
        Err(Refusal::Closed)
    );
}

#[test]
fn late_is_marked_from_the_cut_off_on() {
    for (at, late) in [(999, false), (1000, true)] {
        let mut it = day(&[Outcome::Good]);
        assert_eq!(
            it.status(time(at)),
            if late {
                Status::Omitted
            } else {
                Status::Pending
            }
        );
        it.judge_good(&stamp(Role::Operator, at)).unwrap();
        it.close(stamp(Role::Operator, at)).unwrap();
        assert_eq!(
            it.status(time(at)),
            Status::Closed {
                conforming: true,
                late
            }
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Three years of days with a driven clock, leap day and holidays: each
    /// day is verified in time, late, or visibly omitted, as the operator's
    /// delay says.
    #[test]
    fn years_of_days(delays in prop::collection::vec(prop::option::of(1..200i64), 1100)) {
        let peru = Holidays::peru();
        let noon = "12:00".parse().unwrap();
        let mut date: Date = "2027-01-01".parse().unwrap();
        for delay in delays {
            let due = verify_until(date, noon, &peru);
            let mut it = Verification::begin(date, Scope::Internal, due, vec![run("A", Outcome::Good)]).unwrap();
            let made = lima_time(date.tomorrow().unwrap().at(6, 0, 0, 0));
            prop_assert!(due > made);
            prop_assert_eq!(it.status(made), Status::Pending);
            match delay {
                None => prop_assert_eq!(it.status(due), Status::Omitted),
                Some(hours) => {
                    let at = after(made, hours * 3600);
                    let by = Actor { person: "ana".into(), role: Role::Operator };
                    let stamp = Stamp { by, at };
                    it.judge_good(&stamp).unwrap();
                    let late = it.close(stamp).unwrap().late;
                    prop_assert_eq!(late, at >= due);
                    prop_assert_eq!(it.status(due), Status::Closed { conforming: true, late });
                }
            }
            let json = serde_json::to_string(&it).unwrap();
            prop_assert_eq!(serde_json::from_str::<Verification>(&json).unwrap(), it);
            date = date.tomorrow().unwrap();
        }
    }
}

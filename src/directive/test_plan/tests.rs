use proptest::prelude::*;

use super::*;
use crate::directive::document::{Proof, Refusal, Stage};
use crate::directive::{Actor, Stamp};

pub(in crate::directive) fn line(seq: u32, day: &str, scope: Scope) -> Line {
    Line {
        seq,
        planned_on: day.parse().unwrap(),
        code: "BD-1".into(),
        class: SourceClass::DatabaseServers,
        scope,
        extent: Extent::Database,
        point_rule: "the newest".into(),
        target_env: "scratch".into(),
        acceptance: "every checksum equal".into(),
        rto_goal: Some(240),
        rpo_goal: Some(1440),
        executor: "ana".into(),
        supervisor: "eva".into(),
    }
}

fn plan(days: &[&str]) -> Lines {
    Lines {
        year: 2028,
        lines: (1..)
            .zip(days)
            .map(|(n, day)| line(n, day, Scope::Internal))
            .collect(),
    }
}

const GOOD: [&str; 4] = ["2028-02-29", "2028-05-15", "2028-08-15", "2028-11-15"];

#[test]
fn a_plan_without_a_test_in_a_quarter_is_refused() {
    assert_eq!(plan(&GOOD).problems(), []);
    for (n, quarter) in (0..).zip(Quarter::ALL) {
        let mut days = GOOD.to_vec();
        days.remove(n);
        assert_eq!(plan(&days).problems(), [Problem::Quarter(quarter)]);
    }
    let mut bad = plan(&GOOD);
    bad.lines[3].planned_on = "2029-11-15".parse().unwrap();
    bad.lines[1].seq = 1;
    bad.lines[2].acceptance = " ".into();
    assert_eq!(
        bad.problems(),
        [
            Problem::Twice(1),
            Problem::Missing(3),
            Problem::Year(4),
            Problem::Quarter(Quarter(4)),
        ]
    );
}

#[test]
fn quarters_end_where_the_calendar_says() {
    for (day, quarter, last) in [
        ("2028-01-01", 1, "2028-03-31"),
        ("2028-03-31", 1, "2028-03-31"),
        ("2028-04-01", 2, "2028-06-30"),
        ("2028-09-30", 3, "2028-09-30"),
        ("2028-12-31", 4, "2028-12-31"),
    ] {
        let found = Quarter::of(day.parse().unwrap());
        assert_eq!(
            (u8::from(found), found.last_day(2028)),
            (quarter, last.parse().unwrap())
        );
    }
    assert!(serde_json::from_str::<Quarter>("5").is_err());
}

#[test]
fn what_is_left_out_is_warned_of() {
    let mut it = plan(&["2028-01-10", "2028-04-30", "2028-08-15", "2028-11-15"]);
    it.lines[1].scope = Scope::External;
    it.lines[2].class = SourceClass::Switches;
    let warnings = it.warnings();
    let classes = warnings
        .iter()
        .filter(|w| matches!(w, Warning::Class(_)))
        .count();
    assert_eq!(classes, 7);
    let (first, second): (Date, Date) = (it.lines[0].planned_on, it.lines[1].planned_on);
    let (second_gap, third) = (second, it.lines[2].planned_on);
    assert_eq!(
        warnings[7..],
        [
            Warning::Internal(Quarter(2)),
            Warning::External(2),
            Warning::Gap(first, second),
            Warning::Gap(second_gap, third),
        ]
    );
}

fn stamp(person: &str, role: Role) -> Stamp {
    Stamp {
        by: Actor {
            person: person.into(),
            role,
        },
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn the_plan_is_approved_as_a_document_is() {
    let mut it = TestPlan::default();
    let ri = || stamp("ri", Role::Infrastructure);
    assert_eq!(
        it.begin(plan(&GOOD), "2028", stamp("ob", Role::Operator)),
        Err(Refusal::Role)
    );
    it.begin(plan(&GOOD[1..]), "2028", ri()).unwrap();
    let version = it.get_mut(1).unwrap();
    let hash = version.hash().unwrap();
    assert_eq!(version.visto(hash, ri()), Err(Refusal::Incomplete));
    version.edit(plan(&GOOD), ri()).unwrap();
    let content = version.hash().unwrap();
    version.visto(content, ri()).unwrap();
    assert_eq!(version.stage(), Stage::InReview);
    let dec = |day: &str| day.parse().unwrap();
    assert!(plan_missing(Some(&it), 2028, dec("2027-12-01")));
    let proof = Proof::InPanel {
        content,
        second_factor: true,
    };
    let own = it.approve(1, proof, true, stamp("ri", Role::Director));
    assert_eq!(own, Err(Refusal::OnePerson));
    it.approve(1, proof, true, stamp("dg", Role::Director))
        .unwrap();
    assert!(!plan_missing(Some(&it), 2028, dec("2027-12-01")));
    assert!(!plan_missing(None, 2028, dec("2027-11-30")));
    assert!(plan_missing(None, 2028, dec("2028-07-01")));
    assert!(plan_missing(Some(&it), 2029, dec("2028-12-01")));
}

proptest! {
    /// A plan is complete exactly if each quarter has a test of its year.
    #[test]
    fn the_quarter_rule(days in prop::collection::vec(-20..400i32, 0..12)) {
        let first: Date = "2028-01-01".parse().unwrap();
        let days: Vec<Date> = days.iter()
            .map(|day| first.checked_add(jiff::Span::new().days(*day)).unwrap()).collect();
        let texts: Vec<String> = days.iter().map(ToString::to_string).collect();
        let it = plan(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let tested = |months: std::ops::RangeInclusive<i8>| {
            days.iter().any(|day| day.year() == 2028 && months.contains(&day.month()))
        };
        let each = tested(1..=3) && tested(4..=6) && tested(7..=9) && tested(10..=12);
        let inside = days.iter().all(|day| day.year() == 2028);
        prop_assert_eq!(it.problems().is_empty(), each && inside);
    }
}

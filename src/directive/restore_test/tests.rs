use proptest::prelude::*;

use super::*;
use crate::directive::test_plan::tests::line;
use crate::directive::{Actor, after, lima_time};

fn at(day: &str) -> Timestamp {
    lima_time(format!("{day}T10:00").parse().unwrap())
}

fn stamp(person: &str, role: Role, day: &str) -> Stamp {
    Stamp {
        by: Actor {
            person: person.into(),
            role,
        },
        at: at(day),
    }
}

fn measured(day: &str) -> Measured {
    let started = after(at(day), -3600);
    Measured {
        snapshot: "s1".into(),
        taken: after(started, -40_000),
        started,
        ended: after(started, 1800),
        files: 10,
        bytes: 1000,
        differing: 0,
        rights_differing: 0,
        original: Hash::of(b"x"),
        restored: Hash::of(b"x"),
        opened_by: Some("ana".into()),
        incidents: Vec::new(),
        corrections: String::new(),
    }
}

const DAY: &str = "2028-02-15";

fn planned(scope: Scope) -> RestoreTest {
    RestoreTest::planned(line(1, DAY, scope))
}

const ACTS: [&str; 6] = [
    "reschedule",
    "coordinate",
    "carry-out",
    "evaluate",
    "report",
    "not-done",
];

fn act(it: &mut RestoreTest, name: &str, person: &str, role: Role) -> Result<(), Refusal> {
    let by = stamp(person, role, DAY);
    match name {
        "reschedule" => it.reschedule("2028-03-01".parse().unwrap(), "strike", by),
        "coordinate" => it.coordinate(by),
        "carry-out" => it.carry_out(measured(DAY), by),
        "evaluate" => it.evaluate(Evaluation::Complies, "", by),
        "report" => it.report(by),
        _ => it.not_done(at("2028-04-01")),
    }
}

fn staged(scope: Scope) -> Vec<RestoreTest> {
    let mut it = planned(scope);
    let mut all = vec![it.clone()];
    let mut lapsed = it.clone();
    lapsed.not_done(at("2028-04-01")).unwrap();
    if scope == Scope::External {
        act(&mut it, "coordinate", "rsb", Role::ServiceManager).unwrap();
        all.push(it.clone());
    }
    for (name, person, role) in [
        ("carry-out", "ob", Role::Operator),
        ("evaluate", "osi", Role::SecurityOfficer),
        ("report", "dg", Role::Director),
    ] {
        act(&mut it, name, person, role).unwrap();
        all.push(it.clone());
    }
    all.push(lapsed);
    all
}

#[test]
fn every_role_act_and_stage() {
    use Stage::{Coordinated, Done, Evaluated, Planned};
    let table = |name: &str, scope| match name {
        "reschedule" => (vec![Planned, Coordinated], Some(Role::Infrastructure)),
        "coordinate" => (vec![Planned], Some(Role::ServiceManager)),
        "carry-out" if scope == Scope::External => {
            (vec![Planned, Coordinated], Some(Role::Operator))
        }
        "carry-out" => (vec![Planned], Some(Role::Operator)),
        "evaluate" => (vec![Done], Some(Role::SecurityOfficer)),
        "report" => (vec![Evaluated], Some(Role::Director)),
        _ => (vec![Planned, Coordinated], None),
    };
    for scope in [Scope::Internal, Scope::External] {
        for before in staged(scope) {
            for name in ACTS {
                let (stages, needed) = table(name, scope);
                for role in Role::ALL {
                    let mut it = before.clone();
                    let done = act(&mut it, name, "p", role);
                    let stage = before.stage();
                    let expected = if !stages.contains(&stage) {
                        Err(Refusal::Stage(stage))
                    } else if needed.is_some_and(|needed| needed != role) {
                        Err(Refusal::Role)
                    } else if (name == "coordinate" && scope == Scope::Internal)
                        || (name == "carry-out" && scope == Scope::External && stage == Planned)
                    {
                        Err(Refusal::Scope)
                    } else {
                        Ok(())
                    };
                    assert_eq!(done, expected, "{scope:?} {stage:?} {name} {role:?}");
                    assert_eq!(done.is_err(), it == before);
                }
            }
        }
    }
}

#[test]
fn what_is_not_equal_does_not_comply() {
    type Spoil = fn(&mut Measured);
    let spoils: [Spoil; 3] = [
        |m| m.differing = 1,
        |m| m.rights_differing = 1,
        |m| m.restored = Hash::of(b"y"),
    ];
    for spoil in spoils {
        let mut it = planned(Scope::Internal);
        let mut measured = measured(DAY);
        spoil(&mut measured);
        it.carry_out(measured, stamp("ob", Role::Operator, DAY))
            .unwrap();
        let osi = || stamp("osi", Role::SecurityOfficer, DAY);
        assert_eq!(
            it.evaluate(Evaluation::Complies, "fine", osi()),
            Err(Refusal::NotEqual)
        );
        assert_eq!(
            it.evaluate(Evaluation::Fails, " ", osi()),
            Err(Refusal::NoText)
        );
        assert_eq!(
            it.evaluate(Evaluation::Fails, "a file differs", osi()),
            Ok(())
        );
    }
    assert_eq!((measured(DAY).rpo(), measured(DAY).rto()), (40_000, 1800));
}

#[test]
fn who_ran_it_does_not_evaluate_it_and_times_are_in_order() {
    let mut it = planned(Scope::Internal);
    let mut early = measured(DAY);
    early.taken = after(early.started, 1);
    assert_eq!(
        it.carry_out(early, stamp("ob", Role::Operator, DAY)),
        Err(Refusal::Times)
    );
    it.carry_out(measured(DAY), stamp("ana", Role::Operator, DAY))
        .unwrap();
    let own = it.evaluate(
        Evaluation::Complies,
        "",
        stamp("ana", Role::SecurityOfficer, DAY),
    );
    assert_eq!(own, Err(Refusal::SamePerson));
}

#[test]
fn a_moved_test_keeps_its_old_day() {
    let mut it = planned(Scope::External);
    let ri = || stamp("ri", Role::Infrastructure, DAY);
    let to = |it: &mut RestoreTest, day: &str| it.reschedule(day.parse().unwrap(), "strike", ri());
    act(&mut it, "coordinate", "rsb", Role::ServiceManager).unwrap();
    to(&mut it, "2028-05-02").unwrap();
    assert_eq!((it.stage(), it.coordinated()), (Stage::Planned, None));
    assert_eq!(
        (it.moved().len(), it.moved()[0].0),
        (1, DAY.parse().unwrap())
    );
    assert_eq!(it.not_done(at("2028-06-30")), Err(Refusal::Early));
    assert_eq!(to(&mut it, "2029-01-02"), Err(Refusal::Times));
    it.not_done(at("2028-07-01")).unwrap();
    assert_eq!(it.stage(), Stage::NotDone);
}

proptest! {
    /// Over years: a quarter counts as tested exactly if a test was carried
    /// out in it, however tests were moved.
    #[test]
    fn quarters_without_a_test_are_named(days in prop::collection::vec(0..1096i32, 0..20), today in 0..1200i32) {
        let first: Date = "2027-01-01".parse().unwrap();
        let day = |n: i32| first.checked_add(jiff::Span::new().days(n)).unwrap();
        let tests: Vec<RestoreTest> = days.iter().map(|n| {
            let mut it = planned(Scope::Internal);
            let text = day(*n).to_string();
            it.carry_out(measured(&text), stamp("ob", Role::Operator, &text)).unwrap();
            it
        }).collect();
        let today = day(today);
        for year in 2027..2030i16 {
            let found = untested(&tests, year, today);
            for (n, quarter) in (1..).zip(Quarter::ALL) {
                let months = n * 3 - 2..=n * 3;
                let tested = days.iter().map(|n| day(*n))
                    .any(|d| d.year() == year && months.contains(&d.month()));
                let ended = (today.year(), today.month()) > (year, n * 3);
                prop_assert_eq!(found.contains(&quarter), ended && !tested);
            }
        }
        let all = summary(&tests);
        prop_assert_eq!((all.planned, all.done, all.evaluated), (days.len() as u64, days.len() as u64, 0));
        for test in tests {
            let json = serde_json::to_string(&test).unwrap();
            prop_assert_eq!(serde_json::from_str::<RestoreTest>(&json).unwrap(), test);
        }
    }
}

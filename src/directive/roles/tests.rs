use proptest::prelude::*;

use super::*;

/// The table of the requirements as people read it. Columns: OB, RSB, RI,
/// OSI, DG, MA, and the box's administrator. X does, V sees, O sees the own
/// part, E does for the external backup, 2 with a second person, - nothing.
const TABLE: &str = "
    draft-register       X V X V V - -
    approve              - - - - X - -
    operate              X E V V V V -
    change-external-job  2 V V V V - -
    answer-external      V X V V V - -
    restore              X E V V - - -
    prepare-plan         V V X V V - -
    run-test             X V V V V - -
    acknowledge-test     V X V V V - -
    evaluate-test        V V V X V - -
    receive-report       V V V V X - -
    register-request     V - V V - X -
    attend-request       X - V V - V -
    close-request        V - V V - X -
    destroy              2 - 2 2 - - -
    legal-hold           V - V 2 2 - -
    manage-box           - - X V - - X
    change-roles         - - 2 V - - 2
    audit                O O V X X - O
";

fn actor(person: &str, role: Role) -> Actor {
    Actor {
        person: person.into(),
        role,
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

#[test]
fn every_cell_of_the_matrix_is_as_the_table_says() {
    let rows: Vec<Vec<&str>> = TABLE
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|row: &Vec<_>| !row.is_empty())
        .collect();
    assert_eq!(rows.len(), Function::ALL.len());
    for (function, row) in Function::ALL.into_iter().zip(rows) {
        let name = serde_json::to_string(&function).unwrap();
        assert_eq!(name, format!("\"{}\"", row[0]));
        for (role, cell) in Role::ALL.into_iter().zip(&row[1..]) {
            let expected = match *cell {
                "X" => Grant::Yes,
                "V" => Grant::View,
                "O" => Grant::ViewOwn,
                "E" => Grant::External,
                "2" => Grant::Second,
                "-" => Grant::No,
                cell => panic!("{cell}"),
            };
            assert_eq!(grant(role, function), expected, "{role:?} {function:?}");
            assert_eq!(may(role, function, false), *cell == "X");
            assert_eq!(may(role, function, true), matches!(*cell, "X" | "E"));
        }
        assert_eq!(row.len(), 8);
    }
}

/// Every function that one cannot do alone has somebody who can be second to
/// each who may ask; no other function has seconds.
#[test]
fn two_persons_are_always_possible_and_only_where_needed() {
    for function in Function::ALL {
        let asks: Vec<Role> = Role::ALL
            .into_iter()
            .filter(|role| grant(*role, function) == Grant::Second)
            .collect();
        assert_eq!(asks.is_empty(), seconds(function).is_empty());
        for role in asks {
            assert!(seconds(function).iter().any(|second| *second != role));
        }
    }
}

/// The state machines let those act whom the matrix names.
#[test]
fn the_documents_are_drawn_up_by_whom_the_matrix_names() {
    use crate::directive::document::Content;
    use crate::directive::{register, test_plan};
    let doers = |function| -> Vec<Role> {
        let may = |role: &Role| may(*role, function, false);
        Role::ALL.into_iter().filter(may).collect()
    };
    let sorted = |roles: &[Role]| {
        let mut roles = roles.to_vec();
        roles.sort();
        roles
    };
    let register = sorted(register::Entries::DRAFTERS);
    assert_eq!(doers(Function::DraftRegister), register);
    let plan = sorted(test_plan::Lines::DRAFTERS);
    assert_eq!(doers(Function::PreparePlan), plan);
    assert_eq!(doers(Function::Approve), [Role::Director]);
}

#[test]
fn every_pair_of_roles_and_persons_for_every_function() {
    for function in Function::ALL {
        for first in Role::ALL {
            let ask = |by| {
                TwoPersons::ask(
                    "1".into(),
                    function,
                    "s".into(),
                    Hash::of(b"x"),
                    by,
                    time(0),
                )
            };
            let asked = ask(actor("ana", first));
            assert_eq!(asked.is_ok(), grant(first, function) == Grant::Second);
            let Ok(asked) = asked else { continue };
            for second in Role::ALL {
                let answer = |person| {
                    let mut it = asked.clone();
                    it.allow(actor(person, second), time(1), Hash::of(b"x"))
                        .map(|()| it.answer)
                };
                assert_eq!(answer("ana"), Err(Refusal::SamePerson));
                let expected = if second == first {
                    Err(Refusal::SameRole)
                } else if seconds(function).contains(&second) {
                    let by = actor("luis", second);
                    Ok(Answer::Allowed(Stamp { by, at: time(1) }))
                } else {
                    Err(Refusal::Role)
                };
                assert_eq!(
                    answer("luis"),
                    expected,
                    "{function:?} {first:?} {second:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_allowed_is_what_was_asked_for() {
    let by = actor("ana", Role::Operator);
    let ask = TwoPersons::ask(
        "1".into(),
        Function::Destroy,
        "s".into(),
        Hash::of(b"x"),
        by,
        time(0),
    );
    let mut it = ask.unwrap();
    let second = actor("luis", Role::SecurityOfficer);
    assert_eq!(
        it.allow(second, time(1), Hash::of(b"y")),
        Err(Refusal::Changed)
    );
    assert_eq!(it.answer, Answer::Open);
}

#[derive(Clone, Debug)]
enum Step {
    Allow(usize, usize),
    Refuse(usize, usize),
    Withdraw(usize),
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let people = 0..3usize;
    let roles = 0..7usize;
    let step = prop_oneof![
        (people.clone(), roles.clone()).prop_map(|(p, r)| Step::Allow(p, r)),
        (people.clone(), roles).prop_map(|(p, r)| Step::Refuse(p, r)),
        people.prop_map(Step::Withdraw),
    ];
    (0..EXPIRES / 2, step)
}

proptest! {
    /// Whatever people try and however time goes: it is settled once, never
    /// after it expired, and what is allowed was allowed by two.
    #[test]
    fn a_request_is_settled_once_in_time_by_two(
        steps in prop::collection::vec(step(), 1..8), first in 0..7usize
    ) {
        let people = ["ana", "luis", "eva"];
        let asks = [Role::Operator, Role::Infrastructure, Role::SecurityOfficer][first % 3];
        let mut it = TwoPersons::ask(
            "1".into(), Function::Destroy, "s".into(), Hash::of(b"x"), actor("ana", asks), time(0),
        ).unwrap();
        let mut now = 0;
        for (wait, step) in steps {
            now += wait;
            let before = it.clone();
            let done = match step {
                Step::Allow(p, r) => it.allow(actor(people[p], Role::ALL[r]), time(now), Hash::of(b"x")),
                Step::Refuse(p, r) => it.refuse(actor(people[p], Role::ALL[r]), time(now)),
                Step::Withdraw(p) => it.withdraw(actor(people[p], asks), time(now)),
            };
            match done {
                Err(_) => prop_assert_eq!(&it, &before),
                Ok(()) => {
                    prop_assert_eq!(&before.answer, &Answer::Open);
                    prop_assert!(now < EXPIRES);
                    if let Answer::Allowed(second) = &it.answer {
                        prop_assert!(second.by.person != "ana" && second.by.role != asks);
                    }
                }
            }
            let json = serde_json::to_string(&it).unwrap();
            prop_assert_eq!(&serde_json::from_str::<TwoPersons>(&json).unwrap(), &it);
        }
        prop_assert_eq!(it.expired(time(EXPIRES)), it.answer == Answer::Open);
    }
}

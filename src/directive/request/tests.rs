use proptest::prelude::*;

use super::*;
use crate::directive::retention::{Rule, Snapshot, decide as retain};
use crate::directive::{Actor, after, lima_date, lima_time};

fn noon(day: &str) -> Timestamp {
    lima_time(format!("{day}T12:00").parse().unwrap())
}

fn stamp(person: &str, role: Role) -> Stamp {
    Stamp {
        by: Actor {
            person: person.into(),
            role,
        },
        at: noon("2028-03-10"),
    }
}

fn form() -> Form {
    Form {
        requester: "Luz".into(),
        email: "luz@mincetur.gob.pe".into(),
        boss_email: "jefe@mincetur.gob.pe".into(),
        justification: "se borró por error".into(),
        share: "OGA".into(),
        names: vec!["plan.xlsx".into()],
        path: "2028/planes".into(),
        wanted_from: Some("2028-02-29".parse().unwrap()),
        wanted_to: Some("2028-03-01".parse().unwrap()),
        ..Form::default()
    }
}

fn copy(day: &str, holds: bool) -> Copy {
    Copy {
        snapshot: day.into(),
        taken: noon(day),
        holds,
    }
}

fn attempt(error: Option<&str>) -> Attempt {
    Attempt {
        destination: Destination::Beside("_Restaurado_77_2028-03-10".into()),
        external: None,
        files: 1,
        bytes: 10,
        error: error.map(str::to_owned),
    }
}

const ACTS: [&str; 10] = [
    "complete", "register", "assign", "verify", "decide", "restore", "give-up", "notify", "attend",
    "close",
];

fn act(it: &mut Request, name: &str, by: Stamp) -> Result<(), Refusal> {
    match name {
        "complete" => it.complete(form(), by),
        "register" => it.register("77", Some("sonia"), by),
        "assign" => it.assign("ana", Some("sonia"), by),
        "verify" => it.verify(by),
        "decide" => it.decide(&[copy("2028-03-01", true)], by).map(drop),
        "no" => it.decide(&[], by).map(drop),
        "restore" => it.restore(attempt(None), by),
        "fail" => it.restore(attempt(Some("damaged")), by),
        "give-up" => it.give_up("damaged", by),
        "notify" => it.notify("mail-1", by),
        "attend" => it.attend(by),
        _ => it.close(Some("sonia"), by),
    }
}

fn led(acts: &[&str]) -> Result<Request, Refusal> {
    let mut it = Request::receive("S-1".into(), form(), stamp("sonia", Role::Helpdesk)).unwrap();
    for name in acts {
        act(&mut it, name, stamp("ana", Role::Operator))?;
    }
    Ok(it)
}

/// A request in each stage, and the failed attempt that giving up needs.
fn staged() -> Vec<Request> {
    let helpdesk = stamp("sonia", Role::Helpdesk);
    let mut all = vec![Request::receive("S-1".into(), Form::default(), helpdesk).unwrap()];
    let way = [
        "register", "assign", "verify", "decide", "fail", "restore", "notify", "attend", "close",
    ];
    for n in (0..=way.len()).filter(|n| *n != 4) {
        all.push(led(&way[..n]).unwrap());
    }
    all.push(led(&["register", "assign", "verify", "no"]).unwrap());
    all
}

#[test]
fn every_role_act_and_stage() {
    use Stage as S;
    let table = |name| match name {
        "complete" => (vec![S::Incomplete, S::Received], true),
        "register" => (vec![S::Received], true),
        "assign" => (vec![S::Registered, S::Assigned, S::Verifying], true),
        "verify" => (vec![S::Assigned], false),
        "decide" => (vec![S::Verifying], false),
        "restore" | "give-up" => (vec![S::Proceeds], false),
        "notify" => (vec![S::Restored, S::NotProceeding], false),
        "attend" => (vec![S::Notified], false),
        _ => (vec![S::Attended], true),
    };
    let mut stages: Vec<Stage> = staged().iter().map(Request::stage).collect();
    stages.sort();
    stages.dedup();
    assert_eq!(stages.len(), 11);
    for before in staged() {
        for name in ACTS {
            let (stages, helpdesk) = table(name);
            for role in Role::ALL {
                let mut it = before.clone();
                let done = act(&mut it, name, stamp("ana", role));
                let good = role == Role::Operator || (helpdesk && role == Role::Helpdesk);
                let expected = if !stages.contains(&before.stage()) {
                    Err(Refusal::Stage(before.stage()))
                } else if good {
                    Ok(())
                } else {
                    Err(Refusal::Role)
                };
                assert_eq!(done, expected, "{:?} {name} {role:?}", before.stage());
                assert_eq!(done.is_err(), it == before);
            }
        }
    }
    for role in Role::ALL {
        let taken = Request::receive("S-1".into(), form(), stamp("x", role));
        assert_eq!(
            taken.is_ok(),
            matches!(role, Role::Helpdesk | Role::Operator)
        );
    }
}

#[test]
fn each_missing_field_is_named_and_keeps_it_incomplete() {
    type Clear = fn(&mut Form);
    let clear: [(Field, Clear); 8] = [
        (Field::Requester, |f| f.requester.clear()),
        (Field::Email, |f| f.email.clear()),
        (Field::BossEmail, |f| f.boss_email.clear()),
        (Field::Justification, |f| f.justification = " ".into()),
        (Field::Share, |f| f.share.clear()),
        (Field::Names, |f| f.names = vec![String::new()]),
        (Field::Path, |f| f.path.clear()),
        (Field::Wanted, |f| f.wanted_to = None),
    ];
    for (field, clear) in clear {
        let mut form = form();
        clear(&mut form);
        assert_eq!(form.missing(), [field]);
        let mut it = Request::receive("S-1".into(), form, stamp("s", Role::Helpdesk)).unwrap();
        let early = it.register("77", None, stamp("s", Role::Helpdesk));
        assert_eq!(early, Err(Refusal::Stage(Stage::Incomplete)));
    }
    let turned = Form {
        wanted_from: form().wanted_to,
        wanted_to: form().wanted_from,
        ..form()
    };
    assert_eq!(turned.missing(), [Field::Wanted]);
    let database = Form {
        database: Some(DatabasePart::Both),
        names: vec![],
        path: String::new(),
        ..form()
    };
    assert_eq!(database.missing(), []);
}

/// the copies decide, and a date outside retention cannot be argued with.
#[test]
fn outside_retention_it_does_not_proceed() {
    let copies = [
        copy("2028-02-20", true),
        copy("2028-02-25", true),
        copy("2028-03-05", true),
    ];
    let mut it = led(&["register", "assign", "verify"]).unwrap();
    let decision = it
        .decide(&copies, stamp("ana", Role::Operator))
        .unwrap()
        .clone();
    let near = NotProceeding::OutOfRetention {
        before: Some(noon("2028-02-25")),
        after: Some(noon("2028-03-05")),
    };
    assert_eq!(decision, Decision::NotProceeding(near));
    let restore = it.restore(attempt(None), stamp("ana", Role::Operator));
    assert_eq!(restore, Err(Refusal::Stage(Stage::NotProceeding)));
    for name in ["notify", "attend", "close"] {
        act(&mut it, name, stamp("ana", Role::Operator)).unwrap();
    }
    let stamps: Vec<Stage> = it.history().iter().map(|entry| entry.stage).collect();
    assert_eq!(
        stamps[4..],
        [
            Stage::NotProceeding,
            Stage::Notified,
            Stage::Attended,
            Stage::Closed
        ]
    );
}

#[test]
fn the_newest_copy_that_holds_it_is_taken() {
    let day = |day: &str, holds| copy(day, holds);
    let copies = [
        day("2028-02-29", true),
        day("2028-03-01", false),
        day("2028-03-02", true),
    ];
    let Decision::Proceeds { snapshot, .. } = decide(&form(), &copies) else {
        panic!()
    };
    assert_eq!(snapshot, "2028-02-29");
    let none = [day("2028-03-01", false)];
    assert_eq!(
        decide(&form(), &none),
        Decision::NotProceeding(NotProceeding::NotInCopies)
    );
}

#[test]
fn who_must_be_named_who_it_is_assigned_to_and_what_is_confirmed() {
    let ob = || stamp("ana", Role::Operator);
    let mut it = led(&[]).unwrap();
    assert_eq!(it.register("77", None, ob()), Err(Refusal::NoSpecialist));
    assert_eq!(
        it.register(" ", None, stamp("s", Role::Helpdesk)),
        Err(Refusal::NoText)
    );
    let mut it = led(&["register", "assign"]).unwrap();
    assert_eq!(
        it.verify(stamp("luis", Role::Operator)),
        Err(Refusal::NotAssigned)
    );
    let mut it = led(&["register", "assign", "verify", "decide"]).unwrap();
    let over = |confirmed| Attempt {
        destination: Destination::Over { confirmed },
        ..attempt(None)
    };
    assert_eq!(it.restore(over(false), ob()), Err(Refusal::NotConfirmed));
    assert_eq!(it.give_up("no", ob()), Err(Refusal::NotTried));
    it.restore(over(true), ob()).unwrap();
    assert_eq!(it.stage(), Stage::Restored);
    assert_eq!(it.folder(noon("2028-03-10")), "_Restaurado_77_2028-03-10");
    let mut odd = led(&[]).unwrap();
    odd.register("../7 7", None, stamp("s", Role::Helpdesk))
        .unwrap();
    assert_eq!(
        odd.folder(noon("2028-03-10")),
        "_Restaurado_---7-7_2028-03-10"
    );
}

#[test]
fn a_damaged_copy_is_tried_from_outside_before_giving_up() {
    let mut it = led(&["register", "assign", "verify", "decide", "fail"]).unwrap();
    assert_eq!((it.stage(), it.attempts().len()), (Stage::Proceeds, 1));
    let mut unlucky = it.clone();
    let outside = Attempt {
        external: Some(ExternalReason::InternalDamaged),
        ..attempt(None)
    };
    it.restore(outside, stamp("ana", Role::Operator)).unwrap();
    assert_eq!(it.stage(), Stage::Restored);
    unlucky
        .give_up("neither copy can be read", stamp("ana", Role::Operator))
        .unwrap();
    assert!(matches!(
        unlucky.decision(),
        Some(Decision::NotProceeding(NotProceeding::Unavailable(_)))
    ));
}

proptest! {
    /// Years of copies thinned by a rule: a request proceeds exactly if a copy
    /// of its days is still kept.
    #[test]
    fn retention_decides(
        daily in 1..40u32, weekly in 0..9u32, monthly in 0..13u32,
        days in 1..800i64, wanted in 0..900i64, span in 0..10i64,
    ) {
        let first = noon("2027-06-01");
        let day = |n: i64| after(first, n * 24 * 3600);
        let snapshots: Vec<Snapshot> = (0..days).map(|n| Snapshot {
            id: n.to_string(), time: day(n), locked_until: None, held: false,
        }).collect();
        let rule = Rule { daily, weekly, monthly, ..Rule::default() };
        let kept: Vec<Copy> = retain(&snapshots, &rule, day(days)).into_iter()
            .filter(|d| d.keeps())
            .map(|d| Copy { snapshot: d.snapshot.id, taken: d.snapshot.time, holds: true })
            .collect();
        let form = Form {
            wanted_from: Some(lima_date(day(wanted))),
            wanted_to: Some(lima_date(day(wanted + span))),
            ..form()
        };
        let newest = kept.iter().rev()
            .find(|c| (day(wanted)..=day(wanted + span)).contains(&c.taken));
        match decide(&form, &kept) {
            Decision::Proceeds { snapshot, .. } => prop_assert_eq!(Some(snapshot), newest.map(|c| c.snapshot.clone())),
            Decision::NotProceeding(_) => prop_assert!(newest.is_none()),
        }
    }

    /// Whatever is tried in whatever order: no restore without a ticket and a
    /// copy, and a closed request was told to the user.
    #[test]
    fn any_history_is_sound(tries in prop::collection::vec((0..12usize, 0..7usize, 0..4u8), 1..60)) {
        let names = ["complete", "register", "assign", "verify", "decide", "no", "restore", "fail",
            "give-up", "notify", "attend", "close"];
        let mut it = Request::receive("S-1".into(), form(), stamp("s", Role::Helpdesk)).unwrap();
        for (name, role, right) in tries {
            let role = if right == 0 { Role::ALL[role] } else { Role::Operator };
            let before = it.clone();
            if act(&mut it, names[name], stamp("ana", role)).is_err() {
                prop_assert_eq!(&it, &before);
            }
            if it.stage() == Stage::Restored {
                prop_assert!(it.ticket().is_some());
                let proceeds = matches!(it.decision(), Some(Decision::Proceeds { .. }));
                prop_assert!(proceeds);
            }
            if it.stage() == Stage::Closed {
                prop_assert!(it.mail().is_some() && it.decision().is_some());
            }
        }
        let json = serde_json::to_string(&it).unwrap();
        prop_assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), it);
    }
}

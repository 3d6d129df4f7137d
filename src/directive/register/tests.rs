use proptest::prelude::*;

use super::*;
use crate::directive::document::Refusal;
use crate::directive::retention::Rule;
use crate::directive::schedule::{Days, Schedule};
use crate::directive::{Actor, Stamp};

pub(in crate::directive) fn entry(code: &str) -> Entry {
    Entry {
        code: code.into(),
        class: Some(SourceClass::DatabaseServers),
        description: "Trámite documentario".into(),
        owner_unit: "Oficina General de Administración".into(),
        host: "bd01".into(),
        locator: "tramite".into(),
        connector: "postgresql".into(),
        kind: Some(Kind::Incremental),
        schedule: Some(Schedule {
            days: Days::Daily,
            times: ["22:00".parse().unwrap()].into(),
            window: 240,
        }),
        internal: Some(Rule::days(30)),
        external: Some(Rule {
            monthly: 12,
            ..Rule::default()
        }),
        target_provider: "proveedor".into(),
        ..Entry::default()
    }
}

fn entries(codes: &[&str]) -> Entries {
    let mut entries = Entries {
        inventory: ["bd01".into(), "fs01".into()].into(),
        ..Entries::default()
    };
    for code in codes {
        entries.put(entry(code)).unwrap();
    }
    entries
}

#[test]
fn excluded_units_are_refused_with_the_article() {
    for (unit, expected) in [
        ("DVUCEPT", Some(Excluded::Vuce)),
        (
            "Dirección de la Ventanilla Única de Comercio Exterior y Plataformas Tecnológicas",
            Some(Excluded::Vuce),
        ),
        (
            "direccion de la ventanilla  unica de comercio-exterior",
            Some(Excluded::Vuce),
        ),
        ("Plataforma (VUCE)", Some(Excluded::Vuce)),
        ("Plan Copesco Nacional", Some(Excluded::Copesco)),
        ("COPESCO", Some(Excluded::Copesco)),
        ("Viceministerio de Comercio Exterior", None),
        ("Oficina de Informática", None),
        ("", None),
    ] {
        assert_eq!(excluded(unit), expected, "{unit}");
        let mut all = entries(&[]);
        let item = Entry {
            owner_unit: unit.into(),
            ..entry("A-1")
        };
        assert_eq!(all.put(item.clone()).is_err(), expected.is_some());
        // A draft read from elsewhere is not approved either.
        all.entries.push(item);
        let found = all.problems();
        assert_eq!(
            found.iter().any(|p| matches!(p, Problem::Excluded { .. })),
            expected.is_some()
        );
    }
    assert!(Excluded::Vuce.to_string().contains("III and VIII"));
}

#[test]
fn each_missing_field_blocks_approval() {
    assert_eq!(entries(&["A-1"]).problems(), []);
    type Clear = fn(&mut Entry);
    let clear: [(Field, Clear); 11] = [
        (Field::Code, |e| e.code.clear()),
        (Field::Class, |e| e.class = None),
        (Field::Description, |e| e.description = " ".into()),
        (Field::OwnerUnit, |e| e.owner_unit.clear()),
        (Field::Host, |e| e.host.clear()),
        (Field::Locator, |e| e.locator.clear()),
        (Field::Connector, |e| e.connector.clear()),
        (Field::Kind, |e| e.kind = None),
        (Field::Schedule, |e| e.schedule = None),
        (Field::Retention, |e| {
            (e.internal, e.external) = (None, None)
        }),
        (Field::TargetProvider, |e| e.target_provider.clear()),
    ];
    for (field, clear) in clear {
        let mut all = entries(&["A-1"]);
        clear(&mut all.entries[0]);
        let code = all.entries[0].code.clone();
        assert_eq!(all.problems(), [Problem::Missing { code, field }]);
        let mut register = Register::default();
        let by = |role| Stamp {
            by: Actor {
                person: "x".into(),
                role,
            },
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        register.begin(all, "first", by(Role::Operator)).unwrap();
        let it = register.get_mut(1).unwrap();
        let hash = it.hash().unwrap();
        assert_eq!(it.visto(hash, by(Role::Operator)), Err(Refusal::Incomplete));
    }
    let inside = Entry {
        external: None,
        target_provider: String::new(),
        ..entry("A-1")
    };
    assert_eq!(inside.problems(), []);
}

#[test]
fn what_is_no_plan_no_rule_or_not_ours_is_named() {
    let mut all = entries(&["A-1", "A-2"]);
    all.entries[0].internal = Some(Rule::default());
    all.entries[0].schedule.as_mut().unwrap().window = 0;
    all.entries[1].host = "laptop-7".into();
    all.entries.push(entry("A-2"));
    let code = || "A-1".to_owned();
    assert_eq!(
        all.problems(),
        [
            Problem::Schedule {
                code: code(),
                why: schedule::Invalid::Window
            },
            Problem::Retention {
                code: code(),
                scope: Scope::Internal,
                why: retention::Invalid::Nothing
            },
            Problem::Outside {
                code: "A-2".into(),
                host: "laptop-7".into()
            },
            Problem::Twice("A-2".into()),
        ]
    );
    assert_eq!(Entries::default().problems(), [Problem::Empty]);
    let laptop = Entry {
        host: "laptop-7".into(),
        ..entry("A-9")
    };
    assert!(matches!(
        entries(&[]).put(laptop),
        Err(Problem::Outside { .. })
    ));
}

#[test]
fn kinds_classes_and_scopes_are_closed_lists() {
    assert!(serde_json::from_str::<Kind>("\"differential\"").is_err());
    assert!(serde_json::from_str::<SourceClass>("\"laptops\"").is_err());
    assert!(serde_json::from_str::<Scope>("\"cloud\"").is_err());
    let mut unknown = serde_json::to_value(entry("A-1")).unwrap();
    assert!(serde_json::from_value::<Entry>(unknown.clone()).is_ok());
    unknown["colour"] = "red".into();
    assert!(serde_json::from_value::<Entry>(unknown).is_err());
    assert_eq!(SourceClass::ALL.len(), 9);
}

#[test]
fn a_class_without_entry_is_a_gap() {
    let mut all = entries(&["A-1"]);
    all.put(Entry {
        class: Some(SourceClass::Switches),
        external: None,
        ..entry("A-2")
    })
    .unwrap();
    let coverage = all.coverage();
    assert_eq!(coverage.len(), 9);
    let of = |class| coverage[&class].clone();
    assert_eq!(of(SourceClass::DatabaseServers).external, ["A-1"]);
    assert_eq!(
        of(SourceClass::Switches),
        Coverage {
            internal: vec!["A-2".into()],
            external: vec![]
        }
    );
    let gaps = coverage
        .values()
        .filter(|c| **c == Coverage::default())
        .count();
    assert_eq!(gaps, 7);
    assert_eq!(all.without_entry(), ["fs01"].into());
}

#[test]
fn differences_name_entry_and_field() {
    let old = entries(&["A-1", "A-2"]);
    let mut new = entries(&["A-1", "A-3"]);
    new.entries[0].internal = Some(Rule::days(60));
    new.entries[0].notes = "más".into();
    new.inventory.insert("fw01".into());
    new.inventory.remove("fs01");
    let found = differences(&old, &new).unwrap();
    let text = serde_json::to_value(&found).unwrap();
    let rule = |days| serde_json::json!({"daily": 0, "weekly": 0, "monthly": 0, "yearly": 0, "min_days": days});
    assert_eq!(
        text,
        serde_json::json!([
            {"changed": {"code": "A-1", "field": "internal", "from": rule(30), "to": rule(60)}},
            {"changed": {"code": "A-1", "field": "notes", "from": "", "to": "más"}},
            {"removed": "A-2"},
            {"added": "A-3"},
            {"host-removed": "fs01"},
            {"host-added": "fw01"},
        ])
    );
    assert_eq!(differences(&old, &old).unwrap(), []);
}

proptest! {
    /// Two registers are equal exactly if there is no difference, whatever
    /// the order; and every code that differs is named.
    #[test]
    fn no_difference_means_equal(
        old in prop::collection::btree_map(0..8u8, 0..4u32, 0..8),
        new in prop::collection::btree_map(0..8u8, 0..4u32, 0..8),
    ) {
        let build = |map: &BTreeMap<u8, u32>| Entries {
            inventory: ["bd01".into()].into(),
            entries: map.iter().map(|(code, days)| Entry {
                internal: Some(Rule::days(*days)), ..entry(&format!("A-{code}"))
            }).collect(),
        };
        let found = differences(&build(&old), &build(&new)).unwrap();
        prop_assert_eq!(found.is_empty(), old == new);
        let differing = (0..8u8).filter(|code| old.get(code) != new.get(code)).count();
        prop_assert_eq!(found.len(), differing);
        let json = serde_json::to_string(&build(&old)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Entries>(&json).unwrap(), build(&old));
    }
}

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::directive::Role;
use crate::directive::document::{Proof, Refusal};
use crate::directive::incident::{self, Act, Incident, Severity};
use crate::directive::log::{Checker, check};
use crate::directive::register::{Entries, Scope, tests::entry};
use crate::directive::{Stamp, after};

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn actor(role: Role) -> Actor {
    Actor {
        person: format!("{role:?}"),
        role,
    }
}

fn reason(act: &str, at: i64) -> Reason {
    Reason {
        who: Some(actor(Role::Operator)),
        time: time(at),
        act: act.into(),
        subject: "I-1".into(),
        more: json!({"why": "test"}),
    }
}

fn incident(id: &str) -> Incident {
    let event = incident::Event {
        at: time(0),
        run: None,
        what: "failed".into(),
    };
    Incident::open(
        id.into(),
        Scope::Internal,
        "BD-1".into(),
        Severity::Low,
        event,
    )
}

fn put(store: &Store, id: &str, at: i64) -> Result<(), Error> {
    store.change(reason("incident.open", at), |change| {
        change.put(&incident(id))
    })
}

fn lines(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(log::FILE)).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_change_is_there_after_reopening_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), time(0)).unwrap();
    put(&store, "I-1", 1).unwrap();
    let attended: Result<(), Error> = store.change(reason("incident.attend", 2), |change| {
        let mut it: Incident = change.get("I-1")?.unwrap();
        it.act(Some(actor(Role::Operator)), time(2), Act::Attend)
            .unwrap();
        change.put(&it)
    });
    attended.unwrap();
    drop(store);
    let store = Store::open(folder.path(), time(3)).unwrap();
    let it: Incident = store.get("I-1").unwrap().unwrap();
    assert_eq!(it.stage(), incident::Stage::Attending);
    assert_eq!(store.all::<Incident>().unwrap(), [it]);
    assert_eq!(store.audit(time(4)).unwrap(), []);
    let lines = lines(folder.path());
    assert_eq!(lines.len(), 2);
    assert!(lines[1].contains("\"kind\":\"incident\"") && lines[1].contains("incident.attend"));
}

#[test]
fn what_is_refused_leaves_neither_record_nor_line() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), time(0)).unwrap();
    let refused: Result<(), Error> = store.change(reason("incident.open", 1), |change| {
        change.put(&incident("I-1"))?;
        Err(Error::Mismatch)
    });
    assert!(matches!(refused, Err(Error::Mismatch)));
    assert_eq!(store.get::<Incident>("I-1").unwrap(), None);
    assert_eq!(lines(folder.path()).len(), 0);
    let long = Reason {
        subject: "x".repeat(log::LONGEST),
        ..reason("incident.open", 1)
    };
    let refused = store.change(long, |change| change.put(&incident("I-1")));
    assert!(matches!(refused, Err(Error::Log(log::Error::TooLong(_)))));
    assert_eq!(store.get::<Incident>("I-1").unwrap(), None);
    put(&store, "I-1", 2).unwrap();
    // Written again as it is, it is no change, but the act is on record.
    put(&store, "I-1", 3).unwrap();
    let lines = lines(folder.path());
    assert!(lines[0].contains("\"changed\":[{") && lines[1].contains("\"changed\":[]"));
}

/// A power cut in the log's last line, or before it: the change is there and
/// so is its line, once. (The log's own test goes through every byte.)
#[test]
fn a_power_cut_between_record_and_line_loses_neither() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), time(0)).unwrap();
    put(&store, "I-1", 1).unwrap();
    put(&store, "I-2", 2).unwrap();
    drop(store);
    let whole = std::fs::read(folder.path().join(log::FILE)).unwrap();
    let database = std::fs::read(folder.path().join(FILE)).unwrap();
    let last = whole.len() - lines(folder.path())[1].len() - 1;
    let ends = [last, last + 1, whole.len() - 1, whole.len()];
    for at in ends.into_iter().chain((last..whole.len()).step_by(9)) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), &database).unwrap();
        std::fs::write(folder.path().join(log::FILE), &whole[..at]).unwrap();
        let store = Store::open(folder.path(), time(3)).unwrap();
        assert_eq!(store.all::<Incident>().unwrap().len(), 2);
        assert_eq!(store.audit(time(4)).unwrap(), []);
        let bytes = std::fs::read(folder.path().join(log::FILE)).unwrap();
        assert!(bytes.starts_with(&whole), "at {at}");
        let lines = lines(folder.path());
        let torn = at != last && at != whole.len();
        assert_eq!(lines.len(), 2 + usize::from(torn));
        assert_eq!(lines.last().unwrap().contains("log.cut"), torn);
        check(Cursor::new(bytes), Checker::whole()).unwrap();
    }
}

#[test]
fn a_change_whose_line_was_never_written_is_caught_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), time(0)).unwrap();
    {
        let mut guard = store.lock();
        let log = store.ready(&mut guard, time(0)).unwrap();
        let committed: Result<_, Error> = store.commit(log, reason("incident.open", 1), |change| {
            change.put(&incident("I-1"))
        });
        committed.unwrap();
        // As after a failed write of the line.
        *guard = None;
    }
    assert_eq!(lines(folder.path()).len(), 0);
    put(&store, "I-2", 2).unwrap();
    assert_eq!(lines(folder.path()).len(), 2);
    assert_eq!(store.audit(time(3)).unwrap(), []);
}

#[test]
fn a_log_that_does_not_belong_to_the_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), time(0)).unwrap();
    for n in 0..3 {
        put(&store, &format!("I-{n}"), n).unwrap();
    }
    drop(store);
    let path = folder.path().join(log::FILE);
    let whole = std::fs::read(&path).unwrap();
    let open = || Store::open(folder.path(), time(9)).map(drop);
    let first = lines(folder.path())[0].len() + 1;
    std::fs::write(&path, &whole[..first]).unwrap();
    assert!(matches!(open(), Err(Error::Mismatch)));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(open(), Err(Error::Mismatch)));
    let mut bent = whole.clone();
    bent[first + 20] ^= 1;
    std::fs::write(&path, &bent).unwrap();
    assert!(matches!(open(), Err(Error::Log(log::Error::Broken(_)))));
    std::fs::write(&path, &whole).unwrap();
    open().unwrap();
    std::fs::remove_file(folder.path().join(FILE)).unwrap();
    assert!(matches!(open(), Err(Error::Mismatch)));
}

#[test]
fn a_record_changed_behind_the_log_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), time(0)).unwrap();
    put(&store, "I-1", 1).unwrap();
    put(&store, "I-2", 2).unwrap();
    let transaction = store.database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(RECORDS).unwrap();
        let bytes = table
            .get(("incident", "I-1"))
            .unwrap()
            .unwrap()
            .value()
            .to_vec();
        let text = String::from_utf8(bytes).unwrap().replace("failed", "fine");
        table.insert(("incident", "I-1"), text.as_bytes()).unwrap();
        table.remove(("incident", "I-2")).unwrap();
        table
            .insert(("incident", "I-3"), b"{\"version\":2}".as_slice())
            .unwrap();
    }
    transaction.commit().unwrap();
    let found = store.audit(time(3)).unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|d| (d.key.as_str(), d.logged.is_some(), d.found.is_some()))
        .collect();
    assert_eq!(
        names,
        [
            ("I-1", true, true),
            ("I-3", false, true),
            ("I-2", true, false)
        ]
    );
    assert!(matches!(
        store.get::<Incident>("I-3"),
        Err(Error::Version { version: 2, .. })
    ));
}

/// The register from first draft to being superseded, through the store.
#[test]
fn documents_are_kept_version_by_version() {
    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error(transparent)]
        Store(#[from] Error),
        #[error(transparent)]
        Refused(#[from] Refusal),
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), time(0)).unwrap();
    let stamp = |role, at| Stamp {
        by: actor(role),
        at: time(at),
    };
    let mut entries = Entries {
        inventory: ["bd01".into()].into(),
        ..Entries::default()
    };
    entries.put(entry("BD-1")).unwrap();
    for number in 1..=2u32 {
        let begun: Result<(), Failed> = store.change(reason("register.begin", 1), |change| {
            let mut it = change.register()?;
            it.begin(entries.clone(), "yearly", stamp(Role::Infrastructure, 1))?;
            Ok(change.put_all(it.versions())?)
        });
        begun.unwrap();
        let approved: Result<(), Failed> = store.change(reason("register.approve", 2), |change| {
            let mut it = change.register()?;
            let version = it.get_mut(number)?;
            let content = version.hash()?;
            version.visto(content, stamp(Role::Infrastructure, 2))?;
            version.visto(content, stamp(Role::Operator, 3))?;
            let proof = Proof::InPanel {
                content,
                second_factor: true,
            };
            it.approve(number, proof, true, stamp(Role::Director, 4))?;
            Ok(change.put_all(it.versions())?)
        });
        approved.unwrap();
    }
    let register = store.register().unwrap();
    assert_eq!(register.in_force().map(|v| v.number()), Some(2));
    assert_eq!(register.versions().len(), 2);
    assert!(store.plan(2028).unwrap().versions().is_empty());
    let refused: Result<(), Failed> = store.change(reason("register.annul", 5), |change| {
        let mut it = change.register()?;
        it.get_mut(2)?.annul("no", stamp(Role::Operator, 5))?;
        Ok(change.put_all(it.versions())?)
    });
    assert!(matches!(refused, Err(Failed::Refused(Refusal::State(_)))));
    assert_eq!(store.audit(time(6)).unwrap(), []);
}

#[test]
fn threads_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), time(0)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..5 {
                    put(store, &format!("I-{thread}-{n}"), n).unwrap();
                }
            });
        }
    });
    assert_eq!(store.all::<Incident>().unwrap().len(), 20);
    assert_eq!(store.audit(time(9)).unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Days of changes with power cuts in any line: what was promised is
    /// there, the chain is whole, and records and log agree.
    #[test]
    fn any_days_with_power_cuts(
        days in prop::collection::vec((1..6usize, any::<prop::sample::Index>(), any::<bool>()), 1..6)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut at, mut promised) = (0i64, 0);
        for (changes, cut, power) in days {
            let store = Store::open(folder.path(), time(at)).unwrap();
            for _ in 0..changes {
                at += 3600;
                promised += 1;
                put(&store, &format!("I-{promised:03}"), at).unwrap();
            }
            drop(store);
            if power {
                let path = folder.path().join(log::FILE);
                let bytes = std::fs::read(&path).unwrap();
                let last = bytes[..bytes.len() - 1].iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
                let keep = last + cut.index(bytes.len() - last);
                std::fs::write(&path, &bytes[..keep]).unwrap();
            }
        }
        let store = Store::open(folder.path(), after(time(at), 1)).unwrap();
        prop_assert_eq!(store.all::<Incident>().unwrap().len(), promised);
        prop_assert_eq!(store.audit(time(at)).unwrap(), []);
        let opened = lines(folder.path()).iter().filter(|l| l.contains("incident.open")).count();
        prop_assert_eq!(opened, promised);
    }
}

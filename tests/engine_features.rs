//! A program refuses what it cannot keep safe: what every operation does about
//! feature flags of a newer program, in the header, in segments and in records.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use colca::engine::storage::{Class, Name};
use colca::engine::{
    BackupOptions, CollectOptions, Error, Kind, NewSlot, OutsideKey, Progress, Query, RecoveryKey,
    Repository, Unlock,
};
use support::memory::{MemTree, Node};
use support::{Box_, MASTER, RECOVERY, header_body, master, noise, put_header, tree};

/// Sets a flag in one of the header's four sets, as a newer program would.
fn set_flag(b: &Box_, set: usize, flag: u32) {
    let mut body = header_body(&b.fake);
    body[16 + 8 * set + flag as usize / 8] |= 1 << (flag % 8);
    put_header(&b.fake, body);
}

fn flags(b: &Box_) -> Vec<u8> {
    b.fake.bytes(&Name::Header)[16..48].to_vec()
}

/// Whether it was refused, and in the words that help.
fn refused<T>(result: Result<T, Error>) -> bool {
    let Err(e) = result else { return false };
    assert_eq!(e.kind(), Kind::Refused, "{e}");
    assert!(e.to_string().contains("use a newer program"), "{e}");
    true
}

const SETS: [&str; 4] = ["read", "write", "delete", "check"];

/// Runs every operation and compares what was refused with what must be.
fn every_operation(set: &str, flag: u32) -> u64 {
    let root = tree();
    let b = Box_::new();
    let first = b.backup(&MemTree::new(&root)).snapshot;
    let second = b.backup(&MemTree::new(&root)).snapshot;
    let number = SETS.iter().position(|s| *s == set).unwrap();
    set_flag(&b, number, flag);
    let b = b.reopen();
    let before = flags(&b);
    let (r, progress) = (&b.repository, Progress::default());
    let mut asked = 0;
    let mut check = |what: &str, was: bool, by: &[&str]| {
        asked += 1;
        assert_eq!(was, by.contains(&set), "{what} with a flag in {set}");
    };
    // What changes nothing is allowed.
    assert_eq!(b.restore(&first).facts(), root.facts());
    let top = r.node(&first, &[]).unwrap();
    check("browsing", refused(r.children(&top)), &[]);
    let file = r.node(&first, &[b"big".to_vec()]).unwrap();
    check("reading", refused(r.read(&file)), &[]);
    let compared = r.diff(&first, &second, &[], &progress, |_| Ok(()));
    check("comparing", refused(compared), &[]);
    check("reading in", refused(r.update_catalogue(&progress)), &[]);
    let query = Query {
        text: "f".into(),
        name: None,
        limit: 9,
    };
    check("searching", refused(r.search(&query)), &[]);
    let slots = Repository::key_slots(&*b.fake);
    check("showing the slots", refused(slots), &[]);
    let opened = Repository::unlock(&*b.fake, Unlock::Recovery(&RECOVERY));
    check("unlocking", refused(opened), &[]);
    // What does: a refusal comes before anything was changed.
    let operations = b.fake.operations();
    let stored = |b: &Box_| {
        let names: Vec<_> = [Class::Segments, Class::Snapshots]
            .into_iter()
            .flat_map(|c| b.fake.names(c))
            .collect();
        (names, b.fake.bytes(&Name::Header))
    };
    let was = stored(&b);
    let untouched = |what: &str| {
        assert_eq!(b.fake.operations(), operations, "{what} changed something");
        assert!(stored(&b) == was);
    };
    let options = BackupOptions::default();
    let mut other = tree();
    other.put("new", Node::file(noise(50_000, 9)));
    let slot = NewSlot {
        label: "x",
        unlock: Unlock::Outside(&OutsideKey([31; 32])),
        sealed: b"x",
    };
    type Operation<'a> = (&'a str, Box<dyn Fn() -> bool + 'a>, &'a [&'a str]);
    let changing: Vec<Operation<'_>> = vec![
        (
            "verifying",
            Box::new(|| refused(r.verify(false, &progress))),
            &["check"],
        ),
        (
            "verifying data",
            Box::new(|| refused(r.verify(true, &progress))),
            &["check"],
        ),
        (
            "backing up",
            Box::new(|| refused(r.backup(&MemTree::new(&other), &options, &progress))),
            &["write"],
        ),
        (
            "forgetting",
            Box::new(|| refused(r.forget(&first))),
            &["delete"],
        ),
        (
            // It stores again what it rewrites.
            "collecting",
            Box::new(|| refused(r.collect(&CollectOptions::default(), &progress))),
            &["write", "delete"],
        ),
        (
            "adding a slot",
            Box::new(|| refused(r.add_key_slot(&slot))),
            &["write"],
        ),
        (
            "removing a slot",
            Box::new(|| refused(r.remove_key_slot(2))),
            &["write"],
        ),
        (
            "renewing the words",
            Box::new(|| refused(r.renew_recovery(&RECOVERY))),
            &["write"],
        ),
        (
            "changing the key",
            Box::new(|| refused(r.change_key(&master(1), &RecoveryKey([3; 32])))),
            &["write"],
        ),
    ];
    // First those that must be refused, while nothing has changed yet.
    for (what, run, by) in changing.iter().filter(|(_, _, by)| by.contains(&set)) {
        check(what, run(), by);
        untouched(what);
    }
    for (what, run, by) in changing.iter().filter(|(_, _, by)| !by.contains(&set)) {
        check(what, run(), by);
    }
    drop(changing);
    // Whatever replaced the header kept the flags it does not know.
    assert_eq!(flags(&b), before);
    let b = b.reopen_without_state();
    assert_eq!(b.restore(&second).facts(), root.facts());
    asked
}

#[test]
fn each_operation_is_refused_by_exactly_its_flags() {
    let mut asked = 0;
    for set in ["write", "delete", "check"] {
        for flag in [0, 31, 63] {
            asked += every_operation(set, flag);
        }
    }
    println!("operations asked with an unknown flag: {asked}");
    assert_eq!(asked, 3 * 3 * 16);
}

#[test]
fn a_flag_needed_to_read_refuses_everything() {
    for flag in [0, 31, 63] {
        let b = Box_::new();
        b.backup(&MemTree::new(&tree()));
        set_flag(&b, 0, flag);
        let state = tempfile::tempdir().unwrap();
        let was = b.fake.bytes(&Name::Header);
        let operations = b.fake.operations();
        let storage = || Arc::clone(&b.fake);
        assert!(refused(Repository::open(storage(), state.path(), &MASTER)));
        assert!(refused(Repository::unlock(
            &*b.fake,
            Unlock::Recovery(&RECOVERY)
        )));
        assert!(refused(Repository::key_slots(&*b.fake)));
        assert!(refused(Repository::fitting_key(&*b.fake, &[MASTER])));
        // Whoever had it open meanwhile replaces nothing it could not read.
        let slot = NewSlot {
            label: "x",
            unlock: Unlock::Outside(&OutsideKey([31; 32])),
            sealed: b"x",
        };
        assert!(refused(b.repository.add_key_slot(&slot)));
        // And nothing new is made over it.
        let e = support::crash::create(&b.fake, state.path()).err().unwrap();
        assert_eq!(e.kind(), Kind::Refused);
        assert_eq!(b.fake.bytes(&Name::Header), was);
        assert_eq!(b.fake.operations(), operations);
    }
}

/// Gives a segment a flag and the name that goes with it.
fn newer_segment(b: &Box_, kind: u8) -> Name {
    let names = b.fake.names(Class::Segments);
    let old = names.iter().find(|n| b.fake.bytes(n)[10] == kind).unwrap();
    let mut bytes = b.fake.bytes(old);
    bytes[12] = 2;
    let sum = blake3::hash(&bytes[..72]);
    bytes[72..80].copy_from_slice(&sum.as_bytes()[..8]);
    let name = Name::Segment(*blake3::hash(&bytes).as_bytes());
    b.fake.tamper(old, None);
    b.fake.tamper(&name, Some(bytes));
    name
}

#[test]
fn a_newer_segment_is_named_never_relied_on_and_never_deleted() {
    for kind in [1, 2] {
        let b = Box_::new();
        let root = tree();
        let first = b.backup(&MemTree::new(&root)).snapshot;
        let name = newer_segment(&b, kind);
        let b = b.reopen_without_state();
        let progress = Progress::default();
        let found = b.repository.verify(true, &progress).unwrap();
        let named = |e: &String| e.contains(&name.to_string()) && e.contains("use a newer program");
        assert!(found.errors.iter().any(named), "{:?}", found.errors);
        // A backup does not count on what is in it.
        let again = b.backup_as(&MemTree::new(&root), "again", true).snapshot;
        assert_eq!(b.restore(&again).facts(), root.facts());
        // Whether the older snapshot's nodes can be read or not: it stays.
        let _ = b.repository.forget(&first);
        let _ = b.repository.collect(&CollectOptions::default(), &progress);
        assert!(b.fake.names(Class::Segments).contains(&name));
        assert_eq!(b.restore(&again).facts(), root.facts());
    }
}

#[test]
fn a_newer_record_is_named_and_stops_collections() {
    let b = Box_::new();
    let root = tree();
    b.backup_as(&MemTree::new(&root), "newer", false);
    let record = b.fake.names(Class::Snapshots)[0];
    let kept = b.backup(&MemTree::new(&root)).snapshot;
    let mut bytes = b.fake.bytes(&record);
    bytes[12] = 2;
    b.fake.tamper(&record, Some(bytes.clone()));
    let b = b.reopen_without_state();
    let progress = Progress::default();
    let found = b.repository.verify(true, &progress).unwrap();
    assert!(
        found
            .errors
            .iter()
            .any(|e| e.contains("use a newer program")),
        "{:?}",
        found.errors
    );
    b.repository.forget(&kept).unwrap();
    let before = b.fake.names(Class::Segments);
    let e = b
        .repository
        .collect(&CollectOptions::default(), &progress)
        .unwrap_err();
    assert!(e.to_string().contains("nothing was freed"), "{e}");
    assert_eq!(b.fake.names(Class::Segments), before);
    assert_eq!(b.fake.bytes(&record), bytes);
}

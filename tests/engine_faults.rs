//! Full storages, damaged objects, wrong keys, lost state: each is told apart
//! and nothing that was saved is lost.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "engine_faults/collections.rs"]
mod collections;
#[path = "engine_faults/damage.rs"]
mod damage;
mod support;

use std::sync::Arc;

use colca::engine::storage::{Class, Name, Storage};
use colca::engine::{
    BackupOptions, CollectOptions, Kind, MasterKey, Params, Progress, RecoveryKey, Repository,
    tree::Tree,
};
use support::fake::Fake;
use support::memory::{MemTarget, MemTree, Node};
use support::{Box_, MASTER, RECOVERY, noise, small, text};

fn many(n: u64, seed: u64) -> Node {
    let mut root = Node::folder();
    for i in 0..n {
        root.put(
            &format!("d{}/f{i}", i % 3),
            Node::file(text(4000, seed + i)),
        );
    }
    root.put("big", Node::file(noise(1_500_000, seed)));
    root
}

fn try_backup(b: &Box_, tree: &dyn Tree) -> colca::engine::Result<colca::engine::BackupReport> {
    let options = BackupOptions {
        name: "test".into(),
        full: false,
    };
    b.repository.backup(tree, &options, &Progress::default())
}

#[test]
fn a_full_storage_loses_nothing_and_works_again() {
    let b = Box_::new();
    let one = many(60, 1);
    let first = b.backup(&MemTree::new(&one)).snapshot;
    let mut two = one.clone();
    two.put("more", Node::file(noise(6_000_000, 99)));
    b.fake.capacity(Some(b.fake.stored() + 2_500_000));
    let e = try_backup(&b, &MemTree::new(&two)).unwrap_err();
    assert_eq!(e.kind(), Kind::Full, "{e}");
    assert_eq!(b.repository.snapshots().unwrap(), vec![first.clone()]);
    assert_eq!(b.restore(&first).facts(), one.facts());
    b.verify_clean();
    // A collection frees what the failed backup left.
    let used = b.fake.stored();
    let report = b
        .repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert!(report.bytes_freed >= 1_000_000, "{report:?}");
    assert!(b.fake.stored() < used - 900_000);
    b.fake.capacity(None);
    let second = b.backup(&MemTree::new(&two)).snapshot;
    assert_eq!(b.restore(&second).facts(), two.facts());
    assert_eq!(b.restore(&first).facts(), one.facts());
    b.verify_clean();
}

#[test]
fn a_storage_too_full_for_the_snapshot_record_commits_nothing() {
    let b = Box_::new();
    let one = many(10, 1);
    b.backup(&MemTree::new(&one));
    // Nothing changed, so only the record has to be stored.
    b.fake.capacity(Some(b.fake.stored() + 10));
    let e = try_backup(&b, &MemTree::new(&one)).unwrap_err();
    assert_eq!(e.kind(), Kind::Full);
    assert_eq!(b.repository.snapshots().unwrap().len(), 1);
    let b = b.reopen();
    assert_eq!(b.repository.snapshots().unwrap().len(), 1);
}

/// Damages one byte in the middle of each record of each data segment in turn:
/// exactly the files in that record suffer, by name, and the next full backup heals.
#[test]
fn wrong_keys_are_refused() {
    let b = Box_::new();
    let root = many(5, 1);
    let snapshot = b.backup(&MemTree::new(&root)).snapshot;
    let wrong = RecoveryKey::generate().unwrap();
    let e = Repository::recover_key(&*b.fake, &wrong).err().unwrap();
    assert_eq!(e.kind(), Kind::Refused);
    let master = Repository::recover_key(&*b.fake, &RECOVERY).unwrap();
    assert_eq!(master.0, MASTER.0);
    let Box_ {
        fake,
        state,
        repository,
    } = b;
    drop(repository);
    let other = MasterKey::generate().unwrap();
    let e = Repository::open(fake.clone(), state.path(), &other)
        .err()
        .unwrap();
    assert_eq!(e.kind(), Kind::Refused);
    // From the words alone, with nothing else left.
    let words = RECOVERY.words().join(" ");
    let key = RecoveryKey::parse(&words).unwrap();
    let master = Repository::recover_key(&*fake, &key).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    let again = Repository::open(fake, fresh.path(), &master).unwrap();
    let target = MemTarget::new();
    again
        .restore(&snapshot, &[], &target, &Progress::default())
        .unwrap();
    assert_eq!(target.into_root().facts(), root.facts());
}

#[test]
fn a_storage_or_state_in_use_is_refused() {
    let b = Box_::new();
    let e = Repository::create(
        b.fake.clone(),
        tempfile::tempdir().unwrap().path(),
        &MASTER,
        &RECOVERY,
        small(),
    )
    .err()
    .unwrap();
    assert_eq!(e.kind(), Kind::Refused);
    let e = Repository::open(b.fake.clone(), b.state.path(), &MASTER)
        .err()
        .unwrap();
    assert_eq!(e.kind(), Kind::Busy);
    assert!(
        e.to_string()
            .contains(&b.state.path().display().to_string())
    );
    // Another repository must not use this one's index.
    let other = Arc::new(Fake::new());
    Repository::create(
        other.clone(),
        tempfile::tempdir().unwrap().path(),
        &MASTER,
        &RECOVERY,
        small(),
    )
    .unwrap();
    let Box_ {
        state, repository, ..
    } = b;
    drop(repository);
    let e = Repository::open(other, state.path(), &MASTER)
        .err()
        .unwrap();
    assert_eq!(e.kind(), Kind::Refused);
    let e = Repository::create(
        Arc::new(Fake::new()),
        state.path(),
        &MASTER,
        &RECOVERY,
        Params {
            segment_bytes: 1,
            zstd_level: 1,
        },
    )
    .err()
    .unwrap();
    assert_eq!(e.kind(), Kind::Refused);
}

#[test]
fn storage_names_are_all_parsed() {
    let b = Box_::new();
    b.backup(&MemTree::new(&many(3, 1)));
    for (name, len) in b.fake.list(Class::Segments).unwrap() {
        assert_eq!(Name::parse(&name.to_string()), Some(name));
        let bytes = b.fake.bytes(&name);
        assert_eq!(bytes.len() as u64, len);
        assert_eq!(name, Name::Segment(*blake3::hash(&bytes).as_bytes()));
    }
}

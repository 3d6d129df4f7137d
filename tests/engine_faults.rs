//! Full storages, damaged objects, wrong keys, lost state: each is told apart
//! and nothing that was saved is lost.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
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
fn a_damaged_block_hurts_only_its_files_and_is_healed_by_the_source() {
    let b = Box_::new();
    let root = many(700, 1);
    let snapshot = b.backup(&MemTree::new(&root)).snapshot;
    let name = *b
        .fake
        .names(Class::Segments)
        .iter()
        .find(|n| b.fake.bytes(n)[10] == 1)
        .unwrap();
    let good = b.fake.bytes(&name);
    let mut bad = good.clone();
    bad[80 + 16 + 100] ^= 0x40;
    b.fake.tamper(&name, Some(bad));
    let b = b.reopen_without_state();

    let target = MemTarget::new();
    let report = b
        .repository
        .restore(&snapshot, &[], &target, &Progress::default())
        .unwrap();
    assert!(report.warning_count > 0);
    let hurt: BTreeSet<_> = report.warnings.iter().map(|w| w.path.clone()).collect();
    let got = target.into_root();
    let mut seen = 0;
    for (dir, node) in &root.children {
        for file in node.children.keys() {
            let path = format!(
                "{}/{}",
                String::from_utf8_lossy(dir),
                String::from_utf8_lossy(file)
            );
            let there = got
                .children
                .get(dir)
                .and_then(|d| d.children.get(file))
                .map(Node::bytes);
            match hurt.contains(&path) {
                true => assert_eq!(there, None, "{path} was left half written"),
                false => {
                    seen += 1;
                    assert_eq!(there.unwrap(), node.children[file].bytes(), "{path}");
                }
            }
        }
    }
    assert!(seen > 100, "{seen} files restored");

    let quick = b.repository.verify(false, &Progress::default()).unwrap();
    assert_eq!(
        quick.errors,
        Vec::<String>::new(),
        "structure alone cannot see it"
    );
    let deep = b.repository.verify(true, &Progress::default()).unwrap();
    let all = deep.errors.join("\n");
    assert!(all.contains(&name.to_string()), "{all}");
    assert!(all.contains(&snapshot.id[..8]), "{all}");
    for path in hurt.iter().take(50) {
        assert!(all.contains(path.as_str()), "{path} in {all}");
    }
    // What is lost here may be good in a replica, which follows deletions: keep it.
    b.repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert!(b.fake.names(Class::Segments).contains(&name));
    // The source still has the files: they are read again although unchanged.
    let tree = MemTree::new(&root);
    b.backup(&tree);
    assert!(tree.opens() > 0 && tree.opens() < 320, "{}", tree.opens());
    assert_eq!(b.restore(&snapshot).facts(), root.facts());
    let report = b.repository.verify(false, &Progress::default()).unwrap();
    assert_eq!(report.errors, Vec::<String>::new());
    // An index built anew may point to the damaged copy again; reading all finds the good one.
    let b = b.reopen_without_state();
    let report = b.repository.verify(true, &Progress::default()).unwrap();
    assert!(
        report.errors.iter().all(|e| e.contains(&name.to_string())),
        "{:?}",
        report.errors
    );
    assert_eq!(b.restore(&snapshot).facts(), root.facts());
    // Now nothing needs the damaged segment any more.
    b.repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert!(!b.fake.names(Class::Segments).contains(&name));
    assert_eq!(b.restore(&snapshot).facts(), root.facts());
    b.verify_clean();
    let b = b.reopen_without_state();
    assert_eq!(b.restore(&snapshot).facts(), root.facts());
    b.verify_clean();
}

#[test]
fn damage_anywhere_in_a_segment_is_noticed() {
    let b = Box_::new();
    let root = many(5, 1);
    let snapshot = b.backup(&MemTree::new(&root)).snapshot;
    for name in b.fake.names(Class::Segments) {
        let good = b.fake.bytes(&name);
        let n = good.len();
        for at in [
            0,
            9,
            10,
            20,
            33,
            50,
            75,
            80,
            85,
            90,
            200,
            n - 300,
            n - 50,
            n - 30,
            n - 1,
        ] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            b.fake.tamper(&name, Some(bad));
            let report = b.repository.verify(true, &Progress::default()).unwrap();
            assert!(!report.errors.is_empty(), "byte {at} of {name}");
            // Opening without an index must cope, whatever is damaged.
            let state = tempfile::tempdir().unwrap();
            let other = Repository::open(b.fake.clone(), state.path(), &MASTER).unwrap();
            let found = other.verify(true, &Progress::default()).unwrap();
            assert!(!found.errors.is_empty(), "byte {at} of {name}, reopened");
            b.fake.tamper(&name, Some(good.clone()));
        }
        // Cut off, empty, gone.
        for bad in [Some(good[..n / 2].to_vec()), Some(Vec::new()), None] {
            b.fake.tamper(&name, bad);
            let report = b.repository.verify(true, &Progress::default()).unwrap();
            assert!(report.errors.join("\n").contains(&name.to_string()));
            b.fake.tamper(&name, Some(good.clone()));
        }
    }
    let b = b.reopen_without_state();
    assert_eq!(b.restore(&snapshot).facts(), root.facts());
    b.verify_clean();
}

#[test]
fn a_lost_directory_is_rebuilt_from_the_records() {
    let b = Box_::new();
    let root = many(50, 1);
    let snapshot = b.backup(&MemTree::new(&root)).snapshot;
    for name in b.fake.names(Class::Segments) {
        let mut bytes = b.fake.bytes(&name);
        let n = bytes.len();
        bytes[n - 56..].fill(0);
        b.fake.tamper(&name, Some(bytes));
    }
    let b = b.reopen_without_state();
    assert_eq!(b.restore(&snapshot).facts(), root.facts());
}

#[test]
fn a_vanished_segment_is_never_relied_on() {
    let b = Box_::new();
    let root = many(50, 1);
    let first = b.backup(&MemTree::new(&root)).snapshot;
    let name = b.fake.names(Class::Segments)[0];
    b.fake.tamper(&name, None);
    let b = b.reopen();
    let report = b.repository.verify(false, &Progress::default()).unwrap();
    assert!(!report.errors.is_empty());
    let second = b.backup(&MemTree::new(&root)).snapshot;
    assert_eq!(b.restore(&second).facts(), root.facts());
    assert_eq!(b.restore(&first).facts(), root.facts());
    b.verify_clean();
}

#[test]
fn a_damaged_snapshot_record_is_named_and_stops_collections() {
    let b = Box_::new();
    let root = many(5, 1);
    let a = b.backup(&MemTree::new(&root)).snapshot;
    let z = b.backup(&MemTree::new(&root)).snapshot;
    let name = b
        .fake
        .names(Class::Snapshots)
        .into_iter()
        .find(|n| n.to_string().contains(&a.id))
        .unwrap();
    let mut bytes = b.fake.bytes(&name);
    bytes[80] ^= 1;
    b.fake.tamper(&name, Some(bytes));
    let b = b.reopen_without_state();
    assert_eq!(b.repository.snapshots().unwrap(), vec![z.clone()]);
    assert_eq!(b.repository.find(&a.id).unwrap_err().kind(), Kind::Corrupt);
    let report = b.repository.verify(false, &Progress::default()).unwrap();
    assert!(report.errors[0].contains(&a.id), "{:?}", report.errors);
    let e = b
        .repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap_err();
    assert_eq!(e.kind(), Kind::Corrupt);
    assert_eq!(b.restore(&z).facts(), root.facts());
}

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
fn a_damaged_header_is_told_apart_from_none() {
    let b = Box_::new();
    let good = b.fake.bytes(&Name::Header);
    let open = || {
        let state = tempfile::tempdir().unwrap();
        Repository::open(b.fake.clone(), state.path(), &MASTER)
            .err()
            .map(|e| e.kind())
    };
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        b.fake.tamper(&Name::Header, Some(bad));
        assert!(
            matches!(open(), Some(Kind::Corrupt | Kind::Refused)),
            "byte {at}"
        );
    }
    b.fake.tamper(&Name::Header, None);
    assert_eq!(open(), Some(Kind::Missing));
    b.fake.tamper(&Name::Header, Some(good));
    assert_eq!(open(), None);
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
fn a_damaged_index_is_built_anew() {
    for damage in 0..4 {
        let b = Box_::new();
        let root = many(20, 1);
        let snapshot = b.backup(&MemTree::new(&root)).snapshot;
        let Box_ {
            fake,
            state,
            repository,
        } = b;
        drop(repository);
        let file = state.path().join("index.redb");
        let mut bytes = std::fs::read(&file).unwrap();
        match damage {
            0 => bytes.clear(),
            1 => bytes[..4096].fill(0xaa),
            2 => bytes.truncate(1000),
            _ => bytes = b"not an index".to_vec(),
        }
        std::fs::write(&file, bytes).unwrap();
        let repository = support::open(fake.clone(), state.path());
        let b = Box_ {
            fake,
            state,
            repository: Arc::new(repository),
        };
        assert_eq!(
            b.restore(&snapshot).facts(),
            root.facts(),
            "damage {damage}"
        );
        b.verify_clean();
    }
}

#[test]
fn collections_keep_exactly_what_is_needed() {
    let b = Box_::new();
    let mut root = many(100, 1);
    let mut snapshots = Vec::new();
    for day in 0..6u64 {
        root.at("big").rewrite(noise(1_500_000, 50 + day));
        root.at(&format!("d0/f{}", day * 3))
            .rewrite(text(5000, 900 + day));
        snapshots.push((b.backup(&MemTree::new(&root)).snapshot, root.clone()));
    }
    for (old, _) in snapshots.drain(..4) {
        b.repository.forget(&old).unwrap();
        assert_eq!(
            b.repository.find(&old.id).unwrap_err().kind(),
            Kind::Missing
        );
    }
    let before = b.fake.stored();
    let report = b
        .repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert_eq!(
        i64::try_from(before - b.fake.stored()).unwrap(),
        report.bytes_freed
    );
    for (snapshot, root) in &snapshots {
        assert_eq!(b.restore(snapshot).facts(), root.facts());
    }
    // No more than a fresh repository of these two would hold, and a tenth.
    let fresh = Box_::new();
    for (_, root) in &snapshots {
        fresh.backup(&MemTree::new(root));
    }
    assert!(
        b.fake.stored() * 10 < fresh.fake.stored() * 12,
        "{} {}",
        b.fake.stored(),
        fresh.fake.stored()
    );
    let again = b
        .repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert_eq!(
        again.segments_deleted, 0,
        "a second one finds nothing: {again:?}"
    );
    b.verify_clean();
    let b = b.reopen_without_state();
    for (snapshot, root) in &snapshots {
        assert_eq!(b.restore(snapshot).facts(), root.facts());
        b.repository.forget(snapshot).unwrap();
    }
    b.repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert!(
        b.fake.names(Class::Segments).is_empty(),
        "nothing is needed any more"
    );
    assert_eq!(
        b.repository
            .verify(true, &Progress::default())
            .unwrap()
            .segments,
        0
    );
}

#[test]
fn what_is_being_read_is_not_collected() {
    use std::io::Read;
    let b = Box_::new();
    let root = many(3, 1);
    let snapshot = b.backup(&MemTree::new(&root)).snapshot;
    let node = b.repository.node(&snapshot, &[b"big".to_vec()]).unwrap();
    let mut stream = b.repository.read(&node).unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).unwrap();
    b.repository.forget(&snapshot).unwrap();
    let report = b
        .repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert!(report.segments_deleted > 0);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(first.len() + rest.len(), 1_500_000);
    drop(stream);
    b.repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert!(b.fake.names(Class::Segments).is_empty());
}

#[test]
fn backups_at_once_share_their_chunks() {
    let b = Box_::new();
    let trees: Vec<_> = (0..4).map(|i| many(40, i * 7)).collect();
    let snapshots: Vec<_> = std::thread::scope(|s| {
        let running: Vec<_> = trees
            .iter()
            .enumerate()
            .map(|(i, t)| {
                let b = &b;
                s.spawn(move || {
                    b.backup_as(&MemTree::new(t), &format!("t{i}"), false)
                        .snapshot
                })
            })
            .collect();
        running.into_iter().map(|r| r.join().unwrap()).collect()
    });
    for (snapshot, tree) in snapshots.iter().zip(&trees) {
        assert_eq!(b.restore(snapshot).facts(), tree.facts());
    }
    b.verify_clean();
    b.repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    for (snapshot, tree) in snapshots.iter().zip(&trees) {
        assert_eq!(b.restore(snapshot).facts(), tree.facts());
    }
}

#[test]
fn a_collection_beside_another_or_a_verification_is_busy() {
    let b = Box_::new();
    let forgotten = b.backup(&MemTree::new(&many(3, 1))).snapshot;
    b.backup(&MemTree::new(&many(3, 100)));
    b.repository.forget(&forgotten).unwrap();
    for verify in [false, true] {
        let repository = b.repository.clone();
        b.fake.meddle_in(0, move || {
            let e = repository
                .collect(&CollectOptions::default(), &Progress::default())
                .unwrap_err();
            assert_eq!(e.kind(), Kind::Busy);
            let running = if verify {
                "verification"
            } else {
                "a collection"
            };
            assert!(e.to_string().contains(running), "{e}");
        });
        if verify {
            b.verify_clean();
        } else {
            b.repository
                .collect(&CollectOptions::default(), &Progress::default())
                .unwrap();
        }
        assert!(b.fake.meddled());
    }
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

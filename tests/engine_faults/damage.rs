//! Damaged and lost objects, and a damaged index.

use std::collections::BTreeSet;
use std::sync::Arc;

use colca::engine::storage::{Class, Name};
use colca::engine::{CollectOptions, Kind, Progress, Repository};

use super::many;
use super::support::memory::{MemTarget, MemTree, Node};
use super::support::{self, Box_, MASTER};

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
    // Who finds the segment damaged by other means can ask what needs it.
    let needed = b.repository.hurt_by(&[name], &Progress::default()).unwrap();
    let needed = needed.join("\n");
    let nothing = b.repository.hurt_by(&[], &Progress::default()).unwrap();
    assert_eq!(nothing, Vec::<String>::new());
    let deep = b.repository.verify(true, &Progress::default()).unwrap();
    let all = deep.errors.join("\n");
    assert!(all.contains(&name.to_string()), "{all}");
    for path in hurt.iter().take(50) {
        assert!(needed.contains(path.as_str()), "{path} in {needed}");
    }
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

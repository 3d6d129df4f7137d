//! Every crash point of a backup and of a collection: after a failure or a
//! power cut at any operation, with the state folder kept or lost, all
//! committed snapshots restore bit for bit and the repository verifies clean.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use colca::engine::{Progress, Snapshot};
use support::fake::{Fake, Fault};
use support::memory::{MemTree, Node};
use support::{Box_, noise, small, text};

/// Enough for several segments of both kinds.
fn first() -> Node {
    let mut root = Node::folder();
    root.put("big", Node::file(noise(2_500_000, 1)));
    for i in 0..150 {
        root.put(&format!("d{}/f{i}", i % 5), Node::file(text(3000, i)));
    }
    root
}

fn second() -> Node {
    let mut root = first();
    root.at("big").rewrite(noise(2_500_000, 2));
    for i in 0..40 {
        root.at(&format!("d{}/f{i}", i % 5))
            .rewrite(text(3000, 1000 + i));
    }
    root
}

/// Checks all that was promised, with whatever snapshots exist.
fn all_well(b: &Box_, committed: &[(Snapshot, &Node)], candidate: &Node) {
    let snapshots = b.repository.snapshots().unwrap();
    for (snapshot, root) in committed {
        assert!(
            snapshots.contains(snapshot),
            "a committed snapshot is gone: {snapshot:?}"
        );
        assert_eq!(b.restore(snapshot).facts(), root.facts());
    }
    for snapshot in &snapshots {
        if !committed.iter().any(|(s, _)| s == snapshot) {
            // Not reported, but there: then it must be whole.
            assert_eq!(b.restore(snapshot).facts(), candidate.facts());
        }
    }
    b.verify_clean();
}

/// What fails, and whether the state folder outlives it.
const CASES: [(Fault, bool); 4] = [
    (Fault::Fail, true),
    (Fault::Fail, false),
    (Fault::PowerCut, true),
    (Fault::PowerCut, false),
];

fn reopened(b: Box_, (fault, state): (Fault, bool), n: u64) -> Box_ {
    if fault == Fault::PowerCut {
        b.fake.restart(n);
    }
    if state {
        b.reopen()
    } else {
        b.reopen_without_state()
    }
}

#[test]
fn every_crash_point_of_a_backup() {
    let (one, two) = (first(), second());
    let mut points = 0;
    for case in CASES {
        for n in 0.. {
            let b = Box_::new();
            let before = b.backup(&MemTree::new(&one)).snapshot;
            b.fake.fault_in(n, case.0);
            let crashed = b.repository.backup(
                &MemTree::new(&two),
                &colca::engine::BackupOptions {
                    name: "test".into(),
                    full: false,
                },
                &Progress::default(),
            );
            let struck = b.fake.struck();
            assert_eq!(struck, crashed.is_err(), "operation {n}, {case:?}");
            let b = reopened(b, case, n);
            let mut committed = vec![(before, &one)];
            if let Ok(report) = crashed {
                committed.push((report.snapshot, &two));
            }
            all_well(&b, &committed, &two);
            let next = b.backup(&MemTree::new(&two)).snapshot;
            committed.push((next, &two));
            all_well(&b, &committed, &two);
            // What the crash left behind is collected, and nothing else.
            b.repository.collect(&Progress::default()).unwrap();
            all_well(&b, &committed, &two);
            if !struck {
                break;
            }
            points += 1;
        }
    }
    println!("{points} crash points of a backup");
    assert!(points >= 4 * 6, "{points}");
}

#[test]
fn every_crash_point_of_a_collection() {
    let (one, two) = (first(), second());
    let mut points = 0;
    for case in CASES {
        for n in 0.. {
            let b = Box_::new();
            let old = b.backup(&MemTree::new(&one)).snapshot;
            let kept = b.backup(&MemTree::new(&two)).snapshot;
            b.repository.forget(&old).unwrap();
            b.fake.fault_in(n, case.0);
            let crashed = b.repository.collect(&Progress::default());
            let struck = b.fake.struck();
            assert_eq!(struck, crashed.is_err(), "operation {n}, {case:?}");
            if let Ok(report) = &crashed {
                assert!(report.segments_deleted > 0 && report.segments_rewritten > 0);
                assert!(report.bytes_freed > 1_000_000, "{report:?}");
            }
            let b = reopened(b, case, n);
            all_well(&b, &[(kept.clone(), &two)], &two);
            b.repository.collect(&Progress::default()).unwrap();
            all_well(&b, &[(kept, &two)], &two);
            if !struck {
                break;
            }
            points += 1;
        }
    }
    println!("{points} crash points of a collection");
    assert!(points >= 4 * 5, "{points}");
}

#[test]
fn every_crash_point_of_creating_and_forgetting() {
    let one = first();
    for case in CASES {
        for n in 0..3 {
            let fake = Arc::new(Fake::new());
            let state = tempfile::tempdir().unwrap();
            fake.fault_in(n, case.0);
            let made = colca::engine::Repository::create(
                fake.clone(),
                state.path(),
                &support::MASTER,
                &support::RECOVERY,
                small(),
            );
            if made.is_err() && case.0 == Fault::PowerCut {
                fake.restart(n);
            }
            drop(made);
            // Either there is nothing, or a whole repository.
            match colca::engine::Repository::open(fake.clone(), state.path(), &support::MASTER) {
                Ok(_) => {}
                Err(e) => assert_eq!(e.kind(), colca::engine::Kind::Missing),
            }
        }
        for n in 0..3 {
            let b = Box_::new();
            let a = b.backup(&MemTree::new(&one)).snapshot;
            let z = b.backup(&MemTree::new(&one)).snapshot;
            b.fake.fault_in(n, case.0);
            let forgotten = b.repository.forget(&a);
            let b = reopened(b, case, n);
            if forgotten.is_ok() {
                assert!(!b.repository.snapshots().unwrap().contains(&a));
            }
            all_well(&b, &[(z, &one)], &one);
        }
    }
}

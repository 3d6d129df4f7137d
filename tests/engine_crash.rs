//! Every crash point of a backup and of a collection: after a failure or a
//! power cut at any operation, with the state folder kept or lost, all
//! committed snapshots restore bit for bit and the repository verifies clean.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use colca::engine::storage::Class;
use colca::engine::{CollectOptions, Progress, Snapshot};
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
            b.repository
                .collect(&CollectOptions::default(), &Progress::default())
                .unwrap();
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
            let crashed = b
                .repository
                .collect(&CollectOptions::default(), &Progress::default());
            let struck = b.fake.struck();
            assert_eq!(struck, crashed.is_err(), "operation {n}, {case:?}");
            if let Ok(report) = &crashed {
                assert!(report.segments_deleted > 0 && report.segments_rewritten > 0);
                assert!(report.bytes_freed > 1_000_000, "{report:?}");
            }
            let b = reopened(b, case, n);
            all_well(&b, &[(kept.clone(), &two)], &two);
            b.repository
                .collect(&CollectOptions::default(), &Progress::default())
                .unwrap();
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

/// A box whose first snapshot was forgotten, and what it held: the next
/// collection deletes and rewrites segments that a backup of it would use.
fn about_to_collect(one: &Node, two: &Node) -> (Box_, Snapshot) {
    let b = Box_::new();
    let old = b.backup(&MemTree::new(one)).snapshot;
    let kept = b.backup(&MemTree::new(two)).snapshot;
    b.repository.forget(&old).unwrap();
    (b, kept)
}

/// What must hold after a backup and a collection ran beside each other: now,
/// after reopening with and without the state folder, and after another collection.
fn all_well_ever_after(b: Box_, committed: &[(Snapshot, &Node)], n: u64) {
    all_well(&b, committed, committed[0].1);
    let b = if n.is_multiple_of(2) {
        b.reopen()
    } else {
        b.reopen_without_state()
    };
    all_well(&b, committed, committed[0].1);
    b.repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    all_well(&b, committed, committed[0].1);
}

#[test]
fn a_backup_at_every_call_of_a_collection() {
    let (one, two) = (first(), second());
    let mut points = 0;
    for n in 0.. {
        let (b, kept) = about_to_collect(&one, &two);
        let made = Arc::new(std::sync::Mutex::new(None));
        let (put, repository, tree) = (made.clone(), b.repository.clone(), MemTree::new(&one));
        b.fake.meddle_in(n, move || {
            let options = colca::engine::BackupOptions {
                name: "beside".into(),
                full: false,
            };
            let report = repository.backup(&tree, &options, &Progress::default());
            *put.lock().unwrap() = Some(report.unwrap().snapshot);
        });
        b.repository
            .collect(&CollectOptions::default(), &Progress::default())
            .unwrap();
        let meddled = b.fake.meddled();
        let mut committed = vec![(kept, &two)];
        committed.extend(made.lock().unwrap().take().map(|s| (s, &one)));
        assert_eq!(committed.len(), 1 + usize::from(meddled));
        all_well_ever_after(b, &committed, n);
        if !meddled {
            break;
        }
        points += 1;
    }
    println!("{points} moments of a collection with a backup in between");
    assert!(points >= 6, "{points}");
}

#[test]
fn a_collection_at_every_call_of_a_backup() {
    let (one, two) = (first(), second());
    let mut points = 0;
    // By calls of the storage, then by files opened.
    for opened in [false, true] {
        for n in (0..).step_by(if opened { 7 } else { 1 }) {
            let (b, kept) = about_to_collect(&one, &two);
            let repository = b.repository.clone();
            let collect = move || {
                repository
                    .collect(&CollectOptions::default(), &Progress::default())
                    .unwrap();
            };
            let mut tree = MemTree::new(&one);
            if opened {
                tree = tree.meddle_at(n as usize, collect);
            } else {
                b.fake.meddle_in(n, collect);
            }
            let made = b.backup_as(&tree, "beside", false).snapshot;
            let meddled = if opened {
                tree.meddled()
            } else {
                b.fake.meddled()
            };
            // Meddling that did not happen would keep the repository open.
            drop(tree);
            all_well_ever_after(b, &[(made, &one), (kept, &two)], n);
            if !meddled {
                break;
            }
            points += 1;
        }
    }
    println!("{points} moments of a backup with a collection in between");
    assert!(points >= 12, "{points}");
}

#[test]
fn a_backup_that_loses_power_beside_a_collection() {
    let (one, two) = (first(), second());
    let (mut points, mut whole) = (0, 0);
    // The backup runs before this call of the collection, and the power goes at
    // every operation of either.
    for moment in [0, 3, 6, 9] {
        for n in 0.. {
            let (b, kept) = about_to_collect(&one, &two);
            let (repository, tree) = (b.repository.clone(), MemTree::new(&one));
            b.fake.meddle_in(moment, move || {
                let options = colca::engine::BackupOptions {
                    name: "beside".into(),
                    full: false,
                };
                // It may fail; if it does not, it must be whole.
                let _ = repository.backup(&tree, &options, &Progress::default());
            });
            b.fake.fault_in(n, Fault::PowerCut);
            let ran = b
                .repository
                .collect(&CollectOptions::default(), &Progress::default());
            let struck = b.fake.struck();
            let meddled = b.fake.meddled();
            assert!(struck || ran.is_ok());
            let fault = if struck { Fault::PowerCut } else { Fault::Fail };
            let b = reopened(b, (fault, n % 2 == 0), n);
            all_well(&b, &[(kept.clone(), &two)], &one);
            whole += u64::from(b.repository.snapshots().unwrap().len() == 2);
            b.repository
                .collect(&CollectOptions::default(), &Progress::default())
                .unwrap();
            all_well(&b, &[(kept, &two)], &one);
            if !struck {
                assert!(meddled, "the collection makes more calls than {moment}");
                break;
            }
            points += 1;
        }
    }
    println!("{points} crash points of a backup beside a collection, {whole} with its snapshot");
    assert!(points >= 20 && whole > 0, "{points} {whole}");
}

#[test]
fn a_stopped_collection_loses_no_work() {
    let mut root = Node::folder();
    for i in 0..48 {
        root.put(&format!("f{i:02}"), Node::file(noise(500_000, i)));
    }
    let b = Box_::new();
    let old = b.backup(&MemTree::new(&root)).snapshot;
    for i in 0..24 {
        root.children.remove(format!("f{:02}", 2 * i).as_bytes());
    }
    let kept = b.backup(&MemTree::new(&root)).snapshot;
    b.repository.forget(&old).unwrap();
    let before = b.fake.names(Class::Segments);
    // In the second round: the first has put, synced, deleted and synced.
    b.fake.fault_in(18, Fault::Fail);
    let options = CollectOptions {
        waste: 5,
        max_rate: 1 << 40,
    };
    let stopped = b.repository.collect(&options, &Progress::default());
    assert!(stopped.is_err());
    let between = b.fake.names(Class::Segments);
    let gone = before.iter().filter(|n| !between.contains(n)).count();
    assert!(gone >= 8, "{gone}");
    all_well(&b, &[(kept.clone(), &root)], &root);
    // What the first round wrote stays.
    let report = b
        .repository
        .collect(&options, &Progress::default())
        .unwrap();
    let after = b.fake.names(Class::Segments);
    let first_round: Vec<_> = between.iter().filter(|n| !before.contains(n)).collect();
    let again = first_round.iter().filter(|n| !after.contains(n)).count();
    assert!(
        again <= 1,
        "{again} of {} were written twice",
        first_round.len()
    );
    assert!(report.segments_rewritten > 0);
    all_well(&b, &[(kept, &root)], &root);
}

//! Every crash point of every operation that changes the storage: after a
//! failure or a power cut at any call, with the state folder kept, older or
//! lost, all committed snapshots restore bit for bit, the repository verifies
//! clean, and the next backup and collection work.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "engine_crash/beside.rs"]
mod beside;
#[path = "engine_crash/careless.rs"]
mod careless;
#[path = "engine_crash/keys.rs"]
mod keys;
#[path = "engine_crash/repair.rs"]
mod repair;
mod support;

use std::sync::Arc;

use colca::engine::storage::Class;
use colca::engine::{BackupOptions, CollectOptions, Kind, Progress, Repository};
use support::crash::{
    CASES, all_well, all_well_and_goes_on, copied, crash_points, create, first, second,
};
use support::fake::{Fake, Fault};
use support::memory::{MemTree, Node};
use support::{Box_, MASTER, noise};

fn options(name: &str) -> BackupOptions {
    BackupOptions {
        name: name.into(),
        full: false,
    }
}

#[test]
fn every_crash_point_of_a_backup() {
    let (one, two) = (first(), second());
    let start = Box_::new();
    let before = start.backup(&MemTree::new(&one)).snapshot;
    let points = crash_points(
        "backup",
        &start,
        |b| {
            b.repository
                .backup(&MemTree::new(&two), &options("test"), &Progress::default())
        },
        |b, report, _| {
            let mut committed = vec![(before.clone(), &one)];
            committed.extend(report.map(|r| (r.snapshot, &two)));
            all_well_and_goes_on(&b, &committed, &two);
        },
    );
    assert!(points >= 9 * 6, "{points}");
}

#[test]
fn every_crash_point_of_a_collection() {
    let (one, mut other) = (first(), Node::folder());
    other.put("big", Node::file(noise(2_500_000, 3)));
    let start = Box_::new();
    let old = start.backup_as(&MemTree::new(&one), "one", false).snapshot;
    let kept = start
        .backup_as(&MemTree::new(&other), "other", false)
        .snapshot;
    start.repository.forget(&old).unwrap();
    let options = CollectOptions {
        waste: 100,
        max_rate: 0,
    };
    let points = crash_points(
        "collect",
        &start,
        |b| b.repository.collect(&options, &Progress::default()),
        |b, report, _| {
            if let Some(report) = report {
                assert!(report.segments_deleted > 2 && report.segments_rewritten == 0);
                assert!(report.bytes_freed > 2_000_000, "{report:?}");
            }
            all_well_and_goes_on(&b, &[(kept.clone(), &other)], &one);
        },
    );
    assert!(points >= 9 * 4, "{points}");
}

#[test]
fn every_crash_point_of_a_rewriting_collection() {
    let (one, two) = (first(), second());
    let (start, kept) = beside::about_to_collect(&one, &two);
    let points = crash_points(
        "rewrite",
        &start,
        |b| {
            b.repository
                .collect(&CollectOptions::default(), &Progress::default())
        },
        |b, report, _| {
            if let Some(report) = report {
                assert!(report.segments_deleted > 0 && report.segments_rewritten > 0);
                assert!(report.bytes_freed > 1_000_000, "{report:?}");
            }
            all_well(&b, &[(kept.clone(), &two)], &two);
            b.collect();
            all_well_and_goes_on(&b, &[(kept.clone(), &two)], &one);
        },
    );
    assert!(points >= 9 * 5, "{points}");
}

#[test]
fn every_crash_point_of_creating() {
    let mut points = 0;
    for (seed, case) in (0..).zip(CASES) {
        for n in 0.. {
            let fake = Arc::new(Fake::new());
            let state = tempfile::tempdir().unwrap();
            fake.fault_in(n, case.fault);
            let made = create(&fake, state.path());
            let struck = fake.struck();
            assert_eq!(struck, made.is_err());
            drop(made);
            if struck && case.fault == Fault::PowerCut {
                fake.restart_as(case.cut, seed);
            }
            // Either there is nothing, and it can be created, or a whole repository.
            if let Err(e) = Repository::open(fake.clone(), state.path(), &MASTER) {
                assert_eq!(e.kind(), Kind::Missing);
                create(&fake, copied(state.path()).path()).unwrap();
            }
            if !struck {
                break;
            }
            points += 1;
        }
    }
    println!("crash points enumerated: create {points}");
    assert_eq!(points, 9 * 2);
}

#[test]
fn every_crash_point_of_forgetting() {
    let (one, two) = (first(), second());
    let start = Box_::new();
    let gone = start.backup(&MemTree::new(&one)).snapshot;
    let kept = start.backup(&MemTree::new(&two)).snapshot;
    let points = crash_points(
        "forget",
        &start,
        |b| b.repository.forget(&gone),
        |b, forgotten, _| {
            if forgotten.is_some() {
                assert!(!b.repository.snapshots().unwrap().contains(&gone));
            }
            all_well(&b, &[(kept.clone(), &two)], &one);
            b.collect();
            all_well(&b, &[(kept.clone(), &two)], &one);
        },
    );
    assert_eq!(points, 9 * 2);
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

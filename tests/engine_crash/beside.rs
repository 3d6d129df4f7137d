//! Backups and collections beside each other, at every call of either.

use std::sync::{Arc, Mutex};

use colca::engine::{CollectOptions, Progress, Snapshot};

use super::options;
use super::support::Box_;
use super::support::crash::{Case, State, all_well, copied, first, second};
use super::support::cut::Cut;
use super::support::fake::Fault;
use super::support::memory::{MemTree, Node};

/// A box whose first snapshot was forgotten, and what it held: the next
/// collection deletes and rewrites segments that a backup of it would use.
pub fn about_to_collect(one: &Node, two: &Node) -> (Box_, Snapshot) {
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
        let made = Arc::new(Mutex::new(None));
        let (put, repository, tree) = (made.clone(), b.repository.clone(), MemTree::new(&one));
        b.fake.meddle_in(n, move || {
            let report = repository.backup(&tree, &options("beside"), &Progress::default());
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
    println!("moments enumerated: a backup beside a collection {points}");
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
    println!("moments enumerated: a collection beside a backup {points}");
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
                // It may fail; if it does not, it must be whole.
                let _ = repository.backup(&tree, &options("beside"), &Progress::default());
            });
            b.fake.fault_in(n, Fault::PowerCut);
            let before = copied(b.state.path());
            let ran = b
                .repository
                .collect(&CollectOptions::default(), &Progress::default());
            let struck = b.fake.struck();
            let meddled = b.fake.meddled();
            assert!(struck || ran.is_ok());
            let case = Case {
                fault: if struck { Fault::PowerCut } else { Fault::Fail },
                cut: Cut::of(n),
                state: [State::Kept, State::Older, State::Lost][(n % 3) as usize],
            };
            let b = b.crashed(case, before.path(), n);
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
    println!(
        "crash points enumerated: a backup beside a collection {points} ({whole} with its snapshot)"
    );
    assert!(points >= 20 && whole > 0, "{points} {whole}");
}

/// A backup that fails leaves its segments, and perhaps its record, behind. If
/// the power goes while the next collection frees them, no snapshot may come
/// back whose segments are gone.
#[test]
fn a_collection_that_loses_power_after_a_backup_that_failed() {
    let (one, two) = (first(), second());
    let start = Box_::new();
    let kept = start.backup(&MemTree::new(&one)).snapshot;
    let mut points = 0;
    for fault in [Fault::Fail, Fault::Late] {
        for n in 0.. {
            let b = start.twin();
            b.fake.fault_in(n, fault);
            let tree = MemTree::new(&two);
            let failed = b
                .repository
                .backup(&tree, &options("fails"), &Progress::default());
            if !b.fake.struck() {
                break;
            }
            failed.unwrap_err();
            for m in 0.. {
                let b = start.twin();
                b.fake.fault_in(n, fault);
                let ran = b
                    .repository
                    .backup(&tree, &options("fails"), &Progress::default());
                ran.unwrap_err();
                b.fake.fault_in(m, Fault::PowerCut);
                let before = copied(b.state.path());
                let ran = b
                    .repository
                    .collect(&CollectOptions::default(), &Progress::default());
                let struck = b.fake.struck();
                assert_eq!(struck, ran.is_err());
                let seed = m * 31 + n;
                let case = Case {
                    fault: Fault::PowerCut,
                    cut: Cut::Torn,
                    state: [State::Kept, State::Older, State::Lost][(seed % 3) as usize],
                };
                let b = b.crashed(case, before.path(), seed);
                all_well(&b, &[(kept.clone(), &one)], &two);
                b.collect();
                all_well(&b, &[(kept.clone(), &one)], &two);
                if !struck {
                    break;
                }
                points += 1;
            }
        }
    }
    println!("crash points enumerated: a collection after a failed backup {points}");
    assert!(points >= 40, "{points}");
}

/// The storage stops answering in the middle of a backup, so that what is half
/// committed cannot even be taken back, and answers again for a collection.
#[test]
fn a_collection_after_an_outage_during_a_backup() {
    let (one, two) = (first(), second());
    let start = Box_::new();
    let kept = start.backup(&MemTree::new(&one)).snapshot;
    for n in 0.. {
        let b = start.twin();
        b.fake.fault_in(n, Fault::PowerCut);
        let ran = b
            .repository
            .backup(&MemTree::new(&two), &options("cut"), &Progress::default());
        if !b.fake.struck() {
            assert!(n > 4, "{n}");
            println!("moments enumerated: an outage during a backup {n}");
            break;
        }
        ran.unwrap_err();
        b.fake.back();
        b.collect();
        all_well(&b, &[(kept.clone(), &one)], &two);
        let b = b.reopen_without_state();
        all_well(&b, &[(kept.clone(), &one)], &two);
    }
}

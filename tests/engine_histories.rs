//! Whole histories against a plain model: arbitrary edits, backups, several at
//! once and beside collections, deletions, collections, key changes, comparisons
//! and searches, failures, power cuts and reopenings. Whatever the order, the
//! snapshots the model knows are there, restore bit for bit, and the repository
//! verifies clean.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "engine_histories/model.rs"]
mod model;
#[path = "engine_histories/steps.rs"]
mod steps;
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};

use model::Model;
use steps::{Step, step};

/// Runs a history and checks all that was promised.
fn run(steps: Vec<Step>) {
    let mut model = Model::new();
    for step in steps {
        model = model.run(step);
    }
    model.check();
    // A last collection changes nothing that can be seen.
    model.b.collect();
    model.check();
    model.run(Step::Reopen { state: false }).check();
}

/// What a step is called when they are counted.
fn name(step: &Step) -> String {
    let text = format!("{step:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}

#[test]
fn any_history_keeps_its_promises() {
    // Histories that failed are kept beside this file and run first ever after.
    let seeds = FileFailurePersistence::Direct("tests/engine_histories.proptest-regressions");
    // PROPTEST_CASES asks for more than every test run has time for.
    let cases = std::env::var("PROPTEST_CASES").ok();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: cases.map_or(60, |n| n.parse().unwrap()),
        max_shrink_iters: 300,
        failure_persistence: Some(Box::new(seeds)),
        source_file: Some(file!()),
        ..ProptestConfig::default()
    });
    let counts: RefCell<(u64, BTreeMap<String, u64>)> = RefCell::default();
    runner
        .run(&prop::collection::vec(step(), 1..40), |steps| {
            let mut counts = counts.borrow_mut();
            counts.0 += 1;
            for step in &steps {
                *counts.1.entry(name(step)).or_default() += 1;
            }
            drop(counts);
            run(steps);
            Ok(())
        })
        .unwrap();
    let (histories, steps) = counts.into_inner();
    let all: u64 = steps.values().sum();
    println!("histories run: {histories}, steps {all}: {steps:?}");
    assert!(all >= 10 * histories, "{histories} {all}");
}

/// Histories that chance meets too seldom, and those that once failed.
#[test]
fn histories_written_out() {
    let write = |file, len, seed| Step::Write { file, len, seed };
    let backup = || Step::Backup { full: false };
    let histories = vec![
        // A backup fails while its record is being committed, and the power goes
        // while the next collection frees what it left (all of these moments are
        // in `engine_crash/beside.rs`).
        vec![
            write(1, 300_000, 2),
            backup(),
            write(2, 900_000, 4),
            Step::FailingBackup { at: 4, cut: false },
            Step::FailingCollect { at: 1, cut: true },
            Step::Reopen { state: false },
        ],
        // Keys change between a failure and the next attempt.
        vec![
            write(1, 300_000, 2),
            Step::FailingKeyChange { at: 1, cut: true },
            backup(),
            Step::KeyChange,
            write(1, 300_000, 4),
            Step::BackupBesideCollect { full: true },
            Step::FailingKeyChange { at: 1, cut: false },
            backup(),
            Step::Reopen { state: false },
            Step::KeyChange,
            Step::Collect,
        ],
        // Two different backups at once, one of them forgotten while its chunks
        // are also the other's.
        vec![
            write(1, 700_000, 2),
            write(2, 700_000, 2),
            Step::TwoBackups { apart: true },
            Step::Forget { which: 0 },
            Step::Collect,
            Step::TwoBackups { apart: false },
            Step::Forget { which: 1 },
            Step::Collect,
            Step::Compare { old: 0, new: 1 },
            Step::Find { file: 1 },
        ],
    ];
    let all = histories.len();
    histories.into_iter().for_each(run);
    println!("histories run: {all} written out");
}

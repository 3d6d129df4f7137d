//! `make bench-snapshots`: what a great number of snapshots costs. A tree of
//! 10,000 files, a thousandth of them changed each time, is saved again and
//! again; half of the snapshots are forgotten and collected. The figures of
//! `docs/engine.md`, "Ten thousand snapshots", come from here.

// A benchmark that cannot go on says so and ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../files/figures.rs"]
mod figures;
#[path = "../files/tree.rs"]
#[allow(dead_code)] // What only the other bench asks for.
mod tree;

use std::path::Path;
use std::sync::Arc;

use colca::engine::{
    BackupOptions, CollectOptions, MasterKey, Params, Progress, RecoveryKey, Repository,
};
use colca::provider::Folder;
use figures::{Phase, Rows, peak, spread, time};
use tree::Shape;

const MASTER: MasterKey = MasterKey([7; 32]);
const FILES: u64 = 10_000;

const PHASES: [(&str, Phase); 5] = [
    ("make", make),
    ("open", open),
    ("verify", verify),
    ("collect", collect),
    ("again", again),
];

fn main() {
    // Fewer than 100 are made into 100 by the first and last 50 that are measured.
    figures::run(&PHASES, &[100, 1_000, 10_000], "snapshots");
}

fn storage(folder: &Path) -> Arc<Folder> {
    Arc::new(Folder::open(&folder.join("storage")).unwrap())
}

fn opened(folder: &Path) -> Repository {
    Repository::open(storage(folder), &folder.join("state"), &MASTER).unwrap()
}

fn backup(repository: &Repository, version: u64) {
    let options = BackupOptions {
        name: "archivo".into(),
        full: false,
    };
    let shape = Shape {
        files: FILES,
        version,
    };
    let report = repository
        .backup(&shape.tree(), &options, &Progress::default())
        .unwrap();
    assert_eq!(report.warnings, []);
}

fn make(folder: &Path, snapshots: u64) -> Rows {
    for part in ["storage", "state"] {
        std::fs::create_dir(folder.join(part)).unwrap();
    }
    let state = folder.join("state");
    let recovery = RecoveryKey([9; 32]);
    let params = Params::default();
    let made = Repository::create(storage(folder), &state, &MASTER, &recovery, params);
    let repository = made.unwrap();
    let mut version = 0;
    let mut next = || {
        backup(&repository, version);
        version += 1;
    };
    next();
    let first = spread(49, &mut next);
    (0..snapshots.saturating_sub(100)).for_each(|_| next());
    let last = spread(50, &mut next);
    vec![
        ("a backup, of the first 50".into(), first),
        ("a backup, of the last 50".into(), last),
        peak(),
    ]
}

fn open(folder: &Path, snapshots: u64) -> Rows {
    let mut repository = None;
    let opening = time(|| repository = Some(opened(folder)));
    let repository = repository.unwrap();
    let mut all = Vec::new();
    let listing = time(|| all = repository.snapshots().unwrap());
    assert_eq!(all.len() as u64, snapshots.max(100));
    let mut random = tree::Random(snapshots);
    let huge = [tree::HUGE.to_vec()];
    let browsing = spread(200, || {
        let snapshot = &all[random.below(snapshots) as usize];
        let node = repository.node(snapshot, &huge).unwrap();
        let page = repository.children_page(&node, None, 500).unwrap();
        assert_eq!(page.len(), 500);
    });
    vec![
        ("opening".into(), opening),
        ("listing all".into(), listing),
        (
            "browsing a folder of any, median (worst) of 200".into(),
            browsing,
        ),
        peak(),
    ]
}

fn verify(folder: &Path, _: u64) -> Rows {
    let repository = opened(folder);
    let took = time(|| {
        let report = repository.verify(false, &Progress::default()).unwrap();
        assert_eq!(report.errors, Vec::<String>::new());
    });
    vec![("verifying all trees".into(), took), peak()]
}

fn collect(folder: &Path, _: u64) -> Rows {
    let repository = opened(folder);
    let all = repository.snapshots().unwrap();
    let forgetting = time(|| {
        for snapshot in all.iter().step_by(2) {
            repository.forget(snapshot).unwrap();
        }
    });
    let mut report = None;
    let took = time(|| {
        let options = CollectOptions::default();
        report = Some(repository.collect(&options, &Progress::default()).unwrap());
    });
    let report = report.unwrap();
    vec![
        ("forgetting every second".into(), forgetting),
        ("collecting".into(), took),
        peak(),
        (
            "… segments rewritten, deleted".into(),
            format!("{}, {}", report.segments_rewritten, report.segments_deleted),
        ),
    ]
}

fn again(folder: &Path, _: u64) -> Rows {
    let repository = opened(folder);
    let took = time(|| {
        let options = CollectOptions::default();
        repository.collect(&options, &Progress::default()).unwrap();
    });
    vec![("collecting with nothing to free".into(), took), peak()]
}

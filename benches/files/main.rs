//! `make bench-files`: what a great number of files costs. Trees of 100,000,
//! 1 million and 10 million files are made up while they are read (names,
//! sizes and times, no content), backed up, browsed, searched and compared.
//! Every figure of `docs/engine.md`, "Ten million files", comes from here.

// A benchmark that cannot go on says so and ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod figures;
mod tree;

use std::path::Path;
use std::sync::Arc;

use colca::engine::{
    BackupOptions, CollectOptions, MasterKey, Params, Progress, Query, RecoveryKey, Repository,
    Snapshot,
};
use colca::provider::Folder;
use figures::{Phase, Rows, peak, spread, time};
use tree::Shape;

const MASTER: MasterKey = MasterKey([7; 32]);

/// Each is run by a process of its own, so that its peak of memory is its own.
const PHASES: [(&str, Phase); 10] = [
    ("make", make),
    ("read-in", read_in),
    ("change", change),
    ("read-in-again", read_in),
    ("compare", compare),
    ("browse", browse),
    ("find", find),
    ("verify", verify),
    ("restore", restore),
    ("collect", collect),
];

fn main() {
    figures::run(&PHASES, &[100_000, 1_000_000, 10_000_000], "files");
}

fn open(folder: &Path) -> Arc<Repository> {
    let storage = Arc::new(Folder::open(&folder.join("storage")).unwrap());
    Arc::new(Repository::open(storage, &folder.join("state"), &MASTER).unwrap())
}

fn snapshots(repository: &Repository) -> (Snapshot, Snapshot) {
    let all = repository.snapshots().unwrap();
    (all[0].clone(), all[1].clone())
}

fn backup(repository: &Repository, shape: Shape) {
    let options = BackupOptions {
        name: "archivo".into(),
        full: false,
    };
    let report = repository
        .backup(&shape.tree(), &options, &Progress::default())
        .unwrap();
    assert_eq!(report.warnings, []);
}

fn make(folder: &Path, files: u64) -> Rows {
    let shape = Shape::new(files);
    for part in ["storage", "state"] {
        std::fs::create_dir(folder.join(part)).unwrap();
    }
    let storage = Arc::new(Folder::open(&folder.join("storage")).unwrap());
    let recovery = RecoveryKey([9; 32]);
    let state = folder.join("state");
    let made = Repository::create(storage, &state, &MASTER, &recovery, Params::default());
    let repository = made.unwrap();
    // The generator's own part, to be subtracted in thought.
    let mut rows = vec![(
        "walking the made-up tree alone".into(),
        time(|| shape.tree().walk()),
    )];
    rows.push(("first backup".into(), time(|| backup(&repository, shape))));
    rows.push(peak());
    rows
}

fn read_in(folder: &Path, _: u64) -> Rows {
    let repository = open(folder);
    let again = repository.snapshots().unwrap().len() > 1;
    let what = if again {
        "its catalogue"
    } else {
        "catalogue built"
    };
    let took = time(|| repository.update_catalogue(&Progress::default()).unwrap());
    let files = std::fs::read_dir(folder.join("state/catalogue")).unwrap();
    let bytes: u64 = files.map(|f| f.unwrap().metadata().unwrap().len()).sum();
    vec![
        (what.into(), took),
        peak(),
        ("… on disk".into(), format!("{} MiB", bytes >> 20)),
    ]
}

fn change(folder: &Path, files: u64) -> Rows {
    let shape = Shape::new(files);
    let repository = open(folder);
    let took = time(|| {
        backup(
            &repository,
            Shape {
                version: 7,
                ..shape
            },
        );
    });
    vec![
        ("second backup, 0.1 % changed all over".into(), took),
        peak(),
    ]
}

fn compare(folder: &Path, _: u64) -> Rows {
    let mut rows = Vec::new();
    let mut opened = None;
    rows.push(("opening".into(), time(|| opened = Some(open(folder)))));
    let repository = opened.unwrap();
    let (old, new) = snapshots(&repository);
    let mut differences = 0u64;
    let each = |_| {
        differences += 1;
        Ok(())
    };
    let took = time(|| {
        repository
            .diff(&old, &new, &[], &Progress::default(), each)
            .unwrap()
    });
    rows.push(("comparing the two".into(), took));
    rows.push(("… differences".into(), differences.to_string()));
    rows.push(peak());
    let none = |_| Ok(());
    let took = time(|| {
        repository
            .diff(&new, &new, &[], &Progress::default(), none)
            .unwrap()
    });
    rows.push(("comparing one with itself".into(), took));
    rows
}

fn browse(folder: &Path, files: u64) -> Rows {
    let shape = Shape::new(files);
    let repository = open(folder);
    let (old, _) = snapshots(&repository);
    let mut random = tree::Random(shape.files);
    let any = spread(200, || {
        let path = shape.folder(random.below(shape.folders()));
        let node = repository.node(&old, &path).unwrap();
        assert!(
            !repository
                .children_page(&node, None, 500)
                .unwrap()
                .is_empty()
        );
    });
    let huge = repository.node(&old, &[tree::HUGE.to_vec()]).unwrap();
    let middle = spread(200, || {
        let after = shape.huge_name(random.below(shape.huge() - 1));
        assert!(
            !repository
                .children_page(&huge, Some(&after), 500)
                .unwrap()
                .is_empty()
        );
    });
    vec![
        ("browsing a folder, median (worst) of 200".into(), any),
        (
            "500 names from anywhere in the largest folder".into(),
            middle,
        ),
        peak(),
    ]
}

fn find(folder: &Path, files: u64) -> Rows {
    let shape = Shape::new(files);
    let repository = open(folder);
    let mut random = tree::Random(shape.files);
    let find = |text: &str, least: usize| {
        let query = Query {
            text: text.into(),
            name: None,
            limit: 200,
        };
        let found = repository.search(&query).unwrap();
        assert!(
            found.unread == 0 && found.hits.len() >= least,
            "{text}: {}",
            found.hits.len()
        );
    };
    let name = spread(20, || {
        let name = shape.huge_name(random.below(shape.huge()));
        find(&String::from_utf8_lossy(&name).to_uppercase(), 1);
    });
    let rows = [
        ("finding a name, median (worst) of 20", name),
        (
            "looking once for what is not there",
            time(|| find("no existe", 0)),
        ),
        (
            "finding what is not there",
            spread(20, || find("no existe", 0)),
        ),
        (
            "finding by pattern",
            spread(20, || find("*técnico*7.docx", 1)),
        ),
        (
            "finding a frequent part",
            spread(20, || find("informe", 200)),
        ),
    ];
    let rows = rows.into_iter().map(|(what, figure)| (what.into(), figure));
    rows.chain([peak()]).collect()
}

fn verify(folder: &Path, _: u64) -> Rows {
    let repository = open(folder);
    let took = time(|| {
        let report = repository.verify(false, &Progress::default()).unwrap();
        assert_eq!(report.errors, Vec::<String>::new());
    });
    vec![("verifying both trees".into(), took), peak()]
}

fn restore(folder: &Path, files: u64) -> Rows {
    let shape = Shape::new(files);
    let repository = open(folder);
    let (old, _) = snapshots(&repository);
    let took = time(|| {
        let report = repository
            .restore(&old, &[], &tree::Nowhere, &Progress::default())
            .unwrap();
        assert!(report.files >= shape.files && report.warnings.is_empty());
    });
    vec![("restoring one to nowhere".into(), took), peak()]
}

fn collect(folder: &Path, _: u64) -> Rows {
    let repository = open(folder);
    let (old, _) = snapshots(&repository);
    repository.forget(&old).unwrap();
    let took = time(|| {
        let options = CollectOptions::default();
        repository.collect(&options, &Progress::default()).unwrap();
    });
    vec![("collecting after one is forgotten".into(), took), peak()]
}

//! `make bench-files`: what a great number of files costs. Trees of 100,000,
//! 1 million and 10 million files are made up while they are read (names,
//! sizes and times, no content), backed up, browsed, searched and compared.
//! Every figure of `docs/engine.md`, "Ten million files", comes from here.

// A benchmark that cannot go on says so and ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod tree;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use colca::engine::{
    BackupOptions, MasterKey, Params, Progress, Query, RecoveryKey, Repository, Snapshot,
};
use colca::provider::Folder;
use tree::Shape;

const MASTER: MasterKey = MasterKey([7; 32]);
const NAME: &str = "archivo";

fn main() {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let sizes: Vec<u64> = match arguments.is_empty() {
        true => vec![100_000, 1_000_000, 10_000_000],
        false => arguments
            .iter()
            .map(|a| a.replace('_', "").parse().expect("a number of files"))
            .collect(),
    };
    let base = std::env::var_os("COLCA_BENCH_DIR").unwrap_or_else(|| std::env::temp_dir().into());
    let mut rows: Vec<(&'static str, Vec<String>)> = Vec::new();
    for files in &sizes {
        let folder = tempfile::tempdir_in(&base).expect("a folder to work in");
        for (n, (what, figure)) in measure(folder.path(), *files).into_iter().enumerate() {
            eprintln!("{files} files: {what}: {figure}");
            match rows.get_mut(n) {
                Some(row) => row.1.push(figure),
                None => rows.push((what, vec![figure])),
            }
        }
    }
    println!(
        "| files | {} |",
        sizes
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(" | ")
    );
    println!("|---|{}", "---:|".repeat(sizes.len()));
    for (what, figures) in rows {
        println!("| {what} | {} |", figures.join(" | "));
    }
}

fn open(folder: &Path) -> Arc<Repository> {
    let storage = Arc::new(Folder::open(&folder.join("storage")).unwrap());
    Arc::new(Repository::open(storage, &folder.join("state"), &MASTER).unwrap())
}

fn backup(repository: &Repository, shape: Shape) -> Snapshot {
    let options = BackupOptions {
        name: NAME.into(),
        full: false,
    };
    let report = repository
        .backup(&shape.tree(), &options, &Progress::default())
        .unwrap();
    assert_eq!(report.warnings, []);
    report.snapshot
}

fn measure(folder: &Path, files: u64) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for part in ["storage", "state"] {
        std::fs::create_dir(folder.join(part)).unwrap();
    }
    let storage = Arc::new(Folder::open(&folder.join("storage")).unwrap());
    let recovery = RecoveryKey([9; 32]);
    let state = folder.join("state");
    let repository =
        Repository::create(storage, &state, &MASTER, &recovery, Params::default()).unwrap();

    // What the generator itself takes, to be subtracted in thought.
    let shape = Shape {
        files,
        changed: false,
    };
    out.push((
        "walking the made-up tree alone",
        time(|| shape.tree().walk()).0,
    ));
    let ((took, most), old) = peak(|| backup(&repository, shape));
    out.push(("first backup", took));
    out.push(("… peak memory", most));
    let ((took, most), ()) = peak(|| {
        repository.update_catalogue(&Progress::default()).unwrap();
    });
    out.push(("catalogue built", took));
    out.push(("… peak memory", most));
    let changed = Shape {
        files,
        changed: true,
    };
    let (took, new) = time(|| backup(&repository, changed));
    out.push(("second backup, 0.1 % changed", took));
    let ((took, most), ()) = peak(|| {
        repository.update_catalogue(&Progress::default()).unwrap();
    });
    out.push(("catalogue brought up to date", took));
    out.push(("… peak memory", most));
    drop(repository);

    let (took, repository) = time(|| open(folder));
    out.push(("opening", took));
    let mut differences = 0u64;
    let compare = |differences: &mut u64| {
        let each = |_| {
            *differences += 1;
            Ok(())
        };
        repository
            .diff(&old, &new, &[], &Progress::default(), each)
            .unwrap();
    };
    let ((took, most), ()) = peak(|| compare(&mut differences));
    out.push(("comparing the two", took));
    out.push(("… differences", differences.to_string()));
    out.push(("… peak memory", most));
    let nothing = |_| Ok(());
    let (took, ()) = time(|| {
        repository
            .diff(&new, &new, &[], &Progress::default(), nothing)
            .unwrap()
    });
    out.push(("comparing one with itself", took));

    let mut random = tree::Random(files);
    let browse = spread(200, || {
        let path = shape.folder(random.below(shape.folders()));
        let node = repository.node(&old, &path).unwrap();
        assert!(
            !repository
                .children_page(&node, None, 500)
                .unwrap()
                .is_empty()
        );
    });
    out.push(("browsing a folder, median (worst) of 200", browse));
    let huge = repository.node(&old, &[tree::HUGE.to_vec()]).unwrap();
    let browse = spread(200, || {
        let after = shape.huge_name(random.below(shape.huge() - 1));
        assert!(
            !repository
                .children_page(&huge, Some(&after), 500)
                .unwrap()
                .is_empty()
        );
    });
    out.push(("500 names from the middle of the largest folder", browse));

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
    out.push(("finding a name, median (worst) of 20", {
        spread(20, || {
            let name = shape.huge_name(random.below(shape.huge()));
            find(&String::from_utf8_lossy(&name).to_uppercase(), 1);
        })
    }));
    out.push((
        "finding what is not there",
        spread(20, || find("no existe", 0)),
    ));
    out.push((
        "finding by pattern",
        spread(20, || find("*técnico*7.docx", 1)),
    ));
    out.push((
        "finding a frequent part",
        spread(20, || find("informe", 200)),
    ));
    let size = |part: &str| {
        let files = std::fs::read_dir(state.join(part)).unwrap();
        files
            .map(|f| f.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    out.push((
        "catalogue, bytes a name",
        format!("{:.1}", size("catalogue") as f64 / files as f64),
    ));
    out
}

fn time<T>(work: impl FnOnce() -> T) -> (String, T) {
    let begun = Instant::now();
    let out = work();
    (show(begun.elapsed()), out)
}

fn show(d: Duration) -> String {
    match d.as_secs_f64() {
        s if s >= 10.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.1} s"),
        s => format!("{:.1} ms", s * 1000.0),
    }
}

/// Median and worst of several runs.
fn spread(runs: usize, mut work: impl FnMut()) -> String {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    times.sort();
    format!("{} ({})", show(times[runs / 2]), show(times[runs - 1]))
}

/// Time taken, and the most memory the process held meanwhile.
fn peak<T>(work: impl FnOnce() -> T) -> ((String, String), T) {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (took, out) = time(work);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    ((took, format!("{} MiB", kib >> 10)), out)
}

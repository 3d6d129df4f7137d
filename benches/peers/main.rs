//! `make bench`: Colca beside restic, rustic and Borg on the same data, the
//! same disk and in the same hour. docs/benchmarks.md tells what and why.

#[path = "../kit/mod.rs"]
mod kit;

mod raw;
mod report;
mod round;
mod rows;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;

use kit::data::{ALL as SETS, Data, Set};
use kit::engines::{self, Engine, Programs};
use kit::{machine, measure, trees};
use rows::Sample;

/// Measures Colca and its peers
#[derive(clap::Parser)]
struct Arguments {
    /// Data whose rows are run; all without it
    #[arg(value_enum)]
    sets: Vec<Set>,
    /// How often each row is run
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How often with Borg, which takes several times as long as the others, and with the million files
    #[arg(long, default_value_t = 1)]
    slow_rounds: u32,
    /// Only these engines
    #[arg(long, value_enum, value_delimiter = ',')]
    engines: Vec<Engine>,
    /// A raw file of an earlier run, from which engines that are not run are taken
    #[arg(long)]
    against: Option<PathBuf>,
    /// Where repositories are made; its file system is what they are measured on
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where data and programs are kept
    #[arg(long, default_value = "out/bench")]
    out: PathBuf,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == measure::FLAG) && words.len() > 2 {
        return measure::child(&words[2..]);
    }
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything ran.
fn run(arguments: Arguments) -> Result<bool, String> {
    let say = |e: std::io::Error| e.to_string();
    fs::create_dir_all(&arguments.out).map_err(say)?;
    let out = fs::canonicalize(&arguments.out).map_err(say)?;
    let _lock = kit::data::lock(&out)?;
    let whole = arguments.sets.is_empty() && arguments.engines.is_empty();
    let sets = or_all(arguments.sets, &SETS);
    let engines = or_all(arguments.engines, &engines::ALL);
    let programs = Programs {
        colca: env!("CARGO_BIN_EXE_colca").into(),
        peers: out.join("peers"),
    };
    if engines.iter().any(|engine| *engine != Engine::Colca) {
        kit::data::prepare(&out, "peers").map_err(say)?;
    }

    let dir = arguments.dir.unwrap_or_else(|| out.clone());
    let folder = trees::Temporary::new(&dir, "run").map_err(say)?;
    let memory = trees::Temporary::new(Path::new("/dev/shm"), "colca-bench").map_err(say)?;
    let mut facts = machine::facts(folder.path());
    for engine in &engines {
        let version = engine.version(&programs)?;
        facts.push((format!("engine {}", engine.word()), version));
    }
    let data = Data::new(&out);
    for set in &sets {
        let made_of = data
            .make(*set)
            .map_err(|e| format!("{}: {e}", set.word()))?;
        let version = data.version(*set, if set.has_two() { 2 } else { 1 });
        let (entries, bytes) = trees::count(&version).map_err(say)?;
        let what = format!("{made_of}; {entries} entries, {} MB", bytes / 1_000_000);
        facts.push((format!("data {}", set.word()), what));
    }
    for (name, value) in &facts {
        eprintln!("{name}: {value}");
    }

    let mut bench = round::Bench {
        programs: &programs,
        data: &data,
        dir: folder.path().to_owned(),
        memory: memory.path().to_owned(),
        samples: Vec::new(),
        failures: Vec::new(),
    };
    for set in &sets {
        for number in 1..=arguments.rounds {
            let slow = number <= arguments.slow_rounds;
            if *set == Set::Tiny && !slow {
                break;
            }
            let mut turn: Vec<Engine> = engines.clone();
            turn.retain(|engine| slow || !engine.is_slow());
            // Nobody is always first.
            let first = number as usize % turn.len().max(1);
            turn.rotate_left(first);
            if let Err(e) = bench.round(*set, number, &turn) {
                eprintln!("{} {number} FAILED: {e}", set.word());
                bench.failures.push(format!("{} {number}: {e}", set.word()));
            }
        }
    }

    let (samples, failures) = (bench.samples, bench.failures);
    let whole = whole && arguments.rounds >= 3 && failures.is_empty() && !machine::quick_build();
    keep(&out, whole, &facts, &samples, arguments.against.as_deref())?;
    for failure in &failures {
        eprintln!("failed: {failure}");
    }
    Ok(failures.is_empty())
}

fn or_all<T: Copy>(picked: Vec<T>, all: &[T]) -> Vec<T> {
    match picked.is_empty() {
        true => all.to_vec(),
        false => picked,
    }
}

/// Prints the tables, and leaves them and the raw file: of a whole run in
/// benches/runs, to be committed, of a part below `out`.
fn keep(
    out: &Path,
    whole: bool,
    facts: &[(String, String)],
    samples: &[Sample],
    against: Option<&Path>,
) -> Result<(), String> {
    let runs = match whole {
        true => Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/runs"),
        false => out.join("runs"),
    };
    let mut shown = samples.to_vec();
    let mut told = facts.to_vec();
    if let Some(path) = against {
        let earlier = raw::read(path)?;
        let fresh: Vec<Engine> = samples.iter().map(|s| s.engine).collect();
        shown.extend(earlier.into_iter().filter(|s| !fresh.contains(&s.engine)));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        told.push(("other engines from".to_owned(), name.into_owned()));
    }
    let tables = report::markdown(&told, &shown);
    let path = runs.join(format!("{}.csv", machine::run_name()));
    fs::create_dir_all(&runs)
        .and_then(|()| fs::write(&path, raw::write(facts, samples)))
        .and_then(|()| fs::write(path.with_extension("md"), &tables))
        .map_err(|e| format!("{}: {e}", path.display()))?;
    println!("{tables}");
    println!("Raw file: {}", path.display());
    Ok(())
}

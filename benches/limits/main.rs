//! `make bench-limits`: what this machine could reach if every byte passed
//! only what it must pass, and Colca's share of that. docs/benchmarks.md has
//! the formulae.

#[path = "../kit/mod.rs"]
mod kit;

mod bytes;
mod files;
mod rows;
mod sample;
mod timing;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;

use kit::data::{Data, Set};
use kit::engines::Programs;
use kit::{machine, measure, trees};
use rows::Measured;
use timing::Stage;

/// Measures the machine, and Colca on it
#[derive(clap::Parser)]
struct Arguments {
    /// Data to do it with: kernel, random, tiny; all three without it
    #[arg(value_enum)]
    sets: Vec<Set>,
    /// How often Colca runs each row
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Where repositories are made
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where data are kept
    #[arg(long, default_value = "out/bench")]
    out: PathBuf,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == measure::FLAG) && words.len() > 2 {
        return measure::child(&words[2..]);
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench-limits: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let say = |e: std::io::Error| e.to_string();
    let whole = arguments.sets.is_empty();
    let keep = whole && !machine::quick_build();
    let sets = match whole {
        true => vec![Set::Kernel, Set::Random, Set::Tiny],
        false => arguments.sets,
    };
    if let Some(set) = sets.iter().find(|set| rows::of(**set).is_empty()) {
        return Err(format!("there are no limits of '{}'", set.word()));
    }
    fs::create_dir_all(&arguments.out).map_err(say)?;
    let out = fs::canonicalize(&arguments.out).map_err(say)?;
    let _lock = kit::data::lock(&out)?;
    let programs = Programs {
        colca: env!("CARGO_BIN_EXE_colca").into(),
        peers: out.join("peers"),
    };
    let dir = arguments.dir.unwrap_or_else(|| out.clone());
    let folder = trees::Temporary::new(&dir, "limits").map_err(say)?;
    let memory = trees::Temporary::new(Path::new("/dev/shm"), "colca-limits").map_err(say)?;
    let threads = machine::cores();

    let mut text = String::new();
    let mut raw = String::new();
    for (name, value) in machine::facts(folder.path()) {
        let _ = writeln!(text, "- {name}: {value}");
        let _ = writeln!(raw, "# {name}: {value}");
    }
    raw.push_str("set,what,one_thread_s,all_threads_s,amount,colca_s\n");
    text.push_str("\n### The machine\n\nGB/s, of the walk million entries/s, on one thread and on all cores.\n\n| data | stage | one | all | scaling |\n|---|---|--:|--:|--:|\n");
    let copies = bytes::copies(threads).map_err(say)?;
    tell(&mut text, &mut raw, "", &copies);
    let mut shares = String::from(
        "\n### Colca's share of what it could reach\n\nSeconds; goal: at least 0.7 of the limit.\n\n| data | row | limit | most of it | Colca | share | |\n|---|---|--:|---|--:|--:|---|\n",
    );
    let data = Data::new(&out);
    for set in sets {
        data.make(set)
            .and_then(|_| data.turn_to(set, 1))
            .map_err(say)?;
        let source = fs::canonicalize(data.source(set)).map_err(say)?;
        trees::warm(&source, true).map_err(say)?;
        let measured =
            Measured::take(&source, folder.path(), memory.path(), threads).map_err(say)?;
        tell(&mut text, &mut raw, set.word(), &measured.stages);
        let runs = rows::colca(
            &programs,
            set,
            &source,
            folder.path(),
            memory.path(),
            arguments.rounds,
        )?;
        for (row, wall) in runs {
            let (limit, most) = measured.limit(row);
            let share = limit / wall;
            let _ = writeln!(raw, "{},{},,{limit:.4},,{wall:.4}", set.word(), row.word);
            let _ = writeln!(
                shares,
                "| {} | {} | {limit:.3} | {most} | {wall:.3} | {share:.2} | {} |",
                set.describe(),
                row.word,
                if share >= 0.7 { "met" } else { "**not met**" },
            );
        }
    }
    text.push_str(&shares);
    println!("{text}");
    let runs = match keep {
        true => Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/runs"),
        false => out.join("runs"),
    };
    let path = runs.join(format!("{}-limits.csv", machine::run_name()));
    fs::create_dir_all(&runs)
        .and_then(|()| fs::write(&path, raw))
        .and_then(|()| fs::write(path.with_extension("md"), text))
        .map_err(|e| format!("{}: {e}", path.display()))?;
    println!("Raw file: {}", path.display());
    Ok(())
}

fn tell(text: &mut String, raw: &mut String, set: &str, stages: &[Stage]) {
    for s in stages {
        let unit = if s.per_file { 1e6 } else { 1e9 };
        let (one, all) = (s.amount / s.one / unit, s.amount / s.all / unit);
        // What never happens to these data (expanding what did not compress) has no speed.
        let rates = match one < 1e3 {
            true => format!("{one:.2} | {all:.2} | {:.2}", s.one / s.all),
            false => "– | – | –".to_owned(),
        };
        let _ = writeln!(text, "| {set} | {} | {rates} |", s.name);
        let _ = writeln!(
            raw,
            "{set},{},{:.6},{:.6},{},",
            s.name, s.one, s.all, s.amount
        );
    }
}

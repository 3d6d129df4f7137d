//! Phases of a bench, each in a process of its own so that its peak of memory
//! is its own, for several sizes, as a table.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Does something in a folder that the phases share, for a size, and says its figures.
pub type Phase = fn(&Path, u64) -> Rows;
/// What was measured, and the figure.
pub type Rows = Vec<(String, String)>;

/// Runs all phases for each size given on the command line, or else for
/// `sizes`, and prints a table. Folders are made in `COLCA_BENCH_DIR`.
pub fn run(phases: &[(&str, Phase)], sizes: &[u64], unit: &str) {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if let [phase, folder, size] = &arguments[..]
        && let Some((_, run)) = phases.iter().find(|(name, _)| name == phase)
    {
        for (what, figure) in run(Path::new(folder), number(size)) {
            println!("{what}\t{figure}");
        }
        return;
    }
    let mut sizes = sizes.to_vec();
    if !arguments.is_empty() {
        sizes = arguments.iter().map(|a| number(a)).collect();
    }
    let base = std::env::var_os("COLCA_BENCH_DIR").unwrap_or_else(|| std::env::temp_dir().into());
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for size in &sizes {
        let folder = tempfile::tempdir_in(&base).expect("a folder to work in");
        let figures = phases
            .iter()
            .flat_map(|(phase, _)| in_process(phase, folder.path(), *size));
        for (n, (what, figure)) in figures.enumerate() {
            eprintln!("{size} {unit}: {what}: {figure}");
            match rows.get_mut(n) {
                Some(row) => row.1.push(figure),
                None => rows.push((what, vec![figure])),
            }
        }
    }
    let sizes: Vec<String> = sizes.iter().map(u64::to_string).collect();
    println!("| {unit} | {} |", sizes.join(" | "));
    println!("|---|{}", "---:|".repeat(sizes.len()));
    for (what, figures) in rows {
        println!("| {what} | {} |", figures.join(" | "));
    }
}

fn number(text: &str) -> u64 {
    text.replace('_', "").parse().expect("a number")
}

fn in_process(phase: &str, folder: &Path, size: u64) -> Rows {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(phase).arg(folder).arg(size.to_string());
    let out = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(out.status.success(), "{phase} failed");
    let text = String::from_utf8(out.stdout).unwrap();
    let rows = text.lines().map(|line| line.split_once('\t').unwrap());
    rows.map(|(what, figure)| (what.to_owned(), figure.to_owned()))
        .collect()
}

/// Time on the clock, and of all processor cores together: what does not
/// depend on how busy the machine is otherwise.
pub fn time<T>(work: impl FnOnce() -> T) -> String {
    let (begun, before) = (Instant::now(), cpu());
    work();
    format!("{} ({} CPU)", show(begun.elapsed()), show(cpu() - before))
}

/// Processor time of this process so far, to a hundredth of a second.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the process, in brackets, may contain spaces.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    let ticks = |n: usize| fields[n].parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(12) + ticks(13)))
}

fn show(d: Duration) -> String {
    match d.as_secs_f64() {
        s if s >= 10.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.1} s"),
        s => format!("{:.1} ms", s * 1000.0),
    }
}

/// Median and worst of several runs.
pub fn spread(runs: usize, mut work: impl FnMut()) -> String {
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

/// The most memory this process has held.
pub fn peak() -> (String, String) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    ("… peak memory".into(), format!("{} MiB", kib >> 10))
}

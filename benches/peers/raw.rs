//! The raw file: what ran on which machine, then every sample as a line.

use std::fmt::Write as _;
use std::path::Path;

use clap::ValueEnum as _;

use crate::kit::data::Set;
use crate::kit::engines::Engine;
use crate::kit::measure::Cost;
use crate::rows::{ALL, Sample};

const COLUMNS: &str = "set,row,round,engine,wall_s,cpu_s,peak_bytes,others_cpu_s,stored_bytes";

/// The file's text: `facts` as comment lines, then the samples.
pub fn write(facts: &[(String, String)], samples: &[Sample]) -> String {
    let mut out = String::new();
    for (name, value) in facts {
        let _ = writeln!(out, "# {name}: {value}");
    }
    let _ = writeln!(out, "{COLUMNS}");
    for s in samples {
        let stored = s.stored.map(|n| n.to_string()).unwrap_or_default();
        let _ = writeln!(
            out,
            "{},{},{},{},{:.3},{:.3},{},{:.2},{stored}",
            s.set.word(),
            s.row.word(),
            s.round,
            s.engine.word(),
            s.cost.wall,
            s.cost.cpu,
            s.cost.peak,
            s.cost.others,
        );
    }
    out
}

/// The samples of an earlier run.
pub fn read(path: &Path) -> Result<Vec<Sample>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    text.lines()
        .filter(|line| !line.starts_with('#') && *line != COLUMNS)
        .map(|line| parse(line).ok_or_else(|| format!("{}: not a sample: {line}", path.display())))
        .collect()
}

fn parse(line: &str) -> Option<Sample> {
    let cells: Vec<&str> = line.split(',').collect();
    let [set, row, round, engine, wall, cpu, peak, others, stored] = cells[..] else {
        return None;
    };
    Some(Sample {
        set: Set::from_str(set, false).ok()?,
        row: ALL.into_iter().find(|r| r.word() == row)?,
        round: round.parse().ok()?,
        engine: Engine::parse(engine)?,
        cost: Cost {
            wall: wall.parse().ok()?,
            cpu: cpu.parse().ok()?,
            peak: peak.parse().ok()?,
            others: others.parse().ok()?,
        },
        stored: match stored {
            "" => None,
            n => Some(n.parse().ok()?),
        },
    })
}

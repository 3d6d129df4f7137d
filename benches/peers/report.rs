//! Medians, ratios and goals as Markdown tables.

use std::fmt::Write as _;

use crate::kit::data::{ALL as SETS, Set};
use crate::kit::engines::{ALL as ENGINES, Engine};
use crate::kit::measure::median;
use crate::rows::{ALL as ROWS, PEAK_LIMIT, Row, Sample, size_goal};

/// What is shown of one engine in one row.
struct Figures {
    wall: f64,
    fastest: f64,
    slowest: f64,
    cpu: f64,
    /// MiB
    peak: f64,
    rounds: usize,
}

struct Results<'a>(&'a [Sample]);

impl Results<'_> {
    fn of(&self, set: Set, row: Row, engine: Engine) -> Vec<&Sample> {
        let wanted = |s: &&Sample| s.set == set && s.row == row && s.engine == engine;
        self.0.iter().filter(wanted).collect()
    }

    fn figures(&self, set: Set, row: Row, engine: Engine) -> Option<Figures> {
        let samples = self.of(set, row, engine);
        if samples.is_empty() {
            return None;
        }
        let walls = || samples.iter().map(|s| s.cost.wall);
        Some(Figures {
            wall: median(walls().collect()),
            fastest: walls().fold(f64::INFINITY, f64::min),
            slowest: walls().fold(0.0, f64::max),
            cpu: median(samples.iter().map(|s| s.cost.cpu).collect()),
            peak: samples.iter().map(|s| s.cost.peak).max().unwrap_or(0) as f64
                / f64::from(1 << 20),
            rounds: samples.len(),
        })
    }

    fn stored(&self, set: Set, row: Row, engine: Engine) -> Option<f64> {
        let samples = self.of(set, row, engine);
        let stored: Vec<f64> = samples
            .iter()
            .filter_map(|s| s.stored.map(|n| n as f64 / 1e6))
            .collect();
        (!stored.is_empty()).then(|| median(stored))
    }

    /// The peer with the least of something, and how much that is.
    fn least(&self, what: impl Fn(Engine) -> Option<f64>) -> Option<(Engine, f64)> {
        ENGINES
            .into_iter()
            .filter(|engine| *engine != Engine::Colca)
            .filter_map(|engine| Some((engine, what(engine)?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Rows of which there is anything, in order.
    fn rows(&self) -> Vec<(Set, Row)> {
        let pairs = SETS.iter().flat_map(|s| ROWS.iter().map(|r| (*s, *r)));
        pairs
            .filter(|(set, row)| self.0.iter().any(|s| s.set == *set && s.row == *row))
            .collect()
    }
}

/// Three digits that count.
fn short(x: f64) -> String {
    match x {
        _ if x >= 100.0 => format!("{x:.0}"),
        _ if x >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}

fn verdict(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "**not met**",
        None => "",
    }
}

/// All tables; `facts` say where and when.
pub fn markdown(facts: &[(String, String)], samples: &[Sample]) -> String {
    let results = Results(samples);
    let mut out = String::new();
    for (name, value) in facts {
        let _ = writeln!(out, "- {name}: {value}");
    }
    speed(&mut out, &results);
    size(&mut out, &results);
    memory(&mut out, &results);
    everything(&mut out, &results);
    let noisy = samples
        .iter()
        .filter(|s| s.cost.others > 0.1 * s.cost.wall * crate::kit::machine::cores() as f64)
        .count();
    let _ = writeln!(
        out,
        "\nIn {noisy} of {} runs all else on the machine took more than a tenth of its processor time.",
        samples.len()
    );
    out
}

fn speed(out: &mut String, results: &Results<'_>) {
    out.push_str(
        "\n### Speed\n\nMedian wall seconds; for information the ratio of processor seconds.\n\n| data | row | Colca | fastest peer | | ratio | goal | | CPU |\n|---|---|--:|---|--:|--:|--:|---|--:|\n",
    );
    for (set, row) in results.rows() {
        let wall = |engine| Some(results.figures(set, row, engine)?.wall);
        let (own, peer) = (wall(Engine::Colca), results.least(wall));
        let ratio = own.zip(peer).map(|(own, (_, peer))| peer / own);
        let cpu = |engine| Some(results.figures(set, row, engine)?.cpu);
        let cpu_ratio = cpu(Engine::Colca).zip(peer.and_then(|(engine, _)| cpu(engine)));
        let goal = row.goal(set);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            set.describe(),
            row.describe(),
            own.map(short).unwrap_or_default(),
            peer.map_or("", |(engine, _)| engine.word()),
            peer.map(|(_, wall)| short(wall)).unwrap_or_default(),
            ratio.map(|r| format!("{r:.1}×")).unwrap_or_default(),
            goal.map(|g| format!("≥ {g:.0}×")).unwrap_or_default(),
            verdict(goal.zip(ratio).map(|(goal, ratio)| ratio >= goal)),
            cpu_ratio
                .map(|(own, peer)| format!("{:.1}×", peer / own))
                .unwrap_or_default(),
        );
    }
}

fn size(out: &mut String, results: &Results<'_>) {
    out.push_str("\n### Stored size\n\nMB (10⁶ bytes) of the repository afterwards.\n\n");
    out.push_str("| data | after | Colca | smallest peer | | share | goal | |\n|---|---|--:|---|--:|--:|--:|---|\n");
    for (set, row) in results.rows() {
        if !matches!(row, Row::First | Row::Second) {
            continue;
        }
        let stored = |engine| results.stored(set, row, engine);
        let (own, peer) = (stored(Engine::Colca), results.least(stored));
        let share = own.zip(peer).map(|(own, (_, peer))| own / peer);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | ≤ {} | {} |",
            set.describe(),
            row.describe(),
            own.map(short).unwrap_or_default(),
            peer.map_or("", |(engine, _)| engine.word()),
            peer.map(|(_, n)| short(n)).unwrap_or_default(),
            share.map(|s| format!("{s:.3}")).unwrap_or_default(),
            size_goal(set),
            verdict(share.map(|s| s <= size_goal(set))),
        );
    }
}

fn memory(out: &mut String, results: &Results<'_>) {
    let _ = writeln!(
        out,
        "\n### Peak memory\n\nMiB, the highest of all rounds; goal: no more than the leanest peer, and never above {}.\n",
        PEAK_LIMIT >> 20
    );
    out.push_str("| data | row | Colca | leanest peer | | |\n|---|---|--:|---|--:|---|\n");
    for (set, row) in results.rows() {
        let peak = |engine| Some(results.figures(set, row, engine)?.peak);
        let (own, peer) = (peak(Engine::Colca), results.least(peak));
        let limit = (PEAK_LIMIT >> 20) as f64;
        let met = own.zip(peer).map(|(own, (_, peer))| own <= peer.min(limit));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            set.describe(),
            row.describe(),
            own.map(short).unwrap_or_default(),
            peer.map_or("", |(engine, _)| engine.word()),
            peer.map(|(_, n)| short(n)).unwrap_or_default(),
            verdict(met),
        );
    }
}

fn everything(out: &mut String, results: &Results<'_>) {
    out.push_str("\n### Every engine\n\nWall and processor seconds: medians; in brackets the fastest and the slowest round.\n\n");
    out.push_str("| data | row | engine | wall s | CPU s | peak MiB | stored MB | rounds |\n|---|---|---|--:|--:|--:|--:|--:|\n");
    for (set, row) in results.rows() {
        for engine in ENGINES {
            let Some(f) = results.figures(set, row, engine) else {
                continue;
            };
            let spread = match f.rounds {
                1 => String::new(),
                _ => format!(" ({}–{})", short(f.fastest), short(f.slowest)),
            };
            let stored = results.stored(set, row, engine);
            let _ = writeln!(
                out,
                "| {} | {} | {} | {}{spread} | {} | {} | {} | {} |",
                set.describe(),
                row.describe(),
                engine.word(),
                short(f.wall),
                short(f.cpu),
                short(f.peak),
                stored.map(short).unwrap_or_default(),
                f.rounds,
            );
        }
    }
}

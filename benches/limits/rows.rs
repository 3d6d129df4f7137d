//! What each row must do at least, what that costs, and what Colca takes.

use std::fs;
use std::io;
use std::path::Path;

use crate::kit::data::Set;
use crate::kit::engines::{Engine, Home, Programs};
use crate::kit::measure::{Call, median};
use crate::kit::trees;
use crate::sample::Sample;
use crate::timing::Stage;
use crate::{bytes, files};

/// A row, and which stages every byte or entry passes in it, how often.
pub struct Row {
    pub word: &'static str,
    passes: &'static [(&'static str, u32)],
}

const FIRST: Row = Row {
    word: "first backup",
    passes: &[
        ("walk", 1),
        ("read", 1),
        ("cut", 1),
        ("hash", 1),
        ("compress", 1),
        ("seal", 1),
        // The segment's name, and the sums of the pool's blocks.
        ("sum", 2),
        ("store", 1),
    ],
};
const AGAIN: Row = Row {
    word: "unchanged again",
    passes: &[("walk", 1)],
};
const FULL: Row = Row {
    word: "read everything again",
    passes: &[("walk", 1), ("read", 1), ("cut", 1), ("hash", 1)],
};
const RESTORE: Row = Row {
    word: "restore",
    passes: &[
        ("load", 1),
        ("open", 1),
        ("expand", 1),
        ("hash", 1),
        ("create", 1),
    ],
};
const VERIFY: Row = Row {
    word: "verify all data",
    passes: &[
        ("load", 1),
        ("sum", 2),
        ("open", 1),
        ("expand", 1),
        ("hash", 1),
    ],
};

/// The rows of a set, in the order in which they are run.
pub fn of(set: Set) -> &'static [Row] {
    match set {
        Set::Kernel => &[FIRST, AGAIN, FULL, RESTORE, VERIFY],
        Set::Random => &[FIRST, FULL, RESTORE, VERIFY],
        Set::Tiny => &[FIRST, AGAIN],
        Set::Image | Set::Dump => &[],
    }
}

/// The stages, measured with a set.
pub struct Measured {
    pub stages: Vec<Stage>,
    /// How many times larger than the sample the whole set is.
    times: f64,
}

impl Measured {
    pub fn take(source: &Path, dir: &Path, memory: &Path, threads: usize) -> io::Result<Self> {
        let sample = Sample::take(source)?;
        let (compress, stored) = bytes::compress(&sample, threads)?;
        let [seal, open] = bytes::seal_and_open(&stored, threads)?;
        let [store, load] = files::store_and_load(&stored, dir, threads)?;
        let made = memory.join("made");
        let stages = vec![
            files::walk(&sample, threads)?,
            files::read(&sample, threads)?,
            bytes::chunk(&sample, threads)?,
            bytes::hash("hash", &sample.bytes, &sample.chunks, threads)?,
            compress,
            seal,
            bytes::hash("sum", &stored.bytes, &stored.ends, threads)?,
            store,
            load,
            open,
            bytes::expand(&sample, &stored, threads)?,
            files::create(&sample, &made, threads)?,
        ];
        trees::remove(&made)?;
        Ok(Self {
            stages,
            times: sample.times,
        })
    }

    /// Seconds that a row takes on all cores if nothing but its stages costs
    /// anything, and the stage that is most of them.
    pub fn limit(&self, row: &Row) -> (f64, &'static str) {
        let mut sum = 0.0;
        let mut most = ("", 0.0);
        for (name, passes) in row.passes {
            for stage in self.stages.iter().filter(|s| s.name == *name) {
                // The walk is measured whole, all else with the sample.
                let times = if stage.per_file { 1.0 } else { self.times };
                let seconds = stage.all * times * f64::from(*passes);
                sum += seconds;
                if seconds > most.1 {
                    most = (stage.name, seconds);
                }
            }
        }
        (sum, most.0)
    }
}

/// Colca's median wall seconds in each row of a set.
pub fn colca(
    programs: &Programs,
    set: Set,
    source: &Path,
    dir: &Path,
    memory: &Path,
    rounds: u32,
) -> Result<Vec<(&'static Row, f64)>, String> {
    let rows = of(set);
    let mut walls = vec![Vec::new(); rows.len()];
    let target = memory.join("restored");
    for round in 1..=rounds {
        let mut home = Home {
            engine: Engine::Colca,
            programs,
            folder: dir.join("colca"),
            backups: 0,
        };
        home.create()?;
        for (row, walls) in rows.iter().zip(&mut walls) {
            let call: Call = match row.word {
                w if w == RESTORE.word => {
                    let fresh = trees::remove(&target).and_then(|()| fs::create_dir(&target));
                    fresh.map_err(|e| e.to_string())?;
                    home.restore(source, &target).0
                }
                w if w == VERIFY.word => home.verify(),
                w => home.backup(source, w == FULL.word),
            };
            trees::warm(source, row.word != AGAIN.word).map_err(|e| e.to_string())?;
            rustix::fs::sync();
            let cost = call.measure(&dir.join("colca.log"))?;
            eprintln!(
                "{:<7} {:<21} {round} {:7.3} s  {:7.3} s CPU",
                set.word(),
                row.word,
                cost.wall,
                cost.cpu
            );
            walls.push(cost.wall);
        }
        trees::remove(&home.folder).map_err(|e| e.to_string())?;
    }
    trees::remove(&target).map_err(|e| e.to_string())?;
    Ok(rows.iter().zip(walls.into_iter().map(median)).collect())
}

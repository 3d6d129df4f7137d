//! A round: every engine in turn does every row of a set.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kit::data::{Data, Set};
use crate::kit::engines::{Engine, Home, Programs};
use crate::kit::measure::{Call, Cost};
use crate::kit::trees;
use crate::rows::{Row, Sample};

/// Where things are, and what was measured so far.
pub struct Bench<'a> {
    pub programs: &'a Programs,
    pub data: &'a Data,
    /// Where repositories are made.
    pub dir: PathBuf,
    /// Where trees are restored to: a file system in memory.
    pub memory: PathBuf,
    pub samples: Vec<Sample>,
    /// What an engine failed to do.
    pub failures: Vec<String>,
}

/// What stays the same through one round of a set.
struct Round<'a> {
    set: Set,
    number: u32,
    source: PathBuf,
    homes: Vec<Home<'a>>,
}

impl<'a> Bench<'a> {
    /// One round of a set with these engines, in this order.
    pub fn round(&mut self, set: Set, number: u32, engines: &[Engine]) -> Result<(), String> {
        let source = fs::canonicalize(self.data.version(set, 1)).and_then(|_| {
            self.data.turn_to(set, 1)?;
            fs::canonicalize(self.data.source(set))
        });
        let mut round = Round {
            set,
            number,
            source: source.map_err(|e| format!("{}: {e}", set.word()))?,
            homes: Vec::new(),
        };
        for engine in engines {
            round.homes.push(Home {
                engine: *engine,
                programs: self.programs,
                folder: self.dir.join(engine.word()),
                backups: 0,
            });
        }
        let ended = self.rows(&mut round);
        for home in &round.homes {
            clear(&home.folder).and(clear(&aside(home)))?;
        }
        ended
    }

    fn rows(&mut self, round: &mut Round<'a>) -> Result<(), String> {
        let has = |row: Row| row.belongs_to(round.set);
        let (restore, verify, anew) = (has(Row::Restore), has(Row::Verify), has(Row::Anew));
        let (second, again, full) = (has(Row::Second), has(Row::Again), has(Row::Full));
        for home in &round.homes {
            home.create()?;
        }
        self.backups(round, Row::First);
        if anew {
            for home in &round.homes {
                trees::copy(&home.folder, &aside(home)).map_err(|e| e.to_string())?;
            }
        }
        if second {
            self.turn(|data| data.turn_to(round.set, 2))?;
            self.backups(round, Row::Second);
        }
        if again {
            self.backups(round, Row::Again);
        }
        if full {
            self.backups(round, Row::Full);
        }
        if restore {
            self.restores(round)?;
        }
        if verify {
            for home in &round.homes {
                self.take(round, Row::Verify, home.engine, home.verify(), || Ok(None));
            }
        }
        if anew {
            // What was stored of the first version only, brought back.
            for home in &mut round.homes {
                clear(&home.folder)?;
                fs::rename(aside(home), &home.folder).map_err(|e| e.to_string())?;
                home.backups = 1;
            }
            self.turn(Data::unpacked_anew)?;
            self.backups(round, Row::Anew);
            self.turn(|data| data.turn_to(round.set, 1))?;
        }
        Ok(())
    }

    fn turn(&self, step: impl FnOnce(&Data) -> std::io::Result<()>) -> Result<(), String> {
        step(self.data).map_err(|e| format!("the source could not be changed: {e}"))
    }

    fn backups(&mut self, round: &mut Round<'a>, row: Row) {
        let mut homes = std::mem::take(&mut round.homes);
        for home in &mut homes {
            // Every engine finds its source in the page cache.
            let read = row != Row::Again;
            if let Err(e) = trees::warm(&round.source, read) {
                self.failures.push(format!("reading the source: {e}"));
            }
            let call = home.backup(&round.source, row == Row::Full);
            self.take(round, row, home.engine, call, || home.stored().map(Some));
        }
        round.homes = homes;
    }

    fn restores(&mut self, round: &Round<'a>) -> Result<(), String> {
        let target = self.memory.join("restored");
        for home in &round.homes {
            clear(&target)?;
            fs::create_dir_all(&target).map_err(|e| format!("{}: {e}", target.display()))?;
            let (call, tree) = home.restore(&round.source, &target);
            self.take(round, Row::Restore, home.engine, call, || {
                trees::compare(&round.source, &tree).map_err(|e| e.to_string())?;
                Ok(None)
            });
        }
        clear(&target)
    }

    /// Runs and records one thing; `after` looks at what came of it.
    fn take(
        &mut self,
        round: &Round<'a>,
        row: Row,
        engine: Engine,
        call: Call,
        after: impl FnOnce() -> Result<Option<u64>, String>,
    ) {
        // Nobody pays for what the one before left to be written.
        rustix::fs::sync();
        let log = self.dir.join(format!("{}.log", engine.word()));
        let result = call
            .measure(&log)
            .and_then(|cost: Cost| Ok((cost, after()?)));
        let what = format!(
            "{:<7} {:<8} {} {:<10}",
            round.set.word(),
            row.word(),
            round.number,
            engine.word()
        );
        match result {
            Ok((cost, stored)) => {
                let size = stored.map(|n| format!("{:7} MB", n / 1_000_000));
                eprintln!(
                    "{what} {:7.2} s  {:7.2} s CPU {:6} MiB {}",
                    cost.wall,
                    cost.cpu,
                    cost.peak >> 20,
                    size.unwrap_or_default(),
                );
                self.samples.push(Sample {
                    set: round.set,
                    row,
                    round: round.number,
                    engine,
                    cost,
                    stored,
                });
            }
            Err(e) => {
                eprintln!("{what} FAILED: {e}");
                self.failures.push(format!("{what}: {e}"));
            }
        }
    }
}

/// Where a home waits meanwhile.
fn aside(home: &Home<'_>) -> PathBuf {
    home.folder.with_extension("aside")
}

fn clear(folder: &Path) -> Result<(), String> {
    trees::remove(folder).map_err(|e| format!("{}: {e}", folder.display()))
}

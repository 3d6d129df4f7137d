//! Backing up a source.

use std::sync::Arc;

use serde::Serialize;

use super::jobs::Ended;
use super::{JobKind, Service};
use crate::engine::{BackupOptions, Result, Snapshot, Warning};
use crate::jobs::Id;

/// Warnings kept with a job; the snapshot says how many there were in all.
const WARNINGS: usize = 200;

#[derive(Serialize)]
struct BackupResult {
    snapshot: Snapshot,
    warnings: Vec<Warning>,
}

impl Service {
    /// Backs up a source as a job; `full` reads every byte again. `Busy` if
    /// one for this source runs or waits already.
    pub fn run_backup(self: &Arc<Self>, source: &str, full: bool) -> Result<Id> {
        // Known now, so that the caller hears of it and not only the job.
        self.source_record(source)?;
        self.repository()?;
        let name = source.to_owned();
        self.start(JobKind::Backup, source, "pool", move |task| {
            let tree = task.service.open_tree(&name)?;
            task.log.line(format!("reading {}", tree.describe()));
            let options = BackupOptions { name, full };
            let repository = task.service.repository()?;
            let report = repository.backup(&*tree, &options, task.progress)?;
            task.service.catch_up();
            for warning in report.warnings.iter().take(WARNINGS) {
                task.log
                    .line(format!("{}: {}", warning.path, warning.message));
            }
            let clean = report.snapshot.warnings == 0;
            let result = BackupResult {
                snapshot: report.snapshot,
                warnings: report.warnings.into_iter().take(WARNINGS).collect(),
            };
            Ok(match clean {
                true => Ended::Well(result),
                false => Ended::Warnings(result),
            })
        })
    }
}

//! Restoring back to a source.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::jobs::Ended;
use super::sources::{self, SourceRecord};
use super::{JobKind, RestoreRequest, Service};
use crate::engine::tree::Target;
use crate::engine::{RestoreReport, Result};
use crate::jobs::Id;

/// Warnings kept with a job; the report says how many there were in all.
const WARNINGS: usize = 200;

#[derive(Serialize)]
struct RestoreResult {
    target: String,
    #[serde(flatten)]
    report: RestoreReport,
}

impl Service {
    /// Restores to the server of a source, as a job.
    pub fn run_restore(self: &Arc<Self>, request: &RestoreRequest) -> Result<Id> {
        let target = match &request.target {
            Some(target) => target.clone(),
            None => self.default_target(&request.source)?,
        };
        // Known now, so that the caller hears of it and not only the job.
        let repository = self.repository()?;
        let snapshot = repository.find(&request.snapshot)?;
        repository.node(&snapshot, &request.path)?;
        self.check_target(&request.source, &target)?;
        let request = request.clone();
        let subject = request.source.clone();
        self.start(JobKind::Restore, &subject, "restore", move |task| {
            let to = task.service.open_target(&request.source, &target)?;
            task.log.line(format!(
                "restoring snapshot {} of {} to {}",
                snapshot.id,
                snapshot.time,
                to.describe()
            ));
            let mut report = task.service.repository()?.restore(
                &snapshot,
                &request.path,
                &*to,
                task.progress,
            )?;
            report.warnings.truncate(WARNINGS);
            for warning in &report.warnings {
                task.log
                    .line(format!("{}: {}", warning.path, warning.message));
            }
            let clean = report.warning_count == 0;
            let result = RestoreResult {
                target: to.describe(),
                report,
            };
            Ok(match clean {
                true => Ended::Well(result),
                false => Ended::Warnings(result),
            })
        })
    }

    /// The folder beside the original that a restore without target uses:
    /// `<path>/_Restaurado_<date and time>`, in the box's own zone.
    pub fn default_target(&self, source: &str) -> Result<String> {
        let record = self.source_record(source)?;
        let now = jiff::Zoned::now().strftime("%Y-%m-%d_%H%M%S");
        Ok(format!(
            "{}/_Restaurado_{now}",
            record.path().trim_end_matches('/')
        ))
    }

    fn check_target(&self, source: &str, target: &str) -> Result<()> {
        sources::check_path("target", target)?;
        match self.source_record(source)? {
            SourceRecord::Sftp { .. } => Ok(()),
            SourceRecord::Local { .. } => self.check_not_ours(Path::new(target)),
        }
    }

    fn open_target(&self, source: &str, target: &str) -> Result<Box<dyn Target>> {
        match self.sftp_config(source)? {
            Some(mut config) => {
                config.path = target.to_owned();
                crate::sources::sftp_target(&config)
            }
            None => {
                self.check_target(source, target)?;
                crate::sources::local_target(Path::new(target))
            }
        }
    }
}

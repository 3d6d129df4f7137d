//! Verifying the pool.

use std::sync::Arc;

use super::jobs::Ended;
use super::{JobKind, Service};
use crate::engine::{Error, Kind, Result};
use crate::jobs::Id;

/// Losses written into the log; the result has all.
const LOGGED: usize = 100;

impl Service {
    /// Verifies as a job; `data` reads everything, repairing what can be.
    pub fn run_verify(self: &Arc<Self>, data: bool) -> Result<Id> {
        self.repository()?;
        let subject = if data { "data" } else { "index" };
        self.start(JobKind::Verify, subject, "verify", move |task| {
            let report = task.service.repository()?.verify(data, task.progress)?;
            for error in report.errors.iter().take(LOGGED) {
                task.log.line(error.clone());
            }
            if let Some(first) = report.errors.first() {
                let e = Error::new(
                    Kind::Corrupt,
                    format!(
                        "{} things are lost or damaged; the first: {first}",
                        report.errors.len()
                    ),
                );
                return Ok(Ended::Damage(e, report));
            }
            Ok(match report.damaged_parts {
                0 => Ended::Well(report),
                _ => Ended::Warnings(report),
            })
        })
    }
}

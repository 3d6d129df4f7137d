//! Jobs as people see them, and how use cases start them.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{JobKind, JobView, Service, kind_str};
use crate::engine::progress::View;
use crate::engine::{Error, Kind, Progress, Result};
use crate::jobs::{Failure, Head, Id, Job, Log, Outcome, Spec, Work};

/// Jobs shown in a listing.
const LISTED: usize = 200;

/// What a use case's work came to.
pub(super) enum Ended<T> {
    /// Well.
    Well(T),
    /// With things left out, which the result names.
    Warnings(T),
    /// With damage found: a failure that has a result nevertheless.
    Damage(Error, T),
}

/// What a use case may ask of the job it runs in.
pub(super) struct Task<'a> {
    pub service: &'a Service,
    pub progress: &'a Progress,
    pub log: &'a Log,
}

impl Service {
    /// All jobs that are remembered, newest first, at most 200.
    pub fn jobs(&self) -> Vec<JobView> {
        let heads = self.jobs.heads();
        heads
            .iter()
            .take(LISTED)
            .filter_map(|head| self.job(head.id).ok())
            .collect()
    }

    /// How many jobs run or wait.
    pub fn active_jobs(&self) -> usize {
        let heads = self.jobs.heads();
        heads.iter().filter(|head| !head.state.ended()).count()
    }

    /// One job.
    pub fn job(&self, id: Id) -> Result<JobView> {
        view(self.jobs.get(id)?)
    }

    /// Asks a job to stop; of one that has ended nothing changes.
    pub fn cancel_job(&self, id: Id) -> Result<()> {
        self.jobs.cancel(id)
    }

    /// Starts a use case as a job. Of the same kind and subject only one may
    /// run or wait; another is `Busy`.
    pub(super) fn start<T: Serialize>(
        self: &Arc<Self>,
        kind: JobKind,
        subject: &str,
        class: &str,
        work: impl FnOnce(&Task<'_>) -> Result<Ended<T>> + Send + 'static,
    ) -> Result<Id> {
        let progress = Arc::new(Progress::default());
        let (watched, cancelled) = (progress.clone(), progress.clone());
        let service = self.clone();
        let run = move |log: &Log| {
            let ended = work(&Task {
                service: &service,
                progress: &progress,
                log,
            });
            outcome(ended, log)
        };
        let spec = Spec {
            kind: kind.as_str().into(),
            subject: subject.into(),
            class: class.into(),
        };
        let work = Work {
            progress: Box::new(move || serde_json::to_value(watched.view()).unwrap_or_default()),
            cancel: Box::new(move || cancelled.cancel()),
            run: Box::new(run),
        };
        self.jobs.submit(spec, work, |other| {
            other.kind == kind.as_str() && other.subject == subject
        })
    }

    /// The newest job of a kind (and subject) that has ended, but was not cancelled.
    pub(super) fn newest(&self, kind: JobKind, subject: Option<&str>) -> Option<Head> {
        self.find_head(kind, subject, |head| {
            head.state.ended() && head.state != crate::jobs::JobState::Cancelled
        })
    }

    /// The job of a kind (and subject) that runs or waits.
    pub(super) fn active(&self, kind: JobKind, subject: Option<&str>) -> Option<Head> {
        self.find_head(kind, subject, |head| !head.state.ended())
    }

    fn find_head(
        &self,
        kind: JobKind,
        subject: Option<&str>,
        which: impl Fn(&Head) -> bool,
    ) -> Option<Head> {
        self.jobs.heads().into_iter().find(|head| {
            head.kind == kind.as_str() && subject.is_none_or(|s| head.subject == s) && which(head)
        })
    }
}

fn outcome<T: Serialize>(ended: Result<Ended<T>>, log: &Log) -> Outcome {
    let value = |result: T| serde_json::to_value(result).unwrap_or(Value::Null);
    match ended {
        Ok(Ended::Well(result)) => Outcome::Done(value(result)),
        Ok(Ended::Warnings(result)) => Outcome::Warnings(value(result)),
        Ok(Ended::Damage(e, result)) => Outcome::Failed(failure(&e), Some(value(result))),
        Err(e) if e.kind() == Kind::Cancelled => Outcome::Cancelled,
        Err(e) => {
            let mut cause = std::error::Error::source(&e);
            while let Some(e) = cause {
                log.line(format!("cause: {e}"));
                cause = e.source();
            }
            Outcome::Failed(failure(&e), None)
        }
    }
}

fn failure(e: &Error) -> Failure {
    Failure {
        kind: kind_str(e.kind()).into(),
        message: e.to_string(),
    }
}

fn view(job: Job) -> Result<JobView> {
    let kind = serde_json::from_value::<JobKind>(Value::String(job.kind.clone())).map_err(|e| {
        let message = format!(
            "job {} is of a kind unknown to this software: {}",
            job.id, job.kind
        );
        Error::with_source(Kind::Refused, message, e)
    })?;
    Ok(JobView {
        id: job.id,
        kind,
        subject: job.subject,
        state: job.state,
        queued: job.queued,
        started: job.started,
        ended: job.ended,
        // Only figures: where they cannot be read, zeros are shown.
        progress: serde_json::from_value::<View>(job.progress).unwrap_or_default(),
        result: job.result,
        error: job.error,
        log: job.log,
    })
}

//! Queues, threads, and what is known of running jobs.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use super::book::Book;
use super::{Failure, Head, Id, Job, JobState, LogLine};
use crate::engine::{Error, Kind, Result};

/// Lines a job's log keeps; later ones replace the last, so that the
/// beginning and the end are there.
const LOG_LINES: usize = 500;

/// What a job is.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What it does.
    pub kind: String,
    /// To what.
    pub subject: String,
    /// Jobs of one class run one after the other.
    pub class: String,
}

/// What a job does.
pub type Run = Box<dyn FnOnce(&Log) -> Outcome + Send>;

/// The work of a job.
pub struct Work {
    /// Reads the live figures; called at any time, from any thread.
    pub progress: Box<dyn Fn() -> Value + Send + Sync>,
    /// Asks the work to stop soon; may be called before it began.
    pub cancel: Box<dyn Fn() + Send + Sync>,
    /// Does it, on the job's own thread.
    pub run: Run,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Well.
    Done(Value),
    /// Well but for things the value names.
    Warnings(Value),
    /// Not; the value tells what came out nevertheless.
    Failed(Failure, Option<Value>),
    /// Stopped on request.
    Cancelled,
}

/// Where running work writes its log.
pub struct Log {
    house: Arc<House>,
    id: Id,
}

/// All jobs of the box.
#[derive(Clone)]
pub struct Jobs {
    house: Arc<House>,
}

struct House {
    book: Book,
    desk: Mutex<Desk>,
    ended: Condvar,
}

/// What is in memory: heads of all, the whole of those that have not ended.
struct Desk {
    next: u64,
    heads: Vec<Head>,
    live: BTreeMap<Id, Live>,
    classes: BTreeMap<String, Class>,
    /// Ended jobs that could not be written down.
    unwritten: BTreeMap<Id, Job>,
    stopping: bool,
}

struct Live {
    job: Job,
    progress: Arc<dyn Fn() -> Value + Send + Sync>,
    cancel: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Class {
    running: bool,
    waiting: VecDeque<(Id, Run)>,
}

impl Log {
    /// Adds a line.
    pub fn line(&self, text: impl Into<String>) {
        let mut desk = self.house.desk();
        if let Some(live) = desk.live.get_mut(&self.id) {
            if live.job.log.len() >= LOG_LINES {
                live.job.log.pop();
            }
            live.job.log.push(LogLine {
                time: Timestamp::now(),
                text: text.into(),
            });
        }
    }
}

impl Jobs {
    /// Opens the book at `path`. Jobs that were waiting or running when the
    /// process ended are failures now.
    pub fn open(path: &Path) -> Result<Self> {
        let book = Book::open(path)?;
        let mut heads = Vec::new();
        let mut next = 1;
        for mut job in book.all()? {
            next = job.id.0 + 1;
            if !job.state.ended() {
                job.state = JobState::Failed;
                job.ended = Some(Timestamp::now());
                job.error = Some(Failure {
                    kind: "transient".into(),
                    message: "the box stopped in the middle; nothing already saved was lost; run it again".into(),
                });
                book.put(&job)?;
                tracing::warn!(
                    job = job.id.0,
                    kind = job.kind,
                    subject = job.subject,
                    "was interrupted by a stop of the box"
                );
            }
            heads.push(Head::from(&job));
        }
        let heads = book.trim(heads)?;
        Ok(Self {
            house: Arc::new(House {
                book,
                desk: Mutex::new(Desk {
                    next,
                    heads,
                    live: BTreeMap::new(),
                    classes: BTreeMap::new(),
                    unwritten: BTreeMap::new(),
                    stopping: false,
                }),
                ended: Condvar::new(),
            }),
        })
    }

    /// Takes on a job; it begins at once if none of its class is running.
    /// `Busy` while the box is being stopped, or if `conflict` finds a job
    /// that has not ended and must not be joined by this one.
    pub fn submit(&self, spec: Spec, work: Work, conflict: impl Fn(&Job) -> bool) -> Result<Id> {
        let mut desk = self.house.desk();
        if desk.stopping {
            return Err(Error::new(
                Kind::Busy,
                "the box is being stopped; try again when it has started",
            ));
        }
        if let Some(other) = desk.live.values().find(|live| conflict(&live.job)) {
            let message = format!(
                "job {} ({} of {}) has not ended yet; wait for it or cancel it first",
                other.job.id, other.job.kind, other.job.subject
            );
            return Err(Error::new(Kind::Busy, message));
        }
        let id = Id(desk.next);
        let job = Job {
            id,
            kind: spec.kind,
            subject: spec.subject,
            state: JobState::Queued,
            queued: Timestamp::now(),
            started: None,
            ended: None,
            progress: (work.progress)(),
            result: None,
            error: None,
            log: Vec::new(),
        };
        self.house.book.put(&job)?;
        desk.next += 1;
        desk.heads.push(Head::from(&job));
        desk.live.insert(
            id,
            Live {
                job,
                progress: work.progress.into(),
                cancel: work.cancel.into(),
            },
        );
        let class = desk.classes.entry(spec.class.clone()).or_default();
        class.waiting.push_back((id, work.run));
        let idle = !std::mem::replace(&mut class.running, true);
        drop(desk);
        if idle {
            let house = self.house.clone();
            let spawned = std::thread::Builder::new()
                .name(format!("job-{}", spec.class))
                .spawn(move || house.work_off(&spec.class));
            if let Err(e) = spawned {
                // Nothing runs the class now: give its jobs back as failures.
                self.house.give_up(id, &e);
                return Err(Error::io("starting a thread for the job", e));
            }
        }
        Ok(id)
    }

    /// Asks a job to stop. `Missing` if there is no such job; of one that has
    /// ended nothing changes.
    pub fn cancel(&self, id: Id) -> Result<()> {
        let mut desk = self.house.desk();
        let Some(live) = desk.live.get(&id) else {
            return match desk.heads.iter().any(|head| head.id == id) {
                true => Ok(()),
                false => Err(no_such(id)),
            };
        };
        let cancel = live.cancel.clone();
        let mut waited = false;
        for class in desk.classes.values_mut() {
            let before = class.waiting.len();
            class.waiting.retain(|(waiting, _)| *waiting != id);
            waited |= class.waiting.len() < before;
        }
        if waited {
            self.house.end(&mut desk, id, Outcome::Cancelled);
        }
        drop(desk);
        cancel();
        Ok(())
    }

    /// One job, with everything. `Missing` if there is none, or no longer.
    pub fn get(&self, id: Id) -> Result<Job> {
        let desk = self.house.desk();
        if let Some(live) = desk.live.get(&id) {
            let (mut job, progress) = (live.job.clone(), live.progress.clone());
            drop(desk);
            job.progress = progress();
            return Ok(job);
        }
        if let Some(job) = desk.unwritten.get(&id) {
            return Ok(job.clone());
        }
        drop(desk);
        self.house.book.get(id)?.ok_or_else(|| no_such(id))
    }

    /// All jobs that are remembered, newest first.
    pub fn heads(&self) -> Vec<Head> {
        self.house.desk().heads.iter().rev().cloned().collect()
    }

    /// Asks everything to stop, takes on nothing more, and waits; `false` if
    /// something has not ended after `patience`.
    pub fn stop(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut desk = self.house.desk();
        desk.stopping = true;
        // What waits ends first: else it would begin when what runs ends.
        let classes = desk.classes.values_mut();
        let waiting: Vec<Id> = classes
            .flat_map(|class| class.waiting.drain(..).map(|(id, _)| id))
            .collect();
        for id in waiting {
            self.house.end(&mut desk, id, Outcome::Cancelled);
        }
        let running: Vec<_> = desk.live.values().map(|live| live.cancel.clone()).collect();
        drop(desk);
        running.iter().for_each(|cancel| cancel());
        let mut desk = self.house.desk();
        while !desk.live.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            desk = match self.house.ended.wait_timeout(desk, left) {
                Ok((desk, _)) => desk,
                Err(e) => e.into_inner().0,
            };
        }
        true
    }
}

impl House {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Work runs outside the lock; what runs inside does not panic.
        self.desk.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Runs the jobs of a class until none waits.
    fn work_off(self: &Arc<Self>, class: &str) {
        loop {
            let mut desk = self.desk();
            let next = desk.classes.get_mut(class).and_then(|class| {
                let next = class.waiting.pop_front();
                class.running = next.is_some();
                next
            });
            let Some((id, run)) = next else { return };
            if let Some(live) = desk.live.get_mut(&id) {
                live.job.state = JobState::Running;
                live.job.started = Some(Timestamp::now());
                let job = live.job.clone();
                self.write(&mut desk, &job);
                tracing::info!(
                    job = id.0,
                    kind = job.kind,
                    subject = job.subject,
                    "job begins"
                );
            }
            drop(desk);
            let log = Log {
                house: self.clone(),
                id,
            };
            // A fault in one job must not take the others along. What it may
            // have left half-changed is the work's own; nothing here is shared.
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&log))).unwrap_or_else(|_| {
                let failure = Failure {
                    kind: "io".into(),
                    message:
                        "stopped by a fault in the box's software; the log says more; report it"
                            .into(),
                };
                Outcome::Failed(failure, None)
            });
            self.end(&mut self.desk(), id, outcome);
        }
    }

    fn end(&self, desk: &mut Desk, id: Id, outcome: Outcome) {
        let Some(live) = desk.live.remove(&id) else {
            return;
        };
        let mut job = live.job;
        job.progress = (live.progress)();
        job.ended = Some(Timestamp::now());
        match outcome {
            Outcome::Done(result) => {
                job.state = JobState::Done;
                job.result = Some(result);
            }
            Outcome::Warnings(result) => {
                job.state = JobState::Warnings;
                job.result = Some(result);
            }
            Outcome::Failed(failure, result) => {
                job.state = JobState::Failed;
                job.error = Some(failure);
                job.result = result;
            }
            Outcome::Cancelled => job.state = JobState::Cancelled,
        }
        let (kind, subject) = (&job.kind, &job.subject);
        match &job.error {
            Some(e) => tracing::warn!(job = id.0, kind, subject, "job failed: {}", e.message),
            None => tracing::info!(job = id.0, kind, subject, state = ?job.state, "job ends"),
        }
        self.write(desk, &job);
        let heads = std::mem::take(&mut desk.heads);
        desk.heads = self.book.trim(heads.clone()).unwrap_or_else(|e| {
            tracing::warn!("old jobs were not forgotten: {e}");
            heads
        });
        self.ended.notify_all();
    }

    /// Writes a job down. A full or failing state partition must not stop the
    /// work itself, so that is only logged.
    fn write(&self, desk: &mut Desk, job: &Job) {
        if let Some(head) = desk.heads.iter_mut().rfind(|head| head.id == job.id) {
            *head = Head::from(job);
        }
        if let Err(e) = self.book.put(job) {
            tracing::error!(job = job.id.0, "state of a job not written down: {e}");
            if job.state.ended() {
                desk.unwritten.insert(job.id, job.clone());
            }
        }
    }

    fn give_up(&self, id: Id, e: &std::io::Error) {
        let mut desk = self.desk();
        for class in desk.classes.values_mut() {
            if class.waiting.iter().any(|(waiting, _)| *waiting == id) {
                class.waiting.retain(|(waiting, _)| *waiting != id);
                class.running = false;
            }
        }
        let failure = Failure {
            kind: "transient".into(),
            message: format!("no thread could be started for it ({e}); try again"),
        };
        self.end(&mut desk, id, Outcome::Failed(failure, None));
    }
}

fn no_such(id: Id) -> Error {
    Error::new(
        Kind::Missing,
        format!("there is no job {id}, or it is so old that it was forgotten"),
    )
}

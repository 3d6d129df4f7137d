//! Jobs from outside: order, ends, and what a restart finds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::engine::Kind;

fn spec(class: &str) -> Spec {
    Spec {
        kind: "test".into(),
        subject: class.into(),
        class: class.into(),
    }
}

fn work(run: impl FnOnce(&Log) -> Outcome + Send + 'static) -> Work {
    Work {
        progress: Box::new(|| Value::Null),
        cancel: Box::new(|| ()),
        run: Box::new(run),
    }
}

fn wait(jobs: &Jobs, id: Id) -> Job {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let job = jobs.get(id).unwrap();
        if job.state.ended() {
            return job;
        }
        assert!(Instant::now() < deadline, "{job:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn results_and_logs_outlive_the_process_and_interrupted_jobs_are_failures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    let (good, stuck, waiting);
    {
        let jobs = Jobs::open(&path).unwrap();
        good = jobs
            .submit(
                spec("a"),
                work(|log| {
                    log.line("half way");
                    Outcome::Warnings(json!({"left_out": 3}))
                }),
                |_| false,
            )
            .unwrap();
        assert_eq!(wait(&jobs, good).state, JobState::Warnings);
        let (started, has_started) = mpsc::channel();
        let (end, until) = mpsc::channel::<()>();
        let run = work(move |_| {
            started.send(()).unwrap();
            let _ = until.recv();
            Outcome::Done(Value::Null)
        });
        stuck = jobs.submit(spec("a"), run, |_| false).unwrap();
        let never = work(|_| unreachable!());
        waiting = jobs.submit(spec("a"), never, |_| false).unwrap();
        has_started.recv().unwrap();
        // What a crash leaves is the file as it is now.
        std::fs::copy(&path, folder.path().join("crash.redb")).unwrap();
        jobs.cancel(waiting).unwrap();
        drop(end);
        wait(&jobs, stuck);
    }
    let jobs = Jobs::open(&folder.path().join("crash.redb")).unwrap();
    let job = jobs.get(good).unwrap();
    assert_eq!(job.result, Some(json!({"left_out": 3})));
    assert_eq!(job.log[0].text, "half way");
    for id in [stuck, waiting] {
        let job = jobs.get(id).unwrap();
        assert_eq!(job.state, JobState::Failed);
        assert!(job.error.unwrap().message.contains("stopped in the middle"));
    }
    let next = jobs
        .submit(spec("a"), work(|_| Outcome::Cancelled), |_| false)
        .unwrap();
    assert!(next > waiting, "numbers are never used again");
}

#[test]
fn one_class_is_worked_off_in_order_while_others_run_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = Jobs::open(&folder.path().join("jobs.redb")).unwrap();
    let at_once = Arc::new(AtomicU64::new(0));
    let (tell, order) = mpsc::channel();
    let (other_runs, wait_for_other) = mpsc::channel();
    let mut ids = Vec::new();
    let mut wait_for_other = Some(wait_for_other);
    for n in 0..4 {
        let (at_once, tell, wait_for_other) =
            (at_once.clone(), tell.clone(), wait_for_other.take());
        let run = work(move |_| {
            assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0);
            if let Some(other) = wait_for_other {
                other.recv().unwrap();
            }
            tell.send(n).unwrap();
            at_once.fetch_sub(1, Ordering::SeqCst);
            Outcome::Done(Value::Null)
        });
        ids.push(jobs.submit(spec("a"), run, |_| false).unwrap());
    }
    let run = work(move |_| {
        other_runs.send(()).unwrap();
        Outcome::Done(Value::Null)
    });
    jobs.submit(spec("b"), run, |_| false).unwrap();
    for id in ids {
        assert_eq!(wait(&jobs, id).state, JobState::Done);
    }
    assert_eq!(order.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn stopping_cancels_what_runs_and_what_waits_and_takes_on_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = Jobs::open(&folder.path().join("jobs.redb")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (seen, asked) = (stop.clone(), stop);
    let running = Work {
        progress: Box::new(|| json!(7)),
        cancel: Box::new(move || asked.store(true, Ordering::SeqCst)),
        run: Box::new(move |_| {
            while !seen.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Outcome::Cancelled
        }),
    };
    let running = jobs.submit(spec("a"), running, |_| false).unwrap();
    let waiting = jobs
        .submit(spec("a"), work(|_| unreachable!()), |_| false)
        .unwrap();
    let clash = jobs.submit(spec("b"), work(|_| unreachable!()), |job| {
        job.subject == "a"
    });
    assert_eq!(clash.unwrap_err().kind(), Kind::Busy);
    assert!(jobs.stop(Duration::from_secs(20)));
    for id in [running, waiting] {
        assert_eq!(jobs.get(id).unwrap().state, JobState::Cancelled);
    }
    assert_eq!(jobs.get(running).unwrap().progress, json!(7));
    let late = jobs.submit(spec("a"), work(|_| unreachable!()), |_| false);
    assert_eq!(late.unwrap_err().kind(), Kind::Busy);
    assert_eq!(jobs.cancel(Id(99)).unwrap_err().kind(), Kind::Missing);
}

#[test]
fn a_panic_is_one_jobs_failure_and_the_class_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = Jobs::open(&folder.path().join("jobs.redb")).unwrap();
    let bad = jobs
        .submit(spec("a"), work(|_| panic!("on purpose")), |_| false)
        .unwrap();
    let good = work(|_| Outcome::Done(json!(1)));
    let good = jobs.submit(spec("a"), good, |_| false).unwrap();
    assert_eq!(wait(&jobs, good).result, Some(json!(1)));
    assert_eq!(wait(&jobs, bad).state, JobState::Failed);
}

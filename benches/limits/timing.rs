//! How a stage is measured: alone, on one thread and on all.

use std::io;
use std::ops::Range;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Seconds that one pass over the sample takes.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    pub name: &'static str,
    /// On one thread.
    pub one: f64,
    /// On every core at once.
    pub all: f64,
    /// What passes: bytes, or entries where `per_file`.
    pub amount: f64,
    pub per_file: bool,
}

/// One thread's share of a pass: its number, and of how many.
#[derive(Clone, Copy)]
pub struct Share {
    pub number: usize,
    pub of: usize,
}

impl Share {
    /// The items that fall to this thread: neighbours, so that each works on one part.
    pub fn part<'a, T>(&self, items: &'a [T]) -> &'a [T] {
        let end = |n: usize| items.len() * n / self.of;
        &items[end(self.number)..end(self.number + 1)]
    }
}

/// The shortest of five passes, in seconds. `ready` is done before each, untimed,
/// by every thread; its result is what the pass works on. A pass tells how long
/// it took; the slowest thread counts.
fn fastest<R>(
    threads: usize,
    ready: impl Fn(Share) -> io::Result<R> + Sync,
    pass: impl Fn(Share, R) -> io::Result<Duration> + Sync,
) -> io::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let barrier = Barrier::new(threads);
        let spans: io::Result<Vec<Duration>> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..threads)
                .map(|number| {
                    let share = Share {
                        number,
                        of: threads,
                    };
                    let (barrier, ready, pass) = (&barrier, &ready, &pass);
                    scope.spawn(move || {
                        let ready = ready(share);
                        // Reached by all, whatever came of getting ready.
                        barrier.wait();
                        pass(share, ready?)
                    })
                })
                .collect();
            started
                .into_iter()
                .map(|t| t.join().map_err(|_| io::Error::other("a thread failed"))?)
                .collect()
        });
        best = best.min(spans?.into_iter().max().unwrap_or_default().as_secs_f64());
    }
    Ok(best)
}

/// How long all of `work` takes.
pub fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let from = Instant::now();
    work()?;
    Ok(from.elapsed())
}

/// Does `work` with each part of `bytes`, as an engine meets it: in the core's
/// cache. Some parts at a time are copied into one buffer, which is not timed.
pub fn hot(
    bytes: &[u8],
    parts: &[Range<usize>],
    mut work: impl FnMut(&mut [u8]) -> io::Result<()>,
) -> io::Result<Duration> {
    const ENOUGH: usize = 256 << 10;
    let mut buffer = Vec::with_capacity(2 * ENOUGH);
    let mut spent = Duration::ZERO;
    let mut from = 0;
    while from < parts.len() {
        let mut to = from + 1;
        while to < parts.len() && parts[to].end - parts[from].start <= ENOUGH {
            to += 1;
        }
        let start = parts[from].start;
        buffer.clear();
        buffer.extend_from_slice(&bytes[start..parts[to - 1].end]);
        spent += timed(|| {
            for part in &parts[from..to] {
                work(&mut buffer[part.start - start..part.end - start])?;
            }
            Ok(())
        })?;
        from = to;
    }
    Ok(spent)
}

/// Measures one stage on one thread and on `threads`.
pub fn stage<R>(
    name: &'static str,
    amount: f64,
    threads: usize,
    ready: impl Fn(Share) -> io::Result<R> + Sync,
    pass: impl Fn(Share, R) -> io::Result<Duration> + Sync,
) -> io::Result<Stage> {
    Ok(Stage {
        name,
        one: fastest(1, &ready, &pass)?,
        all: fastest(threads, &ready, &pass)?,
        amount,
        per_file: false,
    })
}

//! How fast long work on the members may go, and how far it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Progress, Result};

/// The rate of a settle or a scrub, which may be changed while it runs, with
/// its progress: objects as `files`, their bytes as `bytes`.
pub struct Pace<'a> {
    progress: &'a Progress,
    /// Object bytes a second; 0 means as fast as can be.
    rate: AtomicU64,
    begun: Instant,
    /// When the next piece of work may begin.
    next: Mutex<Instant>,
}

impl<'a> Pace<'a> {
    /// At most so many object bytes a second; 0 is no limit.
    pub fn new(progress: &'a Progress, rate: u64) -> Self {
        let now = Instant::now();
        Self {
            progress,
            rate: AtomicU64::new(rate),
            begun: now,
            next: Mutex::new(now),
        }
    }

    /// Changes the rate from now on.
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// How long the rest will take at the speed so far; `None` while unknown.
    pub fn time_left(&self) -> Option<Duration> {
        let done = self.progress.bytes.load(Ordering::Relaxed);
        let all = self.progress.bytes_total.load(Ordering::Relaxed);
        if done == 0 || all == 0 {
            return None;
        }
        let share = all.saturating_sub(done) as f64 / done as f64;
        Duration::try_from_secs_f64(self.begun.elapsed().as_secs_f64() * share).ok()
    }

    pub(super) fn progress(&self) -> &Progress {
        self.progress
    }

    /// There is a limit.
    pub(super) fn bounded(&self) -> bool {
        self.rate.load(Ordering::Relaxed) > 0
    }

    /// Waits until the next object may be dealt with. No lock is held
    /// meanwhile, so a slow rate makes nobody wait but the work itself.
    pub(super) fn wait(&self) -> Result<()> {
        loop {
            self.progress.check()?;
            let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() || self.rate.load(Ordering::Relaxed) == 0 {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    /// So much more is to be done.
    pub(super) fn expect(&self, objects: u64, bytes: u64) {
        let after = |done: &AtomicU64, all: &AtomicU64, more: u64| {
            all.store(done.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        };
        after(&self.progress.files, &self.progress.files_total, objects);
        after(&self.progress.bytes, &self.progress.bytes_total, bytes);
    }

    /// The same, beside what was announced before.
    pub(super) fn expect_more(&self, objects: u64, bytes: u64) {
        let Progress {
            files_total,
            bytes_total,
            ..
        } = self.progress;
        files_total.fetch_add(objects, Ordering::Relaxed);
        bytes_total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts an object dealt with, of which `cost` bytes count for the rate.
    pub(super) fn done(&self, bytes: u64, cost: u64) {
        self.progress.files.fetch_add(1, Ordering::Relaxed);
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        let rate = self.rate.load(Ordering::Relaxed);
        if rate > 0 {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let from = (*next).max(Instant::now());
            *next = from + Duration::from_secs_f64(cost as f64 / rate as f64);
        }
    }
}

//! Copying objects, several at a time, within the bytes of the day.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::Pace;
use crate::engine::storage::{Name, Storage};
use crate::engine::{Error, Kind, Progress, Result};

/// Objects under way at the same time; each is held in memory.
const WORKERS: usize = 4;

/// Copies objects from one storage to another, and counts.
pub(super) struct Copy<'a> {
    from: &'a dyn Storage,
    to: &'a dyn Storage,
    progress: &'a Progress,
    pace: Option<&'a Pace>,
    bytes: AtomicU64,
    /// Bytes that may still be sent today.
    left: AtomicU64,
    skipped: AtomicU64,
    skipped_bytes: AtomicU64,
    copied: Mutex<Vec<Name>>,
}

impl<'a> Copy<'a> {
    /// With so many bytes that may be sent today.
    pub fn new(
        from: &'a dyn Storage,
        to: &'a dyn Storage,
        progress: &'a Progress,
        pace: Option<&'a Pace>,
        left: u64,
    ) -> Self {
        Self {
            from,
            to,
            progress,
            pace,
            bytes: AtomicU64::new(0),
            left: AtomicU64::new(left),
            skipped: AtomicU64::new(0),
            skipped_bytes: AtomicU64::new(0),
            copied: Mutex::default(),
        }
    }

    /// Bytes sent.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Objects, and their bytes, that did not fit into the day.
    pub fn skipped(&self) -> (u64, u64) {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (read(&self.skipped), read(&self.skipped_bytes))
    }

    /// What was sent.
    pub fn copied(&self) -> Vec<Name> {
        self.copied.lock().map(|c| c.clone()).unwrap_or_default()
    }

    /// Notes that an object was sent.
    pub fn sent(&self, name: Name, len: u64) {
        self.bytes.fetch_add(len, Ordering::Relaxed);
        if let Ok(mut copied) = self.copied.lock() {
            copied.push(name);
        }
    }

    /// Notes that an object does not fit into the day.
    pub fn skip(&self, len: u64) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
        self.skipped_bytes.fetch_add(len, Ordering::Relaxed);
    }

    fn one(&self, name: &Name, len: u64) -> Result<()> {
        self.progress.check()?;
        let take = |left: u64| left.checked_sub(len);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_err() {
            self.skip(len);
            return Ok(());
        }
        self.progress.at(&name.to_string());
        let bytes = self.from.get(name).map_err(|e| match e.kind() {
            Kind::Missing => Error::new(
                Kind::Transient,
                format!("the pool changed while it was replicated; run it again ({e})"),
            ),
            _ => e,
        })?;
        if bytes.len() as u64 != len {
            return Err(Error::new(
                Kind::Corrupt,
                format!("{name} has {} bytes, {len} were listed", bytes.len()),
            ));
        }
        self.to.put(name, &bytes)?;
        self.sent(*name, len);
        self.progress.files.fetch_add(1, Ordering::Relaxed);
        self.progress.bytes.fetch_add(len, Ordering::Relaxed);
        self.progress.stored_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    /// Copies all, several at a time; the first error stops the rest.
    pub fn all(&self, objects: &[(Name, u64)]) -> Result<()> {
        several(objects, self.progress, self.pace, |(name, len)| {
            self.one(name, *len)
        })
    }
}

/// Does `work` for all, several at a time; the first error stops the rest.
pub(super) fn several<T: Sync>(
    all: &[T],
    progress: &Progress,
    pace: Option<&Pace>,
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let first_error = Mutex::new(None);
    thread::scope(|scope| {
        let running: Vec<_> = (0..WORKERS.min(all.len()))
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) else {
                            break;
                        };
                        if let Err(e) = work(one) {
                            stop.store(true, Ordering::Relaxed);
                            if let Ok(mut first) = first_error.lock() {
                                first.get_or_insert(e);
                            }
                        }
                    }
                })
            })
            .collect();
        // Who waits for his turn to send does not see that all is over.
        if let Some(pace) = pace {
            while running.iter().any(|worker| !worker.is_finished()) {
                if progress.check().is_err() || stop.load(Ordering::Relaxed) {
                    pace.stop();
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
    match first_error.into_inner() {
        Ok(Some(e)) => Err(e),
        _ => Ok(()),
    }
}

//! What could not be saved or restored while the rest was.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Warning;
use super::progress::Progress;

/// Most warnings that are kept with their text.
const KEPT: usize = 1000;

/// Collects warnings from all threads.
pub(crate) struct Warnings<'a> {
    list: Mutex<Vec<Warning>>,
    count: AtomicU64,
    progress: &'a Progress,
}

impl<'a> Warnings<'a> {
    pub(crate) fn new(progress: &'a Progress) -> Self {
        Self {
            list: Mutex::default(),
            count: AtomicU64::new(0),
            progress,
        }
    }

    pub(crate) fn add(&self, path: &[Vec<u8>], message: impl std::fmt::Display) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.progress.warnings.fetch_add(1, Ordering::Relaxed);
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < KEPT {
            list.push(Warning {
                path: display(path),
                message: message.to_string(),
            });
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The kept ones, by path.
    pub(crate) fn into_list(self) -> Vec<Warning> {
        let mut list = self
            .list
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        list.sort_by(|a, b| a.path.cmp(&b.path));
        list
    }
}

/// A path as text for people; the top is `.`.
pub(crate) fn display(path: &[Vec<u8>]) -> String {
    if path.is_empty() {
        return ".".into();
    }
    let parts: Vec<_> = path.iter().map(|p| String::from_utf8_lossy(p)).collect();
    parts.join("/")
}

//! Live figures of a long operation, and the wish to stop it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::{Error, Kind, Result};

/// Shared between the operation, which counts, and whoever watches or cancels.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files and other entries dealt with.
    pub files: AtomicU64,
    /// Entries there are in all; 0 while unknown.
    pub files_total: AtomicU64,
    /// Bytes of content dealt with.
    pub bytes: AtomicU64,
    /// Bytes there are in all; 0 while unknown.
    pub bytes_total: AtomicU64,
    /// Bytes of content that were not in the pool before (before compression).
    pub new_bytes: AtomicU64,
    /// Bytes written to the storage (compressed and sealed).
    pub stored_bytes: AtomicU64,
    /// Warnings so far.
    pub warnings: AtomicU64,
    current: Mutex<String>,
    cancelled: AtomicBool,
}

/// One reading of a [`Progress`].
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct View {
    /// See [`Progress::files`].
    pub files: u64,
    /// See [`Progress::files_total`].
    pub files_total: u64,
    /// See [`Progress::bytes`].
    pub bytes: u64,
    /// See [`Progress::bytes_total`].
    pub bytes_total: u64,
    /// See [`Progress::new_bytes`].
    pub new_bytes: u64,
    /// See [`Progress::stored_bytes`].
    pub stored_bytes: u64,
    /// See [`Progress::warnings`].
    pub warnings: u64,
    /// The path or object dealt with a moment ago.
    pub current: String,
}

impl Progress {
    /// Reads all figures.
    pub fn view(&self) -> View {
        let n = |a: &AtomicU64| a.load(Ordering::Relaxed);
        View {
            files: n(&self.files),
            files_total: n(&self.files_total),
            bytes: n(&self.bytes),
            bytes_total: n(&self.bytes_total),
            new_bytes: n(&self.new_bytes),
            stored_bytes: n(&self.stored_bytes),
            warnings: n(&self.warnings),
            current: self.current.lock().map(|c| c.clone()).unwrap_or_default(),
        }
    }

    /// Says what is being dealt with. Skipped rather than waited for when contended.
    pub fn at(&self, what: &str) {
        if let Ok(mut current) = self.current.try_lock() {
            current.clear();
            current.push_str(what);
        }
    }

    /// Asks the operation to stop soon. What was stored so far is harmless.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// `Cancelled` once somebody asked to stop; called between pieces of work.
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(
                Kind::Cancelled,
                "stopped on request; nothing already saved was lost",
            ));
        }
        Ok(())
    }
}

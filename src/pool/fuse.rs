//! Where tests cut the power: every change to a member passes here first.

use std::io;
#[cfg(test)]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Lets everything pass; in tests, only so many changes, and none after.
#[derive(Clone, Default)]
pub(super) struct Fuse {
    #[cfg(test)]
    left: Option<Arc<AtomicU64>>,
}

impl Fuse {
    /// Called before every change of a member.
    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "only tests cut the power")]
    pub fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub fn step(&self) -> io::Result<()> {
        let Some(left) = &self.left else {
            return Ok(());
        };
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .map(|_| ())
            .map_err(|_| io::Error::other("the power is cut"))
    }

    /// Lets `steps` changes pass.
    #[cfg(test)]
    pub fn after(steps: u64) -> Self {
        Self {
            left: Some(Arc::new(AtomicU64::new(steps))),
        }
    }

    /// How many changes would still pass.
    #[cfg(test)]
    pub fn left(&self) -> u64 {
        self.left
            .as_ref()
            .map_or(u64::MAX, |left| left.load(Ordering::SeqCst))
    }
}

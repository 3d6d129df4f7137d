//! What running backups rely on, so that a collection may run beside them.
//!
//! Every backup notes each chunk that it found already stored in a set of its
//! own ([`Index::rely`]). A collection spares what is in the set of any backup
//! that has run since the collection began, because it may have been committed
//! after the snapshots were listed. What a backup stores itself needs no noting: a
//! collection only touches segments older than itself and than every backup
//! that was running when it began.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::index::{Bits, Index};

#[derive(Default)]
struct State {
    running: Vec<Arc<Bits>>,
    /// Of backups that ended while a collection was running.
    ended: Vec<Arc<Bits>>,
    collecting: bool,
}

/// The sets of all running backups.
#[derive(Clone, Default)]
pub(crate) struct Uses(Arc<Mutex<State>>);

/// A backup's set; held until its snapshot is committed.
pub(crate) struct Use {
    uses: Uses,
    pub bits: Arc<Bits>,
}

/// Held while a collection runs; there is one at a time.
pub(crate) struct Watch {
    uses: Uses,
    /// Only segments numbered below may be touched.
    pub limit: u32,
}

impl Uses {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A backup begins.
    pub(crate) fn begin(&self, index: &Index) -> Use {
        let mut state = self.state();
        let bits = Arc::new(index.bits());
        state.running.push(bits.clone());
        Use {
            uses: self.clone(),
            bits,
        }
    }

    /// A collection begins. It must list the snapshots after this.
    pub(crate) fn watch(&self, index: &Index) -> Watch {
        let mut state = self.state();
        state.collecting = true;
        let now = index.next_number();
        let limit = state.running.iter().map(|b| b.since()).min();
        Watch {
            uses: self.clone(),
            limit: limit.unwrap_or(now).min(now),
        }
    }
}

impl Watch {
    /// The sets to spare. For segments condemned before this is asked they are
    /// complete: nothing more is added.
    pub(crate) fn sets(&self) -> Vec<Arc<Bits>> {
        let state = self.uses.state();
        state.running.iter().chain(&state.ended).cloned().collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.uses.state();
        state.collecting = false;
        state.ended.clear();
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut state = self.uses.state();
        state.running.retain(|b| !Arc::ptr_eq(b, &self.bits));
        if state.collecting {
            state.ended.push(self.bits.clone());
        }
    }
}

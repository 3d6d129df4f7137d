//! Which operations may run together; the table is in `docs/engine.md`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::{Error, Kind, Result};
use super::format::tree::KindV1;

/// An operation that holds a lock while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Backup,
    Verify,
    Collect,
    /// Replaces the header.
    Keys,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Backup => "a backup",
            Self::Verify => "a verification",
            Self::Collect => "a collection",
            Self::Keys => "a change of keys",
        }
    }

    /// Whether both may run at once.
    fn agrees(self, other: Self) -> bool {
        match (self, other) {
            // A verification relies on segments that stay and may point the index
            // to other copies of chunks, which a collection has weighed by then.
            // What a backup relies on, a collection spares (`uses`).
            (Self::Collect, Self::Collect | Self::Verify) | (Self::Verify, Self::Collect) => false,
            // What is sealed after a key change is sealed under the new key, and
            // two changes of the header would undo one another.
            (Self::Keys, other) | (other, Self::Keys) => other == Self::Verify,
            _ => true,
        }
    }
}

#[derive(Default)]
struct State {
    running: Vec<Operation>,
    pins: BTreeMap<u64, KindV1>,
    next: u64,
}

/// The operations running now, and the trees that must stay whatever happens
/// to their snapshots.
#[derive(Clone, Default)]
pub(crate) struct Locks(Arc<Mutex<State>>);

/// While it lives, collections spare what it was made for.
pub(crate) struct Pin {
    locks: Locks,
    number: u64,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.locks.state().pins.remove(&self.number);
    }
}

/// Held while the operation runs.
pub(crate) struct Running {
    locks: Locks,
    operation: Operation,
}

impl Locks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spares a file or folder from collection while it is being read.
    pub(crate) fn pin(&self, kind: KindV1) -> Pin {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.pins.insert(number, kind);
        Pin {
            locks: self.clone(),
            number,
        }
    }

    /// What is pinned now.
    pub(crate) fn pinned(&self) -> Vec<KindV1> {
        self.state().pins.values().cloned().collect()
    }

    /// `Busy`, naming the other operation, if `operation` may not run now.
    pub(crate) fn begin(&self, operation: Operation) -> Result<Running> {
        let running = &mut self.state().running;
        if let Some(other) = running.iter().find(|o| !operation.agrees(**o)) {
            return Err(Error::new(
                Kind::Busy,
                format!(
                    "{} cannot run while {} is running; try again when it has ended",
                    operation.name(),
                    other.name()
                ),
            ));
        }
        running.push(operation);
        Ok(Running {
            locks: self.clone(),
            operation,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let running = &mut self.locks.state().running;
        if let Some(at) = running.iter().position(|o| *o == self.operation) {
            running.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_documentation_holds() {
        let all = [
            Operation::Backup,
            Operation::Verify,
            Operation::Collect,
            Operation::Keys,
        ];
        for a in all {
            for b in all {
                let locks = Locks::default();
                let first = locks.begin(a).unwrap();
                let busy = [
                    (Operation::Collect, Operation::Collect),
                    (Operation::Collect, Operation::Verify),
                    (Operation::Verify, Operation::Collect),
                ];
                let keys = a == Operation::Keys || b == Operation::Keys;
                let verify = a == Operation::Verify || b == Operation::Verify;
                let allowed = !busy.contains(&(a, b)) && (!keys || verify);
                match locks.begin(b) {
                    Ok(_) => assert!(allowed, "{a:?} {b:?}"),
                    Err(e) => {
                        assert!(!allowed, "{a:?} {b:?}");
                        assert_eq!(e.kind(), Kind::Busy);
                    }
                }
                drop(first);
                assert!(locks.begin(b).is_ok());
            }
        }
    }
}

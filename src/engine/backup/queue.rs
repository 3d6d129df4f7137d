//! The stack of jobs the workers share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

struct State<J> {
    jobs: Vec<J>,
    closed: bool,
}

/// Last in, first out; [`Queue::pop`] waits until there is a job or the queue is closed.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    more: Condvar,
}

impl<J> Queue<J> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                jobs: Vec::new(),
                closed: false,
            }),
            more: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds jobs; the last of them is done first.
    pub(crate) fn push(&self, jobs: impl IntoIterator<Item = J>) {
        let mut state = self.state();
        let before = state.jobs.len();
        state.jobs.extend(jobs);
        match state.jobs.len() - before {
            0 => {}
            1 => self.more.notify_one(),
            _ => self.more.notify_all(),
        }
    }

    /// The next job, or `None` when the queue is closed.
    pub(crate) fn pop(&self) -> Option<J> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.jobs.pop() {
                return Some(job);
            }
            state = self
                .more
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends all waiting; jobs left are dropped.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.more.notify_all();
    }
}

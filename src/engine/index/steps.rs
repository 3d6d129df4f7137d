//! Where the power can go while the index is being kept: the tests look at
//! the state folder at each of these points.

#[cfg(test)]
pub(super) use watched::{step, watch};

#[cfg(not(test))]
pub(super) fn step(_: &str) {}

#[cfg(test)]
mod watched {
    use std::cell::RefCell;

    type Watcher = Box<dyn FnMut(&str)>;

    thread_local! {
        static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
    }

    /// Tells `watcher` of every step this thread takes from now on.
    pub(in super::super) fn watch(watcher: Option<Watcher>) {
        WATCHER.with_borrow_mut(|w| *w = watcher);
    }

    pub(in super::super) fn step(what: &str) {
        WATCHER.with_borrow_mut(|w| {
            if let Some(w) = w {
                w(what);
            }
        });
    }
}

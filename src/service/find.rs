//! Finding files by name, and the catalogue that makes it quick.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{FoundView, HitView, Service};
use crate::engine::{Progress, Query, Repository, Result};

/// The thread that brings the catalogue up to date, if it runs.
#[derive(Default)]
pub(super) struct CatchUp(Mutex<State>);

#[derive(Default)]
struct State {
    running: Option<Arc<Progress>>,
    /// Asked for while it ran: there may be something it has not seen.
    again: bool,
    stopped: bool,
}

impl CatchUp {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the catalogue up to date in the background, so that neither a
    /// backup nor a search waits for it.
    fn start(self: &Arc<Self>, repository: Arc<Repository>) {
        let mut state = self.state();
        if state.running.is_some() || state.stopped {
            state.again = true;
            return;
        }
        let progress = Arc::new(Progress::default());
        let this = self.clone();
        let watched = progress.clone();
        let run = move || {
            loop {
                if let Err(e) = repository.update_catalogue(&watched) {
                    tracing::warn!(error = %e, "the catalogue could not be brought up to date");
                }
                let mut state = this.state();
                if !std::mem::take(&mut state.again) || state.stopped {
                    state.running = None;
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("catalogue".into());
        match thread.spawn(run) {
            Ok(_) => state.running = Some(progress),
            Err(e) => tracing::warn!(error = %e, "the catalogue could not be brought up to date"),
        }
    }

    /// Asks it to end; nothing is started afterwards.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        if let Some(progress) = &state.running {
            progress.cancel();
        }
    }
}

impl Service {
    /// Looks for files by name in all snapshots. What was backed up a moment
    /// ago may not be found yet; the answer says so.
    pub fn find_files(&self, query: &Query) -> Result<FoundView> {
        let repository = self.repository()?;
        let found = repository.search(query)?;
        if found.unread > 0 {
            self.catch_up.start(repository);
        }
        Ok(FoundView {
            hits: found.hits.iter().map(HitView::new).collect(),
            more: found.more,
            unread: found.unread,
        })
    }

    /// Brings the catalogue up to date in the background.
    pub(super) fn catch_up(&self) {
        if let Ok(repository) = self.repository() {
            self.catch_up.start(repository);
        }
    }
}

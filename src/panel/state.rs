//! What every request handler shares.

use std::sync::Arc;

use tokio::sync::watch;

use super::session::Sessions;
use crate::engine::{Error, Kind, Result};
use crate::service::Service;

/// Shared by all handlers; cloning is cheap.
#[derive(Clone)]
pub struct AppState {
    service: Arc<Service>,
    sessions: Arc<Sessions>,
    stopping: watch::Receiver<bool>,
}

impl AppState {
    /// Joins the service with an empty session store. `stopping` turns true
    /// when the server is about to end, so that endless answers end too.
    pub fn new(service: Arc<Service>, stopping: watch::Receiver<bool>) -> Self {
        Self {
            service,
            sessions: Arc::new(Sessions::new()),
            stopping,
        }
    }

    /// The use cases. Blocking: prefer [`AppState::run`].
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Who is logged in.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Returns when the server is about to end.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // An error means that the sender is gone, which is an end as well.
        let _ = stopping.wait_for(|stop| *stop).await;
    }

    /// Runs a blocking use case on a thread where blocking is allowed.
    pub async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Service>) -> Result<T> + Send + 'static,
    {
        let service = self.service.clone();
        tokio::task::spawn_blocking(move || work(&service))
            .await
            .unwrap_or_else(|e| {
                Err(Error::with_source(
                    Kind::Io,
                    "the request could not be worked off because of a fault in the box; the log says more",
                    e,
                ))
            })
    }
}

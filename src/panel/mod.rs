//! The web panel and the HTTP API: one HTTPS port that serves pages for
//! people ([`pages`]) and, under `/api/v1`, JSON for programs ([`api`]).
//!
//! It knows who is asking and how to say things; what is done is asked of
//! [`crate::service`], always from a blocking thread.

pub mod api;
pub mod download;
mod guard;
pub mod pages;
pub mod paths;
mod serve;
pub mod server;
pub mod session;
pub mod state;
pub mod texts;

pub use serve::{ServeOptions, serve};
pub use state::AppState;

use axum::Router;

/// Pages and API with everything that guards them.
pub fn router(app: AppState) -> Router {
    Router::new()
        .nest("/api/v1", api::router())
        .merge(pages::router())
        .layer(axum::middleware::from_fn(guard::guard))
        .with_state(app)
}

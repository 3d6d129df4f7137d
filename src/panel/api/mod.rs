//! The JSON API of `docs/api.md`: one file for each group of routes.

mod auth;
mod disks;
mod find;
mod jobs;
mod keys;
pub mod problem;
mod provider;
mod snapshots;
mod sources;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use serde::de::DeserializeOwned;

use super::AppState;
use crate::engine::Kind;
use problem::Problem;

/// Everything under `/api/v1`.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/status", get(auth::status))
        .route("/claim", post(auth::claim))
        .route("/login", post(auth::login))
        .route("/logout", post(auth::logout))
        .route("/overview", get(disks::overview))
        .route("/disks", get(disks::list))
        .route("/disks/{serial}/history", get(disks::history))
        .route("/disks/{serial}/identify", post(disks::identify))
        .route("/disks/{serial}/test", post(disks::test))
        .route("/pool", get(disks::pool).post(disks::create_pool))
        .route("/pool/rescan", post(disks::rescan))
        .route("/pool/members", post(disks::add))
        .route("/pool/members/{member}", delete(disks::remove))
        .route("/pool/members/{member}/replace", post(disks::replace))
        .route("/pool/members/{member}/retire", post(disks::retire))
        .route("/pool/members/{member}/keep", post(disks::keep))
        .route("/pool/settle", post(disks::settle))
        .route("/pool/scrub", post(disks::scrub))
        .route("/pool/damage", get(disks::damage))
        .route("/pool/care", get(disks::care).put(disks::set_care))
        .route("/pool/open", post(keys::open_pool))
        .route("/keys", get(keys::show))
        .route("/keys/passphrases", post(keys::add_passphrase))
        .route("/keys/tpm", post(keys::add_tpm))
        .route("/keys/words", post(keys::renew_words))
        .route("/keys/change", post(keys::change))
        .route("/keys/{number}", delete(keys::remove))
        .route("/sources/host-key", post(sources::host_key))
        .route("/sources", get(sources::list).post(sources::add))
        .route("/sources/{name}", delete(sources::remove))
        .route("/sources/{name}/run", post(sources::run))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{id}", get(jobs::one))
        .route("/jobs/{id}/events", get(jobs::events))
        .route("/jobs/{id}/cancel", post(jobs::cancel))
        .route("/find", get(find::find))
        .route("/snapshots", get(snapshots::list))
        .route("/snapshots/{id}/files", get(snapshots::files))
        .route("/snapshots/{id}/download", get(snapshots::download))
        .route("/snapshots/{id}/restore", post(snapshots::restore))
        .route("/provider", get(provider::show).put(provider::set))
        .route("/provider/replicate", post(provider::replicate))
        .route("/provider/verify", post(provider::inspect))
        .route(
            "/provider/probes",
            get(provider::probes).post(provider::probe),
        )
        .route("/verify", post(provider::verify))
        .fallback(async || Problem::new(Kind::Missing, "there is no such address in the API"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                Kind::Refused,
                "this address does not take that method; see docs/api.md",
            )
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
}

/// A JSON body; what is wrong with one is a problem document.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(unreadable(&rejection)),
        }
    }
}

fn unreadable(rejection: &JsonRejection) -> Problem {
    Problem::new(Kind::Refused, rejection.body_text()).with_status(rejection.status())
}

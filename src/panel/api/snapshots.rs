//! Snapshots, their files, and getting them back.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Body;
use super::auth::{Caller, answer};
use super::jobs::{Started, started};
use super::problem::Problem;
use crate::engine::{Snapshot, parse_path};
use crate::panel::paths::{self, QueryAfter, QueryPath};
use crate::panel::{AppState, download as stream};
use crate::service::RestoreRequest;

/// Entries of a folder in one answer.
const NAMES: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restore {
    #[serde(default)]
    path: String,
    source: String,
    #[serde(default)]
    target: Option<String>,
}

pub(super) async fn list(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Vec<Snapshot>>, Problem> {
    answer(&app, |service| service.snapshots()).await
}

pub(super) async fn files(
    State(app): State<AppState>,
    _: Caller,
    Path(id): Path<String>,
    QueryPath(path): QueryPath,
    QueryAfter(after): QueryAfter,
) -> Result<Response, Problem> {
    let here = format!(
        "/api/v1/snapshots/{}/files?path={}",
        paths::encode(&[&id]),
        paths::encode(&path)
    );
    let page = app
        .run(move |service| service.browse(&id, &path, after.as_deref(), NAMES))
        .await?;
    let next = page.next.map(|name| {
        let link = format!("<{here}&after={}>; rel=\"next\"", paths::encode(&[name]));
        [(LINK, link)]
    });
    Ok((next, Json(page.entries)).into_response())
}

pub(super) async fn download(
    State(app): State<AppState>,
    _: Caller,
    Path(id): Path<String>,
    QueryPath(path): QueryPath,
) -> Result<Response, Problem> {
    Ok(stream::respond(&app, id, path).await?)
}

pub(super) async fn restore(
    State(app): State<AppState>,
    _: Caller,
    Path(snapshot): Path<String>,
    Body(body): Body<Restore>,
) -> Result<Started, Problem> {
    let request = RestoreRequest {
        snapshot,
        path: parse_path(&body.path)?,
        source: body.source,
        target: body.target,
    };
    started(&app, move |service| service.run_restore(&request)).await
}

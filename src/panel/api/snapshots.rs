//! Snapshots, their files, and getting them back.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::Body;
use super::auth::{Caller, answer};
use super::jobs::{Started, started};
use super::problem::Problem;
use crate::engine::{Snapshot, parse_path};
use crate::panel::paths::QueryPath;
use crate::panel::{AppState, download as stream};
use crate::service::{EntryView, RestoreRequest};

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
) -> Result<Json<Vec<EntryView>>, Problem> {
    answer(&app, move |service| service.browse(&id, &path)).await
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

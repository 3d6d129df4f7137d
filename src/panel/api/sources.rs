//! Sources.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::Body;
use super::auth::{Caller, answer};
use super::jobs::{Started, started};
use super::problem::Problem;
use crate::panel::AppState;
use crate::service::{HostKey, NewSource, SourceView};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    host: String,
    #[serde(default = "ssh")]
    port: u16,
}

fn ssh() -> u16 {
    22
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    #[serde(default)]
    full: bool,
}

pub(super) async fn host_key(
    State(app): State<AppState>,
    _: Caller,
    Body(Host { host, port }): Body<Host>,
) -> Result<Json<HostKey>, Problem> {
    answer(&app, move |service| service.probe_host_key(&host, port)).await
}

pub(super) async fn list(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Vec<SourceView>>, Problem> {
    answer(&app, |service| service.sources()).await
}

pub(super) async fn add(
    State(app): State<AppState>,
    _: Caller,
    Body(new): Body<NewSource>,
) -> Result<(StatusCode, Json<SourceView>), Problem> {
    let source = answer(&app, move |service| service.add_source(&new)).await?;
    Ok((StatusCode::CREATED, source))
}

pub(super) async fn remove(
    State(app): State<AppState>,
    _: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    app.run(move |service| service.remove_source(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn run(
    State(app): State<AppState>,
    _: Caller,
    Path(name): Path<String>,
    Body(Run { full }): Body<Run>,
) -> Result<Started, Problem> {
    started(&app, move |service| service.run_backup(&name, full)).await
}

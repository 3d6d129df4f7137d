//! Provider and verification.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Body;
use super::auth::{Caller, answer};
use super::jobs::{Started, started};
use super::problem::Problem;
use crate::panel::AppState;
use crate::provider::Evidence;
use crate::service::{NewProvider, ProviderView};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    #[serde(default)]
    data: bool,
}

pub(super) async fn show(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<ProviderView>, Problem> {
    answer(&app, |service| service.provider()).await
}

pub(super) async fn set(
    State(app): State<AppState>,
    _: Caller,
    Body(new): Body<NewProvider>,
) -> Result<Json<ProviderView>, Problem> {
    answer(&app, move |service| service.set_provider(&new)).await
}

pub(super) async fn replicate(State(app): State<AppState>, _: Caller) -> Result<Started, Problem> {
    started(&app, |service| service.run_replicate()).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inspect {
    #[serde(default)]
    sample: Option<u64>,
}

pub(super) async fn inspect(
    State(app): State<AppState>,
    _: Caller,
    Body(Inspect { sample }): Body<Inspect>,
) -> Result<Started, Problem> {
    started(&app, move |service| service.run_inspect(sample)).await
}

pub(super) async fn probe(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Evidence>, Problem> {
    answer(&app, |service| service.probe_provider()).await
}

pub(super) async fn probes(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Vec<Evidence>>, Problem> {
    answer(&app, |service| service.probes()).await
}

pub(super) async fn verify(
    State(app): State<AppState>,
    _: Caller,
    Body(Verify { data }): Body<Verify>,
) -> Result<Started, Problem> {
    started(&app, move |service| service.run_verify(data)).await
}

//! Disks, pool, overview.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Body;
use super::auth::{Caller, answer};
use super::jobs::{Started, started};
use super::problem::Problem;
use crate::devices::Sign;
use crate::engine::Kind;
use crate::panel::AppState;
use crate::pool::Finding;
use crate::service::{
    CreatedPool, DiskView, NewDisk, NewPool, Overview, PoolCare, PoolView, Sample,
};

pub(super) async fn overview(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Overview>, Problem> {
    answer(&app, |service| service.overview()).await
}

pub(super) async fn list(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Vec<DiskView>>, Problem> {
    answer(&app, |service| service.disk_views()).await
}

pub(super) async fn history(
    State(app): State<AppState>,
    _: Caller,
    Path(serial): Path<String>,
) -> Result<Json<Vec<Sample>>, Problem> {
    answer(&app, move |service| service.disk_history(&serial)).await
}

/// How the disk shows itself.
#[derive(Serialize)]
pub(super) struct Shown {
    sign: Sign,
}

pub(super) async fn identify(
    State(app): State<AppState>,
    _: Caller,
    Path(serial): Path<String>,
) -> Result<Json<Shown>, Problem> {
    answer(&app, move |service| {
        let sign = service.identify(&serial)?;
        Ok(Shown { sign })
    })
    .await
}

/// Which self-test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Test {
    #[serde(default)]
    long: bool,
}

pub(super) async fn test(
    State(app): State<AppState>,
    _: Caller,
    Path(serial): Path<String>,
    Body(test): Body<Test>,
) -> Result<StatusCode, Problem> {
    let Json(()) = answer(&app, move |service| service.test_disk(&serial, test.long)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn pool(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<PoolView>, Problem> {
    let Json(pool) = answer(&app, |service| Ok(service.pool())).await?;
    pool.map(Json)
        .ok_or_else(|| Problem::new(Kind::Missing, "there is no pool yet; create it first"))
}

/// Disks to join the pool.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    disks: Vec<NewDisk>,
}

pub(super) async fn add(
    State(app): State<AppState>,
    _: Caller,
    Body(join): Body<Join>,
) -> Result<Started, Problem> {
    started(&app, move |service| service.add_disks(&join.disks)).await
}

pub(super) async fn replace(
    State(app): State<AppState>,
    _: Caller,
    Path(member): Path<String>,
    Body(new): Body<NewDisk>,
) -> Result<Started, Problem> {
    started(&app, move |service| service.replace_disk(&member, &new)).await
}

pub(super) async fn retire(
    State(app): State<AppState>,
    _: Caller,
    Path(member): Path<String>,
) -> Result<Started, Problem> {
    started(&app, move |service| service.retire_disk(&member)).await
}

pub(super) async fn keep(
    State(app): State<AppState>,
    _: Caller,
    Path(member): Path<String>,
) -> Result<Started, Problem> {
    started(&app, move |service| service.keep_disk(&member)).await
}

pub(super) async fn remove(
    State(app): State<AppState>,
    _: Caller,
    Path(member): Path<String>,
) -> Result<StatusCode, Problem> {
    let Json(()) = answer(&app, move |service| service.remove_disk(&member)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn settle(State(app): State<AppState>, _: Caller) -> Result<Started, Problem> {
    started(&app, |service| service.run_settle()).await
}

/// What a scrub reads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scrub {
    #[serde(default)]
    all: bool,
}

pub(super) async fn scrub(
    State(app): State<AppState>,
    _: Caller,
    Body(scrub): Body<Scrub>,
) -> Result<Started, Problem> {
    started(&app, move |service| service.run_scrub(scrub.all)).await
}

pub(super) async fn care(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<PoolCare>, Problem> {
    answer(&app, |service| service.pool_care()).await
}

pub(super) async fn set_care(
    State(app): State<AppState>,
    _: Caller,
    Body(care): Body<PoolCare>,
) -> Result<Json<PoolCare>, Problem> {
    answer(&app, move |service| {
        service.set_pool_care(&care)?;
        service.pool_care()
    })
    .await
}

pub(super) async fn damage(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Vec<Finding>>, Problem> {
    answer(&app, |service| Ok(service.pool_damage())).await
}

pub(super) async fn create_pool(
    State(app): State<AppState>,
    _: Caller,
    Body(new): Body<NewPool>,
) -> Result<Json<CreatedPool>, Problem> {
    answer(&app, move |service| service.create_pool(&new)).await
}

pub(super) async fn rescan(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<PoolView>, Problem> {
    answer(&app, |service| service.rescan()).await
}

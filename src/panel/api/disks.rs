//! Disks, pool, overview.

use axum::Json;
use axum::extract::State;

use super::Body;
use super::auth::{Caller, answer};
use super::problem::Problem;
use crate::devices::Disk;
use crate::engine::Kind;
use crate::panel::AppState;
use crate::service::{CreatedPool, NewPool, Overview, PoolView};

pub(super) async fn overview(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Overview>, Problem> {
    answer(&app, |service| service.overview()).await
}

pub(super) async fn list(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Vec<Disk>>, Problem> {
    answer(&app, |service| service.disks()).await
}

pub(super) async fn pool(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<PoolView>, Problem> {
    let Json(pool) = answer(&app, |service| Ok(service.pool())).await?;
    pool.map(Json)
        .ok_or_else(|| Problem::new(Kind::Missing, "there is no pool yet; create it first"))
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

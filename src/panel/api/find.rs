//! Finding files by name.

use axum::Json;
use axum::extract::{Query, State};

use super::auth::{Caller, answer};
use super::problem::Problem;
use crate::engine::{self, Kind};
use crate::panel::AppState;
use crate::service::FoundView;

/// Hits in one answer, unless fewer are asked for.
const LIMIT: usize = 1000;

pub(super) async fn find(
    State(app): State<AppState>,
    _: Caller,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<Json<FoundView>, Problem> {
    let get = |name: &str| {
        fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.clone())
    };
    let limit = match get("limit").map(|text| text.parse::<usize>()) {
        None => LIMIT,
        Some(Ok(limit)) => limit.clamp(1, LIMIT),
        Some(Err(_)) => return Err(Problem::new(Kind::Refused, "limit is not a number")),
    };
    let query = engine::Query {
        text: get("text").unwrap_or_default(),
        name: get("name").filter(|name| !name.is_empty()),
        limit,
    };
    answer(&app, move |service| service.find_files(&query)).await
}

//! Jobs and their live events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::auth::{Caller, answer};
use super::problem::Problem;
use crate::engine::{Kind, Result as Outcome};
use crate::jobs::Id;
use crate::panel::AppState;
use crate::service::{JobView, Service};

/// Time between two events.
const BEAT: Duration = Duration::from_secs(1);
/// Id of the last event: a browser that comes back with it is told to stop.
const LAST: &str = "ended";

#[derive(Serialize)]
pub(super) struct JobRef {
    job: Id,
}

/// The answer of everything that starts a job.
pub(super) type Started = (StatusCode, Json<JobRef>);

pub(super) async fn started(
    app: &AppState,
    work: impl FnOnce(&Arc<Service>) -> Outcome<Id> + Send + 'static,
) -> Result<Started, Problem> {
    let job = app.run(work).await?;
    Ok((StatusCode::ACCEPTED, Json(JobRef { job })))
}

/// A job's number in an address; what is no number is no job.
fn id(text: &str) -> Result<Id, Problem> {
    text.parse()
        .map(Id)
        .map_err(|_| Problem::new(Kind::Missing, format!("there is no job {text:?}")))
}

pub(super) async fn list(
    State(app): State<AppState>,
    _: Caller,
) -> Result<Json<Vec<JobView>>, Problem> {
    answer(&app, |service| Ok(service.jobs())).await
}

pub(super) async fn one(
    State(app): State<AppState>,
    _: Caller,
    Path(text): Path<String>,
) -> Result<Json<JobView>, Problem> {
    let id = id(&text)?;
    answer(&app, move |service| service.job(id)).await
}

pub(super) async fn cancel(
    State(app): State<AppState>,
    _: Caller,
    Path(text): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = id(&text)?;
    app.run(move |service| service.cancel_job(id)).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn events(
    State(app): State<AppState>,
    _: Caller,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = id(&text)?;
    if headers
        .get("last-event-id")
        .is_some_and(|last| last == LAST)
    {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // Asked once beforehand, so that an unknown job is a problem and no stream.
    let first = app.run(move |service| service.job(id)).await?;
    let (sender, events) = mpsc::channel(1);
    tokio::spawn(send(app, first, sender));
    Ok(Sse::new(ReceiverStream::new(events))
        .keep_alive(KeepAlive::default())
        .into_response())
}

async fn send(app: AppState, mut job: JobView, sender: mpsc::Sender<Result<Event, Infallible>>) {
    loop {
        let ended = job.state.ended();
        let Ok(event) = Event::default().json_data(&job) else {
            return;
        };
        let event = if ended { event.id(LAST) } else { event };
        // An error means that the reader has gone away.
        if sender.send(Ok(event)).await.is_err() || ended {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(BEAT) => {}
            () = app.stopped() => return,
            () = sender.closed() => return,
        }
        let id = job.id;
        job = match app.run(move |service| service.job(id)).await {
            Ok(job) => job,
            Err(e) => {
                tracing::warn!(job = id.0, "live events ended: {e}");
                return;
            }
        };
    }
}

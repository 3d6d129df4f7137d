//! The figures of a running job: as a piece of page, and as a stream of such
//! pieces (server-sent events), one a second, until the job ends.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::{Path, Query};
use axum::response::sse::{Event, Sse};
use maud::{Markup, html};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::errors::Fault;
use super::visit::{Fields, Visit};
use super::{format, jobs};
use crate::engine::progress::View;
use crate::jobs::{Id, JobState};
use crate::panel::texts::{Key, Language};
use crate::service::{JobKind, JobView};

/// A speed is the mean over this long.
const WINDOW: Duration = Duration::from_secs(10);
/// Between two events.
const BEAT: Duration = Duration::from_secs(1);

/// Bytes per second over the last [`WINDOW`].
#[derive(Debug, Default)]
struct Rate {
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    fn push(&mut self, at: Instant, bytes: u64) -> Option<u64> {
        self.samples.push_back((at, bytes));
        while self.samples.len() > 2
            && self
                .samples
                .get(1)
                .is_some_and(|(t, _)| at.duration_since(*t) >= WINDOW)
        {
            self.samples.pop_front();
        }
        let (then, before) = *self.samples.front()?;
        per_second(bytes.saturating_sub(before), at.duration_since(then))
    }
}

fn per_second(bytes: u64, time: Duration) -> Option<u64> {
    let millis = time.as_millis();
    if millis < 500 {
        return None;
    }
    u64::try_from(u128::from(bytes) * 1000 / millis).ok()
}

/// The mean since the job began, for pages that are not live.
fn mean(job: &JobView) -> Option<u64> {
    per_second(job.progress.bytes, Duration::from_secs(jobs::seconds(job)?))
}

/// Hundredths that are done, while the whole is known. A first backup learns
/// of files only as it goes: the number found so far is not the whole.
fn percent(job: &JobView) -> Option<u64> {
    let view = &job.progress;
    let (done, all) = if view.bytes_total > 0 {
        (view.bytes, view.bytes_total)
    } else if view.files_total > 0 && job.kind != JobKind::Backup {
        (view.files, view.files_total)
    } else {
        return None;
    };
    u64::try_from(u128::from(done.min(all)) * 100 / u128::from(all)).ok()
}

/// Seconds left at this speed.
fn left(view: &View, speed: Option<u64>) -> Option<u64> {
    let speed = speed.filter(|s| *s > 0)?;
    (view.bytes_total > 0).then(|| view.bytes_total.saturating_sub(view.bytes).div_ceil(speed))
}

fn bar(l: Language, job: &JobView) -> Markup {
    let label = l.t("job-progress");
    html! {
        @match (job.state, percent(job)) {
            (JobState::Running, Some(percent)) => {
                progress max="100" value=(percent) aria-label=(label) { (percent) " %" }
            }
            (JobState::Running, None) => { progress max="100" aria-label=(label) {} }
            _ => { progress max="100" value="0" aria-label=(label) {} }
        }
    }
}

/// All figures of a job that has not ended. Without a measured `speed`, the
/// mean since its beginning is shown.
pub(super) fn full(l: Language, job: &JobView, speed: Option<u64>) -> Markup {
    let view = &job.progress;
    let speed = speed.or_else(|| mean(job));
    let of = |total: Option<String>| {
        html! { @if let Some(total) = total { small { (l.f("figure-of", [("total", total.into())])) } } }
    };
    html! {
        div.card-head {
            (jobs::state(l, job.state))
            @if let Some(percent) = percent(job) { strong { (percent) " %" } }
        }
        (bar(l, job))
        p.current.mono.soft dir="ltr" {
            @if job.state == JobState::Queued { (l.t("job-queued-why")) }
            @else if view.current.is_empty() { (l.t("job-preparing")) }
            @else { (view.current) }
        }
        dl.figures {
            div { dt { (l.t("figure-speed")) } dd #speed { @if let Some(s) = speed { (format::speed(l, s)) } @else { "–" } } }
            div { dt { (l.t("figure-left")) } dd {
                @if let Some(s) = left(view, speed) { (format::duration(s)) }
                @else { "–" @if view.bytes_total == 0 { small { (l.t("figure-left-unknown")) } } }
            } }
            div { dt { (l.t(things(job.kind))) } dd #files {
                (format::count(l, view.files))
                (of((view.files_total > 0 && percent(job).is_some()).then(|| format::count(l, view.files_total))))
            } }
            div { dt { (l.t("figure-bytes")) } dd #bytes {
                (format::size(l, view.bytes))
                (of((view.bytes_total > 0).then(|| format::size(l, view.bytes_total))))
            } }
            @if job.kind == JobKind::Backup {
                div { dt { (l.t("figure-new")) } dd { (format::size(l, view.new_bytes)) } }
                div { dt { (l.t("figure-stored")) } dd { (format::size(l, view.stored_bytes)) } }
            }
            div { dt { (l.t("figure-elapsed")) } dd {
                @if let Some(s) = jobs::seconds(job) { (format::duration(s)) } @else { "–" }
            } }
            div { dt { (l.t("figure-warnings")) } dd { (format::count(l, view.warnings)) } }
        }
    }
}

/// What a job counts: files, or the objects they are stored in.
fn things(kind: JobKind) -> Key {
    match kind {
        JobKind::Backup | JobKind::Restore => Key("figure-files"),
        JobKind::Replicate | JobKind::Verify | JobKind::Settle | JobKind::Scrub => {
            Key("figure-objects")
        }
    }
}

/// One line of figures, for lists.
pub(super) fn short(l: Language, job: &JobView, speed: Option<u64>) -> Markup {
    let view = &job.progress;
    let speed = speed.or_else(|| mean(job));
    html! {
        (bar(l, job))
        p.small {
            (jobs::state(l, job.state)) " "
            @if let Some(percent) = percent(job) { (percent) " % · " }
            (l.t(things(job.kind))) ": " (format::count(l, view.files)) " · " (format::size(l, view.bytes))
            @if let Some(s) = speed { " · " (format::speed(l, s)) }
            @if let Some(s) = left(view, speed) { " · " (l.f("short-left", [("time", format::duration(s).into())])) }
        }
    }
}

/// What those hear who listen to the page: the state, and each full tenth.
fn said(l: Language, job: &JobView) -> String {
    let state = l.t(jobs::phase(job));
    match percent(job).filter(|_| job.state == JobState::Running) {
        Some(percent) => format!("{state} {} %", percent / 10 * 10),
        None => state.into_owned(),
    }
}

/// The stream. Ends when the job ends, the visitor leaves, or the server stops.
pub async fn stream(
    visit: Visit,
    Path(id): Path<u64>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Fault> {
    let (l, id) = (visit.l, Id(id));
    let brief = Fields(query).has("short");
    visit.ask(move |s| s.job(id)).await?;
    let (events, receiver) = mpsc::channel(4);
    let work = {
        let visit = visit.clone();
        async move {
            let mut rate = Rate::default();
            while let Ok(job) = visit.ask(move |s| s.job(id)).await {
                let speed = rate.push(Instant::now(), job.progress.bytes);
                let piece = if brief {
                    short(l, &job, speed)
                } else {
                    full(l, &job, speed)
                };
                let phase = Event::default().event("phase").data(said(l, &job));
                let state = Event::default().event("state").data(piece.into_string());
                if events.send(Ok(phase)).await.is_err() || events.send(Ok(state)).await.is_err() {
                    return;
                }
                if job.state.ended() {
                    // Whoever watched may be gone; then nobody needs to know.
                    let _ = events
                        .send(Ok(Event::default().event("end").data("-")))
                        .await;
                    return;
                }
                tokio::time::sleep(BEAT).await;
            }
        }
    };
    let app = visit.app.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = work => {}
            () = app.stopped() => {}
        }
    });
    Ok(Sse::new(ReceiverStream::new(receiver)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_the_mean_over_the_window() {
        let mut rate = Rate::default();
        let start = Instant::now();
        assert_eq!(rate.push(start, 0), None);
        for s in 1..=20 {
            let at = start + Duration::from_secs(s);
            // 100 bytes a second, then 300 from the tenth second on.
            let bytes = if s <= 10 {
                s * 100
            } else {
                1000 + (s - 10) * 300
            };
            let speed = rate.push(at, bytes);
            match s {
                1 | 10 => assert_eq!(speed, Some(100)),
                20 => assert_eq!(speed, Some(300)),
                _ => {}
            }
        }
    }

    #[test]
    fn time_left_needs_a_total_and_a_speed() {
        let mut view = View {
            bytes: 250,
            ..View::default()
        };
        assert_eq!(left(&view, Some(10)), None);
        view.bytes_total = 1000;
        assert_eq!(left(&view, Some(100)), Some(8));
        assert_eq!(left(&view, Some(0)), None);
        view.bytes = 2000;
        assert_eq!(left(&view, Some(100)), Some(0));
    }

    #[test]
    fn files_found_so_far_are_not_the_whole_of_a_first_backup() {
        let mut job = JobView {
            id: Id(1),
            kind: JobKind::Backup,
            subject: String::new(),
            state: JobState::Running,
            queued: jiff::Timestamp::UNIX_EPOCH,
            started: None,
            ended: None,
            progress: View {
                files: 9,
                files_total: 10,
                ..View::default()
            },
            result: None,
            error: None,
            log: Vec::new(),
        };
        assert_eq!(percent(&job), None);
        job.kind = JobKind::Restore;
        assert_eq!(percent(&job), Some(90));
        job.progress.bytes_total = 1000;
        job.progress.bytes = 250;
        assert_eq!(percent(&job), Some(25));
        job.progress.bytes = 2000;
        assert_eq!(percent(&job), Some(100));
    }
}

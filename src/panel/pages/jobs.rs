//! What the box did and does: the log of jobs, and one job with its figures,
//! what it left out, and why it failed.

use axum::extract::{Path, Query};
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::errors::{self, Fault};
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Level};
use super::visit::{Fields, Posted, Visit};
use super::{format, links, live};
use crate::engine::{RestoreReport, Snapshot, VerifyReport, Warning};
use crate::jobs::{Id, JobState, LogLine};
use crate::panel::texts::{Key, Language};
use crate::pool::{ScrubReport, SettleReport};
use crate::provider::ReplicateReport;
use crate::service::{JobKind, JobView};

/// Jobs on one page.
const PAGE: usize = 50;
/// Lines of a job's log shown, the newest.
const LINES: usize = 500;

/// What a job does, in words.
pub(super) fn title(l: Language, job: &JobView) -> String {
    let subject = || (&job.subject).into();
    let text = match job.kind {
        JobKind::Backup => l.f("job-backup", [("subject", subject())]),
        JobKind::Restore => l.f("job-restore", [("subject", subject())]),
        JobKind::Replicate => l.t("job-replicate"),
        JobKind::Verify => l.t("job-verify"),
        JobKind::Settle => l.t("job-settle"),
        JobKind::Scrub => l.t("job-scrub"),
    };
    text.into_owned()
}

/// What a job that failed did not do.
fn not_done(kind: JobKind) -> Key {
    match kind {
        JobKind::Backup => Key("fail-backup"),
        JobKind::Restore => Key("fail-restored"),
        JobKind::Replicate => Key("fail-replicate"),
        JobKind::Verify => Key("fail-verify"),
        JobKind::Settle => Key("fail-settle"),
        JobKind::Scrub => Key("fail-scrub"),
    }
}

/// Where a job stands, as icon and word.
pub(super) fn state(l: Language, state: JobState) -> Markup {
    match state {
        JobState::Queued => parts::tag(icons::WAIT, "info", &l.t("state-queued")),
        JobState::Running => parts::tag(icons::RUN, "info", &l.t("state-running")),
        JobState::Done => parts::badge(Level::Good, &l.t("state-done")),
        JobState::Warnings => parts::badge(Level::Warn, &l.t("state-warnings")),
        JobState::Failed => parts::badge(Level::Bad, &l.t("state-failed")),
        JobState::Cancelled => parts::tag(icons::STOP, "neutral", &l.t("state-cancelled")),
    }
}

/// Whole seconds a job took, or has taken so far.
pub(super) fn seconds(job: &JobView) -> Option<u64> {
    let end = job.ended.unwrap_or_else(Timestamp::now);
    let begun = job.started?;
    Some(u64::try_from(end.as_second() - begun.as_second()).unwrap_or(0))
}

/// Jobs as a table.
pub(super) fn table<'a>(l: Language, jobs: impl Iterator<Item = &'a JobView>) -> Markup {
    html! {
        table.table {
            thead { tr {
                th scope="col" { (l.t("col-job")) }
                th scope="col" { (l.t("col-state")) }
                th scope="col" { (l.t("col-when")) }
                th.number scope="col" { (l.t("col-duration")) }
            } }
            tbody {
                @for job in jobs {
                    tr {
                        th scope="row" { a href=(links::job(job.id)) { (title(l, job)) } }
                        td data-label=(l.t("col-state")) { div { (state(l, job.state)) } }
                        td data-label=(l.t("col-when")) { (parts::when(l, job.started.unwrap_or(job.queued))) }
                        td.number data-label=(l.t("col-duration")) {
                            @if let Some(seconds) = seconds(job) { (format::duration(seconds)) } @else { "–" }
                        }
                    }
                }
            }
        }
    }
}

/// The log of jobs, newest first.
pub async fn list(
    visit: Visit,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let l = visit.l;
    let from: usize = Fields(query).get("from").parse().unwrap_or(0);
    let all = visit.ask(|s| Ok(s.jobs())).await?;
    let running = all.iter().any(|j| !j.state.ended());
    let title = l.t("nav-jobs");
    let body = html! {
        (layout::heading(&title, &l.t("jobs-lead"), html! {}))
        div.card {
            @if all.is_empty() {
                (parts::empty(&l.t("jobs-none"), html! {}))
            } @else {
                (table(l, all.iter().skip(from).take(PAGE)))
                (pages(l, links::JOBS, "from", from, all.len(), PAGE))
            }
        }
    };
    let mut head = Head::new(Section::Jobs, &title);
    head.refresh = running.then_some(5);
    Ok(visit.page(head, body))
}

/// Links to the neighbouring parts of a long list.
pub(super) fn pages(
    l: Language,
    address: &str,
    name: &str,
    from: usize,
    len: usize,
    page: usize,
) -> Markup {
    let join = if address.contains('?') { '&' } else { '?' };
    let at = |n: usize| format!("{address}{join}{name}={n}");
    html! {
        @if len > page {
            nav.actions aria-label=(l.t("pages")) {
                @if from > 0 { a.button.plain.slim href=(at(from.saturating_sub(page))) { (l.t("page-before")) } }
                span { (l.f("page-part", [
                    ("from", (from + 1).into()),
                    ("to", (from + page).min(len).into()),
                    ("n", len.into()),
                ])) }
                @if from + page < len { a.button.plain.slim href=(at(from + page)) { (l.t("page-after")) } }
            }
        }
    }
}

fn parse(id: &str) -> Result<Id, Fault> {
    id.parse()
        .map(Id)
        .map_err(|_| Fault::missing(format!("there is no job {id}")))
}

/// One job.
pub async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Fault> {
    let l = visit.l;
    let id = parse(&id)?;
    let job = visit.ask(move |s| s.job(id)).await?;
    let running = !job.state.ended();
    let title = title(l, &job);
    let body = html! {
        nav aria-label=(l.t("trail")) {
            ol.trail {
                li { a href=(links::JOBS) { (l.t("nav-jobs")) } }
                li { span aria-current="page" { (l.f("job-number", [("n", job.id.to_string().into())])) } }
            }
        }
        (layout::heading(&title, "", html! {
            @if running {
                button #pause .button.plain type="button" aria-pressed="false" hidden { (l.t("live-pause")) }
                (parts::post_button(visit.csrf(), &links::cancel(job.id), "danger", icons::STOP, &l.t("job-cancel")))
            }
        }))
        @if let Some(failure) = &job.error {
            (errors::trouble(l, Some(not_done(job.kind)), errors::parse_kind(&failure.kind), &failure.message))
        }
        @if running {
            p.hidden-text role="status" #say { }
            section.card aria-label=(l.t("job-progress")) {
                div data-live=(links::live(job.id, false)) data-pause="#pause" data-say="#say" {
                    (live::full(l, &job, None))
                }
            }
        } @else {
            (facts(l, &job))
            (outcome(l, &job))
        }
        (log(l, &job.log))
    };
    let mut head = Head::new(Section::Jobs, &title);
    head.refresh = running.then_some(2);
    Ok(visit.page(head, body))
}

/// Asks a job to stop.
pub async fn cancel(
    Path(id): Path<String>,
    Posted { visit, .. }: Posted,
) -> Result<Response, Fault> {
    let l = visit.l;
    let id = parse(&id)?;
    visit.ask(move |s| s.cancel_job(id)).await?;
    Ok(visit.done(
        &links::job(id),
        Level::Info,
        l.t("job-cancelling"),
        l.t("job-cancelling-what"),
    ))
}

fn facts(l: Language, job: &JobView) -> Markup {
    html! {
        section.card aria-labelledby="facts" {
            div.card-head { h2 #facts { (l.t("job-facts")) } (state(l, job.state)) }
            dl.facts {
                @if let Some(at) = job.started { dt { (l.t("job-started")) } dd { (parts::when(l, at)) } }
                @if let Some(at) = job.ended { dt { (l.t("job-ended")) } dd { (parts::when(l, at)) } }
                @if let Some(seconds) = seconds(job) { dt { (l.t("col-duration")) } dd { (format::duration(seconds)) } }
            }
        }
    }
}

fn figure(label: &str, value: Markup) -> Markup {
    html! { div { dt { (label) } dd { (value) } } }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

fn outcome(l: Language, job: &JobView) -> Markup {
    let Some(result) = &job.result else {
        return html! {};
    };
    let count = |n: u64| html! { (format::count(l, n)) };
    let size = |n: u64| html! { (format::size(l, n)) };
    match job.kind {
        JobKind::Backup => {
            let snapshot: Option<Snapshot> = result.get("snapshot").and_then(read);
            let warnings: Vec<Warning> = result.get("warnings").and_then(read).unwrap_or_default();
            html! {
                @if let Some(snapshot) = &snapshot {
                    section.card aria-labelledby="outcome" {
                        div.card-head {
                            h2 #outcome { (l.t("outcome-backup")) }
                            a.button.plain.slim href=(links::files::<&[u8]>(&snapshot.id, &[])) {
                                (icon(icons::FOLDER)) (l.t("see-files"))
                            }
                        }
                        dl.figures {
                            (figure(&l.t("figure-files"), count(snapshot.files)))
                            (figure(&l.t("col-size"), size(snapshot.bytes)))
                            (figure(&l.t("figure-new"), size(snapshot.new_bytes)))
                            (figure(&l.t("figure-stored"), size(snapshot.stored_bytes)))
                        }
                    }
                    (warnings_card(l, &warnings, snapshot.warnings))
                }
            }
        }
        JobKind::Restore => {
            let report: RestoreReport = read(result).unwrap_or_default();
            let target = result
                .get("target")
                .and_then(Value::as_str)
                .unwrap_or_default();
            html! {
                section.card aria-labelledby="outcome" {
                    h2 #outcome { (l.t("outcome-restore")) }
                    @if !target.is_empty() { p { (l.t("restore-target")) ": " span.mono { (target) } } }
                    dl.figures {
                        (figure(&l.t("figure-restored-files"), count(report.files)))
                        (figure(&l.t("figure-restored-bytes"), size(report.bytes)))
                    }
                }
                (warnings_card(l, &report.warnings, report.warning_count))
            }
        }
        JobKind::Replicate => {
            let report: ReplicateReport = read(result).unwrap_or_default();
            html! {
                section.card aria-labelledby="outcome" {
                    h2 #outcome { (l.t("outcome-replicate")) }
                    dl.figures {
                        (figure(&l.t("figure-copied"), count(report.copied)))
                        (figure(&l.t("figure-sent"), size(report.bytes)))
                        (figure(&l.t("figure-present"), count(report.present)))
                        (figure(&l.t("figure-removed"), count(report.removed)))
                    }
                }
            }
        }
        JobKind::Settle => {
            let report: SettleReport = read(result).unwrap_or_default();
            html! {
                section.card aria-labelledby="outcome" {
                    h2 #outcome { (l.t("outcome-settle")) }
                    dl.figures {
                        (figure(&l.t("figure-objects"), count(report.objects)))
                        (figure(&l.t("figure-bytes"), size(report.bytes)))
                        (figure(&l.t("figure-rebuilt"), count(report.rebuilt)))
                        (figure(&l.t("figure-moved"), count(report.moved)))
                        @if report.waiting > 0 { (figure(&l.t("figure-waiting"), count(report.waiting))) }
                    }
                    @for label in &report.gone { p { (l.f("settle-gone", [("disk", label.into())])) } }
                    @if let Some(why) = &report.why { (errors::detail(l, why)) }
                    (lost(l, &report.lost))
                }
            }
        }
        JobKind::Scrub => {
            let report: ScrubReport = read(result).unwrap_or_default();
            html! {
                section.card aria-labelledby="outcome" {
                    h2 #outcome { (l.t("outcome-scrub")) }
                    dl.figures {
                        (figure(&l.t("figure-objects"), count(report.objects)))
                        (figure(&l.t("figure-read"), size(report.bytes)))
                        (figure(&l.t("figure-damaged"), count(report.damaged)))
                        (figure(&l.t("figure-repaired"), count(report.healed)))
                    }
                    (lost(l, &report.lost))
                }
            }
        }
        JobKind::Verify => {
            let report: VerifyReport = read(result).unwrap_or_default();
            html! {
                section.card aria-labelledby="outcome" {
                    h2 #outcome { (l.t("outcome-verify")) }
                    dl.figures {
                        (figure(&l.t("figure-snapshots"), count(report.snapshots)))
                        (figure(&l.t("figure-segments"), count(report.segments)))
                        @if report.bytes > 0 { (figure(&l.t("figure-read"), size(report.bytes))) }
                        (figure(&l.t("figure-damaged"), count(report.damaged_parts)))
                        (figure(&l.t("figure-repaired"), count(report.repaired_parts)))
                    }
                    @if !report.errors.is_empty() {
                        (parts::notice(Level::Bad, &l.t("verify-lost"), html! {
                            ul lang="en" { @for error in &report.errors { li { (error) } } }
                        }))
                    }
                }
            }
        }
    }
}

/// Objects of which too little is left.
fn lost(l: Language, names: &[String]) -> Markup {
    html! {
        @if !names.is_empty() {
            (parts::notice(Level::Bad, &l.f("find-pool-lost", [("n", names.len().into())]), html! {
                p { (l.t("find-pool-lost-do")) }
                ul.mono { @for name in names.iter().take(20) { li { (name) } } }
            }))
        }
    }
}

fn warnings_card(l: Language, warnings: &[Warning], all: u64) -> Markup {
    html! {
        @if all > 0 {
            section.card aria-labelledby="warnings" {
                div.card-head {
                    h2 #warnings { (l.t("warnings-title")) }
                    (parts::badge(Level::Warn, &l.f("count-warnings", [("n", all.into())])))
                }
                p { (l.t("warnings-lead")) }
                table.table {
                    thead { tr {
                        th scope="col" { (l.t("col-path")) }
                        th scope="col" { (l.t("col-why")) }
                    } }
                    tbody {
                        @for warning in warnings {
                            tr {
                                th scope="row" { span.mono { (warning.path) } }
                                td data-label=(l.t("col-why")) { span lang="en" { (warning.message) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn log(l: Language, lines: &[LogLine]) -> Markup {
    let hidden = lines.len().saturating_sub(LINES);
    html! {
        @if !lines.is_empty() {
            section.card aria-labelledby="log" {
                h2 #log { (l.t("log-title")) }
                @if hidden > 0 { p.soft { (l.f("log-hidden", [("n", hidden.into())])) } }
                ol.log tabindex="0" aria-labelledby="log" {
                    @for line in lines.iter().skip(hidden) {
                        li {
                            time datetime=(line.time) { (format::clock(line.time)) }
                            span lang="en" { (line.text) }
                        }
                    }
                }
            }
        }
    }
}

/// The key of a sentence about a running job, for those who listen.
pub(super) fn phase(job: &JobView) -> Key {
    match job.state {
        JobState::Queued => Key("say-queued"),
        JobState::Running => Key("say-running"),
        _ => Key("say-ended"),
    }
}

//! Where data comes from: the list, one source, running it, forgetting it.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use maud::{Markup, html};

use super::errors::Fault;
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Field, Level};
use super::visit::{Posted, Visit};
use super::{format, jobs, links, live};
use crate::panel::texts::Language;
use crate::service::{JobKind, SourceKind, SourceView};

/// All sources.
pub async fn list(visit: Visit) -> Result<Response, Fault> {
    let l = visit.l;
    let sources = visit.ask(|s| s.sources()).await?;
    let title = l.t("nav-sources");
    let add = html! {
        a.button href=(links::NEW_SOURCE) { (icon(icons::ADD)) (l.t("source-add")) }
    };
    let body = html! {
        (layout::heading(&title, &l.t("sources-lead"), html! { @if !sources.is_empty() { (add) } }))
        @if sources.is_empty() {
            div.card { (parts::empty(&l.t("sources-none"), add)) }
        } @else {
            div.card {
                table.table {
                    thead { tr {
                        th scope="col" { (l.t("col-source")) }
                        th scope="col" { (l.t("col-origin")) }
                        th scope="col" { (l.t("col-last-backup")) }
                        th scope="col" { span.hidden-text { (l.t("col-actions")) } }
                    } }
                    tbody { @for source in &sources { (row(&visit, source)) } }
                }
            }
        }
    };
    Ok(visit.page(Head::new(Section::Sources, &title), body))
}

fn row(visit: &Visit, source: &SourceView) -> Markup {
    let l = visit.l;
    html! {
        tr {
            th scope="row" {
                a href=(links::source(&source.name)) { (source.name) }
                small.soft { (kind(l, source.kind)) }
            }
            td data-label=(l.t("col-origin")) { span.mono { (source.origin) } }
            td data-label=(l.t("col-last-backup")) { (last(l, source)) }
            td.end { div.actions {
                @if let Some(id) = source.job {
                    a.button.plain.slim href=(links::job(id)) { (icon(icons::RUN)) (l.t("source-running")) }
                } @else {
                    form method="post" action=(links::run(&source.name)) {
                        (parts::csrf(visit.csrf()))
                        button.button.slim type="submit" {
                            (icon(icons::START)) (l.t("run-now"))
                            span.hidden-text { ": " (source.name) }
                        }
                    }
                }
            } }
        }
    }
}

/// A source's kind in words.
fn kind(l: Language, kind: SourceKind) -> std::borrow::Cow<'static, str> {
    match kind {
        SourceKind::Sftp => l.t("kind-sftp"),
        SourceKind::Local => l.t("kind-local"),
    }
}

fn last(l: Language, source: &SourceView) -> Markup {
    html! {
        div {
            @if let Some(last) = &source.last {
                (parts::when(l, last.time))
                small.soft { (format::ago(l, last.time, Timestamp::now())) }
                @if last.warnings > 0 {
                    (parts::badge(Level::Warn, &l.f("count-warnings", [("n", last.warnings.into())])))
                }
            } @else {
                (parts::badge(Level::Warn, &l.t("source-never")))
            }
        }
    }
}

/// One source.
pub async fn show(visit: Visit, Path(name): Path<String>) -> Result<Response, Fault> {
    let l = visit.l;
    let asked = name.clone();
    let (source, jobs) = visit
        .ask(move |s| {
            let source = s.source(&asked)?;
            let jobs: Vec<_> = s
                .jobs()
                .into_iter()
                .filter(|j| {
                    j.subject == asked && matches!(j.kind, JobKind::Backup | JobKind::Restore)
                })
                .take(10)
                .collect();
            Ok((source, jobs))
        })
        .await?;
    let running = source.job.and_then(|id| jobs.iter().find(|j| j.id == id));
    let title = source.name.clone();
    let body = html! {
        (trail(l, &source.name))
        (layout::heading(&title, &kind(l, source.kind), html! {
            a.button.plain href=(links::snapshots_of(&source.name)) { (icon(icons::COPIES)) (l.t("see-snapshots")) }
        }))
        section.card aria-labelledby="run" {
            h2 #run { (l.t("run-title")) }
            @if let Some(job) = running {
                div data-live=(links::live(job.id, true)) { (live::short(l, job, None)) }
                p { a.button.plain href=(links::job(job.id)) { (icon(icons::RUN)) (l.t("see-progress")) } }
            } @else if let Some(id) = source.job {
                p { a.button.plain href=(links::job(id)) { (icon(icons::RUN)) (l.t("see-progress")) } }
            } @else {
                form method="post" action=(links::run(&source.name)) {
                    (parts::csrf(visit.csrf()))
                    fieldset {
                        legend.hidden-text { (l.t("run-title")) }
                        (parts::choice("full", "no", true, &l.t("run-incremental"), &l.t("run-incremental-what")))
                        (parts::choice("full", "yes", false, &l.t("run-full"), &l.t("run-full-what")))
                    }
                    button.button type="submit" { (icon(icons::START)) (l.t("run-now")) }
                }
            }
        }
        section.card aria-labelledby="facts" {
            h2 #facts { (l.t("source-facts")) }
            dl.facts {
                @if let Some(host) = &source.host {
                    dt { (l.t("field-host")) }
                    dd.mono { (host) @if let Some(port) = source.port { ":" (port) } }
                }
                @if let Some(user) = &source.user { dt { (l.t("field-user")) } dd { (user) } }
                dt { (l.t("field-path")) } dd.mono { (source.path) }
                @if let Some(fingerprint) = &source.fingerprint {
                    dt { (l.t("source-fingerprint")) } dd.mono { (fingerprint) }
                }
                dt { (l.t("col-last-backup")) } dd { (last(l, &source)) }
            }
            div.actions {
                a.button.danger href=(links::remove_source(&source.name)) { (icon(icons::REMOVE)) (l.t("source-remove")) }
            }
        }
        @if !jobs.is_empty() {
            section.card aria-labelledby="jobs" {
                h2 #jobs { (l.t("source-jobs")) }
                (jobs::table(l, jobs.iter()))
            }
        }
    };
    let mut head = Head::new(Section::Sources, &title);
    head.refresh = source.job.is_some().then_some(5);
    Ok(visit.page(head, body))
}

fn trail(l: Language, name: &str) -> Markup {
    html! {
        nav aria-label=(l.t("trail")) {
            ol.trail {
                li { a href=(links::SOURCES) { (l.t("nav-sources")) } }
                li { span aria-current="page" { (name) } }
            }
        }
    }
}

/// Starts a backup and goes to its job.
pub async fn run(Path(name): Path<String>, Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let full = fields.get("full") == "yes";
    let source = name.clone();
    match visit.ask(move |s| s.run_backup(&source, full)).await {
        Ok(id) => Redirect::to(&links::job(id)).into_response(),
        Err(fault) => {
            let (title, body) = fault.words(l);
            visit.done(links::SOURCES, Level::Bad, title, body)
        }
    }
}

/// Asks before a source is forgotten.
pub async fn ask_remove(visit: Visit, Path(name): Path<String>) -> Result<Response, Fault> {
    remove_page(&visit, name, None).await
}

async fn remove_page(
    visit: &Visit,
    name: String,
    mistake: Option<&str>,
) -> Result<Response, Fault> {
    let l = visit.l;
    let source = visit.ask(move |s| s.source(&name)).await?;
    let title = l.f("remove-title", [("source", (&source.name).into())]);
    let body = html! {
        (trail(l, &source.name))
        (layout::heading(&title, "", html! {}))
        (parts::notice(Level::Info, &l.t("remove-keeps"), html! { p { (l.t("remove-keeps-what")) } }))
        form.card method="post" action=(links::remove_source(&source.name)) {
            (parts::csrf(visit.csrf()))
            (Field::text("confirm", &l.f("remove-confirm", [("source", (&source.name).into())]))
                .error(mistake)
                .render())
            div.actions {
                button.button.danger type="submit" { (icon(icons::REMOVE)) (l.t("source-remove")) }
                a.button.plain href=(links::source(&source.name)) { (l.t("back")) }
            }
        }
    };
    Ok(visit.page(Head::new(Section::Sources, &title), body))
}

/// Forgets a source.
pub async fn remove(
    Path(name): Path<String>,
    Posted { visit, fields }: Posted,
) -> Result<Response, Fault> {
    let l = visit.l;
    if fields.get("confirm") != name {
        let page = remove_page(&visit, name, Some(&l.t("remove-differs"))).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let gone = name.clone();
    visit.ask(move |s| s.remove_source(&gone)).await?;
    Ok(visit.done(
        links::SOURCES,
        Level::Good,
        l.f("removed", [("source", name.into())]),
        l.t("removed-what"),
    ))
}

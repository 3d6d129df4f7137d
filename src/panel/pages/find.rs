//! Finding files by name in all snapshots.

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};

use super::errors::Fault;
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Level};
use super::visit::{Fields, Visit};
use super::{format, links, snapshots};
use crate::engine::{self, EntryKind};
use crate::panel::paths;
use crate::panel::texts::Language;
use crate::service::{FoundView, HitView};

/// Hits on the page; whoever gets more gives more of the name.
const HITS: usize = 200;

/// The form, and below it what was found.
pub async fn show(
    visit: Visit,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let l = visit.l;
    let fields = Fields(query);
    let (text, source) = (fields.get("text").to_owned(), fields.filled("source"));
    let found = match text.is_empty() {
        true => None,
        false => {
            let query = engine::Query {
                text: text.clone(),
                name: source.clone(),
                limit: HITS,
            };
            Some(visit.ask(move |s| s.find_files(&query)).await)
        }
    };
    let all = visit.ask(|s| s.snapshots()).await;
    let names = snapshots::sources(&all.unwrap_or_default());
    let title = l.t("find-title");
    let body = html! {
        nav aria-label=(l.t("trail")) {
            ol.trail {
                li { a href=(links::SNAPSHOTS) { (l.t("nav-snapshots")) } }
                li { span aria-current="page" { (title) } }
            }
        }
        (layout::heading(&title, &l.t("find-lead"), html! {}))
        (form(l, &text, &names, source.as_deref()))
        @match &found {
            None => {}
            Some(Err(fault)) => (fault.notice(l)),
            Some(Ok(found)) => (results(l, found)),
        }
    };
    Ok(visit.page(Head::new(Section::Snapshots, &title), body))
}

/// What is to be looked for, and where.
pub(super) fn form(l: Language, text: &str, names: &[String], source: Option<&str>) -> Markup {
    html! {
        form.search method="get" action=(links::FIND) role="search" {
            label for="text" { (l.t("find-label")) }
            p.hint #text-hint { (l.t("find-hint")) }
            div.actions {
                input #text type="text" name="text" value=(text) required maxlength="255" autocomplete="off" aria-describedby="text-hint";
                @if names.len() > 1 {
                    label.hidden-text for="find-source" { (l.t("col-source")) }
                    select.filter #find-source name="source" {
                        option value="" { (l.t("find-everywhere")) }
                        @for name in names { option selected[source == Some(name)] { (name) } }
                    }
                }
                button.button type="submit" { (l.t("find-do")) }
            }
        }
    }
}

fn results(l: Language, found: &FoundView) -> Markup {
    html! {
        @if found.unread > 0 {
            (parts::notice(Level::Info, &l.f("find-unread", [("n", found.unread.into())]), html! { p { (l.t("find-unread-do")) } }))
        }
        section.card aria-labelledby="hits" {
            div.card-head {
                h2 #hits { (l.t("find-results")) }
                @if !found.more { span.soft { (l.f("count-entries", [("n", found.hits.len().into())])) } }
            }
            @if found.more { p.soft { (l.f("find-more", [("n", found.hits.len().into())])) } }
            @if found.hits.is_empty() {
                (parts::empty(&l.t("find-none"), html! {}))
            } @else {
                table.table.files.found {
                    thead { tr {
                        th scope="col" { (l.t("col-name")) }
                        th.number scope="col" { (l.t("col-size")) }
                        th scope="col" { (l.t("col-changed")) }
                        th scope="col" { (l.t("nav-snapshots")) }
                        th scope="col" { span.hidden-text { (l.t("col-actions")) } }
                    } }
                    tbody { @for hit in &found.hits { (row(l, hit)) } }
                }
            }
        }
    }
}

fn row(l: Language, hit: &HitView) -> Markup {
    let (mark, word) = snapshots::kind(l, hit.kind);
    let (name, folder) = match hit.raw_path.split_last() {
        Some((name, folder)) => (paths::show(&[name]), folder),
        None => (String::new(), &[][..]),
    };
    let id = &hit.last.id;
    // A folder is opened; of anything else, the folder it is in.
    let target = match hit.kind {
        EntryKind::Folder => links::files(id, &hit.raw_path),
        _ => links::files(id, folder),
    };
    html! {
        tr {
            th scope="row" {
                span.entry {
                    (icon(mark))
                    span {
                        span.hidden-text { (word) ": " }
                        a href=(target) { (name) }
                        @if !folder.is_empty() { small.soft { (paths::show(folder)) "/" } }
                    }
                }
            }
            td.number data-label=(l.t("col-size")) {
                @if hit.kind == EntryKind::File { (format::size(l, hit.size)) } @else { "–" }
            }
            td data-label=(l.t("col-changed")) { (parts::when(l, hit.mtime)) }
            td data-label=(l.t("nav-snapshots")) {
                div {
                    (l.f("find-in", [("n", hit.snapshots.into()), ("source", hit.name.as_str().into())]))
                    small.soft { (l.t("find-last")) " " (parts::when(l, hit.last.time)) }
                }
            }
            td.end {
                div.actions {
                    @if matches!(hit.kind, EntryKind::File | EntryKind::Folder) {
                        a.button.plain.slim href=(links::download(id, &hit.raw_path)) download {
                            (icon(icons::DOWNLOAD)) (l.t("download"))
                            span.hidden-text { ": " (name) }
                        }
                    }
                    a.button.plain.slim href=(links::restore(id, &hit.raw_path)) {
                        (icon(icons::RESTORE)) (l.t("restore"))
                        span.hidden-text { ": " (name) }
                    }
                }
            }
        }
    }
}

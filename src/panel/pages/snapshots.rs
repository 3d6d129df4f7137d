//! What is kept: snapshots by source, and the files within one.

use std::collections::BTreeSet;

use axum::extract::{Path, Query};
use axum::response::Response;
use maud::{Markup, html};

use super::errors::Fault;
use super::icons::{self, Icon, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Level};
use super::visit::{Fields, Visit};
use super::{find, format, jobs, links};
use crate::engine::{EntryKind, Snapshot};
use crate::panel::download as stream;
use crate::panel::paths::{QueryAfter, QueryPath};
use crate::panel::texts::Language;
use crate::service::EntryView;

/// Snapshots on one page.
const PAGE: usize = 50;
/// Names on one page of a folder.
const NAMES: usize = 500;

/// Names of the sources that snapshots are of, in order and each once.
pub(super) fn sources(all: &[Snapshot]) -> Vec<String> {
    let names: BTreeSet<&String> = all.iter().map(|s| &s.name).collect();
    names.into_iter().cloned().collect()
}

/// All snapshots, newest first, or those of one source.
pub async fn list(
    visit: Visit,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let l = visit.l;
    let fields = Fields(query);
    let from: usize = fields.get("from").parse().unwrap_or(0);
    let source = fields.filled("source");
    let ready = visit.ask(|s| Ok(s.pool().is_some())).await?;
    // A pool that is not open is said on the page, not instead of it.
    let (mut all, closed) = match visit.ask(|s| s.snapshots()).await {
        Ok(all) => (all, None),
        Err(fault) => (Vec::new(), ready.then_some(fault)),
    };
    let names = sources(&all);
    if let Some(source) = &source {
        all.retain(|s| s.name == *source);
    }
    all.reverse();
    let title = l.t("nav-snapshots");
    let body = html! {
        (layout::heading(&title, &l.t("snapshots-lead"), html! {}))
        @if !names.is_empty() { (find::form(l, "", &names, source.as_deref())) }
        @if names.len() > 1 {
            form.actions method="get" action=(links::SNAPSHOTS) {
                label for="source" { (l.t("snapshots-of")) }
                select.filter #source name="source" {
                    option value="" { (l.t("snapshots-all")) }
                    @for name in &names { option selected[source.as_ref() == Some(name)] { (name) } }
                }
                button.button.plain.slim type="submit" { (l.t("filter")) }
            }
        }
        @if let Some(fault) = &closed { (fault.notice(l)) }
        @else { div.card {
            @if all.is_empty() {
                (parts::empty(&l.t("snapshots-none"), html! {
                    @if ready { a.button href=(links::SOURCES) { (l.t("steps-backup-do")) } }
                    @else { a.button href=(links::DISKS) { (l.t("steps-pool-do")) } }
                }))
            } @else {
                (table(l, all.iter().skip(from).take(PAGE)))
                @let here = source.as_deref().map_or_else(|| links::SNAPSHOTS.to_owned(), links::snapshots_of);
                (jobs::pages(l, &here, "from", from, all.len(), PAGE))
            }
        } }
    };
    Ok(visit.page(Head::new(Section::Snapshots, &title), body))
}

fn table<'a>(l: Language, snapshots: impl Iterator<Item = &'a Snapshot>) -> Markup {
    html! {
        table.table {
            thead { tr {
                th scope="col" { (l.t("col-when")) }
                th scope="col" { (l.t("col-source")) }
                th.number scope="col" { (l.t("figure-files")) }
                th.number scope="col" { (l.t("col-size")) }
                th.number scope="col" { (l.t("figure-stored")) }
                th scope="col" { (l.t("col-state")) }
            } }
            tbody {
                @for snapshot in snapshots {
                    tr {
                        th scope="row" {
                            a href=(links::files::<&[u8]>(&snapshot.id, &[])) { (parts::when(l, snapshot.time)) }
                            small.soft.mono { (short_id(&snapshot.id)) }
                        }
                        td data-label=(l.t("col-source")) { (snapshot.name) }
                        td.number data-label=(l.t("figure-files")) { (format::count(l, snapshot.files)) }
                        td.number data-label=(l.t("col-size")) { (format::size(l, snapshot.bytes)) }
                        td.number data-label=(l.t("figure-stored")) { (format::size(l, snapshot.stored_bytes)) }
                        td data-label=(l.t("col-state")) { div { (whole(l, snapshot)) } }
                    }
                }
            }
        }
    }
}

fn short_id(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn whole(l: Language, snapshot: &Snapshot) -> Markup {
    if snapshot.warnings == 0 {
        parts::badge(Level::Good, &l.t("snapshot-whole"))
    } else {
        let text = l.f("count-warnings", [("n", snapshot.warnings.into())]);
        parts::badge(Level::Warn, &text)
    }
}

/// The way from the list of snapshots to a folder within one.
pub(super) fn trail(l: Language, snapshot: &Snapshot, path: &[Vec<u8>]) -> Markup {
    let name = format!("{} · {}", snapshot.name, format::time(l, snapshot.time));
    html! {
        nav aria-label=(l.t("trail")) {
            ol.trail {
                li { a href=(links::SNAPSHOTS) { (l.t("nav-snapshots")) } }
                li {
                    @if path.is_empty() { span aria-current="page" { (name) } }
                    @else { a href=(links::files::<&[u8]>(&snapshot.id, &[])) { (name) } }
                }
                @for i in 1..=path.len() {
                    @let text = String::from_utf8_lossy(&path[i - 1]);
                    li {
                        @if i == path.len() { span aria-current="page" { (text) } }
                        @else { a href=(links::files(&snapshot.id, &path[..i])) { (text) } }
                    }
                }
            }
        }
    }
}

/// The files of a snapshot, folder by folder.
pub async fn files(
    visit: Visit,
    Path(id): Path<String>,
    QueryPath(path): QueryPath,
    QueryAfter(after): QueryAfter,
) -> Result<Response, Fault> {
    let l = visit.l;
    let (asked, from) = (path.clone(), after.clone());
    let (snapshot, page) = visit
        .ask(move |s| {
            let page = s.browse(&id, &asked, from.as_deref(), NAMES)?;
            Ok((s.snapshot(&id)?, page))
        })
        .await?;
    let entries = &page.entries;
    let whole = after.is_none() && page.next.is_none();
    let title = path.last().map_or_else(
        || snapshot.name.clone(),
        |name| String::from_utf8_lossy(name).into_owned(),
    );
    let here = links::files(&snapshot.id, &path);
    let body = html! {
        (trail(l, &snapshot, &path))
        (layout::heading(&title, "", html! {
            a.button.plain href=(links::download(&snapshot.id, &path)) download {
                (icon(icons::DOWNLOAD))
                @if path.is_empty() { (l.t("download-all")) } @else { (l.t("download-folder")) }
            }
            a.button href=(links::restore(&snapshot.id, &path)) {
                (icon(icons::RESTORE))
                @if path.is_empty() { (l.t("restore-all")) } @else { (l.t("restore-folder")) }
            }
        }))
        @if path.is_empty() { (facts(l, &snapshot)) }
        section.card aria-labelledby="files" {
            div.card-head {
                h2 #files { (l.t("files-title")) }
                @if whole { span.soft { (l.f("count-entries", [("n", entries.len().into())])) } }
            }
            @if entries.is_empty() { (parts::empty(&l.t("files-none"), html! {})) }
            @else {
                table.table.files {
                    thead { tr {
                        th scope="col" { (l.t("col-name")) }
                        th.number scope="col" { (l.t("col-size")) }
                        th scope="col" { (l.t("col-changed")) }
                        th scope="col" { (l.t("col-mode")) }
                        th scope="col" { span.hidden-text { (l.t("col-actions")) } }
                    } }
                    tbody {
                        @for entry in entries { (row(l, &snapshot, &path, entry)) }
                    }
                }
            }
            @if !whole {
                nav.actions aria-label=(l.t("pages")) {
                    @if after.is_some() { a.button.plain.slim href=(here) { (l.t("page-first")) } }
                    @if let Some(next) = &page.next {
                        a.button.plain.slim href=(links::files_after(&snapshot.id, &path, next)) { (l.t("page-after")) }
                    }
                }
            }
        }
    };
    Ok(visit.page(Head::new(Section::Snapshots, &title), body))
}

fn facts(l: Language, snapshot: &Snapshot) -> Markup {
    html! {
        section.card aria-labelledby="facts" {
            div.card-head { h2 #facts { (l.t("snapshot-facts")) } (whole(l, snapshot)) }
            dl.figures {
                div { dt { (l.t("figure-files")) } dd { (format::count(l, snapshot.files)) } }
                div { dt { (l.t("col-size")) } dd { (format::size(l, snapshot.bytes)) } }
                div { dt { (l.t("figure-new")) } dd { (format::size(l, snapshot.new_bytes)) } }
                div { dt { (l.t("figure-stored")) } dd { (format::size(l, snapshot.stored_bytes)) } }
                div { dt { (l.t("col-duration")) } dd { (format::duration(snapshot.millis.div_ceil(1000))) } }
            }
            dl.facts {
                dt { (l.t("col-when")) } dd { (parts::when(l, snapshot.time)) }
                dt { (l.t("col-origin")) } dd.mono { (snapshot.origin) }
                dt { (l.t("snapshot-kind")) }
                dd { @if snapshot.full { (l.t("run-full")) } @else { (l.t("run-incremental")) } }
                dt { (l.t("snapshot-id")) } dd.mono { (snapshot.id) }
            }
        }
    }
}

/// An entry's icon and its type in words.
pub(super) fn kind(l: Language, kind: EntryKind) -> (Icon, std::borrow::Cow<'static, str>) {
    match kind {
        EntryKind::Folder => (icons::FOLDER, l.t("type-folder")),
        EntryKind::File => (icons::FILE, l.t("type-file")),
        EntryKind::Symlink => (icons::LINK, l.t("type-link")),
        EntryKind::Fifo => (icons::OTHER, l.t("type-fifo")),
        EntryKind::Socket => (icons::OTHER, l.t("type-socket")),
        EntryKind::CharDevice | EntryKind::BlockDevice => (icons::OTHER, l.t("type-device")),
    }
}

fn row(l: Language, snapshot: &Snapshot, folder: &[Vec<u8>], entry: &EntryView) -> Markup {
    let mut path = folder.to_vec();
    path.push(entry.raw_name.clone());
    let (mark, word) = kind(l, entry.kind);
    let loadable = matches!(entry.kind, EntryKind::File | EntryKind::Folder);
    html! {
        tr {
            th scope="row" {
                span.entry {
                    (icon(mark))
                    span {
                        span.hidden-text { (word) ": " }
                        @if entry.kind == EntryKind::Folder {
                            a href=(links::files(&snapshot.id, &path)) { (entry.name) }
                        } @else { (entry.name) }
                        @if let Some(target) = &entry.target { small.soft { "→ " (target) } }
                    }
                }
            }
            td.number data-label=(l.t("col-size")) {
                @if entry.kind == EntryKind::File { (format::size(l, entry.size)) } @else { "–" }
            }
            td data-label=(l.t("col-changed")) { (parts::when(l, entry.mtime)) }
            td.mono.nowrap data-label=(l.t("col-mode")) { (format::mode(entry.mode)) }
            td.end {
                div.actions {
                    @if loadable {
                        a.button.plain.slim href=(links::download(&snapshot.id, &path)) download {
                            (icon(icons::DOWNLOAD)) (l.t("download"))
                            span.hidden-text { ": " (entry.name) }
                        }
                    }
                    a.button.plain.slim href=(links::restore(&snapshot.id, &path)) {
                        (icon(icons::RESTORE)) (l.t("restore"))
                        span.hidden-text { ": " (entry.name) }
                    }
                }
            }
        }
    }
}

/// A file, or a folder as one archive.
pub async fn download(
    visit: Visit,
    Path(id): Path<String>,
    path: QueryPath,
) -> Result<Response, Fault> {
    Ok(stream::respond(&visit.app, id, path.0).await?)
}

//! Restoring back to a source: where to, and the person's confirmation.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::errors::Fault;
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Field, Level};
use super::visit::{Fields, Mistakes, Posted, Visit};
use super::{format, links, snapshots};
use crate::engine::{EntryKind, Snapshot};
use crate::panel::paths::{QueryPath, show as in_words};
use crate::panel::texts::Key;
use crate::service::{EntryView, RestoreRequest, SourceView};

struct Plan {
    snapshot: Snapshot,
    entry: EntryView,
    sources: Vec<SourceView>,
    /// Where a restore without target would go, for the source it came from.
    beside: Option<String>,
}

async fn plan(visit: &Visit, id: String, path: Vec<Vec<u8>>) -> Result<Plan, Fault> {
    visit
        .ask(move |s| {
            let snapshot = s.snapshot(&id)?;
            let entry = s.entry(&id, &path)?;
            let sources = s.sources()?;
            let known = sources.iter().any(|s| s.name == snapshot.name);
            let beside = if known {
                Some(s.default_target(&snapshot.name)?)
            } else {
                None
            };
            Ok(Plan {
                snapshot,
                entry,
                sources,
                beside,
            })
        })
        .await
}

/// The form.
pub async fn show(
    visit: Visit,
    Path(id): Path<String>,
    path: QueryPath,
) -> Result<Response, Fault> {
    let plan = plan(&visit, id, path.0.clone()).await?;
    let fields = Fields(vec![("source".to_owned(), plan.snapshot.name.clone())]);
    let page = form(&visit, &plan, &path.0, &fields, &Mistakes::default(), None);
    Ok(page)
}

fn form(
    visit: &Visit,
    plan: &Plan,
    path: &[Vec<u8>],
    fields: &Fields,
    mistakes: &Mistakes,
    trouble: Option<Markup>,
) -> Response {
    let l = visit.l;
    let failed = trouble.is_some() || !mistakes.none();
    let title = l.t("restore-title");
    let here = links::restore(&plan.snapshot.id, path);
    let parent = path.split_last().map_or(path, |(_, rest)| rest);
    let back = if plan.entry.kind == EntryKind::Folder {
        path
    } else {
        parent
    };
    let body = html! {
        (snapshots::trail(l, &plan.snapshot, path))
        (layout::heading(&title, "", html! {}))
        @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
        section.card aria-labelledby="what" {
            h2 #what { (l.t("restore-what")) }
            dl.facts {
                dt { (l.t("col-path")) }
                dd.mono { @if path.is_empty() { (l.t("restore-everything")) } @else { (in_words(path)) } }
                dt { (l.t("restore-from")) }
                dd { (plan.snapshot.name) " · " (parts::when(l, plan.snapshot.time)) }
                @if plan.entry.kind == EntryKind::File {
                    dt { (l.t("col-size")) } dd { (format::size(l, plan.entry.size)) }
                }
            }
        }
        @if plan.sources.is_empty() {
            (parts::notice(Level::Warn, &l.t("restore-no-source"), html! {
                p { (l.t("restore-no-source-do")) }
                p { a.button.plain href=(links::NEW_SOURCE) { (l.t("source-add")) } }
            }))
        } @else {
            form.card method="post" action=(here) {
                h2 { (l.t("restore-where")) }
                (parts::csrf(visit.csrf()))
                div.field {
                    label for="source" { (l.t("restore-source")) }
                    select #source name="source" {
                        @for source in &plan.sources {
                            option value=(source.name) selected[source.name == fields.get("source")] {
                                (source.name) " – " (source.origin)
                            }
                        }
                    }
                }
                @let hint = match &plan.beside {
                    Some(beside) => l.f("restore-target-hint", [("folder", beside.into())]),
                    None => l.t("restore-target-hint-unknown"),
                };
                (Field::text("target", &l.t("restore-target"))
                    .hint(&hint)
                    .value(fields.get("target"))
                    .error(mistakes.of("target"))
                    .optional()
                    .render())
                (parts::notice(Level::Info, &l.t("restore-replaces"), html! { p { (l.t("restore-replaces-what")) } }))
                (parts::tick("sure", "yes", false, true, &l.t("restore-sure")))
                @if let Some(mistake) = mistakes.of("sure") {
                    p.field-error { (icon(icons::BAD)) span { (mistake) } }
                }
                div.actions {
                    button.button type="submit" { (icon(icons::RESTORE)) (l.t("restore-button")) }
                    a.button.plain href=(links::files(&plan.snapshot.id, back)) { (l.t("back")) }
                }
            }
        }
    };
    let page = visit.page(Head::new(Section::Snapshots, &title), body);
    if failed {
        (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
    } else {
        page
    }
}

/// Starts the restore and goes to its job.
pub async fn restore(
    Path(id): Path<String>,
    path: QueryPath,
    Posted { visit, fields }: Posted,
) -> Result<Response, Fault> {
    let l = visit.l;
    let path = path.0;
    let plan = plan(&visit, id, path.clone()).await?;
    let target = fields.filled("target");
    let mut mistakes = Mistakes::default();
    if target.as_ref().is_some_and(|t| !t.starts_with('/')) {
        mistakes.add("target", l.t("source-path-wrong"));
    }
    if !fields.has("sure") {
        mistakes.add("sure", l.t("restore-not-sure"));
    }
    if !mistakes.none() {
        return Ok(form(&visit, &plan, &path, &fields, &mistakes, None));
    }
    let request = RestoreRequest {
        snapshot: plan.snapshot.id.clone(),
        path: path.clone(),
        source: fields.get("source").to_owned(),
        target,
    };
    match visit.ask(move |s| s.run_restore(&request)).await {
        Ok(job) => Ok(Redirect::to(&links::job(job)).into_response()),
        Err(fault) => {
            let trouble = fault.refusal(l, Key("fail-restore"));
            Ok(form(
                &visit,
                &plan,
                &path,
                &fields,
                &mistakes,
                Some(trouble),
            ))
        }
    }
}

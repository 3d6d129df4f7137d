//! "Is everything well?" One clear verdict with its reasons and what to do
//! next; for a new box, the steps to its first backup instead.

use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};

use super::errors::{self, Fault};
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Level};
use super::visit::Visit;
use super::{disk_words, disks, format, jobs, links, live};
use crate::panel::texts::Language;
use crate::service::{Finding, FindingCode, Overview, Reason, Severity, SourceView};

/// The first page.
pub async fn show(visit: Visit) -> Result<Response, Fault> {
    let l = visit.l;
    let view = visit.ask(|service| service.overview()).await?;
    let words = visit.desk.words(&visit.session.user).is_some();
    let title = l.t("nav-today");
    let body = html! {
        (layout::heading(&l.t("today-question"), &l.f("today-as-of", [
            ("time", format::time(l, Timestamp::now()).into()),
        ]), html! {}))
        @if words { (disks::words_waiting(l)) }
        @if new_box(&view) { (steps(l, &view)) } @else { (verdict(l, &view)) }
        @if !view.active.is_empty() { (active(l, &view)) }
        @if !view.sources.is_empty() { (sources(&visit, &view)) }
        div.columns {
            @if let Some(pool) = &view.pool { (disks::pool_card(l, pool, true)) }
            @if !new_box(&view) { (provider(l, &view)) }
        }
        @if !view.recent.is_empty() {
            section.card aria-labelledby="recent" {
                div.card-head {
                    h2 #recent { (l.t("today-recent")) }
                    a href=(links::JOBS) { (l.t("today-all-jobs")) }
                }
                (jobs::table(l, view.recent.iter().take(5)))
            }
        }
    };
    let mut head = Head::new(Section::Today, &title);
    head.refresh = (!view.active.is_empty()).then_some(5);
    Ok(visit.page(head, body))
}

/// Nothing was ever backed up: the page leads through the steps.
fn new_box(view: &Overview) -> bool {
    view.sources.iter().all(|s| s.last.is_none())
        && !view.findings.iter().any(|f| {
            !matches!(
                f.code,
                FindingCode::PoolNone
                    | FindingCode::DiskNew
                    | FindingCode::SourcesNone
                    | FindingCode::SourceNever
                    | FindingCode::ProviderNone
                    | FindingCode::ReplicationNever
            )
        })
}

fn steps(l: Language, view: &Overview) -> Markup {
    let (pool, source) = (view.pool.is_some(), !view.sources.is_empty());
    let copying = !view.active.is_empty();
    let step = |done: bool, next: bool| match (done, next) {
        (true, _) => "done",
        (false, true) => "next",
        (false, false) => "later",
    };
    html! {
        section.card aria-labelledby="steps" {
            h2 #steps { (l.t("steps-title")) }
            p { (l.t("steps-lead")) }
            ol.steps {
                li.(step(pool, true)) {
                    div {
                        h3 { (l.t("steps-pool")) @if pool { " " (parts::badge(Level::Good, &l.t("steps-done"))) } }
                        p.soft { (l.t("steps-pool-why")) }
                        @if !pool { p { a.button href=(links::DISKS) { (l.t("steps-pool-do")) } } }
                    }
                }
                li.(step(source, pool)) {
                    div {
                        h3 { (l.t("steps-source")) @if source { " " (parts::badge(Level::Good, &l.t("steps-done"))) } }
                        p.soft { (l.t("steps-source-why")) }
                        @if pool && !source { p { a.button href=(links::NEW_SOURCE) { (l.t("steps-source-do")) } } }
                    }
                }
                li.(step(false, pool && source)) {
                    div {
                        h3 { (l.t("steps-backup")) }
                        p.soft { (l.t("steps-backup-why")) }
                        @if pool && source && !copying {
                            p { a.button href=(links::SOURCES) { (l.t("steps-backup-do")) } }
                        }
                    }
                }
            }
        }
    }
}

fn verdict(l: Language, view: &Overview) -> Markup {
    let worst = view.findings.iter().map(|f| f.severity).max();
    let matters = view
        .findings
        .iter()
        .filter(|f| f.severity > Severity::Info)
        .count();
    let (level, title, lead) = match worst {
        Some(Severity::Critical) => (
            Level::Bad,
            l.t("verdict-bad"),
            l.f("verdict-bad-lead", [("n", matters.into())]),
        ),
        Some(Severity::Warning) => (
            Level::Warn,
            l.t("verdict-warn"),
            l.f("verdict-warn-lead", [("n", matters.into())]),
        ),
        _ => (Level::Good, l.t("verdict-good"), l.t("verdict-good-lead")),
    };
    html! {
        section.verdict.(level.class()) aria-labelledby="verdict" {
            (icon(level.icon()))
            div {
                h2 #verdict { (title) }
                p { (lead) }
                @if !view.findings.is_empty() {
                    ul.reasons {
                        @for finding in &view.findings { (reason(l, finding)) }
                    }
                }
            }
        }
    }
}

fn reason(l: Language, finding: &Finding) -> Markup {
    let level = match finding.severity {
        Severity::Info => Level::Info,
        Severity::Warning => Level::Warn,
        Severity::Critical => Level::Bad,
    };
    let word = match finding.severity {
        Severity::Info => l.t("severity-info"),
        Severity::Warning => l.t("severity-warning"),
        Severity::Critical => l.t("severity-critical"),
    };
    let said = wording(l, finding);
    html! {
        li {
            span.(level.class()) { (icon(level.icon())) span.hidden-text { (word) ": " } }
            div {
                p { strong { (said.what) } }
                p { (said.advice) " " @if let Some((to, text)) = said.link { a href=(to) { (text) } } }
                @if let Some(message) = said.detail { (errors::detail(l, message)) }
            }
        }
    }
}

struct Said<'a> {
    what: String,
    advice: String,
    link: Option<(String, String)>,
    detail: Option<&'a str>,
}

fn wording(l: Language, finding: &Finding) -> Said<'_> {
    let p = |name: &str| finding.params.get(name).map_or("", String::as_str);
    let number = |name: &str| p(name).parse::<u64>().unwrap_or(0);
    let age = || {
        let hours = number("hours");
        if hours < 48 {
            l.f("age-hours", [("n", hours.into())]).into_owned()
        } else {
            l.f("age-days", [("n", (hours / 24).into())]).into_owned()
        }
    };
    let to_job = || Some((links::job(p("job")), l.t("see-job").into_owned()));
    let to_source = || Some((links::source(p("source")), l.t("see-source").into_owned()));
    let to = |target: &str, text: std::borrow::Cow<'_, str>| {
        Some((target.to_owned(), text.into_owned()))
    };
    let said = |what: std::borrow::Cow<'_, str>, advice: std::borrow::Cow<'_, str>, link| Said {
        what: what.into_owned(),
        advice: advice.into_owned(),
        link,
        detail: None,
    };
    let with_detail = |said: Said<'static>, name: &str| (said, finding.params.get(name));
    let (said, detail) = match finding.code {
        FindingCode::PoolNone => (
            said(
                l.t("find-pool-none"),
                l.t("find-pool-none-do"),
                to(links::DISKS, l.t("see-disks")),
            ),
            None,
        ),
        FindingCode::PoolDegraded => (
            said(
                l.f("find-pool-degraded", [("missing", p("missing").into())]),
                l.t("find-pool-degraded-do"),
                to(links::DISKS, l.t("see-disks")),
            ),
            None,
        ),
        FindingCode::PoolFailed => with_detail(
            said(
                l.t("find-pool-failed"),
                l.t("find-pool-failed-do"),
                to(links::DISKS, l.t("see-disks")),
            ),
            "problem",
        ),
        FindingCode::PoolNearlyFull => (
            said(
                l.f(
                    "find-pool-full",
                    [
                        ("free", format::size(l, number("free")).into()),
                        ("total", format::size(l, number("total")).into()),
                    ],
                ),
                l.t("find-pool-full-do"),
                to(links::DISKS, l.t("see-disks")),
            ),
            None,
        ),
        FindingCode::PoolHealed => (
            said(
                l.f("find-pool-healed", [("n", number("count").into())]),
                l.t("find-pool-healed-do"),
                to(links::DISKS, l.t("see-disks")),
            ),
            None,
        ),
        FindingCode::PoolLost => (
            said(
                l.f("find-pool-lost", [("n", number("count").into())]),
                l.t("find-pool-lost-do"),
                to(links::DISKS, l.t("see-disks")),
            ),
            None,
        ),
        FindingCode::PoolWaits => with_detail(
            said(l.t("find-pool-waits"), l.t("find-pool-waits-do"), to_job()),
            "message",
        ),
        FindingCode::DiskFailing | FindingCode::DiskWorn | FindingCode::DiskNew => {
            let reason = Reason::parse(p("reason")).unwrap_or(Reason::WellUnknown);
            let disk = match p("slot") {
                "" => l.f("find-disk", [("serial", p("serial").into())]),
                slot => l.f(
                    "find-disk-slot",
                    [("serial", p("serial").into()), ("slot", slot.into())],
                ),
            };
            let why = disk_words::why(l, reason, number("value"));
            let todo = disk_words::what_to_do(l, reason).unwrap_or_default();
            (
                said(
                    format!("{disk} · {why}").into(),
                    todo.into(),
                    to(&links::disk(p("serial")), l.t("see-disk")),
                ),
                None,
            )
        }
        FindingCode::SourcesNone => (
            said(
                l.t("find-sources-none"),
                l.t("find-sources-none-do"),
                to(links::NEW_SOURCE, l.t("source-add")),
            ),
            None,
        ),
        FindingCode::SourceNever => (
            said(
                l.f("find-source-never", [("source", p("source").into())]),
                l.t("find-source-never-do"),
                to_source(),
            ),
            None,
        ),
        FindingCode::SourceOld => (
            said(
                l.f(
                    "find-source-old",
                    [("source", p("source").into()), ("age", age().into())],
                ),
                l.t("find-source-old-do"),
                to_source(),
            ),
            None,
        ),
        FindingCode::SourceFailed => with_detail(
            said(
                l.f("find-source-failed", [("source", p("source").into())]),
                l.t("find-source-failed-do"),
                to_job(),
            ),
            "message",
        ),
        FindingCode::SourceWarnings => (
            said(
                l.f(
                    "find-source-warnings",
                    [
                        ("source", p("source").into()),
                        ("n", number("count").into()),
                    ],
                ),
                l.t("find-source-warnings-do"),
                to_job(),
            ),
            None,
        ),
        FindingCode::ProviderNone => (
            said(
                l.t("find-provider-none"),
                l.t("find-provider-none-do"),
                to(links::PROVIDER, l.t("see-provider")),
            ),
            None,
        ),
        FindingCode::ReplicationNever => (
            said(
                l.t("find-replication-never"),
                l.t("find-replication-never-do"),
                to(links::PROVIDER, l.t("see-provider")),
            ),
            None,
        ),
        FindingCode::ReplicationOld => (
            said(
                l.f("find-replication-old", [("age", age().into())]),
                l.t("find-replication-old-do"),
                to(links::PROVIDER, l.t("see-provider")),
            ),
            None,
        ),
        FindingCode::ReplicationFailed => with_detail(
            said(
                l.t("find-replication-failed"),
                l.t("find-replication-failed-do"),
                to_job(),
            ),
            "message",
        ),
        FindingCode::VerifyDamage => (
            said(
                l.f("find-verify-damage", [("n", number("count").into())]),
                l.t("find-verify-damage-do"),
                to_job(),
            ),
            None,
        ),
        FindingCode::VerifyFailed => with_detail(
            said(
                l.t("find-verify-failed"),
                l.t("find-verify-failed-do"),
                to_job(),
            ),
            "message",
        ),
    };
    Said {
        detail: detail.map(String::as_str),
        ..said
    }
}

fn active(l: Language, view: &Overview) -> Markup {
    html! {
        section.card aria-labelledby="active" {
            h2 #active { (l.t("today-active")) }
            @for job in &view.active {
                h3 { a href=(links::job(job.id)) { (jobs::title(l, job)) } }
                div data-live=(links::live(job.id, true)) { (live::short(l, job, None)) }
            }
        }
    }
}

fn sources(visit: &Visit, view: &Overview) -> Markup {
    let l = visit.l;
    html! {
        section.card aria-labelledby="sources" {
            div.card-head {
                h2 #sources { (l.t("today-sources")) }
                a href=(links::SOURCES) { (l.t("today-all-sources")) }
            }
            table.table {
                thead { tr {
                    th scope="col" { (l.t("col-source")) }
                    th scope="col" { (l.t("col-last-backup")) }
                    th scope="col" { (l.t("col-state")) }
                    th.number scope="col" { (l.t("col-size")) }
                } }
                tbody {
                    @for source in &view.sources {
                        tr {
                            th scope="row" { a href=(links::source(&source.name)) { (source.name) } }
                            td data-label=(l.t("col-last-backup")) {
                                @if let Some(last) = &source.last {
                                    a href=(links::files::<&[u8]>(&last.id, &[])) { (parts::when(l, last.time)) }
                                    small.soft { (format::ago(l, last.time, Timestamp::now())) }
                                } @else { (l.t("never")) }
                            }
                            td data-label=(l.t("col-state")) { (source_state(l, view, source)) }
                            td.number data-label=(l.t("col-size")) {
                                @if let Some(last) = &source.last { (format::size(l, last.bytes)) } @else { "–" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The worst that was found about a source, else that it is protected.
fn source_state(l: Language, view: &Overview, source: &SourceView) -> Markup {
    if source.job.is_some() {
        return parts::tag(icons::RUN, "info", &l.t("source-running"));
    }
    let found = view
        .findings
        .iter()
        .find(|f| f.params.get("source") == Some(&source.name));
    match found.map(|f| f.code) {
        Some(FindingCode::SourceFailed) => parts::badge(Level::Bad, &l.t("source-failed")),
        Some(FindingCode::SourceOld) => parts::badge(Level::Warn, &l.t("source-old")),
        Some(FindingCode::SourceWarnings) => parts::badge(Level::Warn, &l.t("source-warnings")),
        _ if source.last.is_none() => parts::badge(Level::Warn, &l.t("source-never")),
        _ => parts::badge(Level::Good, &l.t("source-good")),
    }
}

fn provider(l: Language, view: &Overview) -> Markup {
    let provider = &view.provider;
    html! {
        section.card aria-labelledby="provider" {
            div.card-head {
                h2 #provider { (l.t("nav-provider")) }
                a href=(links::PROVIDER) { (l.t("see-provider")) }
            }
            @if provider.configured {
                dl.facts {
                    dt { (l.t("provider-bucket")) } dd { (provider.bucket) }
                    dt { (l.t("provider-last-success")) }
                    dd {
                        @if let Some(at) = provider.last_success { (parts::when_ago(l, at)) }
                        @else { (l.t("never")) }
                    }
                }
            } @else {
                p { (l.t("provider-none")) }
            }
        }
    }
}

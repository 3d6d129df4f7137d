//! The disks of the box, the pool on them, and the first step of making one.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::errors::{self, Fault};
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Level};
use super::visit::{Fields, Posted, Visit};
use super::{care, disk, disk_words, format, links};
use crate::devices::{Contents, Disk};
use crate::panel::texts::Language;
use crate::pool::PoolState;
use crate::service::{DiskView, PoolView};

/// Disks and pool.
pub async fn show(visit: Visit) -> Result<Response, Fault> {
    let l = visit.l;
    let (pool, disks, looked_after, damage, since) = visit
        .ask(|s| {
            Ok((
                s.pool(),
                s.disk_views(),
                s.pool_care()?,
                s.pool_damage(),
                s.verified_since(),
            ))
        })
        .await?;
    let title = l.t("nav-disks");
    let words = visit.desk.words(&visit.session.user).is_some();
    let body = html! {
        (layout::heading(&title, &l.t("disks-lead"), html! {
            @if pool.is_some() {
                a.button href=(links::ADD_DISKS) { (icon(icons::ADD)) (l.t("action-add-disks")) }
                a.button.plain href=(links::KEYS) { (icon(icons::KEY)) (l.t("keys-title")) }
                (parts::post_button(visit.csrf(), links::RESCAN, "plain", icons::RUN, &l.t("disks-rescan")))
            }
        }))
        @if words { (words_waiting(l)) }
        @if let Some(pool) = &pool {
            (pool_card(l, pool, false))
        }
        @match &disks {
            Err(e) => (errors::trouble(l, None, e.kind(), &e.to_string())),
            Ok(disks) if pool.is_some() => (table(&visit, disks)),
            Ok(disks) => {
                @let disks: Vec<Disk> = disks.iter().map(|view| view.disk.clone()).collect();
                (choose(l, &disks, &Fields::default(), None))
            }
        }
        @if pool.is_some() {
            (care::damage(l, &damage))
            (care::card(&visit, &looked_after, since))
            (verify_card(&visit))
        }
    };
    Ok(visit.page(Head::new(Section::Disks, &title), body))
}

/// Looks for the pool's disks again.
pub async fn rescan(Posted { visit, .. }: Posted) -> Response {
    let l = visit.l;
    match visit.ask(|s| s.rescan()).await {
        Ok(pool) => {
            let (level, word) = pool_state(l, pool.status.state);
            visit.done(
                links::DISKS,
                level,
                l.t("rescan-done"),
                l.f("rescan-result", [("state", word.into())]),
            )
        }
        Err(fault) => {
            let (title, body) = fault.words(l);
            visit.done(links::DISKS, Level::Bad, title, body)
        }
    }
}

/// Starts a verification.
pub async fn verify(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let data = fields.get("data") == "all";
    match visit.ask(move |s| s.run_verify(data)).await {
        Ok(id) => Redirect::to(&links::job(id)).into_response(),
        Err(fault) => {
            let (title, body) = fault.words(l);
            visit.done(links::DISKS, Level::Bad, title, body)
        }
    }
}

/// The reminder that recovery words wait to be written down.
pub(super) fn words_waiting(l: Language) -> Markup {
    parts::notice(
        Level::Warn,
        &l.t("words-waiting"),
        html! {
            p { (l.t("words-waiting-do")) }
            p { a.button.plain href=(links::WORDS) { (icon(icons::KEY)) (l.t("words-waiting-link")) } }
        },
    )
}

pub(super) fn pool_state(l: Language, state: PoolState) -> (Level, String) {
    let (level, word) = match state {
        PoolState::Ok => (Level::Good, l.t("pool-ok")),
        PoolState::Degraded => (Level::Warn, l.t("pool-degraded")),
        PoolState::Failed => (Level::Bad, l.t("pool-failed")),
    };
    (level, word.into_owned())
}

/// The pool in a few facts.
pub(super) fn pool_card(l: Language, pool: &PoolView, link: bool) -> Markup {
    let status = &pool.status;
    let (level, word) = pool_state(l, status.state);
    let used = status.total.saturating_sub(status.free);
    let percent =
        u64::try_from(u128::from(used) * 100 / u128::from(status.total.max(1))).unwrap_or(100);
    html! {
        section.card aria-labelledby="pool" {
            div.card-head {
                h2 #pool { (l.t("pool-title")) }
                @if link { a href=(links::DISKS) { (l.t("see-disks")) } }
            }
            dl.facts {
                dt { (l.t("col-state")) } dd { (parts::badge(level, &word)) }
                dt { (l.t("pool-redundancy")) }
                dd {
                    (protection(l, status.redundancy.parity.into()))
                    span.soft { " (" (status.redundancy) ")" }
                }
                @if !link { dt { (l.t("pool-id")) } dd.mono { (status.id) } }
            }
            @if status.total > 0 {
                @let text = l.f("pool-used", [
                    ("used", format::size(l, used).into()),
                    ("total", format::size(l, status.total).into()),
                    ("free", format::size(l, status.free).into()),
                ]);
                progress value=(percent) max="100" aria-label=(l.t("pool-use")) {}
                p { (text) }
            }
            @if let Some(problem) = &pool.problem {
                (parts::notice(Level::Bad, &l.t("find-pool-failed"), html! {
                    p { (l.t("find-pool-failed-do")) }
                    (errors::detail(l, problem))
                    p { a href=(links::KEYS) { (l.t("keys-see")) } }
                }))
            }
        }
    }
}

/// How many disks may fail, in words.
pub(super) fn protection(l: Language, parity: u64) -> Markup {
    html! { (l.f("may-fail", [("n", parity.into())])) }
}

fn verify_card(visit: &Visit) -> Markup {
    let l = visit.l;
    html! {
        section.card aria-labelledby="verify" {
            h2 #verify { (l.t("verify-title")) }
            p { (l.t("verify-lead")) }
            form method="post" action=(links::VERIFY) {
                (parts::csrf(visit.csrf()))
                fieldset {
                    legend.hidden-text { (l.t("verify-title")) }
                    (parts::choice("data", "index", true, &l.t("verify-quick"), &l.t("verify-quick-what")))
                    (parts::choice("data", "all", false, &l.t("verify-all"), &l.t("verify-all-what")))
                }
                button.button.plain type="submit" { (icon(icons::GOOD)) (l.t("verify-button")) }
            }
        }
    }
}

fn table(visit: &Visit, disks: &[DiskView]) -> Markup {
    let l = visit.l;
    html! {
        section.card aria-labelledby="disks" {
            h2 #disks { (l.t("disks-title")) }
            @if disks.is_empty() { (parts::empty(&l.t("disks-none"), html! {})) }
            @else {
                table.table {
                    thead { tr {
                        th scope="col" { (l.t("col-disk")) }
                        th scope="col" { (l.t("col-slot")) }
                        th scope="col" { (l.t("col-state")) }
                        th.number scope="col" { (l.t("col-size")) }
                        th.number scope="col" { (l.t("col-temperature")) }
                        th scope="col" { (l.t("col-which")) }
                    } }
                    tbody { @for view in disks { (row(visit, view)) } }
                }
            }
        }
    }
}

fn row(visit: &Visit, view: &DiskView) -> Markup {
    let (l, shown) = (visit.l, &view.disk);
    let (level, word) = disk_words::state(l, view.state);
    let (why, todo) = disk_words::reason(l, view);
    html! {
        tr {
            th scope="row" {
                a.mono href=(links::disk(&view.called)) { (view.called) }
                small.soft {
                    @if !shown.model.is_empty() { (shown.model) " · " }
                    (disk_words::place(l, view.place))
                }
            }
            td data-label=(l.t("col-slot")) { (shown.slot.as_deref().unwrap_or("–")) }
            td data-label=(l.t("col-state")) {
                div {
                    (parts::badge(level, &word))
                    small.soft { (why) " " @if let Some(todo) = todo { (todo) } }
                }
            }
            td.number data-label=(l.t("col-size")) { (format::size(l, shown.size)) }
            td.number data-label=(l.t("col-temperature")) { (disk::degrees(shown.smart.temperature)) }
            td data-label=(l.t("col-which")) {
                @if view.there { (disk::identify_button(visit, view, "plain slim")) } @else { "–" }
            }
        }
    }
}

fn head(l: Language) -> Markup {
    html! {
        th scope="col" { (l.t("col-disk")) }
        th scope="col" { (l.t("col-serial")) }
        th.number scope="col" { (l.t("col-size")) }
        th scope="col" { (l.t("col-smart")) }
        th scope="col" { (l.t("col-contents")) }
    }
}

fn cells(l: Language, disk: &Disk) -> Markup {
    let kind = if disk.rotational {
        l.t("disk-rotational")
    } else {
        l.t("disk-solid")
    };
    html! {
        th scope="row" {
            (disk.name)
            small.soft {
                @if !disk.model.is_empty() { (disk.model) " · " }
                (disk.transport) @if !disk.transport.is_empty() { " · " } (kind)
            }
        }
        td data-label=(l.t("col-serial")) {
            span.mono { @if disk.serial.is_empty() { "–" } @else { (disk.serial) } }
        }
        td.number data-label=(l.t("col-size")) { (format::size(l, disk.size)) }
        td data-label=(l.t("col-smart")) { (smart(l, disk)) }
        td data-label=(l.t("col-contents")) {
            (contents(l, &disk.contents))
        }
    }
}

fn smart(l: Language, disk: &Disk) -> Markup {
    let (level, word) = match disk.smart.passed {
        Some(true) => (Level::Good, l.t("smart-passed")),
        Some(false) => (Level::Bad, l.t("smart-failed")),
        None => (Level::Info, l.t("smart-unknown")),
    };
    html! {
        div {
            (parts::badge(level, &word))
            small.soft {
                @if let Some(degrees) = disk.smart.temperature { (degrees) "\u{a0}°C " }
                @if let Some(hours) = disk.smart.power_on_hours {
                    span.nowrap { (l.f("smart-hours", [("n", hours.into())])) }
                }
            }
        }
    }
}

pub(super) fn contents(l: Language, contents: &Contents) -> Markup {
    html! {
        @match contents {
            Contents::Blank => { (l.t("contents-blank")) }
            Contents::System => { (parts::tag(icons::INFO, "info", &l.t("contents-system"))) }
            Contents::Member { pool: Some(id), .. } => {
                div {
                    (l.t("contents-member"))
                    small.soft.mono { (id.get(..8).unwrap_or(id)) }
                }
            }
            Contents::Member { pool: None, .. } => { (l.t("contents-prepared")) }
            Contents::Other { what } => {
                div {
                    (parts::badge(Level::Warn, &l.t("contents-other")))
                    small.soft lang="en" { (what) }
                }
            }
        }
    }
}

/// By what people call a disk: its serial number, or its name if it has none.
pub(super) fn called(disk: &Disk) -> &str {
    if disk.serial.is_empty() {
        &disk.name
    } else {
        &disk.serial
    }
}

/// Whether a disk may be chosen for a new pool.
pub(super) fn usable(disk: &Disk) -> bool {
    disk.contents != Contents::System
}

/// First step of making the pool: what each disk is to do.
pub(super) fn choose(
    l: Language,
    disks: &[Disk],
    chosen: &Fields,
    mistake: Option<&str>,
) -> Markup {
    html! {
        form.card method="get" action=(links::NEW_POOL) aria-labelledby="choose" {
            h2 #choose { (l.t("choose-title")) }
            p { (l.t("choose-lead")) }
            @if let Some(mistake) = mistake {
                div role="alert" { (parts::notice(Level::Bad, mistake, html! { p { (l.t("choose-again")) } })) }
            }
            @if disks.iter().any(usable) {
                table.table {
                    thead { tr { (head(l)) th scope="col" { (l.t("col-use")) } } }
                    tbody {
                        @for (i, disk) in disks.iter().enumerate() {
                            tr {
                                (cells(l, disk))
                                td data-label=(l.t("col-use")) { (role(l, i, disk, chosen)) }
                            }
                        }
                    }
                }
                p.soft { (l.t("choose-spare")) }
                button.button type="submit" { (l.t("choose-next")) }
            } @else {
                (parts::empty(&l.t("disks-none"), html! {}))
            }
        }
    }
}

fn role(l: Language, i: usize, disk: &Disk, chosen: &Fields) -> Markup {
    let name = format!("disk.{}", called(disk));
    let now = chosen.get(&name);
    html! {
        @if usable(disk) {
            label.hidden-text for={ "use-" (i) } {
                (l.f("choose-use-of", [("disk", called(disk).into())]))
            }
            select id={ "use-" (i) } name=(name) {
                option value="" { (l.t("use-none")) }
                option value="data" selected[now == "data"] { (l.t("use-data")) }
                option value="spare" selected[now == "spare"] { (l.t("use-spare")) }
            }
        } @else {
            (l.t("use-impossible"))
        }
    }
}

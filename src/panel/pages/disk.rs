//! One disk: how it is and why, where it stands, what it said over time, and
//! what a person can do with it.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};

use super::errors::Fault;
use super::icons;
use super::layout::{self, Head, Section};
use super::parts::{self, Level};
use super::visit::{Posted, Visit};
use super::{disk_words, format, links, members};
use crate::devices::{SelfTest, TestOutcome};
use crate::panel::texts::Language;
use crate::service::{DiskView, Sample};

/// Figures shown, one a day.
const DAYS: usize = 30;

/// A disk.
pub async fn show(visit: Visit, Path(serial): Path<String>) -> Result<Response, Fault> {
    let l = visit.l;
    let asked = serial.clone();
    let (view, samples, pool) = visit
        .ask(move |s| {
            // A disk just plugged in has no history yet.
            let samples = s.disk_history(&asked).unwrap_or_default();
            let open = s.pool().is_some_and(|pool| pool.problem.is_none());
            Ok((s.disk_view(&asked)?, samples, open))
        })
        .await?;
    let title = l.f("disk-title", [("disk", (&view.called).into())]);
    let body = html! {
        (trail(l, &view.called))
        (layout::heading(&title, &view.disk.model, html! {
            @if view.there { (identify_button(&visit, &view, "plain")) }
            @if pool { (members::actions(&visit, &view)) }
        }))
        (verdict(l, &view))
        div.columns {
            (facts(l, &view))
            (health(&visit, &view))
        }
        (history(l, &samples))
    };
    Ok(visit.page(Head::new(Section::Disks, &title), body))
}

/// Where in the panel a page about a disk is.
pub(super) fn trail(l: Language, called: &str) -> Markup {
    html! {
        nav aria-label=(l.t("trail")) {
            ol.trail {
                li { a href=(links::DISKS) { (l.t("nav-disks")) } }
                li { span aria-current="page" { (called) } }
            }
        }
    }
}

/// The button that lets a disk show itself.
pub(super) fn identify_button(visit: &Visit, view: &DiskView, class: &str) -> Markup {
    let to = links::identify(&view.called);
    parts::post_button(visit.csrf(), &to, class, icons::EYE, &visit.l.t("identify"))
}

fn verdict(l: Language, view: &DiskView) -> Markup {
    let (level, word) = disk_words::state(l, view.state);
    let (why, todo) = disk_words::reason(l, view);
    html! {
        section.verdict.(level.class()) aria-labelledby="state" {
            (icons::icon(level.icon()))
            div {
                h2 #state { (word) }
                p { (why) " " @if let Some(todo) = todo { (todo) } }
                @if view.alarms.len() > 1 {
                    ul.reasons {
                        @for alarm in &view.alarms {
                            li { div { p { (disk_words::alarm(l, alarm.kind, alarm.value)) }
                                p.soft { (l.t("alarm-since")) " " (parts::when(l, alarm.since)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn facts(l: Language, view: &DiskView) -> Markup {
    let disk = &view.disk;
    let kind = match disk.rotational {
        true => l.t("disk-rotational"),
        false => l.t("disk-solid"),
    };
    html! {
        section.card aria-labelledby="which" {
            h2 #which { (l.t("disk-which")) }
            dl.facts {
                dt { (l.t("col-serial")) } dd.mono { @if disk.serial.is_empty() { "–" } @else { (disk.serial) } }
                dt { (l.t("col-slot")) } dd { (disk.slot.as_deref().unwrap_or("–")) }
                @if view.there {
                    dt { (l.t("disk-name")) } dd.mono { (disk.name) }
                    dt { (l.t("disk-kind")) }
                    dd { (disk.transport) @if !disk.transport.is_empty() { " · " } (kind) }
                }
                @if let Some(wwn) = &disk.wwn { dt { "WWN" } dd.mono { (wwn) } }
                dt { (l.t("col-size")) } dd { (format::size(l, disk.size)) }
                dt { (l.t("disk-place")) } dd { (disk_words::place(l, view.place)) }
                @if let Some(seen) = view.seen {
                    dt { (l.t("disk-seen")) } dd { (parts::when_ago(l, seen)) }
                }
            }
        }
    }
}

fn health(visit: &Visit, view: &DiskView) -> Markup {
    let l = visit.l;
    let smart = &view.disk.smart;
    let count = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), |n| format::count(l, n));
    html! {
        section.card aria-labelledby="health" {
            h2 #health { (l.t("disk-says")) }
            @if smart.asleep { p { (l.t("why-asleep")) } }
            @else if *smart == crate::devices::Smart::default() { p { (l.t("why-well-unknown")) } }
            @else {
                dl.facts {
                    dt { (l.t("col-temperature")) } dd { (degrees(smart.temperature)) }
                    dt { (l.t("smart-on")) } dd { (count(smart.power_on_hours)) " h" }
                    @if smart.reallocated.is_some() { dt { (l.t("smart-reallocated")) } dd { (count(smart.reallocated)) } }
                    @if smart.pending.is_some() { dt { (l.t("smart-pending")) } dd { (count(smart.pending)) } }
                    @if smart.uncorrectable.is_some() { dt { (l.t("smart-uncorrectable")) } dd { (count(smart.uncorrectable)) } }
                    @if smart.media_errors.is_some() { dt { (l.t("smart-media")) } dd { (count(smart.media_errors)) } }
                    @if let Some(wear) = smart.wear { dt { (l.t("smart-wear")) } dd { (wear) "\u{a0}%" } }
                    @if let Some(test) = &smart.test { dt { (l.t("test-last")) } dd { (test_words(l, test)) } }
                }
                @if let Some(test) = &smart.test {
                    @if test.remaining.is_none() {
                        div.actions {
                            (parts::post_button(visit.csrf(), &links::short_test(&view.called), "plain slim", icons::RUN, &l.t("test-short")))
                            (parts::post_button(visit.csrf(), &links::long_test(&view.called), "plain slim", icons::RUN, &l.t("test-long")))
                        }
                        p.soft { (l.t("test-lead")) }
                    }
                }
            }
        }
    }
}

fn test_words(l: Language, test: &SelfTest) -> Markup {
    html! {
        @if let Some(left) = test.remaining {
            p { (l.f("test-running", [("n", u64::from(left).into())])) }
        }
        @match &test.last {
            None => { @if test.remaining.is_none() { (l.t("never")) } }
            Some(last) => {
                @let (level, word) = match last.outcome {
                    TestOutcome::Passed => (Level::Good, l.t("test-passed")),
                    TestOutcome::Failed => (Level::Bad, l.t("test-failed")),
                    TestOutcome::Aborted => (Level::Info, l.t("test-aborted")),
                };
                (parts::badge(level, &word))
                small.soft {
                    @if last.long { (l.t("test-was-long")) } @else { (l.t("test-was-short")) }
                    @if let Some(hours) = last.hours { " · " (l.f("test-at", [("n", hours.into())])) }
                }
            }
        }
    }
}

/// A temperature, or a dash.
pub(super) fn degrees(temperature: Option<i64>) -> Markup {
    html! { @match temperature { Some(t) => { (t) "\u{a0}°C" } None => { "–" } } }
}

/// The newest figure of each of the last days, newest first.
fn by_day(samples: &[Sample]) -> Vec<&Sample> {
    let mut days: Vec<&Sample> = Vec::new();
    for sample in samples.iter().rev() {
        let day = |s: &Sample| s.time.as_second().div_euclid(86_400);
        if days.last().is_none_or(|last| day(last) != day(sample)) {
            days.push(sample);
        }
    }
    days.truncate(DAYS);
    days
}

fn history(l: Language, samples: &[Sample]) -> Markup {
    let days = by_day(samples);
    let count = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), |n| format::count(l, n));
    html! {
        @if !days.is_empty() {
            section.card aria-labelledby="history" {
                h2 #history { (l.t("disk-history")) }
                table.table {
                    thead { tr {
                        th scope="col" { (l.t("col-when")) }
                        th.number scope="col" { (l.t("col-temperature")) }
                        th.number scope="col" { (l.t("col-replaced")) }
                        th.number scope="col" { (l.t("col-pending")) }
                        th.number scope="col" { (l.t("col-errors")) }
                        th.number scope="col" { (l.t("smart-wear")) }
                    } }
                    tbody {
                        @for sample in days {
                            tr {
                                th scope="row" { (parts::when(l, sample.time)) }
                                td.number data-label=(l.t("col-temperature")) { (degrees(sample.temperature)) }
                                td.number data-label=(l.t("col-replaced")) { (count(sample.reallocated)) }
                                td.number data-label=(l.t("col-pending")) { (count(sample.pending)) }
                                td.number data-label=(l.t("col-errors")) { (count(sample.media_errors)) }
                                td.number data-label=(l.t("smart-wear")) {
                                    @match sample.wear { Some(w) => { (w) "\u{a0}%" } None => { "–" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Lets a disk show itself.
pub async fn identify(Path(serial): Path<String>, Posted { visit, .. }: Posted) -> Response {
    let l = visit.l;
    let asked = serial.clone();
    match visit.ask(move |s| s.identify(&asked)).await {
        Ok(sign) => visit.done(
            &links::disk(&serial),
            Level::Info,
            l.f("identify-begun", [("disk", (&serial).into())]),
            disk_words::sign(l, sign),
        ),
        Err(fault) => refused(&visit, &serial, &fault),
    }
}

/// Lets a disk test itself.
pub async fn short_test(path: Path<String>, posted: Posted) -> Response {
    test(path, posted, false).await
}

/// The same, all of it.
pub async fn long_test(path: Path<String>, posted: Posted) -> Response {
    test(path, posted, true).await
}

async fn test(Path(serial): Path<String>, Posted { visit, .. }: Posted, long: bool) -> Response {
    let l = visit.l;
    let asked = serial.clone();
    match visit.ask(move |s| s.test_disk(&asked, long)).await {
        Ok(()) => visit.done(
            &links::disk(&serial),
            Level::Info,
            l.t("test-begun"),
            l.t("test-begun-what"),
        ),
        Err(fault) => refused(&visit, &serial, &fault),
    }
}

fn refused(visit: &Visit, serial: &str, fault: &Fault) -> Response {
    let (title, body) = fault.words(visit.l);
    visit.done(&links::disk(serial), Level::Bad, title, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn of_each_day_the_newest_figure_is_shown() {
        let at = |hour: i64| Sample {
            time: Timestamp::from_second(1_764_028_800 + hour * 3600).unwrap(),
            temperature: Some(hour),
            power_on_hours: None,
            reallocated: None,
            pending: None,
            uncorrectable: None,
            media_errors: None,
            wear: None,
        };
        let samples: Vec<Sample> = (0..24 * 40).map(at).collect();
        let shown: Vec<i64> = by_day(&samples)
            .iter()
            .filter_map(|s| s.temperature)
            .collect();
        assert_eq!(shown.len(), DAYS);
        assert_eq!(shown[..2], [24 * 40 - 1, 24 * 39 - 1]);
    }
}

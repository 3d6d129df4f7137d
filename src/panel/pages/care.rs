//! How the pool is looked after in the background: what is set, and what was
//! found damaged lately.

use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use maud::{Markup, html};

use super::icons::{self, icon};
use super::links;
use super::parts::{self, Field, Level};
use super::visit::{Posted, Visit};
use crate::panel::texts::Language;
use crate::pool::{Damage, Finding};
use crate::service::PoolCare;

/// Sets how the pool is looked after.
pub async fn save(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let number = |name: &str| fields.get(name).parse::<u64>().ok();
    let mib = |name: &str| number(name).and_then(|n| n.checked_mul(1 << 20));
    let days = number("days").and_then(|n| u32::try_from(n).ok());
    let (Some(settle_rate), Some(scrub_rate), Some(scrub_days)) =
        (mib("settle"), mib("scrub"), days)
    else {
        return visit.done(
            links::DISKS,
            Level::Bad,
            l.t("care-wrong"),
            l.t("care-wrong-do"),
        );
    };
    let care = PoolCare {
        settle_rate,
        scrub_rate,
        scrub_days,
    };
    match visit.ask(move |s| s.set_pool_care(&care)).await {
        Ok(()) => visit.done(links::DISKS, Level::Good, l.t("care-saved"), ""),
        Err(_) => visit.done(
            links::DISKS,
            Level::Bad,
            l.t("care-wrong"),
            l.t("care-wrong-do"),
        ),
    }
}

/// Reads everything that is due, or all.
pub async fn scrub(Posted { visit, .. }: Posted) -> Response {
    let l = visit.l;
    match visit.ask(|s| s.run_scrub(true)).await {
        Ok(id) => Redirect::to(&links::job(id)).into_response(),
        Err(fault) => {
            let (title, body) = fault.words(l);
            visit.done(links::DISKS, Level::Bad, title, body)
        }
    }
}

/// How the pool is looked after, on the disks page.
pub(super) fn card(visit: &Visit, care: &PoolCare, since: Option<Timestamp>) -> Markup {
    let l = visit.l;
    let mib = |rate: u64| (rate >> 20).to_string();
    let (settle, scrub) = (mib(care.settle_rate), mib(care.scrub_rate));
    let days = care.scrub_days.to_string();
    html! {
        section.card aria-labelledby="care" {
            div.card-head {
                h2 #care { (l.t("care-title")) }
                (parts::post_button(visit.csrf(), links::SCRUB, "plain slim", icons::RUN, &l.t("care-now")))
            }
            p { (l.t("care-lead")) }
            @if let Some(since) = since {
                p { (l.t("care-since")) " " (parts::when_ago(l, since)) }
            }
            form method="post" action=(links::CARE) {
                (parts::csrf(visit.csrf()))
                div.columns {
                    (Field::text("days", &l.t("care-days")).kind("number").value(&days).class("short").render())
                    (Field::text("scrub", &l.t("care-scrub")).hint(&l.t("care-zero")).kind("number").value(&scrub).class("short").render())
                    (Field::text("settle", &l.t("care-settle")).hint(&l.t("care-zero")).kind("number").value(&settle).class("short").render())
                }
                button.button.plain type="submit" { (icon(icons::GOOD)) (l.t("care-save")) }
            }
        }
    }
}

/// What was found damaged lately, on the disks page.
pub(super) fn damage(l: Language, found: &[Finding]) -> Markup {
    html! {
        @if !found.is_empty() {
            section.card aria-labelledby="damage" {
                h2 #damage { (l.t("damage-title")) }
                table.table {
                    thead { tr {
                        th scope="col" { (l.t("col-when")) }
                        th scope="col" { (l.t("col-disk")) }
                        th scope="col" { (l.t("col-state")) }
                        th scope="col" { (l.t("damage-object")) }
                    } }
                    tbody {
                        @for one in found.iter().rev().take(20) {
                            @let at = i64::try_from(one.time).ok().and_then(|t| Timestamp::from_second(t).ok());
                            tr {
                                th scope="row" { @if let Some(at) = at { (parts::when(l, at)) } }
                                td data-label=(l.t("col-disk")) { span.mono { (one.member.as_deref().unwrap_or("–")) } }
                                td data-label=(l.t("col-state")) { (damage_state(l, one)) }
                                td data-label=(l.t("damage-object")) { span.mono.small { (one.object) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn damage_state(l: Language, found: &Finding) -> Markup {
    match found.damage {
        _ if found.healed => parts::badge(Level::Good, &l.t("damage-healed")),
        Damage::Lost => parts::badge(Level::Bad, &l.t("damage-lost")),
        Damage::Corrupt | Damage::Missing => parts::badge(Level::Warn, &l.t("damage-open")),
    }
}

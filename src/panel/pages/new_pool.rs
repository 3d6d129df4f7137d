//! Making the pool: the redundancy in words, confirmation of disks that hold
//! data by their typed serial number, and the recovery words, shown until
//! their owner says to have kept them.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::errors::Fault;
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Field, Level};
use super::visit::{Fields, Posted, Visit};
use super::{disks, format, links};
use crate::devices::{Contents, Disk};
use crate::engine::RecoveryKey;
use crate::panel::texts::{Key, Language};
use crate::pool::Redundancy;
use crate::service::NewPool;

/// Most data shards and parity shards a pool can have.
const MOST_DATA: usize = 16;
const MOST_PARITY: usize = 4;

/// What the first step chose.
struct Choice {
    data: Vec<Disk>,
    spares: Vec<Disk>,
}

impl Choice {
    fn new(disks: &[Disk], fields: &Fields) -> Self {
        let with = |role: &str| {
            disks
                .iter()
                .filter(|d| disks::usable(d))
                .filter(|d| fields.get(&format!("disk.{}", disks::called(d))) == role)
                .cloned()
                .collect()
        };
        Self {
            data: with("data"),
            spares: with("spare"),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Disk> {
        self.data.iter().chain(&self.spares)
    }

    /// Disks whose content would be lost.
    fn occupied(&self) -> impl Iterator<Item = &Disk> {
        self.all().filter(|d| match d.contents {
            Contents::Blank | Contents::Member { pool: None, .. } => false,
            Contents::System | Contents::Member { .. } | Contents::Other { .. } => true,
        })
    }

    /// Every redundancy that uses all data disks, the recommended one marked.
    fn options(&self) -> Vec<(Redundancy, bool)> {
        let n = self.data.len();
        let recommended = match n {
            0 | 1 => 0,
            2..=5 => 1,
            _ => 2,
        };
        (0..=MOST_PARITY.min(n.saturating_sub(1)))
            .filter(|parity| n - parity <= MOST_DATA)
            .filter_map(|parity| {
                let redundancy = Redundancy {
                    data: u8::try_from(n - parity).ok()?,
                    parity: u8::try_from(parity).ok()?,
                };
                Some((redundancy, parity == recommended))
            })
            .rev()
            .collect()
    }

    /// Bytes that fit: every disk counts as much as the smallest.
    fn usable(&self, redundancy: Redundancy) -> u64 {
        let smallest = self.data.iter().map(|d| d.size).min().unwrap_or(0);
        smallest.saturating_mul(redundancy.data.into())
    }

    fn mistake(&self, l: Language) -> Option<String> {
        if self.data.is_empty() {
            Some(l.t("choose-nothing").into_owned())
        } else if self.data.len() > MOST_DATA + MOST_PARITY {
            let most = (MOST_DATA + MOST_PARITY).into();
            Some(l.f("choose-many", [("n", most)]).into_owned())
        } else {
            None
        }
    }
}

/// Second step: redundancy and confirmation.
pub async fn show(
    visit: Visit,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let (pool, all) = visit.ask(|s| Ok((s.pool(), s.disks()?))).await?;
    let fields = Fields(query);
    if pool.is_some() || fields.with_prefix("disk.").next().is_none() {
        return Ok(Redirect::to(links::DISKS).into_response());
    }
    Ok(second_step(&visit, &all, &fields, &[], None))
}

fn second_step(
    visit: &Visit,
    all: &[Disk],
    fields: &Fields,
    unconfirmed: &[String],
    trouble: Option<Markup>,
) -> Response {
    let l = visit.l;
    let choice = Choice::new(all, fields);
    if let Some(mistake) = choice.mistake(l) {
        let title = l.t("nav-disks");
        let head = Head::new(Section::Disks, &title);
        let body = html! {
            (layout::heading(&title, "", html! {}))
            (disks::choose(l, all, fields, Some(&mistake)))
        };
        return (StatusCode::UNPROCESSABLE_ENTITY, visit.page(head, body)).into_response();
    }
    let title = l.t("new-pool-title");
    let head = Head::new(Section::Disks, &title);
    let failed = trouble.is_some() || !unconfirmed.is_empty();
    let body = html! {
        (layout::heading(&title, &l.t("new-pool-lead"), html! {}))
        @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
        form method="post" action=(links::NEW_POOL) {
            (parts::csrf(visit.csrf()))
            @for (name, value) in fields.with_prefix("disk.") {
                input type="hidden" name={ "disk." (name) } value=(value);
            }
            (summary(l, &choice))
            (redundancies(l, &choice, fields))
            @if choice.occupied().next().is_some() { (confirm(l, &choice, fields, unconfirmed)) }
            div.actions {
                button.button type="submit" { (icon(icons::DISKS)) (l.t("new-pool-button")) }
                a.button.plain href=(links::DISKS) { (l.t("back")) }
            }
            p.soft { (l.t("new-pool-patience")) }
        }
    };
    let page = visit.page(head, body);
    if failed {
        (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
    } else {
        page
    }
}

fn summary(l: Language, choice: &Choice) -> Markup {
    let list = |disks: &[Disk]| {
        html! {
            ul {
                @for disk in disks {
                    li { span.mono { (disks::called(disk)) } " · " (format::size(l, disk.size)) }
                }
            }
        }
    };
    let uneven = choice
        .data
        .iter()
        .any(|d| choice.data.first().is_some_and(|f| f.size != d.size));
    html! {
        section.card aria-labelledby="chosen" {
            h2 #chosen { (l.t("new-pool-chosen")) }
            div.columns {
                div { h3 { (l.t("use-data")) } (list(&choice.data)) }
                @if !choice.spares.is_empty() { div { h3 { (l.t("use-spare")) } (list(&choice.spares)) } }
            }
            @if uneven { p.soft { (l.t("new-pool-uneven")) } }
        }
    }
}

fn redundancies(l: Language, choice: &Choice, fields: &Fields) -> Markup {
    let chosen = fields.get("redundancy");
    html! {
        fieldset.card {
            legend.hidden-text { (l.t("new-pool-redundancy")) }
            h2 aria-hidden="true" { (l.t("new-pool-redundancy")) }
            p { (l.t("new-pool-redundancy-lead")) }
            @for (redundancy, recommended) in choice.options() {
                @let written = redundancy.to_string();
                @let title = {
                    let parity = u64::from(redundancy.parity);
                    let may_fail = l.f("may-fail", [("n", parity.into())]);
                    if recommended {
                        format!("{may_fail} · {}", l.t("recommended"))
                    } else {
                        may_fail.into_owned()
                    }
                };
                @let usable = format::size(l, choice.usable(redundancy));
                @let body = if redundancy.parity == 0 {
                    l.f("redundancy-none", [("size", usable.into()), ("written", (&written).into())])
                } else if redundancy.data == 1 {
                    l.f("redundancy-mirror", [("size", usable.into()), ("written", (&written).into())])
                } else {
                    l.f("redundancy-parity", [("size", usable.into()), ("written", (&written).into())])
                };
                @let checked = if chosen.is_empty() { recommended } else { chosen == written };
                (parts::choice("redundancy", &written, checked, &title, &body))
            }
        }
    }
}

fn confirm(l: Language, choice: &Choice, fields: &Fields, unconfirmed: &[String]) -> Markup {
    html! {
        section.card aria-labelledby="confirm" {
            h2 #confirm { (l.t("confirm-title")) }
            (parts::notice(Level::Warn, &l.t("confirm-warning"), html! { p { (l.t("confirm-how")) } }))
            @for disk in choice.occupied() {
                @let called = disks::called(disk);
                @let name = format!("confirm.{called}");
                @let label = l.f("confirm-label", [("disk", called.into())]);
                @let wrong = unconfirmed.iter().any(|u| u == called).then(|| l.t("confirm-differs"));
                div.field.soft { (disks::contents(l, &disk.contents)) }
                (Field::text(&name, &label)
                    .value(fields.get(&name))
                    .error(wrong.as_deref())
                    .class("code")
                    .render())
            }
        }
    }
}

/// Makes the pool. It is finished even if the browser goes away meanwhile,
/// so that its words are not lost.
pub async fn create(Posted { visit, fields }: Posted) -> Result<Response, Fault> {
    let l = visit.l;
    let (pool, all) = visit.ask(|s| Ok((s.pool(), s.disks()?))).await?;
    if pool.is_some() {
        return Ok(visit.done(links::DISKS, Level::Info, l.t("pool-exists"), ""));
    }
    let choice = Choice::new(&all, &fields);
    let called = |disk: &Disk| disks::called(disk).to_owned();
    let unconfirmed: Vec<String> = choice
        .occupied()
        .map(called)
        .filter(|c| fields.get(&format!("confirm.{c}")) != c)
        .collect();
    let known = choice
        .options()
        .iter()
        .any(|(r, _)| r.to_string() == fields.get("redundancy"));
    if !unconfirmed.is_empty() || !known {
        return Ok(second_step(&visit, &all, &fields, &unconfirmed, None));
    }
    let new = NewPool {
        redundancy: fields.get("redundancy").to_owned(),
        disks: choice.data.iter().map(called).collect(),
        spares: choice.spares.iter().map(called).collect(),
        confirm: choice.occupied().map(called).collect(),
    };
    let work = {
        let visit = visit.clone();
        async move {
            let created = visit.ask(move |s| s.create_pool(&new)).await?;
            visit
                .desk
                .keep_words(&visit.session.user, created.recovery_words);
            Ok::<(), Fault>(())
        }
    };
    let outcome = tokio::spawn(work).await.unwrap_or_else(|e| {
        Err(Fault {
            kind: crate::engine::Kind::Io,
            message: e.to_string(),
        })
    });
    match outcome {
        Ok(()) => Ok(Redirect::to(links::WORDS).into_response()),
        Err(fault) => {
            let trouble = fault.refusal(l, Key("fail-pool"));
            let all = visit.ask(|s| s.disks()).await?;
            Ok(second_step(&visit, &all, &fields, &[], Some(trouble)))
        }
    }
}

/// The recovery words.
pub async fn words(visit: Visit) -> Response {
    let l = visit.l;
    let Some(words) = visit.desk.words(&visit.session.user) else {
        return visit.done(
            links::DISKS,
            Level::Info,
            l.t("words-gone"),
            l.t("words-gone-why"),
        );
    };
    let id = visit.ask(|s| Ok(s.pool().map(|p| p.status.id))).await;
    let title = l.t("words-title");
    let check = RecoveryKey::parse(&Zeroizing::new(words.join(" ")))
        .map(|key| key.page_check())
        .ok();
    let body = html! {
        (layout::heading(&title, "", html! {
            button.button.plain type="button" data-print hidden { (icon(icons::PRINT)) (l.t("print")) }
        }))
        (parts::notice(Level::Warn, &l.t("words-once"), html! { p { (l.t("words-once-why")) } }))
        section.card aria-labelledby="words" {
            h2 #words { (l.t("words-list")) }
            @if let Ok(Some(id)) = &id { p { (l.t("pool-id")) ": " span.mono { (id) } } }
            @if let Some(check) = check { p { (l.t("words-check")) ": " span.mono { (check) } } }
            ol.words lang="es" translate="no" { @for word in words.iter() { li { (word) } } }
            p.no-print { (l.t("words-keep")) }
            p.print-only { (l.t("words-print")) }
        }
        form.card method="post" action=(links::WORDS) {
            (parts::csrf(visit.csrf()))
            (parts::tick("kept", "yes", false, true, &l.t("words-kept")))
            button.button type="submit" { (icon(icons::GOOD)) (l.t("words-kept-button")) }
        }
    };
    visit.page(Head::new(Section::Disks, &title), body)
}

/// The owner has kept the words: they are wiped.
pub async fn kept(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    if !fields.has("kept") {
        return visit.done(links::WORDS, Level::Warn, l.t("words-not-ticked"), "");
    }
    if visit.desk.words_kept(&visit.session.user) {
        return visit.done(links::KEYS, Level::Good, l.t("keys-words-kept"), "");
    }
    visit.done(
        links::TODAY,
        Level::Good,
        l.t("pool-created"),
        l.t("pool-created-next"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Smart;

    fn disk(serial: &str, size: u64, contents: Contents) -> Disk {
        Disk {
            name: format!("sd{serial}"),
            model: String::new(),
            serial: serial.to_owned(),
            wwn: None,
            size,
            rotational: true,
            transport: "sata".to_owned(),
            slot: None,
            read_only: false,
            given_up: None,
            smart: Smart::default(),
            contents,
        }
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields(
            pairs
                .iter()
                .map(|(n, v)| ((*n).into(), (*v).into()))
                .collect(),
        )
    }

    #[test]
    fn redundancies_use_all_disks_and_one_is_recommended() {
        let disks: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|s| disk(s, 100, Contents::Blank))
            .collect();
        let all = fields(&[("disk.a", "data"), ("disk.b", "data"), ("disk.c", "data")]);
        let choice = Choice::new(&disks, &all);
        let written: Vec<_> = choice
            .options()
            .iter()
            .map(|(r, best)| (r.to_string(), *best))
            .collect();
        assert_eq!(
            written,
            [
                ("1+2".to_owned(), false),
                ("2+1".to_owned(), true),
                ("3+0".to_owned(), false)
            ]
        );
        assert_eq!(choice.usable(Redundancy { data: 2, parity: 1 }), 200);
    }

    #[test]
    fn the_system_disk_cannot_be_smuggled_in_and_occupied_disks_are_known() {
        let disks = [
            disk("a", 100, Contents::System),
            disk(
                "b",
                50,
                Contents::Other {
                    what: "ext4".into(),
                },
            ),
            disk("c", 80, Contents::Blank),
        ];
        let all = fields(&[("disk.a", "data"), ("disk.b", "spare"), ("disk.c", "data")]);
        let choice = Choice::new(&disks, &all);
        assert_eq!(choice.data.len(), 1);
        assert_eq!(choice.occupied().count(), 1);
        assert_eq!(choice.mistake(Language::English), None);
        let none = Choice::new(&disks, &Fields::default());
        assert!(none.mistake(Language::English).is_some());
    }
}

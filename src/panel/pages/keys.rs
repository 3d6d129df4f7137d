//! What opens the pool: looking at it, changing it, and opening by hand a pool
//! that does not open by itself.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::errors::{self, Fault};
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Field, Level};
use super::visit::{Fields, Posted, Visit};
use super::{disks, links};
use crate::appliance::keyring::Home;
use crate::engine::{KeySlot, Kind, Passphrase, SlotKind};
use crate::panel::texts::Language;
use crate::service::{KeysView, NewWords, Service, opener};

/// The slots and what can be done, or the form that opens the pool.
pub async fn show(visit: Visit) -> Result<Response, Fault> {
    let l = visit.l;
    let (pool, keys) = visit.ask(|s| Ok((s.pool(), s.keys()))).await?;
    let Some(pool) = pool else {
        return Ok(Redirect::to(links::DISKS).into_response());
    };
    let title = l.t("keys-title");
    let words = visit.desk.words(&visit.session.user).is_some();
    let body = html! {
        (layout::heading(&title, &l.t("keys-lead"), html! {
            a.button.plain href=(links::DISKS) { (l.t("back")) }
        }))
        @if words { (disks::words_waiting(l)) }
        @match (&keys, &pool.problem) {
            (Ok(keys), _) => {
                (at_start(l, keys.home))
                (slots(&visit, keys))
                (add_passphrase(&visit))
                (add_tpm(&visit))
                (renew(&visit))
                (change(&visit, keys.home))
            }
            (Err(_), Some(problem)) => (open_form(&visit, problem)),
            (Err(e), None) => (errors::trouble(l, None, e.kind(), &e.to_string())),
        }
    };
    Ok(visit.page(Head::new(Section::Disks, &title), body))
}

fn at_start(l: Language, home: Home) -> Markup {
    let (level, title, body) = match home {
        Home::Plain => (
            Level::Info,
            l.t("keys-home-plain"),
            l.t("keys-home-plain-what"),
        ),
        Home::Tpm => (Level::Good, l.t("keys-home-tpm"), l.t("keys-home-tpm-what")),
        Home::TpmAndPassphrase => (
            Level::Good,
            l.t("keys-home-both"),
            l.t("keys-home-both-what"),
        ),
        Home::Nothing => (
            Level::Warn,
            l.t("keys-home-nothing"),
            l.t("keys-home-nothing-what"),
        ),
    };
    parts::notice(level, &title, html! { p { (body) } })
}

fn slots(visit: &Visit, keys: &KeysView) -> Markup {
    let l = visit.l;
    html! {
        section.card aria-labelledby="slots" {
            h2 #slots { (l.t("keys-slots")) }
            table.table {
                thead { tr {
                    th scope="col" { (l.t("keys-opens")) }
                    th scope="col" { (l.t("keys-label")) }
                    th scope="col" { (l.t("keys-do")) }
                } }
                tbody { @for slot in &keys.keys.slots { (row(visit, slot)) } }
            }
        }
    }
}

fn row(visit: &Visit, slot: &KeySlot) -> Markup {
    let l = visit.l;
    let what = match slot.kind {
        SlotKind::Recovery => l.t("keys-recovery"),
        SlotKind::Passphrase => l.t("keys-passphrase"),
        SlotKind::Outside => l.t("keys-tpm"),
        SlotKind::Both => l.t("keys-both"),
        SlotKind::Unknown => l.t("keys-unknown"),
    };
    html! {
        tr {
            th scope="row" { (what) }
            td data-label=(l.t("keys-label")) {
                @if slot.kind == SlotKind::Recovery {
                    (l.t("words-check")) ": " span.mono { (slot.label) }
                } @else if slot.label.is_empty() { "–" } @else { (slot.label) }
            }
            td data-label=(l.t("keys-do")) {
                @if slot.kind == SlotKind::Recovery { (l.t("keys-stays")) }
                @else {
                    form method="post" action=(links::KEYS_REMOVE) {
                        (parts::csrf(visit.csrf()))
                        input type="hidden" name="number" value=(slot.number);
                        button.button.plain type="submit" {
                            (icon(icons::REMOVE)) (l.t("keys-remove"))
                            span.hidden-text { " " (what) " " (slot.number) }
                        }
                    }
                }
            }
        }
    }
}

/// Tells a browser's keeper of passwords whose these are; not sent.
fn whose(visit: &Visit) -> Markup {
    html! {
        label hidden {
            (visit.l.t("logged-in-as")) " "
            input type="text" autocomplete="username" value=(visit.session.user) readonly;
        }
    }
}

fn add_passphrase(visit: &Visit) -> Markup {
    let l = visit.l;
    html! {
        form.card method="post" action=(links::KEYS_PASSPHRASE) {
            h2 { (l.t("keys-add-passphrase")) }
            p { (l.t("keys-add-passphrase-lead")) }
            (parts::csrf(visit.csrf()))
            (whose(visit))
            (Field::text("label", &l.t("keys-label")).hint(&l.t("keys-label-hint")).optional().render())
            (Field::password("passphrase", &l.t("keys-passphrase"), "new-password")
                .hint(&l.t("keys-passphrase-hint")).render())
            (Field::password("again", &l.t("keys-again"), "new-password").render())
            button.button.plain type="submit" { (icon(icons::ADD)) (l.t("keys-add-passphrase")) }
        }
    }
}

fn add_tpm(visit: &Visit) -> Markup {
    let l = visit.l;
    html! {
        form.card method="post" action=(links::KEYS_TPM) {
            h2 { (l.t("keys-add-tpm")) }
            p { (l.t("keys-add-tpm-lead")) }
            (parts::csrf(visit.csrf()))
            (whose(visit))
            (Field::password("tpm-passphrase", &l.t("keys-tpm-passphrase"), "new-password")
                .hint(&l.t("keys-tpm-passphrase-hint")).optional().render())
            (Field::password("tpm-again", &l.t("keys-again"), "new-password").optional().render())
            button.button.plain type="submit" { (icon(icons::KEY)) (l.t("keys-add-tpm")) }
        }
    }
}

fn renew(visit: &Visit) -> Markup {
    let l = visit.l;
    html! {
        form.card method="post" action=(links::KEYS_WORDS) {
            h2 { (l.t("keys-renew")) }
            p { (l.t("keys-renew-lead")) }
            (parts::csrf(visit.csrf()))
            (parts::tick("sure", "yes", false, true, &l.t("keys-renew-sure")))
            button.button.plain type="submit" { (icon(icons::KEY)) (l.t("keys-renew")) }
        }
    }
}

fn change(visit: &Visit, home: Home) -> Markup {
    let l = visit.l;
    html! {
        form.card method="post" action=(links::KEYS_CHANGE) {
            h2 { (l.t("keys-change")) }
            p { (l.t("keys-change-lead")) }
            (parts::csrf(visit.csrf()))
            @if home == Home::TpmAndPassphrase {
                (whose(visit))
                (Field::password("change-passphrase", &l.t("keys-passphrase"), "current-password").render())
            }
            (parts::tick("sure", "yes", false, true, &l.t("keys-change-sure")))
            button.button.plain type="submit" { (icon(icons::KEY)) (l.t("keys-change")) }
        }
    }
}

fn open_form(visit: &Visit, problem: &str) -> Markup {
    let l = visit.l;
    html! {
        (parts::notice(Level::Bad, &l.t("keys-closed"), html! {
            p { (l.t("keys-closed-do")) }
            (errors::detail(l, problem))
        }))
        form.card method="post" action=(links::KEYS_OPEN) {
            h2 { (l.t("keys-open-passphrase")) }
            (parts::csrf(visit.csrf()))
            (whose(visit))
            (Field::password("passphrase", &l.t("keys-passphrase"), "off").render())
            button.button type="submit" { (icon(icons::KEY)) (l.t("keys-open")) }
        }
        form.card method="post" action=(links::KEYS_OPEN) {
            h2 { (l.t("keys-open-words")) }
            (parts::csrf(visit.csrf()))
            (Field::text("words", &l.t("words-list")).hint(&l.t("keys-words-hint")).area())
            button.button.plain type="submit" { (icon(icons::KEY)) (l.t("keys-open")) }
        }
    }
}

/// Opens a pool that does not open by itself.
pub async fn open(Posted { visit, fields }: Posted) -> Response {
    let given = |name: &str| Some(fields.raw(name).to_owned()).filter(|text| !text.is_empty());
    let (words, passphrase) = (given("words"), given("passphrase"));
    let opened = visit.ask(move |s| {
        let opener = opener(words.as_deref(), passphrase.as_deref())?;
        s.open_pool_with(&opener)
    });
    let said = opened.await;
    let l = visit.l;
    told(&visit, said.map(drop), || l.t("keys-opened").into_owned())
}

/// Lets a passphrase open the pool.
pub async fn passphrase(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let phrase = match twice(l, &fields, "passphrase", "again") {
        Ok(phrase) => phrase,
        Err(what) => return visit.done(links::KEYS, Level::Warn, what, ""),
    };
    let label = fields.get("label").to_owned();
    let added = visit.ask(move |s| s.add_passphrase(&label, &Passphrase::new(&phrase)?));
    let said = added.await;
    told(&visit, said.map(drop), || l.t("keys-added").into_owned())
}

/// Lets the box's TPM open the pool.
pub async fn tpm(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let phrase = match twice(l, &fields, "tpm-passphrase", "tpm-again") {
        Ok(phrase) => Some(phrase).filter(|text| !text.is_empty()),
        Err(what) => return visit.done(links::KEYS, Level::Warn, what, ""),
    };
    let added = visit.ask(move |s| {
        let phrase = phrase.map(|text| Passphrase::new(&text)).transpose()?;
        s.add_tpm("", phrase.as_ref())
    });
    let said = added.await;
    told(&visit, said.map(drop), || {
        l.t("keys-tpm-added").into_owned()
    })
}

/// Removes a passphrase or sealed secret.
pub async fn remove(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let number = fields.get("number").parse();
    let said = match number {
        Ok(number) => visit.ask(move |s| s.remove_key(number)).await,
        Err(_) => Err(Fault::missing("there is no such key slot")),
    };
    told(&visit, said, || l.t("keys-removed").into_owned())
}

/// New recovery words.
pub async fn words(Posted { visit, fields }: Posted) -> Response {
    new_words(visit, &fields, |s| s.renew_words()).await
}

/// The key change.
pub async fn change_key(Posted { visit, fields }: Posted) -> Response {
    let phrase = Some(fields.raw("change-passphrase").to_owned()).filter(|text| !text.is_empty());
    new_words(visit, &fields, move |s| {
        let phrase = phrase.map(|text| Passphrase::new(&text)).transpose()?;
        s.change_key(phrase.as_ref())
    })
    .await
}

/// Makes new words and goes to where they are shown. It is finished even if
/// the browser goes away meanwhile, so that they are not lost.
async fn new_words(
    visit: Visit,
    fields: &Fields,
    work: impl FnOnce(&std::sync::Arc<Service>) -> crate::engine::Result<NewWords> + Send + 'static,
) -> Response {
    let l = visit.l;
    if !fields.has("sure") {
        return visit.done(links::KEYS, Level::Warn, l.t("keys-not-sure"), "");
    }
    let all = {
        let visit = visit.clone();
        async move {
            let mut made = visit.ask(work).await?;
            let words = std::mem::take(&mut made.recovery_words);
            visit.desk.renew_words(&visit.session.user, words);
            Ok::<(), Fault>(())
        }
    };
    let outcome = tokio::spawn(all).await.unwrap_or_else(|e| {
        Err(Fault {
            kind: Kind::Io,
            message: e.to_string(),
        })
    });
    match outcome {
        Ok(()) => Redirect::to(links::WORDS).into_response(),
        Err(fault) => told(&visit, Err(fault), String::new),
    }
}

/// Back to the page, with what happened.
fn told(visit: &Visit, said: Result<(), Fault>, good: impl FnOnce() -> String) -> Response {
    match said {
        Ok(()) => visit.done(links::KEYS, Level::Good, good(), ""),
        Err(fault) => {
            let (title, body) = fault.words(visit.l);
            visit.done(links::KEYS, Level::Bad, title, body)
        }
    }
}

/// A passphrase that was typed twice; what to say if the two differ.
fn twice(l: Language, fields: &Fields, first: &str, second: &str) -> Result<String, String> {
    match fields.raw(first) == fields.raw(second) {
        true => Ok(fields.raw(first).to_owned()),
        false => Err(l.t("keys-differ").into_owned()),
    }
}

//! Adding a source: its kind, what it needs, and, for a file server, the
//! comparison of its key before it is trusted.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::links;
use super::parts::{self, Field, Level};
use super::visit::{Fields, Mistakes, Posted, Visit};
use crate::panel::texts::{Key, Language};
use crate::service::{HostKey, NewSource};

/// Longest name of a source.
const LONGEST: usize = 64;

/// Which kind?
pub async fn choose(visit: Visit) -> Response {
    let l = visit.l;
    let title = l.t("source-add");
    let body = html! {
        (layout::heading(&title, &l.t("choose-kind"), html! {}))
        div.columns {
            section.card aria-labelledby="sftp" {
                h2 #sftp { (l.t("kind-sftp")) }
                p { (l.t("kind-sftp-what")) }
                a.button href=(links::NEW_SFTP) { (icon(icons::SOURCE)) (l.t("kind-sftp-button")) }
            }
            section.card aria-labelledby="local" {
                h2 #local { (l.t("kind-local")) }
                p { (l.t("kind-local-what")) }
                a.button.plain href=(links::NEW_LOCAL) { (icon(icons::FOLDER)) (l.t("kind-local-button")) }
            }
        }
    };
    visit.page(Head::new(Section::Sources, &title), body)
}

fn check_name(l: Language, fields: &Fields, mistakes: &mut Mistakes) {
    let name = fields.get("name");
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if name.is_empty() || name.len() > LONGEST || !fits {
        mistakes.add("name", l.t("source-name-wrong"));
    }
}

fn check_path(l: Language, fields: &Fields, mistakes: &mut Mistakes) {
    if !fields.get("path").starts_with('/') {
        mistakes.add("path", l.t("source-path-wrong"));
    }
}

fn name_field(l: Language, fields: &Fields, mistakes: &Mistakes) -> Markup {
    Field::text("name", &l.t("field-source-name"))
        .hint(&l.t("field-source-name-hint"))
        .value(fields.get("name"))
        .error(mistakes.of("name"))
        .render()
}

fn path_field(l: Language, fields: &Fields, mistakes: &Mistakes) -> Markup {
    Field::text("path", &l.t("field-path"))
        .hint(&l.t("field-path-hint"))
        .value(fields.get("path"))
        .error(mistakes.of("path"))
        .render()
}

/// A form page; answered with 422 when something was wrong with what was sent.
fn page(visit: &Visit, title: &str, lead: &str, failed: bool, body: Markup) -> Response {
    let whole = html! {
        (layout::heading(title, lead, html! {}))
        (body)
    };
    let page = visit.page(Head::new(Section::Sources, title), whole);
    if failed {
        (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
    } else {
        page
    }
}

fn added(visit: &Visit, name: &str) -> Response {
    let l = visit.l;
    visit.done(
        &links::source(name),
        Level::Good,
        l.f("source-added", [("source", name.into())]),
        l.t("source-added-next"),
    )
}

/// A folder of this box.
pub async fn local_form(visit: Visit) -> Response {
    local_page(&visit, &Fields::default(), &Mistakes::default(), None)
}

fn local_page(
    visit: &Visit,
    fields: &Fields,
    mistakes: &Mistakes,
    trouble: Option<Markup>,
) -> Response {
    let l = visit.l;
    let failed = trouble.is_some() || !mistakes.none();
    let form = html! {
        @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
        form.card method="post" action=(links::NEW_LOCAL) {
            (parts::csrf(visit.csrf()))
            (name_field(l, fields, mistakes))
            (path_field(l, fields, mistakes))
            div.actions {
                button.button type="submit" { (icon(icons::ADD)) (l.t("source-add")) }
                a.button.plain href=(links::NEW_SOURCE) { (l.t("back")) }
            }
        }
    };
    page(
        visit,
        &l.t("new-local-title"),
        &l.t("new-local-lead"),
        failed,
        form,
    )
}

/// Adds a folder of this box.
pub async fn add_local(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let mut mistakes = Mistakes::default();
    check_name(l, &fields, &mut mistakes);
    check_path(l, &fields, &mut mistakes);
    if !mistakes.none() {
        return local_page(&visit, &fields, &mistakes, None);
    }
    let new = NewSource::Local {
        name: fields.get("name").to_owned(),
        path: fields.get("path").to_owned(),
    };
    match visit.ask(move |s| s.add_source(&new)).await {
        Ok(source) => added(&visit, &source.name),
        Err(fault) => local_page(
            &visit,
            &fields,
            &mistakes,
            Some(fault.refusal(l, Key("fail-source"))),
        ),
    }
}

/// A file server: what it is called and where it is.
pub async fn sftp_form(visit: Visit) -> Response {
    let fields = Fields(vec![("port".to_owned(), "22".to_owned())]);
    sftp_page(&visit, &fields, &Mistakes::default(), None)
}

fn port(fields: &Fields) -> Option<u16> {
    fields.get("port").parse().ok().filter(|p| *p > 0)
}

fn sftp_page(
    visit: &Visit,
    fields: &Fields,
    mistakes: &Mistakes,
    trouble: Option<Markup>,
) -> Response {
    let l = visit.l;
    let failed = trouble.is_some() || !mistakes.none();
    let form = html! {
        @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
        form.card method="post" action=(links::NEW_SFTP) {
            (parts::csrf(visit.csrf()))
            (name_field(l, fields, mistakes))
            div.pair {
                (Field::text("host", &l.t("field-host"))
                    .value(fields.get("host"))
                    .error(mistakes.of("host"))
                    .render())
                (Field::text("port", &l.t("field-port"))
                    .kind("number")
                    .value(fields.get("port"))
                    .error(mistakes.of("port"))
                    .class("short")
                    .render())
            }
            (Field::text("user", &l.t("field-account"))
                .hint(&l.t("field-account-hint"))
                .value(fields.get("user"))
                .error(mistakes.of("user"))
                .render())
            (path_field(l, fields, mistakes))
            div.actions {
                button.button type="submit" { (l.t("new-sftp-next")) }
                a.button.plain href=(links::NEW_SOURCE) { (l.t("back")) }
            }
        }
    };
    page(
        visit,
        &l.t("new-sftp-title"),
        &l.t("new-sftp-lead"),
        failed,
        form,
    )
}

/// Asks the server for its key and shows it for comparison.
pub async fn probe(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let mut mistakes = Mistakes::default();
    check_name(l, &fields, &mut mistakes);
    check_path(l, &fields, &mut mistakes);
    for field in ["host", "user"] {
        if fields.get(field).is_empty() {
            mistakes.add(field, l.t("field-empty"));
        }
    }
    let port = port(&fields);
    if port.is_none() {
        mistakes.add("port", l.t("field-port-wrong"));
    }
    let (true, Some(port)) = (mistakes.none(), port) else {
        return sftp_page(&visit, &fields, &mistakes, None);
    };
    let host = fields.get("host").to_owned();
    match visit.ask(move |s| s.probe_host_key(&host, port)).await {
        Ok(key) => key_page(&visit, &fields, &key, &Mistakes::default(), None),
        Err(fault) => sftp_page(
            &visit,
            &fields,
            &mistakes,
            Some(fault.refusal(l, Key("fail-key"))),
        ),
    }
}

fn key_page(
    visit: &Visit,
    fields: &Fields,
    key: &HostKey,
    mistakes: &Mistakes,
    trouble: Option<Markup>,
) -> Response {
    let l = visit.l;
    let failed = trouble.is_some() || !mistakes.none();
    let form = html! {
        @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
        form method="post" action=(links::NEW_SFTP_KEY) {
            (parts::csrf(visit.csrf()))
            @for name in ["name", "host", "port", "user", "path"] {
                input type="hidden" name=(name) value=(fields.get(name));
            }
            input type="hidden" name="host_key" value=(key.host_key);
            input type="hidden" name="fingerprint" value=(key.fingerprint);
            section.card aria-labelledby="key" {
                h2 #key { (l.t("key-title")) }
                p { (l.f("key-lead", [("host", fields.get("host").into())])) }
                code.fingerprint { (key.fingerprint) }
                p { (l.t("key-how")) }
                code.fingerprint { "ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub" }
                (parts::tick("trusted", "yes", fields.has("trusted"), true, &l.t("key-trusted")))
                @if let Some(mistake) = mistakes.of("trusted") {
                    p.field-error { (icon(icons::BAD)) span { (mistake) } }
                }
            }
            section.card aria-labelledby="secret" {
                h2 #secret { (l.t("secret-title")) }
                p { (l.t("secret-lead")) }
                (Field::password("password", &l.t("field-password"), "off")
                    .error(mistakes.of("password"))
                    .optional()
                    .render())
                (Field::text("private_key", &l.t("field-private-key"))
                    .hint(&l.t("field-private-key-hint"))
                    .optional()
                    .area())
            }
            div.actions {
                button.button type="submit" { (icon(icons::ADD)) (l.t("source-add")) }
                a.button.plain href=(links::NEW_SFTP) { (l.t("back")) }
            }
        }
    };
    page(visit, &l.t("new-sftp-title"), "", failed, form)
}

/// Adds a file server whose key was compared.
pub async fn add_sftp(Posted { visit, fields }: Posted) -> Response {
    let l = visit.l;
    let key = HostKey {
        host_key: fields.get("host_key").to_owned(),
        fingerprint: fields.get("fingerprint").to_owned(),
    };
    let password = Some(fields.raw("password").to_owned()).filter(|p| !p.is_empty());
    let private_key = fields
        .filled("private_key")
        .map(|k| k.replace("\r\n", "\n") + "\n");
    let mut mistakes = Mistakes::default();
    if !fields.has("trusted") {
        mistakes.add("trusted", l.t("key-not-trusted"));
    }
    if password.is_some() == private_key.is_some() {
        mistakes.add("password", l.t("secret-wrong"));
    }
    let Some(port) = port(&fields) else {
        return sftp_page(&visit, &fields, &mistakes, None);
    };
    if !mistakes.none() {
        return key_page(&visit, &fields, &key, &mistakes, None);
    }
    let new = NewSource::Sftp {
        name: fields.get("name").to_owned(),
        host: fields.get("host").to_owned(),
        port,
        user: fields.get("user").to_owned(),
        password,
        private_key,
        path: fields.get("path").to_owned(),
        host_key: key.host_key.clone(),
    };
    match visit.ask(move |s| s.add_source(&new)).await {
        Ok(source) => added(&visit, &source.name),
        Err(fault) => key_page(
            &visit,
            &fields,
            &key,
            &mistakes,
            Some(fault.refusal(l, Key("fail-source"))),
        ),
    }
}

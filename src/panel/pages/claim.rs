//! First boot: whoever can read the box's console takes possession of it and
//! makes the first account.

use axum::Form;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::errors::Fault;
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::links;
use super::login::{denial, form_token, form_token_matches, with_cookies};
use super::parts::{self, Field, Level};
use super::visit::{Fields, Mistakes, Stranger};
use crate::panel::session::{Denied, Peer, Transport};
use crate::service::SHORTEST_PASSWORD;

fn form(
    visit: &Stranger,
    token: &str,
    fields: &Fields,
    mistakes: &Mistakes,
    trouble: Option<Markup>,
) -> Markup {
    let l = visit.l;
    let title = l.t("claim-title");
    let body = html! {
        div.narrow {
            h1 { (title) }
            p { (l.t("claim-lead")) }
            @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
            section.card aria-labelledby="connection" {
                h2 #connection { (l.t("claim-connection")) }
                p { (l.t("claim-connection-why")) }
                ol {
                    li { (l.t("claim-connection-1")) }
                    li { (l.t("claim-connection-2")) }
                    li { (l.t("claim-connection-3")) }
                }
                p { strong { (l.t("claim-connection-differs")) } }
            }
            form.card method="post" action=(links::CLAIM) {
                h2 { (l.t("claim-account")) }
                (parts::csrf(token))
                (Field::text("code", &l.t("claim-code"))
                    .hint(&l.t("claim-code-hint"))
                    .value(fields.get("code"))
                    .error(mistakes.of("code"))
                    .class("code")
                    .render())
                (Field::text("user", &l.t("field-user"))
                    .hint(&l.t("claim-user-hint"))
                    .value(fields.get("user"))
                    .error(mistakes.of("user"))
                    .autocomplete("username")
                    .render())
                (Field::password("password", &l.t("field-password"), "new-password")
                    .hint(&l.f("claim-password-hint", [("n", SHORTEST_PASSWORD.into())]))
                    .error(mistakes.of("password"))
                    .render())
                (Field::password("again", &l.t("claim-again"), "new-password")
                    .error(mistakes.of("again"))
                    .render())
                button.button.wide type="submit" { (icon(icons::KEY)) (l.t("claim-button")) }
            }
        }
    };
    layout::page(&visit.frame, Head::new(Section::None, &title), body)
}

/// The claim page; once the box has an owner, the login page instead.
pub async fn show(visit: Stranger, headers: HeaderMap) -> Result<Response, Fault> {
    if visit.app.service().claimed() {
        return Ok(Redirect::to(links::LOGIN).into_response());
    }
    let (token, cookie) = form_token(&headers)?;
    let page = form(
        &visit,
        &token,
        &Fields::default(),
        &Mistakes::default(),
        None,
    );
    Ok(with_cookies(page.into_response(), [cookie]))
}

/// Claims the box and logs its owner in.
pub async fn claim(
    visit: Stranger,
    peer: Peer,
    headers: HeaderMap,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Response> {
    let l = visit.l;
    let fields = Fields(fields);
    if !form_token_matches(&headers, &fields) {
        return Err(Denied::Csrf.into_response());
    }
    let mut mistakes = Mistakes::default();
    if fields.get("code").is_empty() {
        mistakes.add("code", l.t("field-empty"));
    }
    let user = fields.get("user");
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if user.is_empty() || user.len() > 64 || !user.chars().all(good) {
        mistakes.add("user", l.t("claim-user-wrong"));
    }
    if fields.raw("password").chars().count() < SHORTEST_PASSWORD {
        mistakes.add(
            "password",
            l.f("claim-password-short", [("n", SHORTEST_PASSWORD.into())]),
        );
    }
    if fields.raw("again") != fields.raw("password") {
        mistakes.add("again", l.t("claim-again-differs"));
    }
    if !mistakes.none() {
        let page = form(&visit, fields.raw("csrf"), &fields, &mistakes, None);
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let outcome = visit
        .app
        .claim(
            peer,
            fields.get("code").to_owned(),
            fields.get("user").to_owned(),
            fields.raw("password").to_owned(),
            Transport::Browser,
        )
        .await;
    match outcome {
        Ok(new) => Ok(with_cookies(
            Redirect::to(links::TODAY).into_response(),
            [Some(new.cookie)],
        )),
        Err(Denied::Claimed) => Ok(Redirect::to(links::LOGIN).into_response()),
        Err(denied) => {
            let wrong = parts::notice(
                Level::Bad,
                &l.t("claim-wrong"),
                html! { p { (l.t("claim-wrong-do")) } },
            );
            let Some(trouble) = denial(l, &denied, wrong) else {
                return Err(denied.into_response());
            };
            let page = form(
                &visit,
                fields.raw("csrf"),
                &fields,
                &mistakes,
                Some(trouble),
            );
            Ok((denied.status(), page).into_response())
        }
    }
}

//! Login, logout and the choice of language.

use aws_lc_rs::rand;
use axum::Form;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::errors::Fault;
use super::icons::{self, icon};
use super::layout::{self, Head, Section};
use super::parts::{self, Field, Level};
use super::visit::{Fields, LANGUAGE_COOKIE, Posted, Stranger, cookie};
use super::{errors, links};
use crate::engine::storage::hex;
use crate::engine::{Error, Kind};
use crate::panel::session::{Denied, Peer, Transport};
use crate::panel::texts::Language;

/// Ties a form to the browser that asked for it before there is a session:
/// the cookie and the form's hidden field must agree. Another site can send a
/// form, but can neither set nor read this cookie.
const FORM_COOKIE: &str = "__Host-colca-form";

/// A form's token before login: the browser's own, or a new one with the
/// `Set-Cookie` that hands it out.
pub(super) fn form_token(headers: &HeaderMap) -> Result<(String, Option<HeaderValue>), Fault> {
    if let Some(token) = cookie(headers, FORM_COOKIE).filter(|t| t.len() == 32) {
        return Ok((token.to_owned(), None));
    }
    let failed = || {
        Fault::from(Error::new(
            Kind::Io,
            "the system gave no random bytes; try again",
        ))
    };
    let mut bytes = [0u8; 16];
    rand::fill(&mut bytes).map_err(|_| failed())?;
    let token = hex(&bytes);
    let text = format!("{FORM_COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict");
    let cookie = HeaderValue::try_from(text).map_err(|_| failed())?;
    Ok((token, Some(cookie)))
}

/// Whether a form sent before login came from this browser's own page.
pub(super) fn form_token_matches(headers: &HeaderMap, fields: &Fields) -> bool {
    cookie(headers, FORM_COOKIE)
        .filter(|t| t.len() == 32)
        .is_some_and(|t| blake3::hash(t.as_bytes()) == blake3::hash(fields.raw("csrf").as_bytes()))
}

/// Adds cookies to an answer.
pub(super) fn with_cookies<const N: usize>(
    mut response: Response,
    cookies: [Option<HeaderValue>; N],
) -> Response {
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Why a try failed, as a box above the form; `None` for denials that are pages of their own.
pub(super) fn denial(l: Language, denied: &Denied, wrong: Markup) -> Option<Markup> {
    match denied {
        Denied::Wrong => Some(wrong),
        Denied::Slow(seconds) => Some(parts::notice(
            Level::Warn,
            &l.t("login-slow"),
            html! { p { (l.f("login-slow-do", [("n", (*seconds).into())])) } },
        )),
        Denied::Failed(kind, message) => Some(errors::trouble(l, None, *kind, message)),
        _ => None,
    }
}

fn form(visit: &Stranger, token: &str, fields: &Fields, trouble: Option<Markup>) -> Markup {
    let l = visit.l;
    let title = l.t("login-title");
    let body = html! {
        div.narrow {
            h1 { (title) }
            p.soft { (l.t("login-lead")) }
            @if fields.has("ended") && trouble.is_none() {
                (parts::notice(Level::Info, &l.t("login-ended"), html! { p { (l.t("login-ended-do")) } }))
            }
            @if let Some(trouble) = trouble { div role="alert" { (trouble) } }
            form.card method="post" action=(links::LOGIN) {
                (parts::csrf(token))
                input type="hidden" name="next" value=(links::ours(fields.get("next")));
                (Field::text("user", &l.t("field-user")).value(fields.get("user")).autocomplete("username").render())
                (Field::password("password", &l.t("field-password"), "current-password").render())
                button.button.wide type="submit" { (icon(icons::KEY)) (l.t("login-button")) }
            }
        }
    };
    layout::page(&visit.frame, Head::new(Section::None, &title), body)
}

/// The login page.
pub async fn show(
    visit: Stranger,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let fields = Fields(query);
    if visit.session.is_some() {
        return Ok(Redirect::to(links::ours(fields.get("next"))).into_response());
    }
    if !visit.app.service().claimed() {
        return Ok(Redirect::to(links::CLAIM).into_response());
    }
    let (token, cookie) = form_token(&headers)?;
    let page = form(&visit, &token, &fields, None).into_response();
    Ok(with_cookies(page, [cookie]))
}

/// Logs in and goes on to where the visitor wanted to.
pub async fn login(
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
    let (user, password) = (
        fields.get("user").to_owned(),
        fields.raw("password").to_owned(),
    );
    match visit
        .app
        .login(peer, user, password, Transport::Browser)
        .await
    {
        Ok(new) => {
            let to = Redirect::to(links::ours(fields.get("next"))).into_response();
            Ok(with_cookies(to, [Some(new.cookie)]))
        }
        Err(denied) => {
            let wrong = parts::notice(
                Level::Bad,
                &l.t("login-wrong"),
                html! { p { (l.t("login-wrong-do")) } },
            );
            let Some(trouble) = denial(l, &denied, wrong) else {
                return Err(denied.into_response());
            };
            let page = form(&visit, fields.raw("csrf"), &fields, Some(trouble));
            Ok((denied.status(), page).into_response())
        }
    }
}

/// Logs out.
pub async fn logout(Posted { visit, .. }: Posted) -> Response {
    let gone = visit.app.logout(&visit.session);
    with_cookies(Redirect::to(links::LOGIN).into_response(), [Some(gone)])
}

/// Remembers the chosen language for a year and goes back.
pub async fn language(
    Path(tag): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let Some(language) = Language::from_tag(&tag) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let fields = Fields(query);
    let text = format!(
        "{LANGUAGE_COOKIE}={}; Path=/; Max-Age=31536000; Secure; HttpOnly; SameSite=Lax",
        language.tag()
    );
    let back = Redirect::to(links::ours(fields.get("next"))).into_response();
    with_cookies(back, [HeaderValue::try_from(text).ok()])
}

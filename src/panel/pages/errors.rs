//! The one place where something that went wrong becomes a page: what
//! happened, in the visitor's language, and what to do next. The engine's own
//! sentence, which names the thing, stands below it as technical detail.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::icons::{self, icon};
use super::layout::{self, Frame, Head, Section};
use super::links;
use super::parts::{self, Level};
use super::visit::{Desk, Slot, Stranger, cookie};
use crate::engine::{Error, Kind};
use crate::panel::api::problem;
use crate::panel::session::{self, Denied};
use crate::panel::texts::{Key, Language};

/// Something failed while a page was made.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its class.
    pub kind: Kind,
    /// The engine's sentence.
    pub message: String,
}

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Self {
            kind: e.kind(),
            message: e.to_string(),
        }
    }
}

impl Fault {
    /// The named thing does not exist.
    pub fn missing(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Missing,
            message: message.into(),
        }
    }

    /// As a box within a page.
    pub fn notice(&self, l: Language) -> Markup {
        trouble(l, None, self.kind, &self.message)
    }

    /// As a box above a form that could not be carried out.
    pub fn refusal(&self, l: Language, what: Key) -> Markup {
        trouble(l, Some(what), self.kind, &self.message)
    }

    /// As title and text for a message on the next page.
    pub fn words(&self, l: Language) -> (String, String) {
        let (title, advice) = wording(self.kind);
        let detail = l.f("error-detail", [("message", (&self.message).into())]);
        (l.t(title).into_owned(), format!("{} {detail}", l.t(advice)))
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = problem::status(self.kind).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A failure of this kind in a box: headline, advice, technical detail. With
/// `what` could not be done as headline, where that is known.
pub fn trouble(l: Language, what: Option<Key>, kind: Kind, message: &str) -> Markup {
    let (title, advice) = wording(kind);
    let advice = match (what, kind) {
        // Not a thing picked from a list, but one that a person named.
        (Some(_), Kind::Missing) => Key("error-missing-form"),
        _ => advice,
    };
    parts::notice(
        Level::Bad,
        &l.t(what.unwrap_or(title)),
        html! {
            p { @if what.is_some() { (l.t(title)) ". " } (l.t(advice)) }
            (detail(l, message))
        },
    )
}

/// The engine's sentence, marked as English.
pub fn detail(l: Language, message: &str) -> Markup {
    html! {
        @if !message.is_empty() {
            p.small { (l.t("error-detail-label")) " " span lang="en" { (message) } }
        }
    }
}

/// The kind written as the API writes it; unknown words count as `io`.
pub fn parse_kind(text: &str) -> Kind {
    match text {
        "corrupt" => Kind::Corrupt,
        "missing" => Kind::Missing,
        "transient" => Kind::Transient,
        "full" => Kind::Full,
        "refused" => Kind::Refused,
        "busy" => Kind::Busy,
        "cancelled" => Kind::Cancelled,
        _ => Kind::Io,
    }
}

fn wording(kind: Kind) -> (Key, Key) {
    match kind {
        Kind::Corrupt => (Key("error-corrupt"), Key("error-corrupt-do")),
        Kind::Missing => (Key("error-missing"), Key("error-missing-do")),
        Kind::Transient => (Key("error-transient"), Key("error-transient-do")),
        Kind::Full => (Key("error-full"), Key("error-full-do")),
        Kind::Refused => (Key("error-refused"), Key("error-refused-do")),
        Kind::Busy => (Key("error-busy"), Key("error-busy-do")),
        Kind::Cancelled => (Key("error-cancelled"), Key("error-cancelled-do")),
        Kind::Io => (Key("error-io"), Key("error-io-do")),
    }
}

/// Answers addresses that do not exist.
pub async fn not_found(_: Stranger) -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Wraps every page: prepares the [`Slot`], and words whatever went wrong.
pub async fn dress(desk: Arc<Desk>, mut request: Request, next: Next) -> Response {
    let slot = Slot::new(desk, &request);
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    let had_cookie = cookie(request.headers(), session::COOKIE).is_some_and(|c| !c.is_empty());
    request.extensions_mut().insert(slot.clone());
    let mut response = next.run(request).await;

    if let Some(denied) = response.extensions_mut().remove::<Denied>() {
        return deny(&slot, denied, reading, had_cookie, response);
    }
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        let (title, advice) = wording(fault.kind);
        return page(
            &slot.frame(),
            response.status(),
            title,
            advice,
            &fault.message,
        );
    }
    let status = response.status();
    let worded = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"text/html"));
    if worded || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (title, advice) = match status {
        StatusCode::NOT_FOUND => (Key("error-404"), Key("error-404-do")),
        StatusCode::METHOD_NOT_ALLOWED => (Key("error-405"), Key("error-405-do")),
        s if s.is_client_error() => (Key("error-400"), Key("error-400-do")),
        _ => (Key("error-500"), Key("error-500-do")),
    };
    page(&slot.frame(), status, title, advice, "")
}

fn deny(
    slot: &Slot,
    denied: Denied,
    reading: bool,
    had_cookie: bool,
    response: Response,
) -> Response {
    let status = denied.status();
    let (title, advice, message) = match denied {
        Denied::Unclaimed => return Redirect::to(links::CLAIM).into_response(),
        Denied::NotLoggedIn => {
            let here = if reading {
                slot.bare.here.as_str()
            } else {
                links::TODAY
            };
            let ended = if had_cookie { "&ended=1" } else { "" };
            let target = format!("{}{ended}", links::with_next(links::LOGIN, here));
            return Redirect::to(&target).into_response();
        }
        Denied::Csrf => (Key("error-csrf"), Key("error-csrf-do"), String::new()),
        Denied::BadForm(why) => (Key("error-400"), Key("error-400-do"), why),
        Denied::Failed(kind, message) => {
            let (title, advice) = wording(kind);
            (title, advice, message)
        }
        // Claim and login word these themselves, beside the form.
        Denied::Wrong | Denied::Slow(_) | Denied::Claimed => return response,
    };
    page(&slot.frame(), status, title, advice, &message)
}

fn page(frame: &Frame, status: StatusCode, title: Key, advice: Key, message: &str) -> Response {
    let l = frame.language;
    let title = l.t(title);
    let body = html! {
        div.narrow {
            div.verdict.bad {
                (icon(icons::BAD))
                div {
                    h1 { (title) }
                    p { (l.t(advice)) }
                }
            }
            (detail(l, message))
            p.soft.small { (l.f("error-number", [("n", status.as_str().into())])) }
            p { a.button.plain href=(links::TODAY) { (l.t("back-to-today")) } }
        }
    };
    let page = layout::page(frame, Head::new(Section::None, &title), body);
    (status, page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::kind_str;

    #[test]
    fn kinds_are_read_as_the_api_writes_them() {
        for kind in [
            Kind::Corrupt,
            Kind::Missing,
            Kind::Transient,
            Kind::Full,
            Kind::Refused,
            Kind::Busy,
            Kind::Cancelled,
            Kind::Io,
        ] {
            assert_eq!(parse_kind(kind_str(kind)), kind);
        }
    }
}

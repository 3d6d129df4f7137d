//! A visit to a page: who comes, in which language, with what to be told, and
//! what was filled in. Handlers take [`Visit`] (or [`Posted`] for forms, CSRF
//! checked) and answer with [`Visit::page`] or an error, which
//! [`super::errors`] words as a page.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use zeroize::Zeroizing;

use super::errors::Fault;
use super::layout::{self, Flash, Frame, Head};
use super::parts::Level;
use crate::panel::AppState;
use crate::panel::session::{CsrfForm, Denied, MaybeSession, Session};
use crate::panel::texts::Language;

/// The cookie that remembers a chosen language.
pub const LANGUAGE_COOKIE: &str = "language";
/// Messages kept for the next page, at most; the oldest are dropped.
const MESSAGES: usize = 256;

/// What pages remember between two requests, in memory only.
#[derive(Debug, Default)]
pub struct Desk {
    /// Messages for the next page of a session, known by its CSRF token.
    messages: Mutex<VecDeque<(String, Flash)>>,
    /// Recovery words that their owner has not yet said to have kept.
    words: Mutex<Option<Words>>,
}

/// Recovery words and the account that made the pool. Bound to the account,
/// not the session: who is logged out before writing them down sees them
/// after the next login. Wiped when confirmed; gone after a restart.
#[derive(Debug)]
struct Words {
    user: String,
    words: Zeroizing<Vec<String>>,
    /// In place of others, not of a new pool.
    renewed: bool,
}

impl Desk {
    fn tell(&self, session: &str, flash: Flash) {
        let mut messages = lock(&self.messages);
        while messages.len() >= MESSAGES {
            messages.pop_front();
        }
        messages.push_back((session.to_owned(), flash));
    }

    fn take(&self, session: &str) -> Vec<Flash> {
        let mut messages = lock(&self.messages);
        let (mine, rest) = messages.drain(..).partition(|(s, _)| s == session);
        *messages = rest;
        let mine: VecDeque<(String, Flash)> = mine;
        mine.into_iter().map(|(_, flash)| flash).collect()
    }

    /// Keeps a new pool's words until [`Desk::words_kept`].
    pub fn keep_words(&self, user: &str, words: Vec<String>) {
        self.set_words(user, words, false);
    }

    /// The same for words that replace others.
    pub fn renew_words(&self, user: &str, words: Vec<String>) {
        self.set_words(user, words, true);
    }

    fn set_words(&self, user: &str, words: Vec<String>, renewed: bool) {
        *lock(&self.words) = Some(Words {
            user: user.to_owned(),
            words: Zeroizing::new(words),
            renewed,
        });
    }

    /// The words this account has to write down.
    pub fn words(&self, user: &str) -> Option<Zeroizing<Vec<String>>> {
        let kept = lock(&self.words);
        kept.as_ref()
            .filter(|w| w.user == user)
            .map(|w| w.words.clone())
    }

    /// They were written down: wipes them. Whether they replaced others.
    pub fn words_kept(&self, user: &str) -> bool {
        let mut kept = lock(&self.words);
        let mine = kept.take_if(|w| w.user == user);
        mine.is_some_and(|w| w.renewed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics under these locks, and what they guard is whole at any time.
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Put into every request by [`super::errors::dress`]: the desk, the language,
/// and a place where the visit leaves its frame for an error page.
#[derive(Clone, Debug)]
pub struct Slot {
    /// See [`Desk`].
    pub desk: Arc<Desk>,
    /// What is known without a session.
    pub bare: Frame,
    /// The frame with session, once an extractor has looked.
    pub full: Arc<OnceLock<Frame>>,
}

impl Slot {
    /// From a request's address and headers.
    pub fn new(desk: Arc<Desk>, request: &Request) -> Self {
        let headers = request.headers();
        let accept = headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|v| v.to_str().ok());
        let language = Language::negotiate(cookie(headers, LANGUAGE_COOKIE), accept);
        let here = request
            .uri()
            .path_and_query()
            .map_or("/", |p| p.as_str())
            .to_owned();
        Self {
            desk,
            bare: Frame {
                language,
                here,
                ..Frame::default()
            },
            full: Arc::default(),
        }
    }

    /// The best frame known by now.
    pub fn frame(&self) -> Frame {
        self.full.get().unwrap_or(&self.bare).clone()
    }
}

/// One cookie of a request.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// A visit by somebody logged in; others are sent to the login or claim page.
#[derive(Clone)]
pub struct Visit {
    /// The visitor's language.
    pub l: Language,
    /// Who.
    pub session: Session,
    /// The house.
    pub app: AppState,
    /// What pages remember.
    pub desk: Arc<Desk>,
    frame: Frame,
}

impl Visit {
    /// A page of this visit, with the messages it has to be told.
    pub fn page(&self, head: Head<'_>, body: Markup) -> Response {
        let mut frame = self.frame.clone();
        frame.flashes = self.desk.take(&self.session.csrf);
        layout::page(&frame, head, body).into_response()
    }

    /// The token of every form.
    pub fn csrf(&self) -> &str {
        &self.session.csrf
    }

    /// After an action: on to `target`, with a message there.
    pub fn done(
        &self,
        target: &str,
        level: Level,
        title: impl Into<String>,
        body: impl Into<String>,
    ) -> Response {
        let flash = Flash {
            level,
            title: title.into(),
            body: body.into(),
        };
        self.desk.tell(&self.session.csrf, flash);
        Redirect::to(target).into_response()
    }

    /// Asks the service, from a blocking thread.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<crate::service::Service>) -> crate::engine::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        self.app.run(work).await.map_err(Fault::from)
    }
}

impl FromRequestParts<AppState> for Visit {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Denied> {
        let session = Session::from_request_parts(parts, app).await?;
        let slot = slot(parts);
        let frame = full_frame(&slot, app, &session).await;
        Ok(Self {
            l: frame.language,
            session,
            app: app.clone(),
            desk: slot.desk,
            frame,
        })
    }
}

/// A visit by anybody: before login, or to an address that does not exist.
#[derive(Clone)]
pub struct Stranger {
    /// The visitor's language.
    pub l: Language,
    /// The house.
    pub app: AppState,
    /// Whether somebody is logged in after all.
    pub session: Option<Session>,
    /// For pages without navigation.
    pub frame: Frame,
}

impl FromRequestParts<AppState> for Stranger {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        let Ok(MaybeSession(session)) = MaybeSession::from_request_parts(parts, app).await;
        let slot = slot(parts);
        if let Some(session) = &session {
            full_frame(&slot, app, session).await;
        }
        Ok(Self {
            l: slot.bare.language,
            app: app.clone(),
            session,
            frame: slot.bare,
        })
    }
}

fn slot(parts: &Parts) -> Slot {
    // `dress` puts it there; without (a handler called outside the router)
    // the page is in Spanish and remembers nothing.
    parts
        .extensions
        .get::<Slot>()
        .cloned()
        .unwrap_or_else(|| Slot {
            desk: Arc::default(),
            bare: Frame::default(),
            full: Arc::default(),
        })
}

async fn full_frame(slot: &Slot, app: &AppState, session: &Session) -> Frame {
    let running = app
        .run(|service| Ok(service.active_jobs()))
        .await
        .unwrap_or(0);
    let frame = Frame {
        user: Some(session.user.clone()),
        csrf: session.csrf.clone(),
        running,
        ..slot.bare.clone()
    };
    slot.full.get_or_init(|| frame).clone()
}

/// A form sent by somebody logged in, its CSRF token checked.
pub struct Posted {
    /// Who.
    pub visit: Visit,
    /// What.
    pub fields: Fields,
}

impl FromRequest<AppState> for Posted {
    type Rejection = Denied;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Denied> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, app).await?;
        let request = Request::from_parts(parts, body);
        let form = CsrfForm::<Vec<(String, String)>>::from_request(request, app).await?;
        Ok(Self {
            visit,
            fields: Fields(form.form),
        })
    }
}

/// The fields of a form or query, in order; names may repeat.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first field of this name, without white space around it; empty if
    /// there is none.
    pub fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The same to the letter: for passwords.
    pub fn raw(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, v)| v.as_str())
    }

    /// Whether a box was ticked.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, v)| n == name && !v.is_empty())
    }

    /// All fields whose name begins with `prefix`: the rest of the name, and the value.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(move |(n, v)| Some((n.strip_prefix(prefix)?, v.trim())))
    }

    /// The field's text, or `None` if it is empty.
    pub fn filled(&self, name: &str) -> Option<String> {
        Some(self.get(name).to_owned()).filter(|v| !v.is_empty())
    }
}

/// What was wrong with the fields of a form, by field name.
#[derive(Clone, Debug, Default)]
pub struct Mistakes(Vec<(&'static str, String)>);

impl Mistakes {
    /// Notes one.
    pub fn add(&mut self, field: &'static str, what: impl Into<String>) {
        self.0.push((field, what.into()));
    }

    /// What was wrong with `field`.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| *n == field)
            .map(|(_, what)| what.as_str())
    }

    /// Whether nothing was wrong.
    pub fn none(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flash(title: &str) -> Flash {
        Flash {
            level: Level::Good,
            title: title.to_owned(),
            body: String::new(),
        }
    }

    #[test]
    fn a_message_is_told_once_and_only_to_its_session() {
        let desk = Desk::default();
        desk.tell("a", flash("one"));
        desk.tell("b", flash("two"));
        assert_eq!(desk.take("a").len(), 1);
        assert!(desk.take("a").is_empty());
        assert_eq!(desk.take("b")[0].title, "two");
    }

    #[test]
    fn untold_messages_do_not_pile_up() {
        let desk = Desk::default();
        for i in 0..MESSAGES * 2 {
            desk.tell(&i.to_string(), flash("x"));
        }
        assert!(desk.messages.lock().unwrap().len() <= MESSAGES);
    }

    #[test]
    fn words_are_shown_to_their_maker_until_kept() {
        let desk = Desk::default();
        desk.keep_words("ana", vec!["uno".into()]);
        assert!(desk.words("luis").is_none());
        desk.words_kept("luis");
        assert_eq!(desk.words("ana").unwrap().len(), 1);
        desk.words_kept("ana");
        assert!(desk.words("ana").is_none());
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "xlanguage=xx; language=en".parse().unwrap());
        assert_eq!(cookie(&headers, "language"), Some("en"));
        assert_eq!(cookie(&headers, "lang"), None);
    }
}

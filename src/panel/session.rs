//! Who is asking: logins, sessions, bearer tokens, CSRF.
//!
//! A token is 256 random bits. Only its BLAKE3 is kept, in memory, so that
//! neither a disk nor a memory image of the box gives a usable one; a restart
//! logs everybody out. Browsers hold theirs in a `__Host-` cookie that scripts
//! cannot read and other sites cannot send (`SameSite=Strict`), and every form
//! carries the session's CSRF token besides. Programs send theirs as
//! `Authorization: Bearer`, which a browser never does by itself.
//!
//! Extractors for pages: [`Session`] (logged in, else sent to the login or
//! claim page), [`MaybeSession`], [`CsrfForm`] (a form of a logged-in person,
//! CSRF checked). For pages without a session yet, [`Peer`] and
//! [`AppState::claim`], [`AppState::login`].

mod extract;
mod store;
mod throttle;

use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::AppState;
use crate::engine::{Error, Kind};
use crate::service::{Service, UserView};

pub use store::{Sessions, Transport};

/// The session cookie's name. `__Host-` makes browsers insist on `Secure`,
/// `Path=/` and no `Domain`.
pub const COOKIE: &str = "__Host-colca";
/// A session ends when unused for this long.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// And this long after its login at the latest.
pub const ABSOLUTE: Duration = Duration::from_secs(12 * 60 * 60);
/// How long a login waits for its turn to be hashed.
const HASH_WAIT: Duration = Duration::from_secs(10);

/// A logged-in person or program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Account.
    pub user: String,
    /// To be put into every form as the hidden field `csrf`.
    pub csrf: String,
    /// The stored hash of the token; ends the session.
    key: store::Key,
}

/// A session if there is one; never rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaybeSession(pub Option<Session>);

/// A urlencoded form of a logged-in person whose field `csrf` was right. `T`
/// may be a struct, or `Vec<(String, String)>` where fields repeat (checkboxes);
/// `csrf` is among the fields of the latter.
#[derive(Clone, Debug)]
pub struct CsrfForm<T> {
    /// Who.
    pub session: Session,
    /// What.
    pub form: T,
}

/// The address a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// A session just begun.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Account.
    pub user: String,
    /// `Set-Cookie` for a browser.
    pub cookie: HeaderValue,
    /// The token, for a program.
    pub token: String,
}

/// Why somebody was not let in. As a response: a redirect for people without
/// session, else plain text; the value is also put into the response's
/// extensions, so that a layer can word it as a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The box has no owner yet: to `/claim`.
    Unclaimed,
    /// No session, or an ended one: to `/login`.
    NotLoggedIn,
    /// CSRF token missing or wrong.
    Csrf,
    /// Wrong name, password or claim code.
    Wrong,
    /// Too many wrong tries from this address: again after so many seconds.
    Slow(u64),
    /// The form cannot be read; in words.
    BadForm(String),
    /// The box has an owner already.
    Claimed,
    /// Anything else, e.g. a password that is too short.
    Failed(Kind, String),
}

impl Denied {
    /// The status it answers with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unclaimed | Self::NotLoggedIn | Self::Wrong => StatusCode::UNAUTHORIZED,
            Self::Csrf => StatusCode::FORBIDDEN,
            Self::Slow(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::BadForm(_) => StatusCode::BAD_REQUEST,
            Self::Claimed => StatusCode::CONFLICT,
            Self::Failed(kind, _) => super::api::problem::status(*kind),
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let mut response = match &self {
            Self::Unclaimed => Redirect::to("/claim").into_response(),
            Self::NotLoggedIn => Redirect::to("/login").into_response(),
            _ => (self.status(), self.to_string()).into_response(),
        };
        if let Self::Slow(seconds) = self {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unclaimed => f.write_str("the box has no owner yet; claim it first"),
            Self::NotLoggedIn => {
                f.write_str("not logged in, or the session has ended; log in again")
            }
            Self::Csrf => f.write_str(
                "the form does not carry this session's CSRF token; load the page again and repeat",
            ),
            Self::Wrong => f.write_str("wrong user, password or code"),
            Self::Slow(seconds) => write!(
                f,
                "too many wrong tries from this address; try again in {seconds} seconds"
            ),
            Self::BadForm(why) => write!(f, "the form cannot be read: {why}"),
            Self::Claimed => f.write_str("the box has an owner already; log in instead"),
            Self::Failed(_, message) => f.write_str(message),
        }
    }
}

impl AppState {
    /// Claims the box with the code from its console and logs its new owner in.
    pub async fn claim(
        &self,
        peer: Peer,
        code: String,
        user: String,
        password: String,
        transport: Transport,
    ) -> Result<NewSession, Denied> {
        if self.service().claimed() {
            return Err(Denied::Claimed);
        }
        self.attempt(peer, transport, move |service| {
            service.claim(&code, &user, &password)
        })
        .await
    }

    /// Logs in.
    pub async fn login(
        &self,
        peer: Peer,
        user: String,
        password: String,
        transport: Transport,
    ) -> Result<NewSession, Denied> {
        if !self.service().claimed() {
            return Err(Denied::Unclaimed);
        }
        self.attempt(peer, transport, move |service| {
            service.check_login(&user, &password)
        })
        .await
    }

    /// Ends a session; the answer is a `Set-Cookie` that removes the cookie.
    pub fn logout(&self, session: &Session) -> HeaderValue {
        self.sessions().end(&session.key);
        store::no_cookie()
    }

    /// One throttled try of something that costs a password hash and, if it
    /// goes well, begins a session.
    async fn attempt(
        &self,
        peer: Peer,
        transport: Transport,
        check: impl FnOnce(&Service) -> Result<Option<UserView>, Error> + Send + 'static,
    ) -> Result<NewSession, Denied> {
        // Counted as wrong beforehand: tries made side by side must not all
        // pass before the first is found to be wrong.
        self.sessions()
            .throttle
            .before(peer.0)
            .map_err(Denied::Slow)?;
        // A hash takes tens of MiB: a few at a time, whoever asks.
        let permit = tokio::time::timeout(HASH_WAIT, self.sessions().hashing.acquire())
            .await
            .map_err(|_| Denied::Slow(HASH_WAIT.as_secs()))?;
        let outcome = self.run(move |service| check(service)).await;
        drop(permit);
        match outcome {
            Ok(Some(user)) => {
                self.sessions().throttle.succeeded(peer.0);
                tracing::info!(user = user.name, peer = %peer.0, "logged in");
                self.sessions()
                    .begin(&user.name, transport)
                    .map_err(|e| Denied::Failed(e.kind(), e.to_string()))
            }
            Ok(None) => {
                tracing::warn!(peer = %peer.0, "wrong user, password or code");
                Err(Denied::Wrong)
            }
            Err(e) => {
                // Not a guess: a password too short, or a fault of the box.
                self.sessions().throttle.forgive(peer.0);
                Err(Denied::Failed(e.kind(), e.to_string()))
            }
        }
    }
}

//! How handlers ask for a session.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Form, FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::{COOKIE, CsrfForm, Denied, MaybeSession, Peer, Session, Transport};
use crate::panel::AppState;
use crate::panel::server::PeerAddress;

/// The token in the session cookie.
fn cookie_token(parts: &Parts) -> Option<&str> {
    parts
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The token after `Authorization: Bearer`.
fn bearer_token(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Session {
    /// A program's session, or a browser's; the flag tells that the request
    /// came with a cookie and so needs a CSRF token if it changes something.
    pub(in crate::panel) fn of_program(parts: &Parts, app: &AppState) -> Option<(Self, bool)> {
        if let Some(token) = bearer_token(parts) {
            return Some((app.sessions().find(token, Transport::Program)?, false));
        }
        let token = cookie_token(parts)?;
        Some((app.sessions().find(token, Transport::Browser)?, true))
    }

    /// Whether `token` is this session's CSRF token, compared in constant time.
    pub fn csrf_matches(&self, token: &str) -> bool {
        // Comparing hashes takes the same time wherever the texts differ.
        blake3::hash(self.csrf.as_bytes()) == blake3::hash(token.as_bytes())
    }
}

impl FromRequestParts<AppState> for MaybeSession {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        Ok(Self(cookie_token(parts).and_then(|token| {
            app.sessions().find(token, Transport::Browser)
        })))
    }
}

impl FromRequestParts<AppState> for Session {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Denied> {
        let Ok(MaybeSession(session)) = MaybeSession::from_request_parts(parts, app).await;
        session.ok_or_else(|| {
            if app.service().claimed() {
                Denied::NotLoggedIn
            } else {
                Denied::Unclaimed
            }
        })
    }
}

impl FromRequestParts<AppState> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        // Without connection information (a handler called outside the
        // server) all callers count as one.
        Ok(Self(
            parts
                .extensions
                .get::<ConnectInfo<PeerAddress>>()
                .map_or([0, 0, 0, 0].into(), |info| info.0.0.ip().to_canonical()),
        ))
    }
}

#[derive(serde::Deserialize)]
struct CsrfField {
    #[serde(default)]
    csrf: String,
}

impl<T: DeserializeOwned> FromRequest<AppState> for CsrfForm<T> {
    type Rejection = Denied;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Denied> {
        let (mut parts, body) = request.into_parts();
        let session = Session::from_request_parts(&mut parts, app).await?;
        let bad = |e: &dyn std::fmt::Display| Denied::BadForm(e.to_string());
        let whole = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(whole, app).await.map_err(|e| bad(&e))?;
        let read = || Request::from_parts(parts.clone(), Body::from(body.clone()));
        let Form(CsrfField { csrf }) =
            Form::from_request(read(), app).await.map_err(|e| bad(&e))?;
        if !session.csrf_matches(&csrf) {
            return Err(Denied::Csrf);
        }
        let Form(form) = Form::from_request(read(), app).await.map_err(|e| bad(&e))?;
        Ok(Self { session, form })
    }
}

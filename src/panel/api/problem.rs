//! Errors as problem documents (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::engine::{Error, Kind};
use crate::panel::session::Denied;
use crate::service::kind_str;

/// The status an error kind answers with.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Missing => StatusCode::NOT_FOUND,
        Kind::Refused => StatusCode::BAD_REQUEST,
        Kind::Busy | Kind::Cancelled => StatusCode::CONFLICT,
        Kind::Transient => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Full => StatusCode::INSUFFICIENT_STORAGE,
        Kind::Corrupt | Kind::Io => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error on its way to a program.
#[derive(Clone, Debug)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// One of the engine's kinds.
    pub kind: &'static str,
    /// What happened and what to do.
    pub detail: String,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem of `kind` with its usual status.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            status: status(kind),
            kind: kind_str(kind),
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl From<Error> for Problem {
    fn from(e: Error) -> Self {
        Self::new(e.kind(), e.to_string())
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let kind = match &denied {
            Denied::Unclaimed => Kind::Missing,
            Denied::Slow(_) => Kind::Busy,
            Denied::Claimed => Kind::Busy,
            Denied::Failed(kind, _) => *kind,
            Denied::NotLoggedIn | Denied::Csrf | Denied::Wrong | Denied::BadForm(_) => {
                Kind::Refused
            }
        };
        let mut problem = Self::new(kind, denied.to_string()).with_status(denied.status());
        if let Denied::Slow(seconds) = denied {
            problem.retry_after = Some(seconds);
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "kind": self.kind,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

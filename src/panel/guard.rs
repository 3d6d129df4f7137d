//! What every request passes: refusal of requests that another site made a
//! browser send, bodies read whole and soon, security headers, one log line
//! for each failure.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio_stream::StreamExt;

use super::api::problem::Problem;
use super::server::PeerAddress;
use crate::engine::Kind;

/// Nothing but what the box itself serves, no inline script or style, never
/// in a frame. Images may be `data:` addresses, for icons in style sheets.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";

/// Largest request body. Nothing sent to the panel is larger than a key file
/// or a few certificates.
const BODY: usize = 64 << 10;
/// What is beyond that is read and thrown away up to here, because whoever
/// still sends does not read the answer; then the connection is closed.
const DRAIN: usize = 4 << 20;
/// A body arrives within this time.
const ARRIVAL: Duration = Duration::from_secs(30);

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: forms would then be sent with `Origin: null`.
    (header::REFERRER_POLICY, "same-origin"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

pub(super) async fn guard(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let peer = request.extensions().get::<ConnectInfo<PeerAddress>>();
    let peer = peer.map(|info| info.0.0.ip().to_canonical().to_string());
    let foreign = !method.is_safe() && from_another_site(request.headers());
    let mut response = if foreign {
        Problem::new(
            Kind::Refused,
            "the request comes from a page of another site; open the panel itself",
        )
        .with_status(StatusCode::FORBIDDEN)
        .into_response()
    } else {
        match with_body(request).await {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    log(&method, &path, peer.unwrap_or_default(), &response);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The request with its body read whole. A handler that refuses without
/// reading would leave the rest on the connection, which then cannot be used
/// for the next request, while the client begins to send one.
async fn with_body(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let late = || {
        Problem::new(
            Kind::Refused,
            format!(
                "the body did not arrive within {} seconds",
                ARRIVAL.as_secs()
            ),
        )
        .with_status(StatusCode::REQUEST_TIMEOUT)
    };
    let read = tokio::time::timeout(ARRIVAL, read(body)).await;
    let bytes = read.map_err(|_| late())??;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let mut pieces = body.into_data_stream();
    let (mut bytes, mut seen) = (Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|e| {
            Problem::new(Kind::Refused, format!("the body did not arrive whole: {e}"))
        })?;
        seen += piece.len();
        if seen <= BODY {
            bytes.extend_from_slice(&piece);
        } else if seen > DRAIN {
            break;
        }
    }
    if seen > BODY {
        return Err(Problem::new(
            Kind::Refused,
            format!("the body is longer than {BODY} bytes, the most this box takes"),
        )
        .with_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    Ok(bytes.into())
}

/// Whether a browser says that another site made it send this. Programs say
/// nothing, which is fine: they have no cookie to be misused.
fn from_another_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    match (text("origin"), text("host")) {
        (Some(origin), Some(host)) => origin
            .split_once("://")
            .is_none_or(|(_, from)| !from.eq_ignore_ascii_case(host)),
        _ => false,
    }
}

fn log(method: &Method, path: &str, peer: String, response: &Response) {
    let status = response.status().as_u16();
    match status {
        500.. => tracing::warn!(%method, path, peer, status, "request failed"),
        400.. => tracing::info!(%method, path, peer, status, "request refused"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_of_other_sites_are_foreign() {
        let foreign = |headers: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let name: HeaderName = name.parse().unwrap();
                map.insert(name, value.parse().unwrap());
            }
            from_another_site(&map)
        };
        assert!(!foreign(&[]));
        assert!(!foreign(&[("sec-fetch-site", "same-origin")]));
        assert!(!foreign(&[("sec-fetch-site", "none")]));
        assert!(foreign(&[("sec-fetch-site", "cross-site")]));
        assert!(foreign(&[("sec-fetch-site", "same-site")]));
        let host = ("host", "box:8443");
        assert!(!foreign(&[("origin", "https://box:8443"), host]));
        assert!(foreign(&[("origin", "https://evil.example"), host]));
        assert!(foreign(&[("origin", "null"), host]));
    }
}

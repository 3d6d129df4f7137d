//! One signed request, tried again while trying again may help, and its
//! failure put into words.

use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use jiff::Timestamp;
use md5::Digest as _;
use ureq::SendBody;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::pace::{PIECE, Pace};
use super::xml::element;
use crate::engine::{Error, Kind, Result};

/// Tries in all; with the pauses between them about three seconds.
const TRIES: u32 = 5;
/// Longest answer taken in: the largest object there can be is a segment, and
/// those end soon after 1 GiB.
const LONGEST: u64 = 2 << 30;
/// A clock further off than this is why a signature is refused.
const SKEW_SECONDS: i64 = 300;

pub(super) type Agent = ureq::Agent;

/// What a request asks for.
#[derive(Clone, Copy)]
pub(super) enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
}

/// A request ready to be sent; signed anew for every try, as signatures age.
pub(super) struct Request<'a> {
    pub method: Method,
    pub sign: &'a dyn Fn() -> String,
    pub headers: &'a [(&'static str, String)],
    pub body: &'a [u8],
    /// Phrase for errors: `storing segments/… at …`.
    pub what: String,
}

/// What the server answered.
pub(super) struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client that trusts the system's certificate authorities and `ca_pem`.
pub(super) fn agent(ca_pem: Option<&str>) -> Result<Agent> {
    let roots = match ca_pem {
        None => RootCerts::PlatformVerifier,
        Some(pem) => {
            let mut certs = Vec::new();
            for item in parse_pem(pem.as_bytes()) {
                if let Ok(PemItem::Certificate(cert)) = item {
                    certs.push(cert);
                }
            }
            if certs.is_empty() {
                return Err(Error::new(
                    Kind::Refused,
                    "the certificate authority given for the provider is not a PEM certificate",
                ));
            }
            let system = rustls_native_certs::load_native_certs();
            certs.extend(
                system
                    .certs
                    .iter()
                    .map(|c| Certificate::from_der(c.as_ref()).to_owned()),
            );
            RootCerts::from(certs)
        }
    };
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(roots)
        .build();
    Ok(ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent("colca")
        .tls_config(tls)
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .timeout_per_write(Some(Duration::from_secs(60)))
        .timeout_recv_response(Some(Duration::from_secs(120)))
        .build()
        .new_agent())
}

/// The `Content-MD5` of a body, by which the server checks what arrived.
pub(super) fn content_md5(body: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(body))
}

/// Sends the request until it is answered with something that another try
/// will not change: success or a refusal.
pub(super) fn send_any(agent: &Agent, pace: &Pace, request: &Request<'_>) -> Result<Answer> {
    let mut pause = Duration::from_millis(200);
    let mut tries = 1;
    loop {
        pace.request()?;
        let error = match once(agent, pace, request) {
            Ok(answer) if answer.status < 300 => return Ok(answer),
            Ok(answer) => {
                let error = refusal(&request.what, &answer);
                if error.kind() != Kind::Transient {
                    return Ok(answer);
                }
                error
            }
            Err(e) => e,
        };
        if error.kind() != Kind::Transient || tries == TRIES {
            return Err(error);
        }
        tracing::debug!("{error}; trying again in {pause:?}");
        thread::sleep(pause);
        pause *= 2;
        tries += 1;
    }
}

/// A body that waits for its turn, piece by piece.
struct Paced<'a> {
    body: &'a [u8],
    pace: &'a Pace,
}

impl Read for Paced<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.body.len().min(buf.len()).min(PIECE);
        if n > 0 {
            self.pace.bytes(n).map_err(std::io::Error::other)?;
        }
        let (now, later) = self.body.split_at(n);
        buf[..n].copy_from_slice(now);
        self.body = later;
        Ok(n)
    }
}

fn once(agent: &Agent, pace: &Pace, request: &Request<'_>) -> Result<Answer> {
    let url = (request.sign)();
    macro_rules! with_headers {
        ($builder:expr) => {
            request
                .headers
                .iter()
                .fold($builder, |b, (name, value)| b.header(*name, value))
        };
    }
    macro_rules! with_body {
        ($builder:expr) => {{
            let builder = with_headers!($builder);
            if pace.is_bounded() && !request.body.is_empty() {
                let mut body = Paced {
                    body: request.body,
                    pace,
                };
                builder
                    .header("content-length", request.body.len().to_string())
                    .send(SendBody::from_reader(&mut body))
            } else {
                builder.send(request.body)
            }
        }};
    }
    let result = match request.method {
        Method::Get => with_headers!(agent.get(&url)).call(),
        Method::Head => with_headers!(agent.head(&url)).call(),
        Method::Delete => with_headers!(agent.delete(&url)).call(),
        Method::Put => with_body!(agent.put(&url)),
        Method::Post => with_body!(agent.post(&url)),
    };
    // Stopped in the middle of a body: that is no fault of the line.
    let failed = |e| {
        pace.request()
            .err()
            .unwrap_or_else(|| transport(&request.what, e))
    };
    let mut response = result.map_err(failed)?;
    let status = response.status().as_u16();
    let length = response.body().content_length();
    let mut body = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(LONGEST)
        .read_to_end(&mut body)
        .map_err(|e| failed(ureq::Error::from(e)))?;
    let head = matches!(request.method, Method::Head);
    if !head && length.is_some_and(|n| n != body.len() as u64) {
        return Err(Error::new(
            Kind::Transient,
            format!("{}: the answer was cut short", request.what),
        ));
    }
    let (parts, _) = response.into_parts();
    Ok(Answer {
        status,
        headers: parts.headers,
        body,
    })
}

/// The connection failed.
fn transport(what: &str, e: ureq::Error) -> Error {
    let message = |text: &str| format!("{what}: {text}");
    match &e {
        ureq::Error::HostNotFound => Error::with_source(
            Kind::Transient,
            message("the provider's host name was not found; check the address and the network"),
            e,
        ),
        ureq::Error::ConnectionFailed | ureq::Error::Timeout(_) => Error::with_source(
            Kind::Transient,
            format!(
                "{what}: the provider does not answer ({e}); check the address and the network"
            ),
            e,
        ),
        ureq::Error::Io(io) if io.get_ref().is_some_and(|c| c.is::<rustls::Error>()) => {
            Error::with_source(Kind::Refused, untrusted(what, &io.to_string()), e)
        }
        ureq::Error::Io(_) => Error::with_source(
            Kind::Transient,
            format!(
                "{what}: the connection to the provider failed ({e}); check the address and the network"
            ),
            e,
        ),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
            let text = untrusted(what, &e.to_string());
            Error::with_source(Kind::Refused, text, e)
        }
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            let text = format!("{what}: the provider's address is not valid ({e})");
            Error::with_source(Kind::Refused, text, e)
        }
        _ => {
            let text = format!("{what}: {e}");
            Error::with_source(Kind::Transient, text, e)
        }
    }
}

fn untrusted(what: &str, why: &str) -> String {
    format!(
        "{what}: the provider's certificate is not trusted ({why}); give the certificate authority that signed it, or check the address"
    )
}

/// The server's clock.
pub(super) fn date(answer: &Answer) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(answer.header("date")?).ok()?;
    Some(date.timestamp())
}

/// The server said no.
pub(super) fn refusal(what: &str, answer: &Answer) -> Error {
    let xml = String::from_utf8_lossy(&answer.body);
    let code = element(&xml, "Code").unwrap_or("");
    let skew = date(answer).map(|there| (Timestamp::now().as_second() - there.as_second()).abs());
    let (kind, text) = match (answer.status, code) {
        (_, "RequestTimeTooSkewed" | "RequestExpired") => (Kind::Refused, clock(skew)),
        (401 | 403, _) if skew.is_some_and(|s| s > SKEW_SECONDS) => (Kind::Refused, clock(skew)),
        (_, "QuotaExceeded" | "StorageFull" | "XMinioStorageFull") | (507, _) => (
            Kind::Full,
            "the provider has no room left; enlarge the contract or forget snapshots".into(),
        ),
        (_, "ExpiredToken" | "UserSuspended") => (
            Kind::Refused,
            format!(
                "the access key is no longer valid ({code}); ask the provider, or enter a new one"
            ),
        ),
        (_, "InvalidAccessKeyId") => (
            Kind::Refused,
            "the provider does not know this access key; check it".into(),
        ),
        (_, "SignatureDoesNotMatch") => (
            Kind::Refused,
            "the secret key is wrong for this access key; enter it again".into(),
        ),
        (_, "NoSuchBucket") => (
            Kind::Missing,
            "there is no such bucket at the provider".into(),
        ),
        (404, _) => (Kind::Missing, "not there".into()),
        (416, _) => (Kind::Corrupt, "shorter than expected".into()),
        (
            _,
            "BadDigest"
            | "InvalidDigest"
            | "XAmzContentSHA256Mismatch"
            | "RequestTimeout"
            | "IncompleteBody",
        ) => (Kind::Transient, "it did not arrive whole".into()),
        (_, "OperationAborted") => (
            Kind::Transient,
            "the provider is still at another change of the same thing".into(),
        ),
        (408 | 429 | 500.., _) => (
            Kind::Transient,
            format!(
                "the provider has a fault or is overloaded (HTTP {} {code})",
                answer.status
            ),
        ),
        (401 | 403, _) => (
            Kind::Refused,
            format!(
                "the key may not do this (HTTP {} {code}); check its permissions",
                answer.status
            ),
        ),
        (300..=399, _) => (
            Kind::Refused,
            format!(
                "the bucket is elsewhere (HTTP {} {code}); check the address and the region",
                answer.status
            ),
        ),
        (status, _) => (
            Kind::Refused,
            format!(
                "the provider refused (HTTP {status} {code} {})",
                element(&xml, "Message").unwrap_or("")
            ),
        ),
    };
    Error::new(kind, format!("{what}: {text}"))
}

fn clock(skew: Option<i64>) -> String {
    let by = skew.map_or(String::new(), |s| format!(" by {} minutes", s / 60));
    format!("this box's clock and the provider's differ{by}; set the clock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str, date: Option<Timestamp>) -> Answer {
        let mut headers = ureq::http::HeaderMap::new();
        if let Some(date) = date {
            let zoned = date.to_zoned(jiff::tz::TimeZone::UTC);
            let text = jiff::fmt::rfc2822::to_string(&zoned).unwrap();
            headers.insert("date", text.parse().unwrap());
        }
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
        Answer {
            status,
            headers,
            body: body.into_bytes(),
        }
    }

    #[test]
    fn a_wrong_clock_is_named() {
        let now = Timestamp::now();
        let hour = jiff::SignedDuration::from_hours(1);
        for (answer, says) in [
            (answer(403, "RequestTimeTooSkewed", None), "clock"),
            (
                answer(403, "AccessDenied", Some(now - hour)),
                "differ by 60 minutes",
            ),
            (
                answer(403, "SignatureDoesNotMatch", Some(now + hour)),
                "clock",
            ),
            (
                answer(403, "SignatureDoesNotMatch", Some(now)),
                "secret key",
            ),
            (answer(403, "AccessDenied", Some(now)), "permissions"),
        ] {
            let e = refusal("storing x", &answer);
            assert_eq!(e.kind(), Kind::Refused);
            assert!(e.to_string().contains(says), "{e}");
            assert!(e.to_string().starts_with("storing x: "), "{e}");
        }
    }

    #[test]
    fn kinds_tell_what_to_do() {
        for (status, code, kind) in [
            (500, "InternalError", Kind::Transient),
            (503, "SlowDown", Kind::Transient),
            (429, "", Kind::Transient),
            (400, "BadDigest", Kind::Transient),
            (400, "XAmzContentSHA256Mismatch", Kind::Transient),
            (409, "OperationAborted", Kind::Transient),
            (403, "AccessDenied", Kind::Refused),
            (403, "QuotaExceeded", Kind::Full),
            (507, "", Kind::Full),
            (404, "NoSuchKey", Kind::Missing),
            (404, "", Kind::Missing),
            (416, "InvalidRange", Kind::Corrupt),
            (301, "PermanentRedirect", Kind::Refused),
            (400, "InvalidBucketName", Kind::Refused),
        ] {
            assert_eq!(
                refusal("x", &answer(status, code, None)).kind(),
                kind,
                "{status} {code}"
            );
        }
    }
}

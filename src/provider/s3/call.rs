//! One request to S3: what is asked, signed anew for every try.

use std::time::Duration;

use jiff::Timestamp;
use rusty_s3::signing::sign;

use super::S3;
use crate::engine::Result;
use crate::provider::http::{self, Answer, Method, Request};

/// How long a signed address is good for: one try of one request.
const SIGNED_FOR: Duration = Duration::from_secs(3600);

/// A request before it is signed.
pub(super) struct Call<'a> {
    method: Method,
    /// The object; `None` for the bucket.
    key: Option<&'a str>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: &'a [u8],
    /// Phrase for errors: `storing segments/… at …`.
    what: String,
}

impl<'a> Call<'a> {
    pub fn new(method: Method, what: impl Into<String>) -> Self {
        Self {
            method,
            key: None,
            query: Vec::new(),
            headers: Vec::new(),
            body: &[],
            what: what.into(),
        }
    }

    pub fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a body, and the sum by which the server checks what arrived.
    pub fn body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self.header("content-md5", http::content_md5(body))
    }

    /// With a body that some servers do not want summed.
    pub fn plain_body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }

    /// Sends it, and again while that may help; success is the only answer.
    pub fn send(self, s3: &S3) -> Result<Answer> {
        let what = self.what.clone();
        let answer = self.ask(s3)?;
        match answer.status {
            ..300 => Ok(answer),
            _ => Err(http::refusal(&what, &answer)),
        }
    }

    /// The same, and a refusal is an answer, too.
    pub fn ask(mut self, s3: &S3) -> Result<Answer> {
        // The order in which both sides sign them.
        self.query.sort();
        self.headers.sort();
        let signed = || {
            let url = match self.key {
                Some(key) => s3.bucket.object_url(key),
                None => s3.bucket.base_url().clone(),
            };
            sign(
                &Timestamp::now(),
                method(self.method),
                url,
                s3.credentials.key(),
                s3.credentials.secret(),
                None,
                s3.bucket.region(),
                SIGNED_FOR.as_secs(),
                self.query.iter().map(|(n, v)| (*n, v.as_str())),
                self.headers.iter().map(|(n, v)| (*n, v.as_str())),
            )
            .to_string()
        };
        let answer = http::send_any(
            &s3.agent,
            &s3.access.pace,
            &Request {
                method: self.method,
                sign: &signed,
                headers: &self.headers,
                body: self.body,
                what: self.what,
            },
        );
        if let Ok(answer) = &answer {
            if let Some(date) = http::date(answer) {
                s3.note_time(date);
            }
            s3.learn(answer);
        }
        answer
    }
}

fn method(method: Method) -> rusty_s3::Method {
    match method {
        Method::Get => rusty_s3::Method::Get,
        Method::Head => rusty_s3::Method::Head,
        Method::Put => rusty_s3::Method::Put,
        Method::Post => rusty_s3::Method::Post,
        Method::Delete => rusty_s3::Method::Delete,
    }
}

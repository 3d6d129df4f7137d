//! Large objects, sent in parts, each checked and retried alone.

use rusty_s3::Credentials;
use rusty_s3::actions::CreateMultipartUpload;

use super::S3;
use super::call::Call;
use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};
use crate::provider::http::Method;
use crate::provider::xml::element;

/// Above this an object goes in parts.
pub(super) const PARTS_ABOVE: usize = 64 << 20;
/// Bytes of a part.
const PART: usize = 32 << 20;

impl S3 {
    pub(super) fn put_parts(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        let key = self.key(name);
        let what = self.what("storing", name);
        let begin = Call::new(Method::Post, what.as_str())
            .key(&key)
            .query("uploads", "");
        let answer = self.with_options(begin).send(self)?;
        let upload = std::str::from_utf8(&answer.body)
            .ok()
            .and_then(|xml| CreateMultipartUpload::parse_response(xml).ok())
            .ok_or_else(|| {
                Error::new(
                    Kind::Refused,
                    format!("{what}: the provider does not take uploads in parts"),
                )
            })?;
        let id = upload.upload_id();
        let done = self.send_parts(&key, &what, id, bytes);
        if done.is_err() {
            // What was sent so far would be kept, and paid for. What stays
            // nevertheless is ended by the next replication.
            if let Err(e) = self.abort(&key, id) {
                tracing::warn!("{e}");
            }
            return done;
        }
        match self.lock_until() {
            // Not every server takes it from the request that began the upload.
            Some(until) => self.retain(name, until),
            None => Ok(()),
        }
    }

    pub(super) fn abort(&self, key: &str, id: &str) -> Result<()> {
        let aborted = Call::new(
            Method::Delete,
            format!("giving up the upload of {key} at {}", self.place()),
        )
        .key(key)
        .query("uploadId", id)
        .send(self);
        match aborted {
            Err(e) if e.kind() != Kind::Missing => Err(e),
            _ => Ok(()),
        }
    }

    fn send_parts(&self, key: &str, what: &str, id: &str, bytes: &[u8]) -> Result<()> {
        let mut tags = Vec::new();
        for (part, number) in bytes.chunks(PART).zip(1u16..) {
            let answer = Call::new(Method::Put, format!("{what}, part {number}"))
                .key(key)
                .query("partNumber", number.to_string())
                .query("uploadId", id)
                .body(part)
                .send(self)?;
            let tag = answer.header("etag").ok_or_else(|| {
                Error::new(Kind::Refused, format!("{what}: part {number} got no tag"))
            })?;
            tags.push(tag.to_owned());
        }
        let credentials: Option<&Credentials> = None;
        let action = self.bucket.complete_multipart_upload(
            credentials,
            key,
            id,
            tags.iter().map(String::as_str),
        );
        let body = action.body();
        let answer = Call::new(Method::Post, what)
            .key(key)
            .query("uploadId", id)
            .plain_body(body.as_bytes())
            .send(self)?;
        // This request may fail after its status was sent.
        let xml = String::from_utf8_lossy(&answer.body);
        match element(&xml, "Code") {
            Some(code) => Err(Error::new(
                Kind::Transient,
                format!("{what}: the provider could not join the parts ({code})"),
            )),
            None => Ok(()),
        }
    }
}

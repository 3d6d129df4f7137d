//! S3 as a storage: one object of the bucket for each object, under its
//! rendered name.

use std::time::Duration;

use rusty_s3::actions::{CreateMultipartUpload, ListObjectsV2};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::http::{self, Answer, Method, Request};
use super::{S3Config, too_short, verify};
use crate::engine::storage::{Class, Name, Space, Storage};
use crate::engine::{Error, Kind, Result};

/// How long a signed address is good for: one try of one request.
const SIGNED_FOR: Duration = Duration::from_secs(3600);
/// Above this an object goes in parts, each checked and retried alone.
const PARTS_ABOVE: usize = 64 << 20;
/// Bytes of a part.
const PART: usize = 32 << 20;

/// S3 as a [`Storage`].
pub struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    /// Empty, or ends with a slash.
    prefix: String,
    endpoint: String,
    agent: http::Agent,
}

/// A page of a listing: keys and lengths, and the token of the next page.
pub(super) struct Page {
    objects: Vec<(String, u64)>,
    next: Option<String>,
}

impl Page {
    /// Reads a page, or says what is wrong with it.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let xml = std::str::from_utf8(body).map_err(|e| e.to_string())?;
        let parsed = ListObjectsV2::parse_response(xml).map_err(|e| e.to_string())?;
        let objects = parsed
            .contents
            .into_iter()
            .map(|o| (o.key, o.size.unwrap_or(0)))
            .collect();
        Ok(Self {
            objects,
            next: parsed.next_continuation_token,
        })
    }
}

impl S3 {
    /// Connects and checks access (making the bucket if needed).
    ///
    /// # Errors
    /// `Refused` for a wrong key, clock or certificate, `Missing` for a bucket
    /// that is not there and may not be made, `Transient` when nobody answers.
    pub fn open(config: &S3Config) -> Result<Self> {
        let bad = |why: String| {
            Error::new(
                Kind::Refused,
                format!(
                    "the provider's address {:?} is not valid: {why}",
                    config.endpoint
                ),
            )
        };
        let endpoint = config.endpoint.trim();
        let bucket = Bucket::new(
            endpoint.parse().map_err(|e| bad(format!("{e}")))?,
            UrlStyle::Path,
            config.bucket.clone(),
            config.region.clone(),
        )
        .map_err(|e| bad(format!("{e:?}")))?;
        if config.bucket.is_empty() {
            return Err(Error::new(
                Kind::Refused,
                "the provider's bucket has no name",
            ));
        }
        let prefix = config.prefix.trim_matches('/');
        let s3 = Self {
            bucket,
            credentials: Credentials::new(config.access_key.trim(), config.secret_key.trim()),
            prefix: match prefix {
                "" => String::new(),
                p => format!("{p}/"),
            },
            endpoint: endpoint.to_owned(),
            agent: http::agent(config.ca_pem.as_deref())?,
        };
        match s3.page("", None, 1) {
            Ok(_) => Ok(s3),
            Err(e) if e.kind() == Kind::Missing => {
                s3.make_bucket()?;
                s3.page("", None, 1)?;
                Ok(s3)
            }
            Err(e) => Err(e),
        }
    }

    fn make_bucket(&self) -> Result<()> {
        let action = self.bucket.create_bucket(&self.credentials);
        let body = action.body();
        let make = |body: &str| {
            self.send(Request {
                method: Method::Put,
                sign: &|| action.sign(SIGNED_FOR).to_string(),
                headers: &[],
                body: body.as_bytes(),
                what: format!(
                    "making the bucket {} at {}",
                    self.bucket.name(),
                    self.endpoint
                ),
            })
        };
        match make(&body) {
            // Many providers have one region and take no constraint.
            Err(e) if e.kind() == Kind::Refused && !body.is_empty() => make(""),
            done => done,
        }?;
        Ok(())
    }

    fn send(&self, request: Request<'_>) -> Result<Answer> {
        http::send(&self.agent, &request)
    }

    fn key(&self, name: &Name) -> String {
        format!("{}{name}", self.prefix)
    }

    fn place(&self) -> String {
        format!("{}/{}/{}", self.endpoint, self.bucket.name(), self.prefix)
    }

    fn what(&self, doing: &str, name: &Name) -> String {
        format!("{doing} {name} at {}", self.place())
    }

    /// One page of a listing.
    fn page(&self, under: &str, token: Option<&str>, max: usize) -> Result<Page> {
        let mut action = self.bucket.list_objects_v2(Some(&self.credentials));
        action.with_prefix(format!("{}{under}", self.prefix));
        action.with_max_keys(max);
        if let Some(token) = token {
            action.with_continuation_token(token.to_owned());
        }
        let answer = self.send(Request {
            method: Method::Get,
            sign: &|| action.sign(SIGNED_FOR).to_string(),
            headers: &[],
            body: &[],
            what: format!("listing {}{under}", self.place()),
        })?;
        Page::parse(&answer.body).map_err(|e| {
            Error::new(
                Kind::Refused,
                format!(
                    "{} did not answer as S3 does ({e}); check the address",
                    self.endpoint
                ),
            )
        })
    }

    /// The object's length.
    fn head(&self, name: &Name) -> Result<u64> {
        let key = self.key(name);
        let action = self.bucket.head_object(Some(&self.credentials), &key);
        let what = self.what("asking for", name);
        let answer = self.send(Request {
            method: Method::Head,
            sign: &|| action.sign(SIGNED_FOR).to_string(),
            headers: &[],
            body: &[],
            what: what.clone(),
        })?;
        answer
            .header("content-length")
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| Error::new(Kind::Refused, format!("{what}: no length in the answer")))
    }

    fn put_whole(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        let key = self.key(name);
        let md5 = http::content_md5(bytes);
        let mut action = self.bucket.put_object(Some(&self.credentials), &key);
        action.headers_mut().insert("content-md5", md5.clone());
        self.send(Request {
            method: Method::Put,
            sign: &|| action.sign(SIGNED_FOR).to_string(),
            headers: &[("content-md5", md5)],
            body: bytes,
            what: self.what("storing", name),
        })?;
        Ok(())
    }

    fn put_parts(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        let key = self.key(name);
        let what = self.what("storing", name);
        let action = self
            .bucket
            .create_multipart_upload(Some(&self.credentials), &key);
        let answer = self.send(Request {
            method: Method::Post,
            sign: &|| action.sign(SIGNED_FOR).to_string(),
            headers: &[],
            body: &[],
            what: what.clone(),
        })?;
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
            // What was sent so far would be kept, and paid for.
            let abort = self
                .bucket
                .abort_multipart_upload(Some(&self.credentials), &key, id);
            let aborted = self.send(Request {
                method: Method::Delete,
                sign: &|| abort.sign(SIGNED_FOR).to_string(),
                headers: &[],
                body: &[],
                what: format!("{what}, giving up"),
            });
            if let Err(e) = aborted {
                tracing::warn!("{e}");
            }
        }
        done
    }

    fn send_parts(&self, key: &str, what: &str, id: &str, bytes: &[u8]) -> Result<()> {
        let mut tags = Vec::new();
        for (part, number) in bytes.chunks(PART).zip(1u16..) {
            let md5 = http::content_md5(part);
            let mut action = self
                .bucket
                .upload_part(Some(&self.credentials), key, number, id);
            action.headers_mut().insert("content-md5", md5.clone());
            let answer = self.send(Request {
                method: Method::Put,
                sign: &|| action.sign(SIGNED_FOR).to_string(),
                headers: &[("content-md5", md5)],
                body: part,
                what: format!("{what}, part {number}"),
            })?;
            let tag = answer.header("etag").ok_or_else(|| {
                Error::new(Kind::Refused, format!("{what}: part {number} got no tag"))
            })?;
            tags.push(tag.to_owned());
        }
        let tags = tags.iter().map(String::as_str);
        let action =
            self.bucket
                .complete_multipart_upload(Some(&self.credentials), key, id, tags.clone());
        let body = self
            .bucket
            .complete_multipart_upload(Some(&self.credentials), key, id, tags)
            .body();
        let answer = self.send(Request {
            method: Method::Post,
            sign: &|| action.sign(SIGNED_FOR).to_string(),
            headers: &[],
            body: body.as_bytes(),
            what: what.to_owned(),
        })?;
        // This request may fail after its status was sent.
        let xml = String::from_utf8_lossy(&answer.body);
        match http::element(&xml, "Code") {
            Some(code) => Err(Error::new(
                Kind::Transient,
                format!("{what}: the provider could not join the parts ({code})"),
            )),
            None => Ok(()),
        }
    }

    fn fetch(&self, name: &Name, range: Option<(u64, usize)>) -> Result<Answer> {
        let key = self.key(name);
        let mut action = self.bucket.get_object(Some(&self.credentials), &key);
        let mut headers = Vec::new();
        if let Some((offset, len)) = range {
            let end = offset + len as u64 - 1;
            headers.push(("range", format!("bytes={offset}-{end}")));
            action.headers_mut().insert("range", headers[0].1.clone());
        }
        self.send(Request {
            method: Method::Get,
            sign: &|| action.sign(SIGNED_FOR).to_string(),
            headers: &headers,
            body: &[],
            what: self.what("fetching", name),
        })
    }
}

impl Storage for S3 {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        if bytes.len() > PARTS_ABOVE {
            self.put_parts(name, bytes)
        } else {
            self.put_whole(name, bytes)
        }
    }

    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        let bytes = self.fetch(name, None)?.body;
        verify(name, &bytes, &self.place())?;
        Ok(bytes)
    }

    fn get_range(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        let Some(end) = offset.checked_add(len as u64).filter(|end| *end < 1 << 62) else {
            return Err(too_short(name, self.head(name)?));
        };
        if len == 0 {
            let size = self.head(name)?;
            return match end <= size {
                true => Ok(Vec::new()),
                false => Err(too_short(name, size)),
            };
        }
        let answer = self.fetch(name, Some((offset, len)))?;
        let mut bytes = answer.body;
        if answer.status != 206 {
            // The whole object, from a server that knows no ranges.
            let size = bytes.len() as u64;
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            return match bytes.get(from..from.saturating_add(len)) {
                Some(part) => Ok(part.to_vec()),
                None => Err(too_short(name, size)),
            };
        }
        if bytes.len() < len {
            return Err(too_short(name, offset + bytes.len() as u64));
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>> {
        let under = match class {
            Class::Segments => "segments/",
            Class::Snapshots => "snapshots/",
        };
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.page(under, token.as_deref(), 1000)?;
            for (key, len) in page.objects {
                let name = key.strip_prefix(&self.prefix).and_then(Name::parse);
                found.extend(name.map(|name| (name, len)));
            }
            match page.next {
                // It would send the same page for ever.
                Some(next) if Some(&next) == token.as_ref() => {
                    return Err(Error::new(
                        Kind::Refused,
                        format!("{} answers a listing that never ends", self.endpoint),
                    ));
                }
                Some(next) => token = Some(next),
                None => return Ok(found),
            }
        }
    }

    fn delete(&self, name: &Name) -> Result<()> {
        let key = self.key(name);
        let action = self.bucket.delete_object(Some(&self.credentials), &key);
        let done = self.send(Request {
            method: Method::Delete,
            sign: &|| action.sign(SIGNED_FOR).to_string(),
            headers: &[],
            body: &[],
            what: self.what("deleting", name),
        });
        match done {
            Err(e) if e.kind() != Kind::Missing => Err(e),
            _ => Ok(()),
        }
    }

    /// A stored object is durable when the server has answered.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// S3 knows no bounds.
    fn space(&self) -> Result<Space> {
        Ok(Space {
            total: u64::MAX,
            free: u64::MAX,
        })
    }

    fn describe(&self) -> String {
        format!("S3 {}", self.place())
    }
}

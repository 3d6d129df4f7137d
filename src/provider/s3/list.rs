//! Listings: objects, versions of objects, uploads in parts that were not ended.

use jiff::Timestamp;
use rusty_s3::actions::ListObjectsV2;

use super::S3;
use super::call::Call;
use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};
use crate::provider::http::Method;
use crate::provider::xml::{blocks, element, text};

/// A page of a listing: keys and lengths, and the token of the next page.
pub(in crate::provider) struct Page {
    objects: Vec<(String, u64)>,
    next: Option<String>,
}

impl Page {
    /// Reads a page, or says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
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

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub key: String,
    pub id: String,
    /// Bytes; `None` for a marker that says the object is deleted.
    pub len: Option<u64>,
    /// It is what is seen under the key.
    pub latest: bool,
    pub time: Option<Timestamp>,
}

/// A page of versions, the newest of a key first, and where the next begins.
pub(in crate::provider) struct Versions {
    pub(super) all: Vec<Version>,
    next: Option<(String, String)>,
}

impl Versions {
    /// Reads a page, or says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let xml = std::str::from_utf8(body).map_err(|e| e.to_string())?;
        if !xml.contains("<ListVersionsResult") {
            return Err("it is no list of versions".into());
        }
        let mut all = Vec::new();
        for (tag, real) in [("Version", true), ("DeleteMarker", false)] {
            for block in blocks(xml, tag) {
                let field = |tag| element(block, tag).map(text);
                let (Some(key), Some(id)) = (field("Key"), field("VersionId")) else {
                    return Err("a version without key or id".into());
                };
                all.push(Version {
                    key,
                    id,
                    len: real.then(|| field("Size").and_then(|n| n.parse().ok()).unwrap_or(0)),
                    latest: field("IsLatest").is_some_and(|t| t == "true"),
                    time: field("LastModified").and_then(|t| t.parse().ok()),
                });
            }
        }
        all.sort_by(|a, b| {
            let newest = |v: &Version| (!v.latest, std::cmp::Reverse(v.time));
            a.key.cmp(&b.key).then_with(|| newest(a).cmp(&newest(b)))
        });
        let truncated = element(xml, "IsTruncated") == Some("true");
        let next = |tag| element(xml, tag).map(text);
        let next = match (truncated, next("NextKeyMarker")) {
            (true, Some(key)) => Some((key, next("NextVersionIdMarker").unwrap_or_default())),
            (true, None) => return Err("a listing that does not say how it goes on".into()),
            (false, _) => None,
        };
        Ok(Self { all, next })
    }
}

/// Keys and ids of uploads in parts, as far as one page tells.
pub(in crate::provider) fn uploads(body: &[u8]) -> Vec<(String, String)> {
    let xml = String::from_utf8_lossy(body);
    blocks(&xml, "Upload")
        .filter_map(|block| {
            Some((
                text(element(block, "Key")?),
                text(element(block, "UploadId")?),
            ))
        })
        .collect()
}

impl S3 {
    fn not_s3(&self, why: &str) -> Error {
        Error::new(
            Kind::Refused,
            format!(
                "{} did not answer as S3 does ({why}); check the address",
                self.endpoint
            ),
        )
    }

    /// One page of a listing.
    pub(super) fn page(&self, under: &str, token: Option<&str>, max: usize) -> Result<Page> {
        let mut call = Call::new(Method::Get, format!("listing {}{under}", self.place()))
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query("prefix", format!("{}{under}", self.prefix))
            .query("max-keys", max.to_string());
        if let Some(token) = token {
            call = call.query("continuation-token", token);
        }
        let answer = call.send(self)?;
        Page::parse(&answer.body).map_err(|e| self.not_s3(&e))
    }

    /// Names and lengths of what is seen under a part of the prefix.
    pub(super) fn objects(&self, under: &str) -> Result<Vec<(Name, u64)>> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.page(under, token.as_deref(), 1000)?;
            for (key, len) in page.objects {
                found.extend(self.name(&key).map(|name| (name, len)));
            }
            match page.next {
                // It would send the same page for ever.
                Some(next) if Some(&next) == token.as_ref() => return Err(self.endless()),
                Some(next) => token = Some(next),
                None => return Ok(found),
            }
        }
    }

    fn endless(&self) -> Error {
        Error::new(
            Kind::Refused,
            format!("{} answers a listing that never ends", self.endpoint),
        )
    }

    /// Every version of every key that begins with `under` (below the prefix).
    pub(super) fn versions(&self, under: &str) -> Result<Vec<Version>> {
        let mut found: Vec<Version> = Vec::new();
        let mut from: Option<(String, String)> = None;
        loop {
            let mut call = Call::new(
                Method::Get,
                format!("listing the versions in {}{under}", self.place()),
            )
            .query("versions", "")
            .query("prefix", format!("{}{under}", self.prefix))
            .query("max-keys", "1000");
            if let Some((key, id)) = &from {
                call = call.query("key-marker", key).query("version-id-marker", id);
            }
            let page = Versions::parse(&call.send(self)?.body).map_err(|e| self.not_s3(&e))?;
            found.extend(page.all);
            match page.next {
                Some(next) if Some(&next) == from.as_ref() => return Err(self.endless()),
                Some(next) => from = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// The versions of one object, the newest first.
    pub(super) fn versions_of(&self, name: &Name) -> Result<Vec<Version>> {
        let mut all = self.versions(&name.to_string())?;
        let key = self.key(name);
        all.retain(|v| v.key == key);
        Ok(all)
    }

    /// Ends uploads in parts of our objects that nobody is at any more: their
    /// parts are kept, and paid for, until then. Returns how many there were.
    pub(in crate::provider) fn clear_uploads(&self) -> Result<u64> {
        let mut ended = 0;
        // What is ended is gone from the next listing.
        loop {
            let answer = Call::new(
                Method::Get,
                format!("listing the unfinished uploads in {}", self.place()),
            )
            .query("uploads", "")
            .query("prefix", self.prefix.as_str())
            .send(self)?;
            let ours: Vec<_> = uploads(&answer.body)
                .into_iter()
                .filter(|(key, _)| self.name(key).is_some())
                .collect();
            if ours.is_empty() {
                return Ok(ended);
            }
            for (key, id) in ours {
                self.abort(&key, &id)?;
                ended += 1;
            }
        }
    }
}

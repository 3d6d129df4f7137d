//! S3 as a storage: one object of the bucket for each object, under its
//! rendered name.
//!
//! [`call`] is one request, [`list`] what is there, [`parts`] large objects,
//! [`lock`] what nobody may delete, [`quirks`] how servers differ.

mod call;
pub(super) mod list;
mod lock;
mod parts;
mod quirks;

use std::sync::OnceLock;
use std::sync::atomic::AtomicI64;

use rusty_s3::{Bucket, Credentials};

use self::call::Call;
use super::http::{self, Answer, Method};
use super::{Access, S3Config, too_short, verify};
use crate::engine::storage::{Class, Name, Space, Storage};
use crate::engine::{Error, Kind, Result};

pub use lock::{LockMode, Removal};
pub use quirks::{Flavor, Style};

/// S3 as a [`Storage`].
pub struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    /// Empty, or ends with a slash.
    prefix: String,
    endpoint: String,
    agent: http::Agent,
    access: Access,
    flavor: OnceLock<Flavor>,
    storage_class: Option<String>,
    lock: Option<LockMode>,
    /// The bucket keeps versions.
    versioned: bool,
    /// Seconds since 1970 until which what is stored is locked; 0 for not at all.
    until: AtomicI64,
    /// The server's clock at its last answer, in seconds since 1970.
    heard: AtomicI64,
}

impl S3 {
    /// Connects and checks access (making the bucket if needed).
    ///
    /// # Errors
    /// `Refused` for a wrong key, clock or certificate, and for a bucket that
    /// cannot lock although a lock is asked for; `Missing` for a bucket
    /// that is not there and may not be made, `Transient` when nobody answers.
    pub fn open(config: &S3Config) -> Result<Self> {
        Self::open_with(config, Access::default())
    }

    /// The same, within bounds or to read only. To read only, nothing is made.
    ///
    /// # Errors
    /// As [`S3::open`].
    pub fn open_with(config: &S3Config, access: Access) -> Result<Self> {
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
        let flavor = match config.flavor {
            Flavor::Generic => Flavor::of_host(endpoint),
            known => known,
        };
        let bucket = Bucket::new(
            endpoint.parse().map_err(|e| bad(format!("{e}")))?,
            config.style.of(flavor),
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
        let mut s3 = Self {
            bucket,
            credentials: Credentials::new(config.access_key.trim(), config.secret_key.trim()),
            prefix: match prefix {
                "" => String::new(),
                p => format!("{p}/"),
            },
            endpoint: endpoint.to_owned(),
            agent: http::agent(config.ca_pem.as_deref())?,
            access,
            flavor: match flavor {
                Flavor::Generic => OnceLock::new(),
                known => OnceLock::from(known),
            },
            storage_class: config.storage_class.clone().filter(|c| !c.is_empty()),
            lock: config.lock,
            versioned: false,
            until: AtomicI64::new(0),
            heard: AtomicI64::new(0),
        };
        match s3.page("", None, 1) {
            Ok(_) => {}
            Err(e) if e.kind() == Kind::Missing && !s3.access.read_only => {
                s3.make_bucket()?;
                s3.page("", None, 1)?;
            }
            Err(e) => return Err(e),
        }
        if s3.flavor().quirks().versions {
            s3.versioned = s3.asks_versions()?;
        }
        if s3.lock.is_some() && !s3.access.read_only {
            s3.check_bucket_locks()?;
        }
        Ok(s3)
    }

    /// Which S3 this is: told, or seen from its answers.
    pub fn flavor(&self) -> Flavor {
        self.flavor.get().copied().unwrap_or_default()
    }

    /// Where it is, for records.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        self.bucket.name()
    }

    /// The prefix within the bucket: empty, or ending with a slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn make_bucket(&self) -> Result<()> {
        let body = match self.flavor().quirks().region_named {
            true => self.bucket.create_bucket(&self.credentials).body(),
            false => String::new(),
        };
        let make = |body: &str| {
            let call = Call::new(
                Method::Put,
                format!(
                    "making the bucket {} at {}",
                    self.bucket.name(),
                    self.endpoint
                ),
            )
            .plain_body(body.as_bytes());
            match self.lock {
                Some(_) => call.header("x-amz-bucket-object-lock-enabled", "true"),
                None => call,
            }
            .send(self)
        };
        match make(&body) {
            // Many providers have one region and take no constraint.
            Err(e) if e.kind() == Kind::Refused && !body.is_empty() => make(""),
            done => done,
        }?;
        Ok(())
    }

    fn key(&self, name: &Name) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The object that a key of the bucket stands for.
    fn name(&self, key: &str) -> Option<Name> {
        key.strip_prefix(&self.prefix).and_then(Name::parse)
    }

    fn place(&self) -> String {
        format!("{}/{}/{}", self.endpoint, self.bucket.name(), self.prefix)
    }

    fn what(&self, doing: &str, name: &Name) -> String {
        format!("{doing} {name} at {}", self.place())
    }

    /// The object's length.
    fn head(&self, name: &Name) -> Result<u64> {
        let key = self.key(name);
        let what = self.what("asking for", name);
        let answer = Call::new(Method::Head, what.as_str())
            .key(&key)
            .send(self)?;
        answer
            .header("content-length")
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| Error::new(Kind::Refused, format!("{what}: no length in the answer")))
    }

    fn put_whole(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        let key = self.key(name);
        let call = Call::new(Method::Put, self.what("storing", name))
            .key(&key)
            .body(bytes);
        self.with_options(call).send(self)?;
        Ok(())
    }

    fn fetch(&self, name: &Name, range: Option<(u64, usize)>) -> Result<Answer> {
        self.fetch_version(name, None, range)
    }

    fn fetch_version(
        &self,
        name: &Name,
        version: Option<&str>,
        range: Option<(u64, usize)>,
    ) -> Result<Answer> {
        let key = self.key(name);
        let mut call = Call::new(Method::Get, self.what("fetching", name)).key(&key);
        if let Some(version) = version {
            call = call.query("versionId", version);
        }
        if let Some((offset, len)) = range {
            let end = offset + len as u64 - 1;
            call = call.header("range", format!("bytes={offset}-{end}"));
        }
        call.send(self)
    }

    /// The object as an earlier version has it, where the newest is deleted or
    /// is not what the name says. `None` if there is none better.
    fn earlier(&self, name: &Name) -> Option<Vec<u8>> {
        if !self.versioned {
            return None;
        }
        let versions = self.versions_of(name).ok()?;
        let earlier = versions.into_iter().filter(|v| v.len.is_some());
        for version in earlier {
            let fetched = self.fetch_version(name, Some(&version.id), None);
            if let Ok(answer) = fetched
                && verify(name, &answer.body, &self.place()).is_ok()
            {
                tracing::warn!(%name, version = version.id, "read an earlier version, the newest is deleted or damaged");
                return Some(answer.body);
            }
        }
        None
    }

    fn range_of(&self, name: &Name, offset: u64, len: usize, answer: Answer) -> Result<Vec<u8>> {
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
}

impl Storage for S3 {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.access.check_write(&self.place())?;
        if bytes.len() > parts::PARTS_ABOVE {
            self.put_parts(name, bytes)
        } else {
            self.put_whole(name, bytes)
        }
    }

    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        let fetched = self.fetch(name, None).and_then(|answer| {
            verify(name, &answer.body, &self.place())?;
            Ok(answer.body)
        });
        match fetched {
            Err(e) if matches!(e.kind(), Kind::Missing | Kind::Corrupt) => {
                self.earlier(name).ok_or(e)
            }
            done => done,
        }
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
        match self.fetch(name, Some((offset, len))) {
            Ok(answer) => self.range_of(name, offset, len, answer),
            Err(e) if e.kind() == Kind::Missing => {
                let Some(bytes) = self.earlier(name) else {
                    return Err(e);
                };
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let part = bytes.get(from..from.saturating_add(len));
                part.map(<[u8]>::to_vec)
                    .ok_or_else(|| too_short(name, bytes.len() as u64))
            }
            Err(e) => Err(e),
        }
    }

    /// What is seen; to read only, what is hidden by a mark of deletion, too.
    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>> {
        let under = match class {
            Class::Segments => "segments/",
            Class::Snapshots => "snapshots/",
        };
        if !(self.access.read_only && self.versioned) {
            return self.objects(under);
        }
        let mut found: Vec<(Name, u64)> = Vec::new();
        // The newest of a name comes first.
        for version in self.versions(under)? {
            if let (Some(name), Some(len)) = (self.name(&version.key), version.len)
                && found.last().is_none_or(|(last, _)| *last != name)
            {
                found.push((name, len));
            }
        }
        Ok(found)
    }

    fn delete(&self, name: &Name) -> Result<()> {
        match self.remove(name)? {
            Removal::Done => Ok(()),
            Removal::Locked(until) => Err(Error::new(
                Kind::Refused,
                format!(
                    "{}: it is locked until {until}; delete it after that",
                    self.what("deleting", name)
                ),
            )),
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

impl S3 {
    /// Learns from an answer which S3 this is.
    fn learn(&self, answer: &Answer) {
        if self.flavor.get().is_some() {
            return;
        }
        let server = answer.header("server").unwrap_or_default();
        let request = answer.header("x-amz-request-id").unwrap_or_default();
        let seen = match () {
            () if server.starts_with("MinIO") => Flavor::Minio,
            () if server.starts_with("RustFS") => Flavor::Rustfs,
            () if server.starts_with("AmazonS3") => Flavor::Aws,
            // `tx` and 21 digits, then the gateway's and the zone's names.
            () if request.starts_with("tx0") && request.contains('-') => Flavor::Ceph,
            () => return,
        };
        let _ = self.flavor.set(seen);
    }
}

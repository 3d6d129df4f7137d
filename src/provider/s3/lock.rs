//! Object lock: what is stored under it nobody can delete or change before its
//! time, not even with the key. The server's clock decides, not the box's.
//!
//! A bucket with object lock keeps versions: storing a name again adds a
//! version, and deleting a name without saying which version only hides it. So
//! here deleting means deleting every version, and what is hidden is there.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::S3;
use super::call::Call;
use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};
use crate::provider::http::{Answer, Method, refusal};
use crate::provider::xml::element;

/// Who may lift a lock before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// Keys that have the permission to bypass governance.
    Governance,
    /// Nobody.
    Compliance,
}

impl LockMode {
    fn as_s3(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

impl std::str::FromStr for LockMode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "governance" => Ok(Self::Governance),
            "compliance" => Ok(Self::Compliance),
            _ => Err("governance or compliance".into()),
        }
    }
}

/// What came of removing an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Done,
    /// It stays until then, because it is locked.
    Locked(Timestamp),
}

/// S3 takes whole seconds; the next one, so that it is never less than asked for.
pub(super) fn whole_seconds(at: Timestamp) -> Timestamp {
    let up = i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(at.as_second().saturating_add(up)).unwrap_or(at)
}

impl S3 {
    /// Locks what is stored from now on until `until`; `None` for not at all.
    pub fn lock_puts(&self, until: Option<Timestamp>) {
        let secs = until.map_or(0, |at| whole_seconds(at).as_second());
        self.until.store(secs, Ordering::Relaxed);
    }

    pub(super) fn lock_until(&self) -> Option<Timestamp> {
        match self.until.load(Ordering::Relaxed) {
            0 => None,
            secs => Timestamp::from_second(secs).ok(),
        }
    }

    /// The mode objects are locked in, if they are.
    pub fn lock_mode(&self) -> Option<LockMode> {
        self.lock
    }

    /// The provider's clock, as its last answer showed it.
    pub fn server_time(&self) -> Option<Timestamp> {
        match self.heard.load(Ordering::Relaxed) {
            0 => None,
            secs => Timestamp::from_second(secs).ok(),
        }
    }

    pub(super) fn note_time(&self, at: Timestamp) {
        self.heard.fetch_max(at.as_second(), Ordering::Relaxed);
    }

    /// Storage class and lock of a new object.
    pub(super) fn with_options<'a>(&self, mut call: Call<'a>) -> Call<'a> {
        if let Some(class) = &self.storage_class {
            call = call.header("x-amz-storage-class", class.as_str());
        }
        match (self.lock, self.lock_until()) {
            (Some(mode), Some(until)) => call
                .header("x-amz-object-lock-mode", mode.as_s3())
                .header("x-amz-object-lock-retain-until-date", until.to_string()),
            _ => call,
        }
    }

    /// Whether the bucket keeps versions. A server that does not know the
    /// question does not.
    pub(super) fn asks_versions(&self) -> Result<bool> {
        let answer = Call::new(
            Method::Get,
            format!("asking whether {} keeps versions", self.place()),
        )
        .query("versioning", "")
        .ask(self)?;
        let xml = String::from_utf8_lossy(&answer.body);
        Ok(answer.status < 300 && matches!(element(&xml, "Status"), Some("Enabled" | "Suspended")))
    }

    /// `Refused` unless the bucket can lock objects.
    pub(super) fn check_bucket_locks(&self) -> Result<()> {
        let what = format!("asking whether {} can lock objects", self.place());
        let answer = Call::new(Method::Get, what.as_str())
            .query("object-lock", "")
            .ask(self)?;
        let xml = String::from_utf8_lossy(&answer.body);
        if answer.status < 300 && element(&xml, "ObjectLockEnabled") == Some("Enabled") {
            return Ok(());
        }
        if matches!(answer.status, 401 | 403) {
            return Err(refusal(&what, &answer));
        }
        Err(Error::new(
            Kind::Refused,
            format!(
                "the bucket {} at {} was made without object lock; name a new bucket, which is made with it, or replicate without lock",
                self.bucket.name(),
                self.endpoint
            ),
        ))
    }

    /// Mode and end of the lock of an object (of one version of it).
    pub fn retention(
        &self,
        name: &Name,
        version: Option<&str>,
    ) -> Result<Option<(LockMode, Timestamp)>> {
        let key = self.key(name);
        self.retention_of(&key, version)
    }

    pub(in crate::provider) fn retention_of(
        &self,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<(LockMode, Timestamp)>> {
        let what = format!("asking for the lock of {key} at {}", self.place());
        let mut call = Call::new(Method::Get, what.as_str())
            .key(key)
            .query("retention", "");
        if let Some(version) = version {
            call = call.query("versionId", version);
        }
        let answer = call.ask(self)?;
        let xml = String::from_utf8_lossy(&answer.body);
        // "There is none" comes as 404 from some and 400 from others.
        if answer.status >= 300 {
            return match (answer.status, element(&xml, "Code").unwrap_or_default()) {
                (_, "NoSuchObjectLockConfiguration" | "ObjectLockConfigurationNotFoundError") => {
                    Ok(None)
                }
                (400, "InvalidRequest") => Ok(None),
                _ => Err(refusal(&what, &answer)),
            };
        }
        let mode = match element(&xml, "Mode") {
            Some("GOVERNANCE") => LockMode::Governance,
            Some("COMPLIANCE") => LockMode::Compliance,
            _ => return Ok(None),
        };
        let until = element(&xml, "RetainUntilDate").and_then(|t| t.parse().ok());
        Ok(until.map(|until| (mode, until)))
    }

    /// Sets the end of an object's lock; a lock that ends later stays as it is.
    ///
    /// # Errors
    /// `Missing` without such an object, `Refused` when the key may not do it.
    pub fn retain(&self, name: &Name, until: Timestamp) -> Result<()> {
        let Some(mode) = self.lock else {
            return Err(Error::new(
                Kind::Refused,
                format!("{} was opened without a lock mode", self.place()),
            ));
        };
        let key = self.key(name);
        let what = self.what("extending the lock of", name);
        let answer = self.ask_retention(&key, None, mode, until)?;
        if answer.status < 300 {
            return Ok(());
        }
        let refused = refusal(&what, &answer);
        match self.retention(name, None) {
            Ok(Some((_, there))) if there >= whole_seconds(until) => Ok(()),
            _ => Err(refused),
        }
    }

    /// Asks for another end of a lock and gives the server's answer.
    pub(in crate::provider) fn ask_retention(
        &self,
        key: &str,
        version: Option<&str>,
        mode: LockMode,
        until: Timestamp,
    ) -> Result<Answer> {
        let body = format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            mode.as_s3(),
            whole_seconds(until)
        );
        let mut call = Call::new(
            Method::Put,
            format!("setting the lock of {key} at {}", self.place()),
        )
        .key(key)
        .query("retention", "")
        .body(body.as_bytes());
        if let Some(version) = version {
            call = call.query("versionId", version);
        }
        call.ask(self)
    }

    /// Asks for the deletion of a version and gives the server's answer.
    pub(in crate::provider) fn ask_delete(
        &self,
        key: &str,
        version: &str,
        bypass: bool,
    ) -> Result<Answer> {
        let call = Call::new(
            Method::Delete,
            format!("deleting a version of {key} at {}", self.place()),
        )
        .key(key)
        .query("versionId", version);
        match bypass {
            true => call.header("x-amz-bypass-governance-retention", "true"),
            false => call,
        }
        .ask(self)
    }

    fn remove_version(&self, key: &str, version: &str) -> Result<Removal> {
        let answer = self.ask_delete(key, version, false)?;
        if answer.status < 300 || answer.status == 404 {
            return Ok(Removal::Done);
        }
        let refused = refusal(&format!("deleting {key} at {}", self.place()), &answer);
        let xml = String::from_utf8_lossy(&answer.body);
        let code = element(&xml, "Code").unwrap_or_default();
        let locked = self.flavor().quirks().locked;
        if code == "AccessDenied" || locked.contains(&code) {
            // No permission looks the same; the lock itself tells.
            if let Ok(Some((_, until))) = self.retention_of(key, Some(version)) {
                return Ok(Removal::Locked(until));
            }
        }
        Err(refused)
    }

    /// Removes an object with all its versions, as far as they are not locked.
    ///
    /// # Errors
    /// `Refused` when the key may not delete; a lock is no error.
    pub fn remove(&self, name: &Name) -> Result<Removal> {
        self.access.check_write(&self.place())?;
        let key = self.key(name);
        if !self.versioned {
            let answer = Call::new(Method::Delete, self.what("deleting", name))
                .key(&key)
                .send(self);
            return match answer {
                Err(e) if e.kind() != Kind::Missing => Err(e),
                _ => Ok(Removal::Done),
            };
        }
        let mut last = Removal::Done;
        // The newest last: as long as an older one stays, it is what is seen.
        for version in self.versions_of(name)?.iter().rev() {
            if let Removal::Locked(until) = self.remove_version(&key, &version.id)? {
                last = match last {
                    Removal::Locked(other) => Removal::Locked(other.max(until)),
                    Removal::Done => Removal::Locked(until),
                };
            }
        }
        Ok(last)
    }

    /// Removes versions of our objects that newer ones have replaced, and
    /// marks of deletion, where no lock holds them. Returns how many went.
    pub(in crate::provider) fn clear_versions(&self) -> Result<u64> {
        if !self.versioned {
            return Ok(0);
        }
        let mut gone = 0;
        for version in self.versions("")? {
            let replaced = !version.latest || version.len.is_none();
            if replaced
                && self.name(&version.key).is_some()
                && self.remove_version(&version.key, &version.id)? == Removal::Done
            {
                gone += 1;
            }
        }
        Ok(gone)
    }
}

/// What the probe of a lock needs.
impl S3 {
    /// Stores a locked object and returns its version.
    pub(in crate::provider) fn store_probe(&self, key: &str, bytes: &[u8]) -> Result<String> {
        self.access.check_write(&self.place())?;
        let what = format!("storing the probe {key} at {}", self.place());
        let call = Call::new(Method::Put, what.as_str()).key(key).body(bytes);
        let answer = self.with_options(call).send(self)?;
        let version = answer.header("x-amz-version-id").map(str::to_owned);
        version.ok_or_else(|| {
            Error::new(
                Kind::Refused,
                format!("{what}: the bucket keeps no versions, so nothing is locked in it; use a bucket with object lock"),
            )
        })
    }

    /// Asks for one version of an object and gives the server's answer.
    pub(in crate::provider) fn ask_version(
        &self,
        method: Method,
        key: &str,
        version: &str,
    ) -> Result<Answer> {
        Call::new(method, format!("asking for {key} at {}", self.place()))
            .key(key)
            .query("versionId", version)
            .ask(self)
    }

    /// Removes the objects of former probes whose lock has ended.
    pub(in crate::provider) fn clear_probes(&self, now: Timestamp) -> Result<()> {
        for old in self.versions("probe/")? {
            let day = jiff::SignedDuration::from_hours(25);
            if old.time.is_none_or(|at| now.duration_since(at) > day) {
                self.remove_version(&old.key, &old.id)?;
            }
        }
        Ok(())
    }
}

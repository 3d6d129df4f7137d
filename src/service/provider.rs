//! The external provider: configuration, replication, what is out there, and the
//! last rung below the pool.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::jobs::Ended;
use super::{JobKind, NewProvider, ProviderOptions, ProviderView, Service};
use crate::appliance::{Record, Sealed};
use crate::engine::storage::Storage;
use crate::engine::{Error, Kind, Result};
use crate::jobs::Id;
use crate::provider::{
    Access, Evidence, InspectReport, Ladder, Memory, Pace, Replication, S3, S3Config, inspect,
    probe, probe_records, record_probe,
};

const NAME: &str = "provider";
const LAST: &str = "last-replication";
const INSPECTION: &str = "last-inspection";
/// Read back by an inspection when nothing else is asked for, in bytes.
const SAMPLE: u64 = 256 << 20;
/// Errors of an inspection written into the log; the result has more.
const LOGGED: usize = 100;

/// How the provider is entered, for the pool's last rung; known from the
/// start, because it is needed when something is lost.
#[derive(Default)]
pub(super) struct Replica(Mutex<Option<S3Config>>);

impl Replica {
    fn set(&self, config: Option<S3Config>) {
        *self.0.lock().unwrap_or_else(|e| e.into_inner()) = config;
    }

    fn open(&self) -> Result<Option<Arc<dyn Storage>>> {
        let config = self.0.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let Some(config) = config else {
            return Ok(None);
        };
        let s3: Arc<dyn Storage> = Arc::new(S3::open_with(&config, Access::reading())?);
        Ok(Some(s3))
    }
}

impl Record for InspectReport {
    const VERSION: u32 = 1;
}

#[derive(Serialize, Deserialize)]
struct ProviderRecord {
    endpoint: String,
    region: String,
    bucket: String,
    prefix: String,
    access_key: String,
    secret_key: Sealed,
    ca_pem: Option<String>,
    #[serde(default)]
    options: ProviderOptions,
}

impl Record for ProviderRecord {
    const VERSION: u32 = 1;
}

/// When the replica was last known to be whole; kept apart from the jobs,
/// which are forgotten after a while. Forgotten when the provider changes.
#[derive(Serialize, Deserialize)]
struct LastReplication(Timestamp);

impl Record for LastReplication {
    const VERSION: u32 = 1;
}

impl Service {
    /// The provider and how replication stands.
    pub fn provider(&self) -> Result<ProviderView> {
        let settings = self.state.settings();
        let record: Option<ProviderRecord> = settings.get(NAME)?;
        let last = self.newest(JobKind::Replicate, None);
        let mut view = ProviderView {
            configured: record.is_some(),
            endpoint: String::new(),
            region: String::new(),
            bucket: String::new(),
            prefix: String::new(),
            access_key: String::new(),
            ca_pem: None,
            options: ProviderOptions::default(),
            inspection: settings.get(INSPECTION)?,
            probe: probe_records(&self.replica_folder())?.pop(),
            last: last.and_then(|head| self.job(head.id).ok()),
            last_success: settings.get::<LastReplication>(LAST)?.map(|last| last.0),
            job: self.active(JobKind::Replicate, None).map(|head| head.id),
        };
        if let Some(record) = record {
            view.endpoint = record.endpoint;
            view.region = record.region;
            view.bucket = record.bucket;
            view.prefix = record.prefix;
            view.access_key = record.access_key;
            view.ca_pem = record.ca_pem;
            view.options = record.options;
        }
        Ok(view)
    }

    /// Checks access to a provider, then remembers it.
    pub fn set_provider(&self, new: &NewProvider) -> Result<ProviderView> {
        if let Some(job) = self.active(JobKind::Replicate, None) {
            return Err(Error::new(
                Kind::Busy,
                format!(
                    "job {} is replicating; wait for it or cancel it first",
                    job.id
                ),
            ));
        }
        let given = |text: &Option<String>| text.clone().filter(|t| !t.trim().is_empty());
        let settings = self.state.settings();
        let old = self.provider_config()?;
        let options = match (&new.options, settings.get::<ProviderRecord>(NAME)?) {
            (Some(options), _) => options.clone(),
            (None, Some(record)) => record.options,
            (None, None) => ProviderOptions::default(),
        };
        if options.lock.is_some() && options.lock_days == 0 {
            return refuse("options.lock_days: for how many days at least");
        }
        let secret_key = match (given(&new.secret_key), &old) {
            (Some(secret), _) => secret,
            // A stored secret goes only where it went before.
            (None, Some(old))
                if old.endpoint == new.endpoint && old.access_key == new.access_key =>
            {
                old.secret_key.clone()
            }
            _ => return refuse("secret_key: the secret that belongs to the access key"),
        };
        let config = S3Config {
            endpoint: new.endpoint.trim().trim_end_matches('/').to_owned(),
            region: new.region.trim().to_owned(),
            bucket: new.bucket.trim().to_owned(),
            prefix: new.prefix.trim().trim_matches('/').to_owned(),
            access_key: new.access_key.trim().to_owned(),
            secret_key,
            ca_pem: given(&new.ca_pem),
            style: options.style,
            flavor: options.flavor,
            storage_class: options.storage_class.clone(),
            lock: options.lock,
        };
        check(&config)?;
        S3::open(&config)?;
        let moved = old.is_none_or(|old| {
            (old.endpoint, old.bucket, old.prefix)
                != (
                    config.endpoint.clone(),
                    config.bucket.clone(),
                    config.prefix.clone(),
                )
        });
        if moved {
            settings.remove(LAST)?;
            settings.remove(INSPECTION)?;
        }
        self.replica.set(Some(config.clone()));
        let record = ProviderRecord {
            secret_key: self.state.key().seal(NAME, config.secret_key.as_bytes())?,
            endpoint: config.endpoint,
            region: config.region,
            bucket: config.bucket,
            prefix: config.prefix,
            access_key: config.access_key,
            ca_pem: config.ca_pem,
            options,
        };
        settings.put(NAME, &record)?;
        tracing::info!(
            endpoint = record.endpoint,
            bucket = record.bucket,
            "provider set"
        );
        self.provider()
    }

    /// Replicates as a job. `Missing` without a provider.
    pub fn run_replicate(self: &Arc<Self>) -> Result<Id> {
        let config = self.needed_provider()?;
        let options = self.provider()?.options;
        self.repository()?;
        let subject = format!("{}/{}", config.endpoint, config.bucket);
        self.start(JobKind::Replicate, &subject, "replicate", move |task| {
            let service = task.service;
            let pace = Pace::shared(&options.limits);
            let access = Access {
                pace: pace.clone(),
                read_only: false,
            };
            let to = S3::open_with(&config, access)?;
            let repository = service.repository()?;
            let mut memory = Memory::open(&service.replica_folder())?;
            let term = SignedDuration::from_hours(24 * i64::from(options.lock_days));
            let until = |now: Timestamp| now.checked_add(term).unwrap_or(now);
            let sound = || Ok(repository.verify(false, task.progress)?.errors.is_empty());
            let replication = Replication {
                s3: Some(&to),
                retain_until: options.lock.is_some().then_some(&until),
                pace: Some(&pace),
                bytes_a_day: options.limits.bytes_a_day,
                newest_snapshot: repository.snapshots()?.last().map(|s| s.time),
                sound: Some(&sound),
            };
            let report =
                replication.run(&**repository.storage(), &to, &mut memory, task.progress)?;
            if report.left > 0 {
                task.log.line(format!(
                    "the day's bytes are used up; {} objects ({} bytes) follow another day",
                    report.left, report.left_bytes
                ));
                return Ok(Ended::Warnings(report));
            }
            let now = LastReplication(Timestamp::now());
            service.state.settings().put(LAST, &now)?;
            Ok(match report.not_extended + report.kept {
                0 => Ended::Well(report),
                _ => Ended::Warnings(report),
            })
        })
    }

    /// Inspects the replica as a job, reading back up to `sample` bytes.
    /// `Missing` without a provider.
    pub fn run_inspect(self: &Arc<Self>, sample: Option<u64>) -> Result<Id> {
        let config = self.needed_provider()?;
        self.repository()?;
        self.start(JobKind::Verify, "provider", "replicate", move |task| {
            let service = task.service;
            let replica = S3::open_with(&config, Access::reading())?;
            let repository = service.repository()?;
            let mut memory = Memory::open(&service.replica_folder())?;
            let pool = &**repository.storage();
            let budget = sample.unwrap_or(SAMPLE);
            let report = inspect(pool, &replica, budget, &mut memory, task.progress)?;
            service.state.settings().put(INSPECTION, &report)?;
            for error in report.errors.iter().take(LOGGED) {
                task.log.line(error.clone());
            }
            if let Some(first) = report.errors.first() {
                let e = Error::new(
                    Kind::Corrupt,
                    format!(
                        "{} objects at the provider are missing or damaged; replicate again. The first: {first}",
                        report.bad
                    ),
                );
                return Ok(Ended::Damage(e, report));
            }
            Ok(Ended::Well(report))
        })
    }

    /// Probes the provider's object lock and keeps what it found as evidence.
    ///
    /// # Errors
    /// `Missing` without a provider, `Refused` without a lock.
    pub fn probe_provider(&self) -> Result<Evidence> {
        let s3 = S3::open(&self.needed_provider()?)?;
        let evidence = probe(&s3)?;
        record_probe(&self.replica_folder(), &evidence)?;
        Ok(evidence)
    }

    /// Every probe so far, oldest first.
    pub fn probes(&self) -> Result<Vec<Evidence>> {
        probe_records(&self.replica_folder())
    }

    /// The pool with the provider as its last rung.
    pub(super) fn with_replica(&self, pool: Arc<dyn Storage>) -> Arc<dyn Storage> {
        let replica = self.replica.clone();
        Arc::new(Ladder::new(pool, Box::new(move || replica.open())))
    }

    /// Reads how the provider is entered.
    pub(super) fn remember_provider(&self) -> Result<()> {
        self.replica.set(self.provider_config()?);
        Ok(())
    }

    fn needed_provider(&self) -> Result<S3Config> {
        self.provider_config()?
            .ok_or_else(|| Error::new(Kind::Missing, "no provider is configured; set one first"))
    }

    fn replica_folder(&self) -> PathBuf {
        self.state.folder().join("provider")
    }

    fn provider_config(&self) -> Result<Option<S3Config>> {
        let Some(record) = self.state.settings().get::<ProviderRecord>(NAME)? else {
            return Ok(None);
        };
        Ok(Some(S3Config {
            secret_key: self.state.key().open_text(NAME, &record.secret_key)?,
            endpoint: record.endpoint,
            region: record.region,
            bucket: record.bucket,
            prefix: record.prefix,
            access_key: record.access_key,
            ca_pem: record.ca_pem,
            style: record.options.style,
            flavor: record.options.flavor,
            storage_class: record.options.storage_class,
            lock: record.options.lock,
        }))
    }
}

fn refuse<T>(text: &str) -> Result<T> {
    Err(Error::new(Kind::Refused, text))
}

fn check(config: &S3Config) -> Result<()> {
    let host = config
        .endpoint
        .strip_prefix("https://")
        .or_else(|| config.endpoint.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.contains(['/', ' ', '?', '#', '@'])) {
        return refuse("endpoint: https://host or https://host:port");
    }
    let bucket = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !(3..=63).contains(&config.bucket.len()) || !config.bucket.chars().all(bucket) {
        return refuse("bucket: 3 to 63 letters, digits, dots or dashes");
    }
    if config.access_key.is_empty() {
        return refuse("access_key: the id of the access key");
    }
    if config.region.is_empty() {
        return refuse("region: the provider's region, such as us-east-1");
    }
    Ok(())
}

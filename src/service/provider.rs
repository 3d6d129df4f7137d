//! The external provider: configuration and replication.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::jobs::Ended;
use super::{JobKind, NewProvider, ProviderView, Service};
use crate::appliance::{Record, Sealed};
use crate::engine::{Error, Kind, Result};
use crate::jobs::Id;
use crate::provider::{S3, S3Config, replicate};

const NAME: &str = "provider";
const LAST: &str = "last-replication";

#[derive(Serialize, Deserialize)]
struct ProviderRecord {
    endpoint: String,
    region: String,
    bucket: String,
    prefix: String,
    access_key: String,
    secret_key: Sealed,
    ca_pem: Option<String>,
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
        let old = self.provider_config()?;
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
            ..S3Config::default()
        };
        check(&config)?;
        S3::open(&config)?;
        let settings = self.state.settings();
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
        }
        let record = ProviderRecord {
            secret_key: self.state.key().seal(NAME, config.secret_key.as_bytes())?,
            endpoint: config.endpoint,
            region: config.region,
            bucket: config.bucket,
            prefix: config.prefix,
            access_key: config.access_key,
            ca_pem: config.ca_pem,
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
        let config = self
            .provider_config()?
            .ok_or_else(|| Error::new(Kind::Missing, "no provider is configured; set one first"))?;
        self.repository()?;
        let subject = format!("{}/{}", config.endpoint, config.bucket);
        self.start(JobKind::Replicate, &subject, "replicate", move |task| {
            let to = S3::open(&config)?;
            let repository = task.service.repository()?;
            let report = replicate(&**repository.storage(), &to, task.progress)?;
            let now = LastReplication(Timestamp::now());
            task.service.state.settings().put(LAST, &now)?;
            Ok(Ended::Well(report))
        })
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
            ..S3Config::default()
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

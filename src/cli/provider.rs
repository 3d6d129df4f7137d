//! `colca provider`: is what is out there what should be, and is it protected?
//! And how every command is told where the provider is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;

use super::{Context, Outcome, meter, state, text};
use crate::engine::storage::Storage;
use crate::engine::{Error, Kind, Result};
use crate::provider::{
    Access, Config, Flavor, Given, LockMode, Memory, Provider, Style, inspect, parse_bytes, probe,
    record_probe,
};

/// Where the provider is.
#[derive(clap::Args, Default)]
pub(crate) struct Place {
    /// The provider: s3://BUCKET/PREFIX, sftp://USER@HOST:PORT/PATH, or a folder
    #[arg(long, env = "COLCA_PROVIDER", value_name = "ADDRESS")]
    to: Option<String>,
    /// Bucket at that provider
    #[arg(long, env = "COLCA_S3_BUCKET")]
    bucket: Option<String>,
    /// Prefix within the bucket
    #[arg(long, env = "COLCA_S3_PREFIX", default_value = "")]
    prefix: String,
    #[command(flatten)]
    reach: Reach,
}

/// How the provider is reached. Secrets come from the environment or from files
/// only, so that they show in no process list.
#[derive(clap::Args, Default)]
pub(crate) struct Reach {
    /// Address of an S3 provider, https://host[:port]
    #[arg(long, env = "COLCA_S3_ENDPOINT", value_name = "URL")]
    endpoint: Option<String>,
    /// Region at that provider [default: us-east-1]
    #[arg(long, env = "COLCA_S3_REGION")]
    region: Option<String>,
    /// Access key id
    #[arg(long, env = "COLCA_S3_ACCESS_KEY")]
    access_key: Option<String>,
    /// File with the certificate of a private authority to trust (PEM)
    #[arg(long, env = "COLCA_S3_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How addresses of S3 are written: auto, path or virtual
    #[arg(long, env = "COLCA_S3_STYLE", default_value = "auto")]
    style: Style,
    /// Which S3 it is: generic, aws, ceph, minio, garage or rustfs
    #[arg(long, env = "COLCA_S3_FLAVOR", default_value = "generic")]
    flavor: Flavor,
    /// Storage class of new objects
    #[arg(long, env = "COLCA_S3_STORAGE_CLASS", value_name = "CLASS")]
    storage_class: Option<String>,
    /// Lock what is stored: governance or compliance (S3)
    #[arg(long, env = "COLCA_LOCK_MODE", value_name = "MODE")]
    lock_mode: Option<LockMode>,
    /// File with the private key for an SFTP server
    #[arg(long, env = "COLCA_SFTP_IDENTITY", value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The SFTP server's host key, as in "ssh-ed25519 AAAA…"; any other is refused
    #[arg(long, env = "COLCA_SFTP_HOST_KEY", value_name = "KEY")]
    host_key: Option<String>,
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::io(format!("reading {}", path.display()), e))
}

impl Reach {
    /// What a person gave besides the address.
    pub(crate) fn given(&self) -> Result<Given> {
        let secret = |name| std::env::var(name).ok().filter(|s: &String| !s.is_empty());
        let file = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
        Ok(Given {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            access_key: self.access_key.clone(),
            secret_key: secret("COLCA_S3_SECRET_KEY"),
            ca_pem: file(&self.ca)?,
            style: self.style,
            flavor: self.flavor,
            storage_class: self.storage_class.clone(),
            lock: self.lock_mode,
            password: secret("COLCA_SFTP_PASSWORD"),
            private_key: file(&self.identity)?,
            host_key: self.host_key.clone(),
        })
    }
}

impl Place {
    pub(crate) fn config(&self) -> Result<Config> {
        let url = match (&self.to, &self.bucket) {
            (Some(url), _) => url.clone(),
            (None, Some(bucket)) => format!("s3://{bucket}/{}", self.prefix.trim_matches('/')),
            (None, None) => {
                return Err(Error::new(
                    Kind::Refused,
                    "no provider named: give --to s3://BUCKET/PREFIX, --to sftp://USER@HOST/PATH or --to FOLDER",
                ));
            }
        };
        Config::parse(&url, &self.reach.given()?)
    }
}

/// The provider that the environment names, if it names one.
pub(crate) fn from_environment() -> Result<Option<Config>> {
    #[derive(clap::Parser)]
    #[command(no_binary_name = true)]
    struct Environment {
        #[command(flatten)]
        place: Place,
    }
    if std::env::var_os("COLCA_PROVIDER").is_none_or(|url| url.is_empty()) {
        return Ok(None);
    }
    let parsed = <Environment as clap::Parser>::try_parse_from(std::iter::empty::<&str>());
    let environment = parsed.map_err(|e| {
        let message = format!("the provider that the environment names: {e}");
        Error::with_source(Kind::Refused, message, e)
    })?;
    environment.place.config().map(Some)
}

/// Opens the environment's provider to read only, when it is needed.
pub(crate) fn replica() -> Result<Option<Arc<dyn Storage>>> {
    let Some(config) = from_environment()? else {
        return Ok(None);
    };
    let provider = Provider::open(&config, Access::reading())?;
    Ok(Some(Arc::from(provider.into_storage())))
}

/// Where it is remembered what is at the provider.
pub(crate) fn memory(context: &Context) -> PathBuf {
    context.state.join("provider")
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check what is at the provider, and read a sample of it back
    Verify {
        #[command(flatten)]
        place: Place,
        /// How much to read back, such as 500MiB
        #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = size)]
        sample: u64,
    },
    /// Store a small locked object and try to delete it, which must be refused
    Probe {
        #[command(flatten)]
        place: Place,
    },
}

pub(crate) fn size(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| "a number of bytes, such as 500MiB".into())
}

pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Verify { place, sample } => verify(context, &place, sample),
        Command::Probe { place } => prove(context, &place),
    }
}

fn verify(context: &Context, place: &Place, sample: u64) -> anyhow::Result<Outcome> {
    let pool = state::open_pool(context)?;
    let provider = Provider::open(&place.config()?, Access::reading())?;
    let mut memory = Memory::open(&memory(context))?;
    let report = meter::watch(context, "Inspecting", |progress| {
        inspect(&pool, provider.storage(), sample, &mut memory, progress)
    })?;
    if context.json {
        text::json(&report)?;
    } else {
        println!(
            "{} objects, {} stored; {} read back ({}); {} not replicated yet ({})",
            report.objects,
            text::bytes(report.stored_bytes),
            report.sampled,
            text::bytes(report.sampled_bytes),
            report.lag_objects,
            text::bytes(report.lag_bytes),
        );
    }
    for error in &report.errors {
        eprintln!("error: {error}");
    }
    if report.bad > 0 {
        return Err(Error::new(
            Kind::Corrupt,
            format!(
                "{} objects at the provider are missing or damaged; replicate to replace them",
                report.bad
            ),
        )
        .into());
    }
    Ok(match report.manifest {
        true => Outcome::Done,
        false => {
            eprintln!("warning: there is no manifest; no replication has ended yet");
            Outcome::Warnings
        }
    })
}

fn prove(context: &Context, place: &Place) -> anyhow::Result<Outcome> {
    let provider = Provider::open(&place.config()?, Access::default())?;
    let s3 = provider.s3().ok_or_else(|| {
        Error::new(
            Kind::Refused,
            "only S3 can lock objects; name an S3 provider with --lock-mode",
        )
    })?;
    let evidence = probe(s3)?;
    record_probe(&memory(context), &evidence)?;
    if context.json {
        text::json(&evidence)?;
    } else {
        println!(
            "{} version {} locked until {}",
            evidence.key, evidence.version, evidence.until
        );
        for tried in &evidence.tried {
            println!("{}: HTTP {} {}", tried.what, tried.status, tried.code);
        }
    }
    if !evidence.held {
        return Err(Error::new(
            Kind::Refused,
            "the lock does not hold: the provider deleted or shortened what was locked; ask it for object lock that holds",
        )
        .into());
    }
    if evidence.can_bypass == Some(true) {
        eprintln!(
            "warning: this key can lift governance locks; take the permission away, or use compliance"
        );
        return Ok(Outcome::Warnings);
    }
    Ok(Outcome::Done)
}

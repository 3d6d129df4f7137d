//! `colca replicate`: the same sealed objects, elsewhere.

use std::path::PathBuf;

use super::{Context, Outcome, meter, state, text};
use crate::engine::storage::Storage;
use crate::engine::{Error, Kind, Result};
use crate::provider::{Folder, S3, S3Config, replicate};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A plain folder as the provider
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["endpoint", "bucket"])]
    to: Option<PathBuf>,
    /// Address of an S3 provider, https://host[:port]
    #[arg(long, env = "COLCA_S3_ENDPOINT", value_name = "URL")]
    endpoint: Option<String>,
    /// Bucket at that provider
    #[arg(long, env = "COLCA_S3_BUCKET")]
    bucket: Option<String>,
    /// Region at that provider
    #[arg(long, env = "COLCA_S3_REGION", default_value = "us-east-1")]
    region: String,
    /// Prefix within the bucket
    #[arg(long, env = "COLCA_S3_PREFIX", default_value = "")]
    prefix: String,
    /// Access key id
    #[arg(long, env = "COLCA_S3_ACCESS_KEY", default_value = "")]
    access_key: String,
    /// Secret key. From the environment only, so that it shows in no process list.
    #[arg(skip = std::env::var("COLCA_S3_SECRET_KEY").unwrap_or_default())]
    secret_key: String,
    /// File with the certificate of a private authority to trust (PEM)
    #[arg(long, env = "COLCA_S3_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let provider = provider(arguments)?;
    let report = meter::watch(context, "Replicating", |progress| {
        replicate(repository.storage().as_ref(), provider.as_ref(), progress)
    })?;
    if context.json {
        text::json(&report)?;
    } else {
        println!(
            "{} objects copied ({}), {} there already, {} removed; {} is complete",
            report.copied,
            text::bytes(report.bytes),
            report.present,
            report.removed,
            provider.describe(),
        );
    }
    Ok(Outcome::Done)
}

fn provider(arguments: Arguments) -> Result<Box<dyn Storage>> {
    if let Some(folder) = arguments.to {
        return Ok(Box::new(Folder::open(&folder)?));
    }
    let missing = |what| {
        Error::new(
            Kind::Refused,
            format!("no provider named: give --to FOLDER, or {what}"),
        )
    };
    let ca_pem = arguments
        .ca
        .map(|path| {
            std::fs::read_to_string(&path)
                .map_err(|e| Error::io(format!("reading {}", path.display()), e))
        })
        .transpose()?;
    let config = S3Config {
        endpoint: arguments
            .endpoint
            .ok_or_else(|| missing("--endpoint URL"))?,
        bucket: arguments.bucket.ok_or_else(|| missing("--bucket NAME"))?,
        region: arguments.region,
        prefix: arguments.prefix,
        access_key: arguments.access_key,
        secret_key: arguments.secret_key,
        ca_pem,
        ..S3Config::default()
    };
    Ok(Box::new(S3::open(&config)?))
}

//! `colca rescue`: what is on a pool's disks or at the provider, on any Linux
//! machine, without a state folder and without writing anything there.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;

use super::provider::Reach;
use super::{Context, Outcome, ls, restore, secret, snapshots};
use crate::engine::storage::{Storage, hex};
use crate::engine::{Error, Kind, Repository};
use crate::pool::Pool;
use crate::provider::open_replica;

#[derive(clap::Args)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct Arguments {
    /// File that holds the recovery words; without it they are read from standard input
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// Folders on which disks of the pool are mounted, in any order; as many as there are
    #[arg(required_unless_present = "from", value_name = "DISK")]
    disks: Vec<PathBuf>,
    /// Instead of disks, the provider: s3://BUCKET/PREFIX, sftp://USER@HOST:PORT/PATH, or a folder
    #[arg(long, value_name = "ADDRESS", conflicts_with = "disks")]
    from: Option<String>,
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
pub(crate) enum Action {
    /// List the snapshots, oldest first
    List,
    /// List what is in a snapshot
    Ls {
        /// Snapshot (id, name or "latest"), and a path in it
        #[arg(value_name = "SNAPSHOT[:PATH]")]
        what: String,
    },
    /// Restore a snapshot, or a part of it, into a folder
    Restore {
        /// Snapshot (id, name or "latest"), and a path in it
        #[arg(value_name = "SNAPSHOT[:PATH]")]
        what: String,
        /// Folder to put it into; made if it does not exist
        target: PathBuf,
    },
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let storage: Arc<dyn Storage> = match &arguments.from {
        Some(address) => Arc::from(open_replica(address, &arguments.reach.given()?)?),
        None => Arc::new(Pool::open_read_only(&arguments.disks, None)?),
    };
    let words = secret::words(arguments.recovery_key.as_deref())?;
    let master = Repository::recover_key(&*storage, &words)?;
    let caches = Passing::new()?;
    let repository = Repository::open(storage, &caches.0, &master)?;
    match &arguments.action {
        Action::List => snapshots::print(context, &repository.snapshots()?),
        Action::Ls { what } => ls::print(context, &repository, what),
        Action::Restore { what, target } => restore::restore(context, &repository, what, target),
    }
}

/// A folder for the engine's index that goes when the work is done.
struct Passing(PathBuf);

impl Passing {
    fn new() -> Result<Self, Error> {
        let mut random = [0u8; 8];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|e| Error::with_source(Kind::Io, "the system's random source failed", e))?;
        let path = std::env::temp_dir().join(format!("colca-rescue-{}", hex(&random)));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|e| Error::io(format_args!("making {}", path.display()), e))?;
        Ok(Self(path))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

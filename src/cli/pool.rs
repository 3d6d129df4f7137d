//! `colca pool`: create, open and look at the pool.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;

use super::{Context, Outcome, state, text};
use crate::engine::{Error, Kind, MasterKey, Params, RecoveryKey, Repository};
use crate::pool::{NewMember, Pool, PoolState, PoolStatus, Redundancy};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a new pool on empty folders (mounted disks); prints its recovery key, once
    Create {
        /// Data and parity shards of each object, as K+M; 1+1 is a mirror
        #[arg(long, value_name = "K+M")]
        redundancy: Redundancy,
        /// A folder held back until another one is missing (may be repeated)
        #[arg(long, value_name = "DISK")]
        spare: Vec<PathBuf>,
        /// Folders that become members, at least K+M of them
        #[arg(required = true, value_name = "DISK")]
        disks: Vec<PathBuf>,
    },
    /// Open an existing pool with its recovery key, e.g. on another machine
    Open {
        /// File that holds the recovery words; without it they are read from standard input
        #[arg(long, value_name = "FILE")]
        recovery_key: Option<PathBuf>,
        /// Folders that are members of the pool
        #[arg(required = true, value_name = "DISK")]
        disks: Vec<PathBuf>,
    },
    /// Show the pool's health and its members
    Status,
}

pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Create {
            redundancy,
            spare,
            disks,
        } => create(context, redundancy, &disks, &spare),
        Command::Open {
            recovery_key,
            disks,
        } => open(context, recovery_key.as_deref(), &disks),
        Command::Status => status(context),
    }
}

fn create(
    context: &Context,
    redundancy: Redundancy,
    disks: &[PathBuf],
    spares: &[PathBuf],
) -> anyhow::Result<Outcome> {
    state::require_unused(context)?;
    let member = |path: &PathBuf, spare| NewMember {
        path: path.clone(),
        label: path.display().to_string(),
        spare,
    };
    let members: Vec<NewMember> = disks
        .iter()
        .map(|path| member(path, false))
        .chain(spares.iter().map(|path| member(path, true)))
        .collect();
    let pool = Pool::create(&members, redundancy)?;
    let id = pool.id().to_owned();
    let master = MasterKey::generate()?;
    let recovery = RecoveryKey::generate()?;
    let paths: Vec<PathBuf> = members.into_iter().map(|member| member.path).collect();
    state::remember(context, &id, &paths, &master)?;
    Repository::create(
        Arc::new(pool),
        &state::caches(context),
        &master,
        &recovery,
        Params::for_data_shards(redundancy.data),
    )?;
    let words = recovery.words();
    if context.json {
        text::json(
            &serde_json::json!({ "pool": id, "redundancy": redundancy, "recovery_words": words }),
        )?;
        return Ok(Outcome::Done);
    }
    println!("Pool {id} made: {redundancy} on {} disks.", paths.len());
    println!();
    println!(
        "Recovery key. Write it on paper and keep it away from the box. It is shown only now;"
    );
    println!("without it the data are lost if the box is lost.");
    println!();
    for (row, chunk) in words.chunks(6).enumerate() {
        let cells = chunk
            .iter()
            .enumerate()
            .map(|(i, word)| format!("{:>2} {word:<12}", row * 6 + i + 1));
        println!("  {}", cells.collect::<Vec<_>>().join(" ").trim_end());
    }
    Ok(Outcome::Done)
}

fn open(context: &Context, file: Option<&Path>, disks: &[PathBuf]) -> anyhow::Result<Outcome> {
    state::require_unused(context)?;
    let words = zeroize::Zeroizing::new(read_words(file)?);
    let recovery = RecoveryKey::parse(&words)?;
    let pool = Pool::open(disks, None)?;
    let id = pool.id().to_owned();
    let master = Repository::recover_key(&pool, &recovery)?;
    state::remember(context, &id, disks, &master)?;
    let repository = Repository::open(Arc::new(pool), &state::caches(context), &master)?;
    let snapshots = repository.snapshots()?.len();
    if context.json {
        text::json(&serde_json::json!({ "pool": id, "snapshots": snapshots }))?;
    } else {
        println!("Pool {id} opened, {snapshots} snapshots found.");
    }
    Ok(Outcome::Done)
}

fn read_words(file: Option<&Path>) -> anyhow::Result<String> {
    if let Some(path) = file {
        return Ok(std::fs::read_to_string(path).map_err(|e| {
            Error::io(
                format!("reading the recovery words from {}", path.display()),
                e,
            )
        })?);
    }
    let mut words = String::new();
    if std::io::stdin().is_terminal() {
        eprintln!("The 24 recovery words, then Enter:");
        std::io::stdin().read_line(&mut words)?;
    } else {
        // Far more than 24 words ever need; keeps a wrong file from filling the memory.
        std::io::stdin().take(64 << 10).read_to_string(&mut words)?;
    }
    Ok(words)
}

fn status(context: &Context) -> anyhow::Result<Outcome> {
    let status = state::open_pool(context)?.status();
    if context.json {
        text::json(&status)?;
    } else {
        print(&status)?;
    }
    match status.state {
        PoolState::Ok => Ok(Outcome::Done),
        PoolState::Degraded => Ok(Outcome::Warnings),
        PoolState::Failed => Err(Error::new(
            Kind::Missing,
            "too many members are missing; attach them and try again",
        )
        .into()),
    }
}

fn print(status: &PoolStatus) -> std::io::Result<()> {
    let PoolStatus {
        id,
        redundancy,
        state,
        members,
        total,
        free,
    } = status;
    let state = match state {
        PoolState::Ok => "ok",
        PoolState::Degraded => {
            "degraded: everything can be read, with less redundancy than promised"
        }
        PoolState::Failed => "failed: too many members are missing",
    };
    println!("Pool {id}  {redundancy}  {state}");
    println!("{} free of {}", text::bytes(*free), text::bytes(*total));
    println!();
    let rows: Vec<Vec<String>> = members
        .iter()
        .map(|member| {
            let state = match member.state {
                crate::pool::MemberState::Online => "online",
                crate::pool::MemberState::Spare => "spare",
                crate::pool::MemberState::Missing => "missing",
            };
            let sizes = [member.free, member.total].map(|n| {
                if member.path.is_some() {
                    text::bytes(n)
                } else {
                    String::new()
                }
            });
            let [free, total] = sizes;
            vec![member.label.clone(), state.to_owned(), free, total]
        })
        .collect();
    text::table(&["DISK", "STATE", "FREE", "SIZE"], &rows, &[2, 3])
}

//! `colca pool`: create, open and look at the pool.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;

use super::{Context, Outcome, members, page, secret, state, text};
use crate::engine::{Error, Kind, MasterKey, Params, RecoveryKey, Repository, Unlock};
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
        /// Also write the recovery page to this new file, to print it
        #[arg(long, value_name = "FILE")]
        page: Option<PathBuf>,
        /// Folders that become members, at least K+M of them
        #[arg(required = true, value_name = "DISK")]
        disks: Vec<PathBuf>,
    },
    /// Open an existing pool with its recovery words or a passphrase, e.g. on another machine
    Open {
        /// File that holds the recovery words; without it they are read from standard input
        #[arg(long, value_name = "FILE")]
        recovery_key: Option<PathBuf>,
        /// Open it with a passphrase instead, from FILE or standard input
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with = "recovery_key")]
        passphrase: Option<Option<PathBuf>>,
        /// Folders that are members of the pool
        #[arg(required = true, value_name = "DISK")]
        disks: Vec<PathBuf>,
    },
    /// Add disks, or spares
    Add(members::Add),
    /// Let nothing new go to a disk, so that it can leave
    Retire(members::Retire),
    /// Give up a disk that was emptied or is missing
    Remove(members::Remove),
    /// Put a new disk in the place of another: healthy, dying or missing
    Replace(members::Replace),
    /// Change the redundancy
    SetRedundancy(members::SetRedundancy),
    /// Rebuild, move and reshape until everything is where and as it should be
    Settle(members::Settle),
    /// Read every shard that is due, and heal what is damaged
    Scrub(members::Scrub),
    /// Show the pool's health and its members
    Status,
}

pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Create {
            redundancy,
            spare,
            page,
            disks,
        } => create(context, redundancy, &disks, &spare, page.as_deref()),
        Command::Open {
            recovery_key,
            passphrase,
            disks,
        } => open(
            context,
            recovery_key.as_deref(),
            passphrase.as_ref(),
            &disks,
        ),
        Command::Add(arguments) => members::add(context, &arguments),
        Command::Retire(arguments) => members::retire(context, &arguments),
        Command::Remove(arguments) => members::remove(context, &arguments),
        Command::Replace(arguments) => members::replace(context, &arguments),
        Command::SetRedundancy(arguments) => members::set_redundancy(context, &arguments),
        Command::Settle(arguments) => members::settle(context, &arguments),
        Command::Scrub(arguments) => members::scrub(context, &arguments),
        Command::Status => status(context),
    }
}

fn create(
    context: &Context,
    redundancy: Redundancy,
    disks: &[PathBuf],
    spares: &[PathBuf],
    page: Option<&Path>,
) -> anyhow::Result<Outcome> {
    state::require_unused(context)?;
    page::require_free(page)?;
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
    let repository = Repository::create(
        Arc::new(pool),
        &state::caches(context),
        &master,
        &recovery,
        Params::for_data_shards(redundancy.data),
    )?;
    if context.json {
        text::json(&serde_json::json!({
            "pool": id, "redundancy": redundancy,
            "recovery_words": *recovery.words(), "page_check": recovery.page_check()
        }))?;
    } else {
        println!("Pool {id} made: {redundancy} on {} disks.", paths.len());
        println!();
        println!(
            "Recovery key. Write it on paper and keep it away from the box. It is shown only now;"
        );
        println!("without it the data are lost if the box is lost.");
        println!();
        page::print(&recovery);
    }
    page::save(repository.storage().as_ref(), &recovery, page)?;
    Ok(Outcome::Done)
}

fn open(
    context: &Context,
    words: Option<&Path>,
    passphrase: Option<&Option<PathBuf>>,
    disks: &[PathBuf],
) -> anyhow::Result<Outcome> {
    let pool = Pool::open(disks, None)?;
    let id = pool.id().to_owned();
    state::require_unused_or(context, &id)?;
    let master = match passphrase {
        Some(file) => {
            let passphrase = secret::passphrase(file.as_deref())?;
            Repository::unlock(&pool, Unlock::Passphrase(&passphrase))?
        }
        None => Repository::recover_key(&pool, &secret::words(words)?)?,
    };
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
                crate::pool::MemberState::Retiring => "retiring",
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

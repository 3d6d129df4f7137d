//! The command line: one file per command, glue only. The same words as the
//! panel, usable on plain folders without root and without the daemon.
//!
//! Exit codes are part of the interface, see [`exit`] and `docs/cli.md`.

mod backup;
mod collect;
mod diff;
mod exit;
mod find;
mod forget;
mod key;
mod ls;
mod members;
mod meter;
mod page;
mod pool;
mod provider;
mod replicate;
mod rescue;
mod restore;
mod secret;
mod serve;
mod snapshots;
mod state;
mod text;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What every command gets besides its own arguments.
pub(crate) struct Context {
    /// Folder that holds the pool's key, index and catalogue.
    state: PathBuf,
    /// Print JSON on standard output instead of text.
    json: bool,
}

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything asked for was done.
    Done,
    /// Done, except for things named in warnings.
    Warnings,
}

#[derive(Parser)]
#[command(
    name = "colca",
    version,
    about = "Backup box: deduplicated, sealed, redundant.",
    propagate_version = true
)]
struct Arguments {
    /// Folder for the pool's key, index and catalogue [default: ~/.local/state/colca]
    #[arg(long, env = "COLCA_STATE", global = true, value_name = "FOLDER")]
    state: Option<PathBuf>,

    /// Print JSON on standard output
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create, open and look at the pool of disks
    #[command(subcommand)]
    Pool(pool::Command),
    /// Show and change what opens the pool
    #[command(subcommand)]
    Key(key::Command),
    /// Back up a folder
    Backup(backup::Arguments),
    /// List the snapshots, oldest first
    Snapshots(snapshots::Arguments),
    /// List what is in a snapshot
    Ls(ls::Arguments),
    /// Find files by name in all snapshots
    Find(find::Arguments),
    /// List what differs between two snapshots
    Diff(diff::Arguments),
    /// Restore a snapshot, or a part of it, into a folder
    Restore(restore::Arguments),
    /// Check that every snapshot can be restored
    Verify(verify::Arguments),
    /// Forget a snapshot; `collect` then frees its room
    Forget(forget::Arguments),
    /// Free the room that no snapshot needs
    Collect(collect::Arguments),
    /// Copy everything, sealed as it is, to an external provider
    Replicate(replicate::Arguments),
    /// Read a pool's disks, or a provider, on any Linux machine with the recovery words, writing nothing there
    Rescue(rescue::Arguments),
    /// Check what is at the provider, and how it is protected
    #[command(subcommand)]
    Provider(provider::Command),
    /// Run the daemon with its panel
    Serve(serve::Arguments),
    /// The console screen of the box
    #[command(hide = true)]
    Console,
    /// The privileged disk helper, started by its socket
    #[command(hide = true)]
    DiskHelper,
    /// The privileged TPM helper, started by its socket
    #[command(hide = true)]
    TpmHelper,
}

/// Parses the arguments, runs the command, returns its documented exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    // The daemon's own folder is the box's, a person's is theirs.
    let default_folder = match arguments.command {
        Command::Serve(_) => || serve::BOX_STATE.into(),
        _ => state::default_folder,
    };
    let state = arguments.state.unwrap_or_else(default_folder);
    let context = Context { state, json };
    let result = match arguments.command {
        Command::Pool(command) => pool::run(&context, command),
        Command::Key(command) => key::run(&context, command),
        Command::Backup(arguments) => backup::run(&context, &arguments),
        Command::Snapshots(arguments) => snapshots::run(&context, &arguments),
        Command::Ls(arguments) => ls::run(&context, &arguments),
        Command::Find(arguments) => find::run(&context, &arguments),
        Command::Diff(arguments) => diff::run(&context, &arguments),
        Command::Restore(arguments) => restore::run(&context, &arguments),
        Command::Verify(arguments) => verify::run(&context, &arguments),
        Command::Forget(arguments) => forget::run(&context, &arguments),
        Command::Collect(arguments) => collect::run(&context, &arguments),
        Command::Replicate(arguments) => replicate::run(&context, arguments),
        Command::Rescue(arguments) => rescue::run(&context, &arguments),
        Command::Provider(command) => provider::run(&context, command),
        Command::Serve(arguments) => serve::run(context, arguments),
        Command::Console => serve::console(),
        Command::DiskHelper => serve::disk_helper(),
        Command::TpmHelper => serve::tpm_helper(),
    };
    exit::code(result, json)
}

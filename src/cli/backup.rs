//! `colca backup`: save a folder.

use std::path::PathBuf;

use super::{Context, Outcome, meter, state, text};
use crate::engine::{BackupOptions, BackupReport, Warning};
use crate::sources;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder to back up
    path: PathBuf,
    /// Name under which its snapshots are found again
    #[arg(long)]
    name: String,
    /// Read every byte again instead of trusting unchanged metadata
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let tree = sources::local_tree(&arguments.path)?;
    let options = BackupOptions {
        name: arguments.name.clone(),
        full: arguments.full,
    };
    let BackupReport { snapshot, warnings } = meter::watch(context, "Backing up", |progress| {
        repository.backup(tree.as_ref(), &options, progress)
    })?;
    print_warnings(&warnings, snapshot.warnings);
    if context.json {
        text::json(&snapshot)?;
    } else {
        println!(
            "Snapshot {} of {}: {} files, {}; new {}, stored {}; {:.1} s",
            &snapshot.id[..8],
            snapshot.name,
            snapshot.files,
            text::bytes(snapshot.bytes),
            text::bytes(snapshot.new_bytes),
            text::bytes(snapshot.stored_bytes),
            std::time::Duration::from_millis(snapshot.millis).as_secs_f64(),
        );
    }
    Ok(if snapshot.warnings == 0 {
        Outcome::Done
    } else {
        Outcome::Warnings
    })
}

/// Names on standard error what was not saved or restored.
pub(crate) fn print_warnings(listed: &[Warning], all: u64) {
    for Warning { path, message } in listed {
        eprintln!(
            "warning: {}: {}",
            text::name(path.as_bytes()),
            text::name(message.as_bytes())
        );
    }
    let listed = listed.len() as u64;
    if all > listed {
        eprintln!("warning: and {} more", all - listed);
    }
}

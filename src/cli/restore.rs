//! `colca restore`: bring back a snapshot or a part of it.

use std::path::{Path, PathBuf};

use super::backup::print_warnings;
use super::snapshots::locate;
use super::{Context, Outcome, meter, state, text};
use crate::engine::Repository;
use crate::sources;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Snapshot (id, name or "latest"), and a path in it
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    what: String,
    /// Folder to put it into; made if it does not exist
    target: PathBuf,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    restore(
        context,
        &*state::open_with_replica(context)?,
        &arguments.what,
        &arguments.target,
    )
}

pub(super) fn restore(
    context: &Context,
    repository: &Repository,
    what: &str,
    folder: &Path,
) -> anyhow::Result<Outcome> {
    let (snapshot, path) = locate(repository, what)?;
    // Looked up before the target is made, so that a wrong path leaves no trace.
    repository.node(&snapshot, &path)?;
    let target = sources::local_target(folder)?;
    let report = meter::watch(context, "Restoring", |progress| {
        repository.restore(&snapshot, &path, target.as_ref(), progress)
    })?;
    print_warnings(&report.warnings, report.warning_count);
    if context.json {
        text::json(&report)?;
    } else {
        println!(
            "Restored {} files, {} into {}",
            report.files,
            text::bytes(report.bytes),
            folder.display()
        );
    }
    Ok(if report.warning_count == 0 {
        Outcome::Done
    } else {
        Outcome::Warnings
    })
}

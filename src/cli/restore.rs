//! `colca restore`: bring back a snapshot or a part of it.

use std::path::PathBuf;

use super::backup::print_warnings;
use super::snapshots::locate;
use super::{Context, Outcome, meter, state, text};
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
    let repository = state::open_with_replica(context)?;
    let (snapshot, path) = locate(&repository, &arguments.what)?;
    // Looked up before the target is made, so that a wrong path leaves no trace.
    repository.node(&snapshot, &path)?;
    let target = sources::local_target(&arguments.target)?;
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
            arguments.target.display()
        );
    }
    Ok(if report.warning_count == 0 {
        Outcome::Done
    } else {
        Outcome::Warnings
    })
}

//! `colca forget`: give up a snapshot.

use super::snapshots::locate;
use super::{Context, Outcome, state, text};
use crate::engine::{Error, Kind};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Snapshot id, or an unambiguous beginning of one
    snapshot: String,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let (snapshot, path) = locate(&repository, &arguments.snapshot)?;
    if !path.is_empty() {
        return Err(Error::new(
            Kind::Refused,
            "a snapshot is forgotten whole; give it without a path",
        )
        .into());
    }
    repository.forget(&snapshot)?;
    if context.json {
        text::json(&snapshot)?;
    } else {
        println!(
            "Forgot snapshot {} of {}; \"colca collect\" frees its room",
            &snapshot.id[..8],
            snapshot.name
        );
    }
    Ok(Outcome::Done)
}

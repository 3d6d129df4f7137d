//! `colca snapshots`: what there is to restore.

use super::{Context, Outcome, state, text};
use crate::engine::{Error, Kind, Repository, Snapshot};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only those of this name
    #[arg(long)]
    name: Option<String>,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mut snapshots = state::open(context)?.snapshots()?;
    if let Some(name) = &arguments.name {
        snapshots.retain(|snapshot| &snapshot.name == name);
    }
    print(context, &snapshots)
}

pub(super) fn print(context: &Context, snapshots: &[Snapshot]) -> anyhow::Result<Outcome> {
    if context.json {
        text::json(&snapshots)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = snapshots
        .iter()
        .map(|s| {
            vec![
                s.id[..8].to_owned(),
                text::time(s.time),
                s.name.clone(),
                s.files.to_string(),
                text::bytes(s.bytes),
                text::bytes(s.new_bytes),
                if s.warnings == 0 {
                    String::new()
                } else {
                    format!("{} warnings", s.warnings)
                },
            ]
        })
        .collect();
    text::table(
        &["ID", "TIME", "NAME", "FILES", "SIZE", "NEW", ""],
        &rows,
        &[3, 4, 5],
    )?;
    Ok(Outcome::Done)
}

/// `SNAPSHOT[:PATH]` split and looked up. SNAPSHOT is a name (its newest
/// snapshot is meant), an id or an unambiguous beginning of one, or `latest`.
pub(crate) fn locate(
    repository: &Repository,
    text: &str,
) -> anyhow::Result<(Snapshot, Vec<Vec<u8>>)> {
    let (which, path) = text.split_once(':').unwrap_or((text, ""));
    if which.is_empty() {
        return Err(Error::new(
            Kind::Refused,
            format!("{text:?} names no snapshot; \"colca snapshots\" lists them"),
        )
        .into());
    }
    let newest_of_name = repository
        .snapshots()?
        .into_iter()
        .rev()
        .find(|snapshot| snapshot.name == which);
    let snapshot = match newest_of_name {
        Some(snapshot) => snapshot,
        None => repository.find(which)?,
    };
    Ok((snapshot, crate::engine::parse_path(path)?))
}

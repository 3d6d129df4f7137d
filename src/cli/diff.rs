//! `colca diff`: what differs between two snapshots.

use std::io::Write as _;

use super::snapshots::locate;
use super::{Context, Outcome, ls, meter, state, text};
use crate::engine::tree::{FileType, Meta};
use crate::engine::{Change, Difference, Error, Kind, Repository, Snapshot};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Snapshot to compare with (id, name or "latest")
    old: String,
    /// Snapshot to look at
    new: String,
    /// Only what is at this path and below it
    #[arg(default_value = "")]
    path: String,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let old = whole(&repository, &arguments.old)?;
    let new = whole(&repository, &arguments.new)?;
    let path = crate::engine::parse_path(&arguments.path)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    meter::watch(context, "Comparing", |progress| -> anyhow::Result<()> {
        repository.diff(&old, &new, &path, progress, |d| {
            let line = match context.json {
                true => json(&d).to_string(),
                false => plain(&d),
            };
            writeln!(out, "{line}").map_err(|e| Error::io("writing to standard output", e))
        })?;
        Ok(out.flush()?)
    })?;
    Ok(Outcome::Done)
}

fn whole(repository: &Repository, which: &str) -> anyhow::Result<Snapshot> {
    let (snapshot, path) = locate(repository, which)?;
    if path.is_empty() {
        return Ok(snapshot);
    }
    let why = "give the path as a third argument: it is the same in both snapshots";
    Err(Error::new(Kind::Refused, why).into())
}

fn plain(d: &Difference) -> String {
    let letter = match d.change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Content => 'M',
        Change::Metadata => 'm',
        Change::Type => 'T',
    };
    let folder = |meta: &Meta| meta.kind == FileType::Folder;
    let slash = match d.new.as_ref().or(d.old.as_ref()).is_some_and(folder) {
        true => "/",
        false => "",
    };
    format!("{letter} {}{slash}", text::path(&d.path))
}

fn json(d: &Difference) -> serde_json::Value {
    let side = |meta: &Option<Meta>| meta.as_ref().map(ls::facts);
    serde_json::json!({
        "change": d.change,
        "path": d.path.iter().map(|n| String::from_utf8_lossy(n)).collect::<Vec<_>>().join("/"),
        "old": side(&d.old),
        "new": side(&d.new),
    })
}

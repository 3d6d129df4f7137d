//! `colca find`: where a file was, in any snapshot.

use super::{Context, Outcome, meter, state, text};
use crate::engine::{EntryKind, Hit, Query, Snapshot};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A part of the name; with * or ? in it, a pattern for the whole name.
    /// Case and accents do not matter
    text: String,
    /// Only in snapshots of this name
    #[arg(long)]
    name: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 200)]
    limit: usize,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let query = Query {
        text: arguments.text.clone(),
        name: arguments.name.clone(),
        limit: arguments.limit,
    };
    let found = meter::watch(context, "Looking", |progress| {
        let lost = repository.update_catalogue(progress)?;
        let found = repository.search(&query)?;
        if found.unread <= lost {
            return Ok(found);
        }
        // A part of the catalogue was found damaged just now.
        repository.update_catalogue(progress)?;
        repository.search(&query)
    })?;
    if context.json {
        text::json(&serde_json::json!({
            "hits": found.hits.iter().map(json).collect::<Vec<_>>(),
            "more": found.more,
            "unread": found.unread,
        }))?;
    } else {
        let rows: Vec<Vec<String>> = found.hits.iter().map(row).collect();
        text::table(
            &["SIZE", "TIME", "SNAPSHOTS", "NEWEST", "NAME", "PATH"],
            &rows,
            &[0, 2],
        )?;
    }
    if found.more {
        eprintln!(
            "There are more than these {}; give more of the name, or a higher --limit",
            arguments.limit
        );
    }
    if found.unread == 0 {
        return Ok(Outcome::Done);
    }
    eprintln!(
        "warning: {} snapshots cannot be read, what only they have was not found; \"colca verify\" names the damage",
        found.unread
    );
    Ok(Outcome::Warnings)
}

fn row(hit: &Hit) -> Vec<String> {
    let mut path = text::path(&hit.path);
    if hit.kind == EntryKind::Folder {
        path.push('/');
    }
    vec![
        match hit.kind {
            EntryKind::File => text::bytes(hit.size),
            _ => String::new(),
        },
        text::time(hit.mtime),
        hit.snapshots.to_string(),
        hit.last.id[..8].to_owned(),
        hit.last.name.clone(),
        path,
    ]
}

fn json(hit: &Hit) -> serde_json::Value {
    let snapshot = |s: &Snapshot| serde_json::json!({ "id": s.id, "time": s.time });
    let names = hit.path.iter().map(|n| String::from_utf8_lossy(n));
    serde_json::json!({
        "name": hit.last.name,
        "path": names.collect::<Vec<_>>().join("/"),
        "type": hit.kind,
        "size": hit.size,
        "mtime": hit.mtime,
        "versions": hit.versions,
        "snapshots": hit.snapshots,
        "first": snapshot(&hit.first),
        "last": snapshot(&hit.last),
    })
}

//! `colca ls`: what is in a snapshot.

use super::snapshots::locate;
use super::{Context, Outcome, state, text};
use crate::engine::Node;
use crate::engine::tree::FileType;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Snapshot (id, name or "latest"), and a path in it
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    what: String,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let (snapshot, path) = locate(&repository, &arguments.what)?;
    let node = repository.node(&snapshot, &path)?;
    let nodes = if node.meta.kind == FileType::Folder {
        repository.children(&node)?
    } else {
        vec![node]
    };
    if context.json {
        text::json(&nodes.iter().map(as_json).collect::<Vec<_>>())?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    text::table(
        &["MODE", "UID", "GID", "SIZE", "TIME", "NAME"],
        &rows,
        &[1, 2, 3],
    )?;
    Ok(Outcome::Done)
}

/// Letter as `ls -l` shows it, and word for JSON.
fn kind(node: &Node) -> (char, &'static str) {
    match node.meta.kind {
        FileType::File { .. } => ('-', "file"),
        FileType::Folder => ('d', "folder"),
        FileType::Symlink { .. } => ('l', "symlink"),
        FileType::Fifo => ('p', "fifo"),
        FileType::Socket => ('s', "socket"),
        FileType::CharDevice { .. } => ('c', "char-device"),
        FileType::BlockDevice { .. } => ('b', "block-device"),
    }
}

fn size(node: &Node) -> Option<u64> {
    if let FileType::File { size } = node.meta.kind {
        Some(size)
    } else {
        None
    }
}

fn modified(node: &Node) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(
        node.meta.mtime.secs,
        i32::try_from(node.meta.mtime.nanos).ok()?,
    )
    .ok()
}

fn row(node: &Node) -> Vec<String> {
    let mut name = text::name(&node.name);
    if let FileType::Symlink { target } = &node.meta.kind {
        name = format!("{name} -> {}", text::name(target));
    }
    vec![
        text::mode(kind(node).0, node.meta.mode),
        node.meta.uid.to_string(),
        node.meta.gid.to_string(),
        size(node).map(text::bytes).unwrap_or_default(),
        modified(node).map(text::time).unwrap_or_default(),
        name,
    ]
}

fn as_json(node: &Node) -> serde_json::Value {
    let target = match &node.meta.kind {
        FileType::Symlink { target } => Some(String::from_utf8_lossy(target).into_owned()),
        _ => None,
    };
    serde_json::json!({
        "name": String::from_utf8_lossy(&node.name),
        "type": kind(node).1,
        "mode": node.meta.mode,
        "uid": node.meta.uid,
        "gid": node.meta.gid,
        "size": size(node),
        "mtime": modified(node),
        "target": target,
    })
}

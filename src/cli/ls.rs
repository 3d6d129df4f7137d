//! `colca ls`: what is in a snapshot.

use std::io::Write as _;

use super::snapshots::locate;
use super::{Context, Outcome, state, text};
use crate::engine::tree::{FileType, Meta};
use crate::engine::{Node, Repository, Result};

/// Entries read and printed at a time; the columns are as wide as those need.
const PAGE: usize = 1000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Snapshot (id, name or "latest"), and a path in it
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    what: String,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    print(context, &*state::open(context)?, &arguments.what)
}

pub(super) fn print(
    context: &Context,
    repository: &Repository,
    what: &str,
) -> anyhow::Result<Outcome> {
    let (snapshot, path) = locate(repository, what)?;
    let node = repository.node(&snapshot, &path)?;
    let mut pages = Pages::of(repository, node);
    if context.json {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut mark = "[";
        while let Some(page) = pages.next()? {
            for node in &page {
                let text = serde_json::to_string_pretty(&as_json(node))?;
                write!(out, "{mark}\n{text}")?;
                mark = ",";
            }
        }
        writeln!(out, "{}]", if mark == "[" { "[" } else { "\n" })?;
        return Ok(out.flush().map(|()| Outcome::Done)?);
    }
    let mut header: &[&str] = &["MODE", "UID", "GID", "SIZE", "TIME", "NAME"];
    let mut widths = Vec::new();
    while let Some(page) = pages.next()? {
        let rows: Vec<Vec<String>> = page.iter().map(row).collect();
        text::rows(header, &rows, &[1, 2, 3], &mut widths)?;
        header = &[];
    }
    if !header.is_empty() {
        text::table(header, &[], &[])?;
    }
    Ok(Outcome::Done)
}

/// A folder's entries page by page, or the one entry that is no folder.
struct Pages<'r> {
    repository: &'r Repository,
    folder: Option<Node>,
    after: Option<Vec<u8>>,
    single: Option<Node>,
}

impl<'r> Pages<'r> {
    fn of(repository: &'r Repository, node: Node) -> Self {
        let (folder, single) = match node.meta.kind {
            FileType::Folder => (Some(node), None),
            _ => (None, Some(node)),
        };
        Self {
            repository,
            folder,
            after: None,
            single,
        }
    }

    fn next(&mut self) -> Result<Option<Vec<Node>>> {
        let page = match &self.folder {
            Some(folder) => self
                .repository
                .children_page(folder, self.after.as_deref(), PAGE)?,
            None => self.single.take().into_iter().collect(),
        };
        self.after = page.last().map(|node| node.name.clone());
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

/// Letter as `ls -l` shows it, and word for JSON.
pub(super) fn kind(meta: &Meta) -> (char, &'static str) {
    match meta.kind {
        FileType::File { .. } => ('-', "file"),
        FileType::Folder => ('d', "folder"),
        FileType::Symlink { .. } => ('l', "symlink"),
        FileType::Fifo => ('p', "fifo"),
        FileType::Socket => ('s', "socket"),
        FileType::CharDevice { .. } => ('c', "char-device"),
        FileType::BlockDevice { .. } => ('b', "block-device"),
    }
}

fn size(meta: &Meta) -> Option<u64> {
    if let FileType::File { size } = meta.kind {
        Some(size)
    } else {
        None
    }
}

pub(super) fn modified(meta: &Meta) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(meta.mtime.secs, i32::try_from(meta.mtime.nanos).ok()?).ok()
}

fn row(node: &Node) -> Vec<String> {
    let meta = &node.meta;
    let mut name = text::name(&node.name);
    if let FileType::Symlink { target } = &meta.kind {
        name = format!("{name} -> {}", text::name(target));
    }
    vec![
        text::mode(kind(meta).0, meta.mode),
        meta.uid.to_string(),
        meta.gid.to_string(),
        size(meta).map(text::bytes).unwrap_or_default(),
        modified(meta).map(text::time).unwrap_or_default(),
        name,
    ]
}

/// An entry's metadata as `--json` shows it.
pub(super) fn facts(meta: &Meta) -> serde_json::Value {
    let target = match &meta.kind {
        FileType::Symlink { target } => Some(String::from_utf8_lossy(target).into_owned()),
        _ => None,
    };
    serde_json::json!({
        "type": kind(meta).1,
        "mode": meta.mode,
        "uid": meta.uid,
        "gid": meta.gid,
        "size": size(meta),
        "mtime": modified(meta),
        "target": target,
    })
}

fn as_json(node: &Node) -> serde_json::Value {
    let mut facts = facts(&node.meta);
    facts["name"] = String::from_utf8_lossy(&node.name).into();
    facts
}

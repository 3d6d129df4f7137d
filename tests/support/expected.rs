//! What a comparison and a search must find, computed by looking at everything.

use std::collections::BTreeMap;

use colca::engine::tree::FileType;
use colca::engine::{Change, EntryKind, Found, Snapshot};

use super::memory::Node;

/// How two trees differ, by looking at everything.
pub fn differences(
    path: &[Vec<u8>],
    old: Option<&Node>,
    new: Option<&Node>,
    out: &mut Vec<(Vec<Vec<u8>>, Change)>,
) {
    let change = match (old, new) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(old), Some(new)) => {
            let (a, b) = (&old.meta, &new.meta);
            let same_type = matches!(
                (&a.kind, &b.kind),
                (FileType::File { .. }, FileType::File { .. })
                    | (FileType::Symlink { .. }, FileType::Symlink { .. })
                    | (FileType::Folder, FileType::Folder)
            );
            if !same_type {
                Some(Change::Type)
            } else if a.kind != b.kind || old.bytes() != new.bytes() {
                Some(Change::Content)
            } else if (a.mode, a.uid, a.mtime, &a.xattrs) != (b.mode, b.uid, b.mtime, &b.xattrs) {
                Some(Change::Metadata)
            } else {
                None
            }
        }
    };
    if let Some(change) = change {
        out.push((path.to_vec(), change));
    }
    let empty = BTreeMap::new();
    let (a, b) = (
        old.map_or(&empty, |n| &n.children),
        new.map_or(&empty, |n| &n.children),
    );
    let mut names: Vec<_> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        differences(
            &[path, std::slice::from_ref(name)].concat(),
            a.get(name),
            b.get(name),
            out,
        );
    }
}

/// What a hit must say: snapshot name and path, kind, size, snapshots, first, last.
pub type Fact = (String, Vec<Vec<u8>>, EntryKind, u64, u64, String, String);

fn plain(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .to_lowercase()
        .chars()
        .map(|c| {
            "áéíóúñ"
                .chars()
                .zip("aeioun".chars())
                .find(|p| p.0 == c)
                .map_or(c, |p| p.1)
        })
        .collect()
}

fn wild(pattern: &[char], name: &[char]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some('*'), _) => {
            wild(&pattern[1..], name) || (!name.is_empty() && wild(pattern, &name[1..]))
        }
        (Some('?'), Some(_)) => wild(&pattern[1..], &name[1..]),
        (Some(p), Some(n)) if p == n => wild(&pattern[1..], &name[1..]),
        _ => false,
    }
}

fn matches(pattern: &str, name: &[u8]) -> bool {
    let (pattern, name) = (plain(pattern.as_bytes()), plain(name));
    if pattern.contains(['*', '?']) {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        return wild(&chars(&pattern), &chars(&name));
    }
    name.contains(&pattern)
}

/// What a search must find, by looking at everything.
pub fn hits(kept: &[(Snapshot, Node)], text: &str, only: Option<&str>) -> Vec<Fact> {
    fn walk(node: &Node, path: &mut Vec<Vec<u8>>, each: &mut dyn FnMut(&[Vec<u8>], &Node)) {
        for (name, child) in &node.children {
            path.push(name.clone());
            each(path, child);
            walk(child, path, each);
            path.pop();
        }
    }
    let mut all: Vec<_> = kept.iter().collect();
    all.sort_by_key(|(s, _)| (s.time, s.id.clone()));
    let mut facts: BTreeMap<(String, Vec<Vec<u8>>), Fact> = BTreeMap::new();
    for (s, root) in all {
        if only.is_some_and(|only| only != s.name) {
            continue;
        }
        walk(root, &mut Vec::new(), &mut |path, node| {
            if !matches(text, path.last().unwrap()) {
                return;
            }
            let (kind, size) = match &node.meta.kind {
                FileType::File { size } => (EntryKind::File, *size),
                FileType::Folder => (EntryKind::Folder, 0),
                _ => (EntryKind::Symlink, 0),
            };
            let fact = facts
                .entry((s.name.clone(), path.to_vec()))
                .or_insert_with(|| {
                    (
                        s.name.clone(),
                        path.to_vec(),
                        kind,
                        size,
                        0,
                        s.id.clone(),
                        String::new(),
                    )
                });
            (fact.2, fact.3, fact.6) = (kind, size, s.id.clone());
            fact.4 += 1;
        });
    }
    facts.into_values().collect()
}

pub fn facts(found: &Found) -> Vec<Fact> {
    let hits = found.hits.iter().map(|hit| {
        let (first, last) = (hit.first.id.clone(), hit.last.id.clone());
        let path = hit.path.clone();
        (
            hit.last.name.clone(),
            path,
            hit.kind,
            hit.size,
            hit.snapshots,
            first,
            last,
        )
    });
    hits.collect()
}

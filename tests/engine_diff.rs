//! Comparing snapshots: against a plain model, and in time that grows with
//! what differs. And folders read in pages.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use colca::engine::tree::FileType;
use colca::engine::{Change, Difference, Kind, Progress, Snapshot};
use proptest::prelude::*;
use support::expected::differences;
use support::memory::{MemTree, Node};
use support::{Box_, text};

fn diff(b: &Box_, old: &Snapshot, new: &Snapshot, path: &[Vec<u8>]) -> Vec<Difference> {
    let mut all = Vec::new();
    b.repository
        .diff(old, new, path, &Progress::default(), |d| {
            all.push(d);
            Ok(())
        })
        .unwrap();
    all
}

fn check(b: &Box_, old: (&Snapshot, &Node), new: (&Snapshot, &Node)) {
    let found = diff(b, old.0, new.0, &[]);
    let mut expected = Vec::new();
    differences(&[], Some(old.1), Some(new.1), &mut expected);
    let short: Vec<_> = found.iter().map(|d| (d.path.clone(), d.change)).collect();
    assert_eq!(short, expected);
    for d in &found {
        let at = |root: &Node| {
            let mut node = Some(root.clone());
            for name in &d.path {
                node = node.and_then(|n| n.children.get(name).cloned());
            }
            node.map(|n| (n.meta.kind, n.meta.mode, n.meta.mtime))
        };
        let seen = |m: &Option<colca::engine::tree::Meta>| {
            m.as_ref().map(|m| (m.kind.clone(), m.mode, m.mtime))
        };
        assert_eq!((seen(&d.old), seen(&d.new)), (at(old.1), at(new.1)));
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Write(u8, u8),
    Chmod(u8, u32),
    Remove(u8),
    RemoveFolder(u8),
    Link(u8, u8),
    /// A folder's place taken by a file, and the other way round.
    Swap(u8),
    /// Many names in one folder, so that it has several pages.
    Crowd(u16, u16),
    Thin(u16, u16),
}

fn edit() -> impl Strategy<Value = Edit> {
    let file = 0..40u8;
    prop_oneof![
        6 => (file.clone(), any::<u8>()).prop_map(|(f, s)| Edit::Write(f, s)),
        2 => (file.clone(), 0..8u32).prop_map(|(f, m)| Edit::Chmod(f, m)),
        2 => file.clone().prop_map(Edit::Remove),
        1 => file.clone().prop_map(Edit::RemoveFolder),
        1 => (file.clone(), 0..4u8).prop_map(|(f, t)| Edit::Link(f, t)),
        1 => file.prop_map(Edit::Swap),
        2 => (0..3000u16, 1..1500u16).prop_map(|(from, n)| Edit::Crowd(from, n)),
        1 => (0..3000u16, 1..300u16).prop_map(|(from, n)| Edit::Thin(from, n)),
    ]
}

fn folder(f: u8) -> String {
    ["a", "a/b", "a b", "c/d/e", "crowd"][usize::from(f) % 5].into()
}

/// Puts a node at a path if nothing that is no folder is in the way.
fn put(root: &mut Node, path: &str, node: Node) {
    let mut at = &*root;
    for part in path.rsplit_once('/').map_or("", |p| p.0).split('/') {
        match at.children.get(part.as_bytes()) {
            Some(next) if next.meta.kind == FileType::Folder => at = next,
            Some(_) => return,
            None => break,
        }
    }
    root.put(path, node);
}

fn get<'n>(root: &'n mut Node, path: &str) -> Option<&'n mut Node> {
    path.split('/')
        .try_fold(root, |n, p| n.children.get_mut(p.as_bytes()))
}

fn apply(root: &mut Node, edit: &Edit) {
    let path = |f: &u8| format!("{}/f{f}", folder(*f));
    match edit {
        Edit::Write(f, seed) => match get(root, &path(f)) {
            Some(node) if matches!(node.meta.kind, FileType::File { .. }) => {
                node.rewrite(text(300, u64::from(*seed)));
            }
            Some(_) => {}
            None => put(root, &path(f), Node::file(text(300, u64::from(*seed)))),
        },
        Edit::Chmod(f, mode) => {
            if let Some(node) = get(root, &path(f)) {
                node.meta.mode = *mode;
                node.meta.ctime.nanos += 1;
            }
        }
        Edit::Remove(f) => {
            if let Some(node) = get(root, &folder(*f)) {
                node.children.remove(format!("f{f}").as_bytes());
            }
        }
        Edit::RemoveFolder(f) => {
            root.children
                .remove(folder(*f).split('/').next().unwrap().as_bytes());
        }
        Edit::Link(f, target) => {
            let kind = FileType::Symlink {
                target: vec![*target],
            };
            put(root, &format!("{}/l{f}", folder(*f)), Node::special(kind));
        }
        Edit::Swap(f) => {
            let name = folder(*f);
            let node = match get(root, &name).map(|n| n.meta.kind.clone()) {
                Some(FileType::Folder) => Node::file("now a file"),
                _ => Node::folder(),
            };
            put(root, &name, node);
        }
        Edit::Crowd(from, n) => (*from..from + n).for_each(|i| {
            put(root, &format!("crowd/n{i:05}"), Node::file(""));
        }),
        Edit::Thin(from, n) => {
            if let Some(node) = get(root, "crowd") {
                (*from..from + n).for_each(|i| {
                    node.children.remove(format!("n{i:05}").as_bytes());
                });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn differences_are_those_of_a_plain_comparison(
        edits in prop::collection::vec(prop::collection::vec(edit(), 0..6), 2..5)
    ) {
        let b = Box_::new();
        let mut now = Node::folder();
        let mut kept = Vec::new();
        for edits in edits {
            edits.iter().for_each(|e| apply(&mut now, e));
            kept.push((b.backup(&MemTree::new(&now)).snapshot, now.clone()));
        }
        for pair in kept.windows(2) {
            check(&b, (&pair[0].0, &pair[0].1), (&pair[1].0, &pair[1].1));
            check(&b, (&pair[1].0, &pair[1].1), (&pair[0].0, &pair[0].1));
        }
        let (first, last) = (&kept[0], &kept[kept.len() - 1]);
        check(&b, (&first.0, &first.1), (&last.0, &last.1));
    }
}

/// 100 folders of 100 files and one of 20,000.
fn wide() -> Node {
    let mut root = Node::folder();
    for i in 0..10_000 {
        root.put(&format!("d{:02}/file {i}", i % 100), Node::file(""));
    }
    let mut crowd = Node::folder();
    for i in 0..20_000 {
        crowd
            .children
            .insert(format!("name {i:05}").into_bytes(), Node::file(""));
    }
    root.put("crowd", crowd);
    root
}

#[test]
fn only_what_differs_is_read() {
    let b = Box_::new();
    let mut root = wide();
    let old = b.backup(&MemTree::new(&root)).snapshot;
    root.at("d42/file 4242").rewrite("x");
    root.at("crowd")
        .children
        .insert(b"name 10000b".to_vec(), Node::file("y"));
    root.at("crowd").children.remove(&b"name 03000"[..]);
    let new = b.backup(&MemTree::new(&root)).snapshot;
    let b = b.reopen();
    let before = b.fake.gets();
    let found = diff(&b, &old, &new, &[]);
    let changes: Vec<_> = found.iter().map(|d| d.change).collect();
    assert_eq!(changes, [Change::Removed, Change::Added, Change::Content]);
    let read = b.fake.gets() - before;
    // Both tops, folders and, in the crowd, the page list and two or three pages.
    assert!(read <= 24, "{read} reads for three differences");
    let before = b.fake.gets();
    assert_eq!(diff(&b, &new, &new, &[]), []);
    assert_eq!(
        b.fake.gets(),
        before,
        "equal snapshots are known by their ids"
    );
}

#[test]
fn a_part_can_be_compared_also_when_only_one_has_it() {
    let b = Box_::new();
    let mut root = Node::folder();
    root.put("a/x", Node::file("1")).put("b/y", Node::file("2"));
    let old = b.backup(&MemTree::new(&root)).snapshot;
    root.at("a/x").rewrite("3");
    root.children.remove(&b"b"[..]);
    root.put("c", Node::file("4"));
    let new = b.backup(&MemTree::new(&root)).snapshot;
    let path = |p: &str| colca::engine::parse_path(p).unwrap();
    let names = |p: &str| -> Vec<_> {
        let found = diff(&b, &old, &new, &path(p));
        found.into_iter().map(|d| (d.path, d.change)).collect()
    };
    assert_eq!(names("a"), [(path("a/x"), Change::Content)]);
    assert_eq!(
        names("b"),
        [(path("b"), Change::Removed), (path("b/y"), Change::Removed)]
    );
    assert_eq!(names("c"), [(path("c"), Change::Added)]);
    let none = b
        .repository
        .diff(&old, &new, &path("nowhere"), &Progress::default(), |_| {
            Ok(())
        });
    assert_eq!(none.unwrap_err().kind(), Kind::Missing);
}

#[test]
fn a_huge_folder_is_read_in_pages() {
    let b = Box_::new();
    let root = wide();
    let snapshot = b.backup(&MemTree::new(&root)).snapshot;
    let crowd: Vec<_> = root.children[&b"crowd"[..]]
        .children
        .keys()
        .cloned()
        .collect();
    let folder = |b: &Box_| b.repository.node(&snapshot, &[b"crowd".to_vec()]).unwrap();
    for limit in [1, 7, 999, 20_000, 30_000] {
        let node = folder(&b);
        let mut after: Option<Vec<u8>> = None;
        let mut at = 0;
        // With small pages the first few are enough.
        for _ in 0..30 {
            let page = b
                .repository
                .children_page(&node, after.as_deref(), limit)
                .unwrap();
            let names: Vec<_> = page.into_iter().map(|n| n.name).collect();
            assert_eq!(names, crowd[at..(at + limit).min(crowd.len())]);
            at += names.len();
            match names.last() {
                Some(last) => after = Some(last.clone()),
                None => break,
            }
        }
    }
    for after in ["", "name", "name 00500x", "name 12345", "name 19999", "zzz"] {
        let page = b
            .repository
            .children_page(&folder(&b), Some(after.as_bytes()), 3)
            .unwrap();
        let names: Vec<_> = page.into_iter().map(|n| n.name).collect();
        let from = crowd.partition_point(|n| n.as_slice() <= after.as_bytes());
        assert_eq!(names, crowd[from..(from + 3).min(crowd.len())]);
    }
    let b = b.reopen();
    let node = folder(&b);
    let before = b.fake.gets();
    b.repository
        .children_page(&node, Some(b"name 15000"), 100)
        .unwrap();
    let read = b.fake.gets() - before;
    assert!(read <= 4, "{read} reads for one page of 20,000 names");
}

#[test]
fn a_lost_part_of_a_tree_is_named() {
    let b = Box_::new();
    let mut root = Node::folder();
    root.put("a/x", Node::file("1"));
    let old = b.backup(&MemTree::new(&root)).snapshot;
    root.at("a/x").rewrite("2");
    let new = b.backup(&MemTree::new(&root)).snapshot;
    let b = b.reopen();
    for name in b.fake.names(colca::engine::storage::Class::Segments) {
        let mut bytes = b.fake.bytes(&name);
        let middle = bytes.len() / 2;
        bytes[80..middle].fill(0);
        b.fake.tamper(&name, Some(bytes));
    }
    let e = b
        .repository
        .diff(&old, &new, &[], &Progress::default(), |_| Ok(()))
        .unwrap_err();
    assert_eq!(e.kind(), Kind::Corrupt);
    assert!(e.to_string().contains(&old.id[..8]), "{e}");
}

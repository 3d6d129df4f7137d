//! Finding files by name: whole histories of backups, deletions, damage and
//! lost state against looking at every entry of every snapshot.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use colca::engine::tree::FileType;
use colca::engine::{Found, Kind, Progress, Query, Snapshot};
use proptest::prelude::*;
use support::expected::{facts, hits as expected};
use support::memory::{MemTree, Node};
use support::{Box_, text};

fn search(b: &Box_, text: &str, only: Option<&str>, limit: usize) -> Found {
    let query = Query {
        text: text.into(),
        name: only.map(Into::into),
        limit,
    };
    b.repository.search(&query).unwrap()
}

fn update(b: &Box_) {
    assert_eq!(
        b.repository.update_catalogue(&Progress::default()).unwrap(),
        0
    );
}

const QUERIES: [&str; 8] = [
    "f1", "F*", "informe", "ñ", "*.PDF", "crowd", "n0?0?*7", "zzz",
];

/// Without an update: nothing that is not there, and all if it says so.
fn check_as_is(b: &Box_, kept: &[(Snapshot, Node)]) {
    let found = search(b, "f", None, 100_000);
    let expected = expected(kept, "f", None);
    if found.unread == 0 {
        assert_eq!(facts(&found), expected);
    }
    for fact in facts(&found) {
        let known = expected.iter().find(|e| (&e.0, &e.1) == (&fact.0, &fact.1));
        assert!(known.is_some_and(|known| fact.4 <= known.4), "{fact:?}");
    }
}

fn check(b: &Box_, kept: &[(Snapshot, Node)]) {
    update(b);
    for text in QUERIES {
        for only in [None, Some("one")] {
            let expected = expected(kept, text, only);
            let found = search(b, text, only, 100_000);
            assert_eq!((found.more, found.unread), (false, 0));
            assert_eq!(facts(&found), expected, "{text}");
            let few = search(b, text, only, 3);
            assert_eq!(few.more, expected.len() > 3);
            assert_eq!(facts(&few), expected[..expected.len().min(3)]);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8, u8),
    Remove(u8),
    Swap(u8),
    Crowd(u16, u16),
    Thin(u16, u16),
    Backup(bool),
    Forget(prop::sample::Index),
    ForgetNewest,
    Collect,
    Update,
    Reopen { state: bool },
    Damage(prop::sample::Index, prop::sample::Index),
    Lose(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0..30u8, any::<u8>()).prop_map(|(f, s)| Step::Write(f, s)),
        3 => (0..30u8).prop_map(Step::Remove),
        1 => (0..30u8).prop_map(Step::Swap),
        2 => (0..3000u16, 1..2500u16).prop_map(|(from, n)| Step::Crowd(from, n)),
        1 => (0..3000u16, 1..2500u16).prop_map(|(from, n)| Step::Thin(from, n)),
        7 => prop::bool::weighted(0.7).prop_map(Step::Backup),
        3 => index().prop_map(Step::Forget),
        1 => Just(Step::ForgetNewest),
        2 => Just(Step::Collect),
        4 => Just(Step::Update),
        2 => prop::bool::weighted(0.7).prop_map(|state| Step::Reopen { state }),
        1 => (index(), index()).prop_map(|(file, at)| Step::Damage(file, at)),
        1 => index().prop_map(Step::Lose),
    ]
}

const FOLDERS: [&str; 4] = ["a", "a/Fotos ñ", "a b", "Resolución/2026/f"];

fn place(f: u8) -> (String, String) {
    let names = ["f", "Informe.PDF", "acta ñandú", "F1"];
    let name = format!("{}{}", names[usize::from(f) % 3], f / 4);
    (FOLDERS[usize::from(f) % 4].into(), name)
}

fn get<'n>(root: &'n mut Node, path: &str) -> Option<&'n mut Node> {
    path.split('/')
        .try_fold(root, |n, p| n.children.get_mut(p.as_bytes()))
}

fn files(b: &Box_) -> Vec<PathBuf> {
    let folder = b.state.path().join("catalogue");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map(|files| files.map(|f| f.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    files
}

fn edit(now: &mut Node, step: &Step) {
    let folder_of = |now: &mut Node, folder: &str| {
        let mut at = String::new();
        for part in folder.split('/') {
            at = if at.is_empty() {
                part.into()
            } else {
                format!("{at}/{part}")
            };
            match get(now, &at).map(|n| n.meta.kind == FileType::Folder) {
                Some(true) => {}
                Some(false) => return false,
                None => {
                    now.put(&at, Node::folder());
                }
            }
        }
        true
    };
    match step {
        Step::Write(f, seed) => {
            let (folder, name) = place(*f);
            let bytes = text(usize::from(*seed), u64::from(*seed));
            if folder_of(now, &folder) {
                now.put(&format!("{folder}/{name}"), Node::file(bytes));
            }
        }
        Step::Remove(f) => {
            let (folder, name) = place(*f);
            if let Some(node) = get(now, &folder) {
                node.children.remove(name.as_bytes());
            }
        }
        Step::Swap(f) => {
            let (folder, _) = place(*f);
            let is_folder = get(now, &folder).is_some_and(|n| n.meta.kind == FileType::Folder);
            let node = if is_folder {
                Node::file("x")
            } else {
                Node::folder()
            };
            if let Some((up, _)) = folder.rsplit_once('/')
                && !folder_of(now, up)
            {
                return;
            }
            now.put(&folder, node);
        }
        Step::Crowd(from, n) => (*from..from + n).for_each(|i| {
            now.put(&format!("crowd/n{i:05}"), Node::file(""));
        }),
        Step::Thin(from, n) => {
            if let Some(node) = get(now, "crowd") {
                (*from..from + n).for_each(|i| {
                    node.children.remove(format!("n{i:05}").as_bytes());
                });
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_search_finds_what_there_is(steps in prop::collection::vec(step(), 1..40)) {
        let mut b = Box_::new();
        let mut now = Node::folder();
        let mut kept: Vec<(Snapshot, Node)> = Vec::new();
        for step in steps {
            match &step {
                Step::Backup(one) => {
                    let name = if *one { "one" } else { "other" };
                    kept.push((b.backup_as(&MemTree::new(&now), name, false).snapshot, now.clone()));
                }
                Step::Forget(which) if !kept.is_empty() => {
                    let (snapshot, _) = kept.remove(which.index(kept.len()));
                    b.repository.forget(&snapshot).unwrap();
                }
                Step::ForgetNewest => if let Some((snapshot, _)) = kept.pop() {
                    b.repository.forget(&snapshot).unwrap();
                },
                Step::Collect => {
                    b.repository.collect(&colca::engine::CollectOptions::default(), &Progress::default()).unwrap();
                }
                Step::Update => update(&b),
                Step::Reopen { state: true } => b = b.reopen(),
                Step::Reopen { state: false } => b = b.reopen_without_state(),
                Step::Damage(file, at) => {
                    let files = files(&b);
                    if !files.is_empty() {
                        let file = std::fs::File::options().read(true).write(true).open(&files[file.index(files.len())]).unwrap();
                        let len = file.metadata().unwrap().len();
                        if len > 0 {
                            let at = at.index(len as usize) as u64;
                            let mut byte = [0];
                            file.read_exact_at(&mut byte, at).unwrap();
                            file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
                        }
                    }
                }
                Step::Lose(file) => {
                    let files = files(&b);
                    if !files.is_empty() {
                        std::fs::remove_file(&files[file.index(files.len())]).unwrap();
                    }
                }
                edited => edit(&mut now, edited),
            }
            check_as_is(&b, &kept);
        }
        // A search notices damage, and what it gives up is built anew.
        if search(&b, "*", None, 100_000).unread > 0 {
            update(&b);
            search(&b, "*", None, 100_000);
        }
        check(&b, &kept);
        let b = b.reopen();
        let b = match search(&b, "*", None, 100_000).unread {
            0 => b,
            _ => { update(&b); b }
        };
        check(&b, &kept);
        b.verify_clean();
    }
}

#[test]
fn a_catalogue_of_another_key_or_repository_is_not_believed() {
    let a = Box_::new();
    let mut root = Node::folder();
    root.put("secret/plan", Node::file("1"));
    a.backup_as(&MemTree::new(&root), "one", false);
    update(&a);
    let stolen = files(&a);
    assert_eq!(stolen.len(), 3);
    for file in &stolen {
        let bytes = std::fs::read(file).unwrap();
        let shown = |word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
        assert!(
            !shown("secret") && !shown("plan") && !shown("one"),
            "names are sealed"
        );
    }
    let b = Box_::new();
    let folder = b.state.path().join("catalogue");
    std::fs::create_dir(&folder).unwrap();
    for file in &stolen {
        std::fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
    }
    assert_eq!(search(&b, "plan", None, 10).hits, []);
    assert_eq!(files(&b), Vec::<PathBuf>::new());
}

#[test]
fn only_what_differs_is_read_in() {
    let b = Box_::new();
    let mut root = Node::folder();
    for i in 0..30_000 {
        root.put(&format!("d{:02}/file {i:05}", i % 60), Node::file(""));
    }
    b.backup_as(&MemTree::new(&root), "one", false);
    update(&b);
    root.put("d30/file 00030b", Node::file("new"));
    b.backup_as(&MemTree::new(&root), "one", false);
    let b = b.reopen();
    let size = |b: &Box_| {
        files(b)
            .iter()
            .map(|f| f.metadata().unwrap().len())
            .sum::<u64>()
    };
    let (before, reads) = (size(&b), b.fake.gets());
    update(&b);
    let (grown, reads) = (size(&b) - before, b.fake.gets() - reads);
    assert!(reads <= 8, "{reads} reads of the storage");
    assert!(
        grown * 5 < before,
        "one of {before} bytes' blocks was written, {grown} bytes"
    );
    let reads = b.fake.gets();
    let found = search(&b, "file 00030?", None, 10);
    assert_eq!((found.hits.len(), found.unread), (1, 0));
    assert_eq!(b.fake.gets(), reads, "a search needs no storage");
    assert_eq!(
        found.hits[0].path,
        [b"d30".to_vec(), b"file 00030b".to_vec()]
    );
    assert_eq!(found.hits[0].size, 3);
}

#[test]
fn a_snapshot_that_cannot_be_read_costs_only_itself() {
    let b = Box_::new();
    let mut root = Node::folder();
    root.put("a/f1", Node::file("1"));
    let first = b.backup_as(&MemTree::new(&root), "one", false).snapshot;
    let segments = |b: &Box_| b.fake.names(colca::engine::storage::Class::Segments);
    let before = segments(&b);
    root.put("b/f2", Node::file("2"));
    b.backup_as(&MemTree::new(&root), "one", false);
    let with_second = segments(&b);
    root.children.remove(&b"b"[..]);
    root.put("c/f3", Node::file("3"));
    let third = b.backup_as(&MemTree::new(&root), "one", false).snapshot;
    // What came with the second snapshot is needed by no other.
    for name in with_second.iter().filter(|name| !before.contains(name)) {
        let mut bytes = b.fake.bytes(name);
        let end = bytes.len() - 56;
        bytes[80..end].fill(0);
        b.fake.tamper(name, Some(bytes));
    }
    let b = b.reopen();
    let unread = b.repository.update_catalogue(&Progress::default()).unwrap();
    assert_eq!(unread, 1);
    let found = search(&b, "f", None, 10);
    assert_eq!(found.unread, 1);
    let f1 = found.hits.iter().find(|h| h.path[1] == b"f1").unwrap();
    assert_eq!((&f1.first.id, &f1.last.id), (&first.id, &third.id));
    assert!(found.hits.iter().any(|h| h.path[1] == b"f3"));
}

#[test]
fn what_is_no_name_is_refused() {
    let b = Box_::new();
    for text in ["", " ", "a/b"] {
        let query = Query {
            text: text.into(),
            name: None,
            limit: 10,
        };
        assert_eq!(
            b.repository.search(&query).unwrap_err().kind(),
            Kind::Refused
        );
    }
}

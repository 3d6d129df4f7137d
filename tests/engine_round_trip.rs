//! What goes in comes out: every type of file, metadata, deduplication, and
//! what is read again and what is not.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Read;

use colca::engine::storage::Class;
use colca::engine::tree::FileType;
use colca::engine::{Kind, Progress};
use support::memory::{MemTarget, MemTree, Node, Piece, Trouble};
use support::{Box_, noise, text};

/// One of everything.
fn zoo() -> Node {
    let mut root = Node::folder();
    root.meta.mode = 0o750;
    root.meta
        .xattrs
        .insert(b"user.top".to_vec(), b"yes".to_vec());
    root.put("empty", Node::file(""))
        .put("small.txt", Node::file("hello\n"))
        .put("big.bin", Node::file(noise(3_000_000, 1)))
        .put("big.txt", Node::file(text(2_000_000, 2)))
        .put("dir/sub/deep/file", Node::file(text(10_000, 3)))
        .put("dir/empty-folder", Node::folder())
        .put(
            "link",
            Node::special(FileType::Symlink {
                target: b"../\xff\xfe/away".to_vec(),
            }),
        )
        .put("pipe", Node::special(FileType::Fifo))
        .put("socket", Node::special(FileType::Socket))
        .put("tty", Node::special(FileType::CharDevice { rdev: 0x501 }))
        .put("disk", Node::special(FileType::BlockDevice { rdev: 0x801 }))
        .put(
            "sparse",
            Node::pieces(vec![
                Piece::Hole(10 << 20),
                Piece::Data(noise(100_000, 4)),
                Piece::Hole(1 << 20),
                Piece::Data(noise(5, 5)),
                Piece::Hole(7),
            ]),
        )
        .put("all-hole", Node::pieces(vec![Piece::Hole(5 << 20)]));
    root.put_bytes(&[b"n\xff\xfename \n".to_vec()], Node::file("odd name"));
    root.at("dir").meta.mode = 0o2711;
    let file = root.at("small.txt");
    file.meta.mode = 0o4755;
    file.meta.mtime.secs = -5;
    file.meta
        .xattrs
        .insert(b"system.posix_acl_access".to_vec(), noise(44, 6));
    let many = root.at("dir/sub/deep/file");
    for i in 0..20u8 {
        many.meta
            .xattrs
            .insert(format!("user.{i}").into_bytes(), noise(2000, i.into()));
    }
    let mut shared = Node::file(text(300_000, 7));
    shared.meta.links = 3;
    root.put("hard/one", shared.clone())
        .put("hard/two", shared.clone())
        .put("dir/three", shared);
    root
}

#[test]
fn everything_survives_a_round_trip() {
    let b = Box_::new();
    let root = zoo();
    let report = b.backup(&MemTree::new(&root));
    assert_eq!(report.warnings, vec![]);
    assert_eq!(report.snapshot.files, root.count());
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());
    b.verify_clean();
    let b = b.reopen();
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());
    let b = b.reopen_without_state();
    assert_eq!(
        b.repository.snapshots().unwrap(),
        vec![report.snapshot.clone()]
    );
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());
    b.verify_clean();
}

#[test]
fn holes_stay_holes_and_are_not_stored() {
    let b = Box_::new();
    let mut root = Node::folder();
    root.put(
        "sparse",
        Node::pieces(vec![Piece::Hole(100 << 20), Piece::Data(b"end".to_vec())]),
    );
    // Zeros nobody called a hole.
    let mut zeros = noise(50_000, 1);
    zeros.extend(vec![0; 20 << 20]);
    zeros.extend(noise(50_000, 2));
    root.put("zeros", Node::file(zeros));
    let report = b.backup(&MemTree::new(&root));
    assert!(b.fake.stored() < 300_000, "{}", b.fake.stored());
    let target = MemTarget::new();
    b.repository
        .restore(&report.snapshot, &[], &target, &Progress::default())
        .unwrap();
    assert!(target.written() < 600_000, "{}", target.written());
    assert_eq!(target.into_root().facts(), root.facts());
}

#[test]
fn the_same_bytes_are_stored_once() {
    let b = Box_::new();
    let mut root = Node::folder();
    root.put("a/one", Node::file(noise(4_000_000, 1)));
    for i in 0..50 {
        root.put(&format!("a/small{i}"), Node::file(noise(5000, 100 + i)));
    }
    b.backup(&MemTree::new(&root));
    let before = b.fake.stored();
    let copy = root.at("a").clone();
    root.put("b", copy);
    let report = b.backup(&MemTree::new(&root));
    assert_eq!(report.snapshot.new_bytes, 0);
    let grown = b.fake.stored() - before;
    assert!(grown < 20_000, "{grown}");
    // An insertion near the beginning costs a chunk or two, not the file.
    let mut bytes = noise(4_000_000, 1);
    bytes.splice(1000..1000, *b"inserted");
    root.at("a/one").rewrite(bytes);
    let report = b.backup(&MemTree::new(&root));
    assert!(
        report.snapshot.new_bytes < 900_000,
        "{}",
        report.snapshot.new_bytes
    );
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());
}

#[test]
fn small_files_are_compressed_together() {
    let b = Box_::new();
    let mut root = Node::folder();
    let n = 2000;
    for i in 0..n {
        root.put(&format!("d{}/f{i}", i % 7), Node::file(text(2000, i)));
    }
    let report = b.backup(&MemTree::new(&root));
    let alone: usize = (0..n)
        .map(|i| zstd::bulk::compress(&text(2000, i), 1).unwrap().len())
        .sum();
    let content = report.snapshot.stored_bytes;
    assert!(
        (content as f64) < 0.8 * alone as f64,
        "stored {content}, each alone {alone}"
    );
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());
}

#[test]
fn only_what_changed_is_read_again() {
    let b = Box_::new();
    let mut root = zoo();
    for i in 0..300 {
        root.put(&format!("many/{i:03}"), Node::file(text(1000, i)));
    }
    let first = MemTree::new(&root);
    b.backup(&first);
    assert!(first.xattr_calls() > 0);
    let again = MemTree::new(&root);
    let report = b.backup(&again);
    assert_eq!(again.opens(), 0, "{:?}", again.opened());
    assert_eq!(again.xattr_calls(), 0);
    assert_eq!(report.snapshot.stored_bytes, 0);
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());

    root.at("many/007").rewrite("changed");
    let third = MemTree::new(&root);
    let report = b.backup(&third);
    assert_eq!(third.opened(), ["007".to_owned()].into());
    assert!(report.snapshot.stored_bytes < 40_000);
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());

    let full = MemTree::new(&root);
    let report = b.backup_as(&full, "test", true);
    assert!(full.opens() > 300);
    assert!(report.snapshot.full);
    assert_eq!(report.snapshot.new_bytes, 0);
    // Another name has no predecessor, but shares every byte.
    let other = MemTree::new(&root);
    let report = b.backup_as(&other, "other", false);
    assert!(other.opens() > 300);
    assert_eq!(report.snapshot.stored_bytes, 0);
}

#[test]
fn trouble_with_one_file_is_a_warning_and_the_rest_is_saved() {
    let b = Box_::new();
    let mut root = Node::folder();
    for name in [
        "fine", "secret", "grows", "shrinks", "touched", "hidden", "flaky",
    ] {
        root.put(name, Node::file(text(5000, name.len() as u64)));
    }
    root.put("closed/inner", Node::file("x"));
    let tree = MemTree::new(&root)
        .trouble("secret", Trouble::Unreadable)
        .trouble("closed", Trouble::Unreadable)
        .trouble("grows", Trouble::Grows)
        .trouble("shrinks", Trouble::Shrinks)
        .trouble("touched", Trouble::Touched)
        .trouble("hidden", Trouble::Unlistable)
        .trouble("flaky", Trouble::Transient(2));
    let progress = Progress::default();
    let report = b
        .repository
        .backup(&tree, &Default::default(), &progress)
        .unwrap();
    let warned: Vec<_> = report.warnings.iter().map(|w| w.path.as_str()).collect();
    assert_eq!(
        warned,
        ["closed", "grows", "hidden", "secret", "shrinks", "touched"]
    );
    assert_eq!(report.snapshot.warnings, 6);
    assert_eq!(progress.view().warnings, 6);
    let restored = b.restore(&report.snapshot);
    let names: Vec<_> = restored
        .children
        .keys()
        .map(|k| std::str::from_utf8(k).unwrap())
        .collect();
    assert_eq!(
        names,
        ["closed", "fine", "flaky", "grows", "shrinks", "touched"]
    );
    assert_eq!(restored.children[&b"grows"[..]].bytes().len(), 5004);
    assert_eq!(restored.children[&b"shrinks"[..]].bytes().len(), 2500);
    b.verify_clean();
    // What changed while it was read is not taken for unchanged next time.
    let next = MemTree::new(&root);
    b.repository
        .backup(&next, &Default::default(), &progress)
        .unwrap();
    let opened = next.opened();
    for name in ["grows", "shrinks", "secret", "hidden", "inner"] {
        assert!(opened.contains(name), "{name}");
    }
    assert!(!opened.contains("fine"));
}

#[test]
fn hostile_names_are_refused() {
    let b = Box_::new();
    let mut root = Node::folder();
    for name in [&b""[..], b".", b"..", b"a/b", b"nul\0", b"good"] {
        root.put_bytes(&[name.to_vec()], Node::file("x"));
    }
    let report = b.backup(&MemTree::new(&root));
    assert_eq!(report.snapshot.warnings, 5);
    assert_eq!(b.restore(&report.snapshot).children.len(), 1);
}

#[test]
fn a_source_that_goes_away_commits_nothing() {
    let b = Box_::new();
    let mut root = Node::folder();
    let mut tree_root = Node::folder();
    for i in 0..40 {
        root.put(&format!("f{i}"), Node::file(text(100, i)));
        tree_root.put(&format!("f{i}"), Node::file(text(100, i)));
    }
    let mut tree = MemTree::new(&tree_root);
    for i in 0..40 {
        tree = tree.trouble(&format!("f{i}"), Trouble::Transient(u32::MAX));
    }
    let e = b
        .repository
        .backup(&tree, &Default::default(), &Progress::default())
        .unwrap_err();
    assert_eq!(e.kind(), Kind::Transient);
    assert!(b.repository.snapshots().unwrap().is_empty());
    assert!(b.fake.names(Class::Snapshots).is_empty());
}

#[test]
fn cancelling_stops_and_commits_nothing() {
    let b = Box_::new();
    let mut root = Node::folder();
    root.put("f", Node::file(noise(3_000_000, 1)));
    let progress = Progress::default();
    progress.cancel();
    let e = b
        .repository
        .backup(&MemTree::new(&root), &Default::default(), &progress)
        .unwrap_err();
    assert_eq!(e.kind(), Kind::Cancelled);
    assert!(b.repository.snapshots().unwrap().is_empty());
    b.backup(&MemTree::new(&root));
}

#[test]
fn browsing_reading_and_partial_restores() {
    let b = Box_::new();
    let root = zoo();
    let snapshot = b.backup(&MemTree::new(&root)).snapshot;
    let r = &b.repository;
    let path = |p: &str| colca::engine::parse_path(p).unwrap();
    let top = r.node(&snapshot, &[]).unwrap();
    let names: Vec<_> = r
        .children(&top)
        .unwrap()
        .into_iter()
        .map(|n| n.name)
        .collect();
    assert_eq!(names, root.children.keys().cloned().collect::<Vec<_>>());
    assert_eq!(top.meta.xattrs, root.meta.xattrs);
    for name in ["big.bin", "sparse", "empty", "dir/three"] {
        let node = r.node(&snapshot, &path(name)).unwrap();
        let mut bytes = Vec::new();
        r.read(&node).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, root.clone().at(name).bytes(), "{name}");
    }
    let e = r.node(&snapshot, &path("dir/sub/none/x")).unwrap_err();
    assert_eq!(e.kind(), Kind::Missing);
    assert!(
        e.to_string().contains("none") && e.to_string().contains("dir/sub"),
        "{e}"
    );
    assert_eq!(
        r.children(&r.node(&snapshot, &path("empty")).unwrap())
            .unwrap_err()
            .kind(),
        Kind::Refused
    );

    let target = MemTarget::new();
    r.restore(&snapshot, &path("dir"), &target, &Progress::default())
        .unwrap();
    let mut want = root.clone();
    let mut dir = want.at("dir").clone();
    dir.at("three").meta.links = 1;
    let mut got = target.into_root();
    got.at("three").meta.links = 1;
    assert_eq!(got.facts(), dir.facts());

    let target = MemTarget::new();
    let report = r
        .restore(&snapshot, &path("dir/three"), &target, &Progress::default())
        .unwrap();
    assert_eq!(report.files, 1);
    assert_eq!(
        target.into_root().children[&b"three"[..]].bytes(),
        want.at("dir/three").bytes()
    );
    assert_eq!(r.find("latest").unwrap(), snapshot);
    assert_eq!(r.find("latest:test").unwrap(), snapshot);
    assert_eq!(r.find(&snapshot.id[..6]).unwrap(), snapshot);
    assert_eq!(r.find("latest:none").unwrap_err().kind(), Kind::Missing);
    assert_eq!(r.find("zzzz").unwrap_err().kind(), Kind::Refused);
}

#[test]
fn without_hard_links_every_name_gets_its_content() {
    let b = Box_::new();
    let mut root = zoo();
    let snapshot = b.backup(&MemTree::new(&root)).snapshot;
    let target = MemTarget::without_hard_links();
    let report = b
        .repository
        .restore(&snapshot, &[], &target, &Progress::default())
        .unwrap();
    assert_eq!(report.warning_count, 2);
    let mut got = target.into_root();
    for name in ["hard/one", "hard/two", "dir/three"] {
        assert_eq!(got.at(name).bytes(), root.at(name).bytes());
    }
}

#[test]
fn a_big_folder_is_paged_and_changes_locally() {
    let b = Box_::new();
    let mut root = Node::folder();
    for i in 0..20_000 {
        root.put(&format!("file{i:06}"), Node::file(format!("{i}")));
    }
    let report = b.backup(&MemTree::new(&root));
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());
    let path = colca::engine::parse_path("file013579").unwrap();
    assert_eq!(
        b.repository.node(&report.snapshot, &path).unwrap().name,
        b"file013579"
    );
    root.put("file010000x", Node::file("new"));
    let report = b.backup(&MemTree::new(&root));
    // One page and the pages above it, not the folder.
    assert!(
        report.snapshot.stored_bytes < 60_000,
        "{}",
        report.snapshot.stored_bytes
    );
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());
    b.verify_clean();
}

#[test]
fn a_file_of_many_extents_is_paged() {
    let b = Box_::new();
    let mut root = Node::folder();
    // Data and holes in turn make many extents from few bytes.
    let mut pieces = Vec::new();
    for i in 0..5000u64 {
        pieces.push(Piece::Data(noise(10, i)));
        pieces.push(Piece::Hole(1 << 20));
    }
    let node = Node::pieces(pieces);
    root.put("image", node.clone());
    let report = b.backup(&MemTree::new(&root));
    let node = b
        .repository
        .node(
            &report.snapshot,
            &colca::engine::parse_path("image").unwrap(),
        )
        .unwrap();
    let mut stream = b.repository.read(&node).unwrap();
    let mut buffer = vec![0; (1 << 20) + 10];
    for i in 0..5000u64 {
        stream.read_exact(&mut buffer).unwrap();
        assert_eq!(buffer[..10], noise(10, i)[..]);
        assert!(buffer[10..].iter().all(|b| *b == 0));
    }
    assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    b.verify_clean();
    let again = MemTree::new(&root);
    b.backup(&again);
    assert_eq!(again.opens(), 0);
}

//! A folder of very many names is saved in windows: only a few are in memory
//! at once, however long one of its files takes, and nothing is left out.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by panicking.

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use colca::engine::tree::{Examined, Folder, Input, Meta, Names, Tree};
use colca::engine::{BackupOptions, Progress, Result};
use support::Box_;
use support::memory::{MemTree, Node};

/// Names of one window.
const WINDOW: usize = 2048;
const FIRST: &[u8] = b"file000000";

/// What has been asked of the folder.
#[derive(Default)]
struct Seen {
    /// One past the last name examined.
    until: AtomicUsize,
    /// The same while the first file was still being opened.
    while_waiting: AtomicUsize,
}

struct SlowTree {
    inner: MemTree,
    seen: Arc<Seen>,
}

struct SlowFolder {
    inner: Box<dyn Folder>,
    seen: Arc<Seen>,
}

impl Tree for SlowTree {
    fn root(&self) -> Result<Box<dyn Folder>> {
        Ok(Box::new(SlowFolder {
            inner: self.inner.root()?,
            seen: self.seen.clone(),
        }))
    }
    fn describe(&self) -> String {
        self.inner.describe()
    }
}

impl Folder for SlowFolder {
    fn meta(&self) -> Result<Meta> {
        self.inner.meta()
    }
    fn names(&self) -> Result<Names> {
        self.inner.names()
    }
    fn examine(&self, names: &Names, which: Range<usize>) -> Result<Vec<Examined>> {
        self.seen.until.fetch_max(which.end, Ordering::SeqCst);
        self.inner.examine(names, which)
    }
    fn xattrs(&self, name: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        self.inner.xattrs(name)
    }
    /// The first file opens only when the others have done what they can without it.
    fn open(&self, name: &[u8]) -> Result<Box<dyn Input>> {
        let mut still = 0;
        while name == FIRST && still < 10 {
            let before = self.seen.until.load(Ordering::SeqCst);
            sleep(Duration::from_millis(100));
            let now = self.seen.until.load(Ordering::SeqCst);
            still = if now == before { still + 1 } else { 0 };
            self.seen.while_waiting.store(now, Ordering::SeqCst);
        }
        self.inner.open(name)
    }
    fn folder(&self, name: &[u8]) -> Result<Box<dyn Folder>> {
        self.inner.folder(name)
    }
}

#[test]
fn one_slow_file_holds_up_only_some_windows() {
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 16));
    let most = 2 * workers * WINDOW;
    let all = most + 3 * WINDOW + 17;
    let mut root = Node::folder();
    for i in 0..all {
        let name = format!("file{i:06}");
        // Folders and files in turn, so that folders lie in every window.
        match i % 100 {
            50 => root.put(&format!("{name}/inside"), Node::file("in a folder")),
            _ => root.put(&name, Node::file(format!("{i}"))),
        };
    }
    let b = Box_::new();
    let tree = SlowTree {
        inner: MemTree::new(&root),
        seen: Arc::default(),
    };
    let options = BackupOptions {
        name: "test".into(),
        full: false,
    };
    let report = b
        .repository
        .backup(&tree, &options, &Progress::default())
        .unwrap();
    assert_eq!(report.warnings, []);
    let waiting = tree.seen.while_waiting.load(Ordering::SeqCst);
    assert!(waiting <= most, "{waiting} names were taken, not {most}");
    assert_eq!(tree.seen.until.load(Ordering::SeqCst), all);
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());

    // With a snapshot to compare with, windows begin anywhere in its list.
    root.put("file004999", Node::file("changed"));
    root.put("file005000x", Node::file("new"));
    let report = b.backup(&MemTree::new(&root));
    assert_eq!(b.restore(&report.snapshot).facts(), root.facts());
    assert!(
        report.snapshot.new_bytes < 50,
        "{}",
        report.snapshot.new_bytes
    );
    b.verify_clean();
}

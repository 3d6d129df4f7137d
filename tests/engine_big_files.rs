//! Files so big that all workers share one, saved from and restored to real folders.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by panicking.

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use colca::engine::tree::{Examined, Folder, Input, Meta, Names, Tree};
use colca::engine::{BackupOptions, BackupReport, Error, Kind, Params, Progress, Result};
use colca::sources::{local_target, local_tree};
use support::fake::Fake;
use support::{Box_, noise};

const MIB: u64 = 1 << 20;
/// As in the engine: a part of a big file.
const PART: u64 = 64 * MIB;

/// What happens to a file when the part that begins at this byte is opened.
type Meddle = (u64, fn(&Path) -> Option<Error>);

/// A local tree in which somebody meddles with big files while they are read.
struct Meddled {
    inner: Box<dyn Tree>,
    path: PathBuf,
    what: Meddle,
}

struct MeddledFolder {
    inner: Box<dyn Folder>,
    path: PathBuf,
    what: Meddle,
}

impl Tree for Meddled {
    fn root(&self) -> Result<Box<dyn Folder>> {
        Ok(Box::new(MeddledFolder {
            inner: self.inner.root()?,
            path: self.path.clone(),
            what: self.what,
        }))
    }
    fn describe(&self) -> String {
        self.inner.describe()
    }
}

impl Folder for MeddledFolder {
    fn meta(&self) -> Result<Meta> {
        self.inner.meta()
    }
    fn names(&self) -> Result<Names> {
        self.inner.names()
    }
    fn examine(&self, names: &Names, which: Range<usize>) -> Result<Vec<Examined>> {
        self.inner.examine(names, which)
    }
    fn xattrs(&self, name: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        self.inner.xattrs(name)
    }
    fn open(&self, name: &[u8]) -> Result<Box<dyn Input>> {
        self.inner.open(name)
    }
    fn open_part(
        &self,
        name: &[u8],
        meta: &Meta,
        part: Range<u64>,
    ) -> Result<Option<Box<dyn Input>>> {
        if name == b"big"
            && part.start == self.what.0
            && let Some(e) = self.what.1(&self.path.join("big"))
        {
            return Err(e);
        }
        self.inner.open_part(name, meta, part)
    }
    fn folder(&self, name: &[u8]) -> Result<Box<dyn Folder>> {
        self.inner.folder(name)
    }
}

fn new_box() -> Box_ {
    Box_::with(std::sync::Arc::new(Fake::new()), Params::default())
}

fn save(b: &Box_, tree: &dyn Tree, full: bool) -> BackupReport {
    let options = BackupOptions {
        name: "big".into(),
        full,
    };
    b.repository
        .backup(tree, &options, &Progress::default())
        .unwrap()
}

/// 3½ parts: noise that crosses the first seam, a hole that crosses the
/// second, stored zeros over the third, a hole at the end.
fn make(path: &Path) -> File {
    let file = File::create(path).unwrap();
    let put = |at: u64, mib: usize, seed| {
        file.write_all_at(&noise(mib << 20, seed), at).unwrap();
    };
    put(0, 1, 1);
    put(PART - 3 * MIB, 6, 2);
    put(2 * PART - 5 * MIB, 1, 3);
    put(2 * PART + 7 * MIB, 2, 4);
    file.write_all_at(&vec![0; 4 << 20], 3 * PART - 2 * MIB)
        .unwrap();
    put(3 * PART + 10 * MIB, 1, 5);
    file.set_len(3 * PART + PART / 2).unwrap();
    file
}

#[test]
fn a_big_file_comes_back_whole_and_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    let file = make(&source.join("big"));
    fs::set_permissions(source.join("big"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::hard_link(source.join("big"), source.join("same")).unwrap();
    fs::write(source.join("small"), "beside it").unwrap();

    let b = new_box();
    let first = save(&b, &*local_tree(&source).unwrap(), false);
    assert_eq!(first.warnings, vec![]);
    assert_eq!(first.snapshot.new_bytes, 11 * MIB + 9);
    for full in [false, true] {
        let again = save(&b, &*local_tree(&source).unwrap(), full);
        assert_eq!(again.snapshot.new_bytes, 0);
        assert_eq!(again.snapshot.bytes, first.snapshot.bytes);
    }

    let restored = dir.path().join("restored");
    let report = b
        .repository
        .restore(
            &first.snapshot,
            &[],
            &*local_target(&restored).unwrap(),
            &Progress::default(),
        )
        .unwrap();
    assert_eq!(report.warnings, vec![]);
    let meta = fs::metadata(restored.join("big")).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o640);
    assert_eq!(
        meta.modified().unwrap(),
        file.metadata().unwrap().modified().unwrap()
    );
    assert!(meta.blocks() * 512 < 20 * MIB, "holes stay holes");
    assert_eq!(
        meta.ino(),
        fs::metadata(restored.join("same")).unwrap().ino()
    );
    assert!(
        fs::read(restored.join("big")).unwrap() == fs::read(source.join("big")).unwrap(),
        "other bytes"
    );
    b.verify_clean();
}

#[test]
fn an_insertion_at_the_front_makes_little_new() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(200 << 20, 8);
    fs::write(dir.path().join("big"), &bytes).unwrap();
    let b = new_box();
    save(&b, &*local_tree(dir.path()).unwrap(), false);
    let longer = [b"inserted".as_slice(), &bytes].concat();
    fs::write(dir.path().join("big"), &longer).unwrap();
    let second = save(&b, &*local_tree(dir.path()).unwrap(), false).snapshot;
    // A few chunks at the front and at each seam.
    assert!(second.new_bytes < 6 * MIB, "{}", second.new_bytes);
    assert_eq!(second.bytes, 8 + (200 << 20));
}

#[test]
fn a_big_file_that_changes_while_it_is_read_is_said_and_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    make(&dir.path().join("big"));
    let b = new_box();
    let tree = Meddled {
        inner: local_tree(dir.path()).unwrap(),
        path: dir.path().into(),
        what: (2 * PART, |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(PART + 5).unwrap();
            None
        }),
    };
    let report = save(&b, &tree, false);
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    assert!(report.warnings[0].message.contains("changed while"));
    let out = dir.path().join("out");
    let restored = b
        .repository
        .restore(
            &report.snapshot,
            &[],
            &*local_target(&out).unwrap(),
            &Progress::default(),
        )
        .unwrap();
    assert_eq!(restored.warnings, vec![]);
    assert_eq!(
        fs::metadata(out.join("big")).unwrap().len(),
        report.snapshot.bytes
    );
    // Not taken for unchanged the next time.
    let next = save(&b, &*local_tree(dir.path()).unwrap(), false);
    assert_eq!(next.warnings, vec![]);
    b.verify_clean();
}

#[test]
fn a_big_file_that_cannot_be_read_to_its_end_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    make(&dir.path().join("big"));
    fs::write(dir.path().join("other"), "saved all the same").unwrap();
    let b = new_box();
    let tree = Meddled {
        inner: local_tree(dir.path()).unwrap(),
        path: dir.path().into(),
        what: (PART, |_| Some(Error::new(Kind::Io, "the disk gave up"))),
    };
    let report = save(&b, &tree, false);
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    assert_eq!(report.warnings[0].path, "big");
    assert!(report.warnings[0].message.contains("the disk gave up"));
    assert_eq!(report.snapshot.files, 1);
    assert_eq!(report.snapshot.bytes, 18);
    let next = save(&b, &*local_tree(dir.path()).unwrap(), false);
    assert_eq!((next.snapshot.files, next.warnings.len()), (2, 0));
    b.verify_clean();
}

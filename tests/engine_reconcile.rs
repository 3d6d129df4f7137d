//! A storage of which a part is away lists less than there is: what is not
//! listed then is not lost, and nothing is concluded from it.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use colca::engine::storage::{Class, Name, Space, Storage};
use colca::engine::{
    BackupOptions, CollectOptions, Error, Kind, Progress, Repository, Result, Snapshot,
};
use support::fake::Fake;
use support::memory::{MemTarget, MemTree, Node};
use support::{MASTER, RECOVERY, noise, small};

/// A storage whose parts can be taken away; it may or may not know of that.
#[derive(Default)]
struct Parts {
    fake: Fake,
    away: Mutex<BTreeSet<Name>>,
    /// Whether it says that something is away.
    knows: Mutex<bool>,
}

impl Parts {
    fn take(&self, names: impl IntoIterator<Item = Name>, knows: bool) {
        self.away.lock().unwrap().extend(names);
        *self.knows.lock().unwrap() = knows;
    }

    fn bring_back(&self) {
        self.away.lock().unwrap().clear();
        *self.knows.lock().unwrap() = false;
    }

    fn there(&self, name: &Name) -> Result<()> {
        match self.away.lock().unwrap().contains(name) {
            true => Err(Error::new(Kind::Missing, format!("{name} is away"))),
            false => Ok(()),
        }
    }
}

impl Storage for Parts {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.fake.put(name, bytes)
    }

    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        self.there(name)?;
        self.fake.get(name)
    }

    fn get_range(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.there(name)?;
        self.fake.get_range(name, offset, len)
    }

    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>> {
        let away = self.away.lock().unwrap().clone();
        let all = self.fake.list(class)?;
        Ok(all.into_iter().filter(|o| !away.contains(&o.0)).collect())
    }

    fn complete(&self) -> Result<()> {
        match *self.knows.lock().unwrap() {
            true => Err(Error::new(Kind::Missing, "bring back: disk 2")),
            false => Ok(()),
        }
    }

    fn delete(&self, name: &Name) -> Result<()> {
        self.fake.delete(name)
    }

    fn sync(&self) -> Result<()> {
        self.fake.sync()
    }

    fn space(&self) -> Result<Space> {
        self.fake.space()
    }

    fn describe(&self) -> String {
        self.fake.describe()
    }
}

const FILES: u64 = 12;
const LEN: usize = 700_000;

fn tree() -> MemTree {
    let mut root = Node::folder();
    for n in 0..FILES {
        root.put(&format!("file{n}"), Node::file(noise(LEN, n)));
    }
    MemTree::new(&root)
}

fn backup(repository: &Repository) -> u64 {
    let options = BackupOptions {
        name: "test".into(),
        full: true,
    };
    let report = repository.backup(&tree(), &options, &Progress::default());
    report.unwrap().snapshot.new_bytes
}

/// A storage with one backup in at least four segments, closed.
fn made(state: &Path) -> (Arc<Parts>, Snapshot, Vec<Name>) {
    let parts = Arc::new(Parts::default());
    let repository = Repository::create(parts.clone(), state, &MASTER, &RECOVERY, small()).unwrap();
    assert_eq!(backup(&repository), FILES * LEN as u64);
    let snapshot = repository.snapshots().unwrap().remove(0);
    let segments = parts.fake.names(Class::Segments);
    assert!(segments.len() >= 4, "{}", segments.len());
    (parts, snapshot, segments)
}

/// Opens, and how often the storage was read for it.
fn open(parts: &Arc<Parts>, state: &Path) -> (Arc<Repository>, u64) {
    let before = parts.fake.gets();
    let repository = Repository::open(parts.clone(), state, &MASTER).unwrap();
    (Arc::new(repository), parts.fake.gets() - before)
}

fn whole(repository: &Arc<Repository>, snapshot: &Snapshot) {
    let report = repository.verify(true, &Progress::default()).unwrap();
    assert_eq!(report.errors, Vec::<String>::new());
    let target = MemTarget::new();
    let report = repository.restore(snapshot, &[], &target, &Progress::default());
    assert_eq!(report.unwrap().warnings, vec![]);
}

#[test]
fn what_cannot_be_reached_now_stays_in_the_index_and_nothing_new_relies_on_it() {
    let state = tempfile::tempdir().unwrap();
    let (parts, snapshot, segments) = made(state.path());
    let (repository, quiet) = open(&parts, state.path());
    drop(repository);

    parts.take(segments[..2].iter().copied(), true);
    let (repository, reads) = open(&parts, state.path());
    assert_eq!(reads, quiet, "the index was built anew");
    // The report names them, but does not call anything lost.
    let report = repository.verify(true, &Progress::default()).unwrap();
    let away = report.errors.iter().filter(|e| e.contains("reached now"));
    assert_eq!(away.count(), 2, "{:?}", report.errors);
    assert!(
        !report.errors.iter().any(|e| e.contains("is missing")),
        "{:?}",
        report.errors
    );
    // Nobody can tell what else is away: nothing is freed.
    repository.forget(&snapshot).unwrap();
    let refused = repository.collect(&CollectOptions::default(), &Progress::default());
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), Kind::Missing);
    assert!(refused.to_string().contains("disk 2"), "{refused}");
    assert_eq!(parts.fake.names(Class::Segments), segments);
    // A backup stores what is away once more, and only that.
    let new = backup(&repository);
    assert!(new > 0 && new < FILES * LEN as u64, "{new}");
    drop(repository);

    parts.bring_back();
    let (repository, _) = open(&parts, state.path());
    let again = repository.snapshots().unwrap().remove(0);
    whole(&repository, &again);
    assert_eq!(backup(&repository), 0);
}

#[test]
fn what_comes_back_is_relied_on_again() {
    let state = tempfile::tempdir().unwrap();
    let (parts, snapshot, segments) = made(state.path());
    parts.take(segments.iter().copied(), true);
    drop(open(&parts, state.path()));
    parts.bring_back();
    let (repository, _) = open(&parts, state.path());
    whole(&repository, &snapshot);
    assert_eq!(backup(&repository), 0);
}

#[test]
fn what_has_vanished_from_a_whole_storage_is_forgotten() {
    let state = tempfile::tempdir().unwrap();
    let (parts, _, segments) = made(state.path());
    let (repository, quiet) = open(&parts, state.path());
    drop(repository);
    parts.take(segments[..2].iter().copied(), false);
    let (repository, reads) = open(&parts, state.path());
    assert!(reads > quiet, "the index was not built anew");
    let report = repository.verify(false, &Progress::default()).unwrap();
    assert!(!report.errors.is_empty());
    assert!(backup(&repository) > 0);
}

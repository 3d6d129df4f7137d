//! Replication: its order, what it protects, and going on after a cut.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use colca::engine::storage::{Class, Name, Space, Storage};
use colca::engine::{Kind, Progress, Result};
use colca::pool::{NewMember, Pool};
use colca::provider::{Folder, Manifest, S3, S3Config, replicate};
use tempfile::TempDir;

use super::conformance::{noise, segment};
use super::harness::peers::Ceph;

pub fn new_pool(dir: &Path) -> Pool {
    let members: Vec<NewMember> = (0..3)
        .map(|i| {
            let path = dir.join(format!("disk{i}"));
            fs::create_dir(&path).unwrap();
            NewMember {
                label: path.display().to_string(),
                path,
                spare: false,
            }
        })
        .collect();
    Pool::create(&members, "2+1".parse().unwrap()).unwrap()
}

pub fn disks(dir: &Path) -> Vec<PathBuf> {
    (0..3).map(|i| dir.join(format!("disk{i}"))).collect()
}

/// Fills a storage with a header, segments and snapshot records; what they are.
pub fn fill(storage: &dyn Storage, segments: u64, len: usize) -> BTreeMap<Name, Vec<u8>> {
    let mut all = BTreeMap::new();
    for i in 0..segments {
        let bytes = noise(i, len + i as usize);
        all.insert(segment(&bytes), bytes);
    }
    for i in 0..3u8 {
        all.insert(Name::Snapshot([i; 16]), noise(500 + u64::from(i), 400));
    }
    all.insert(Name::Header, noise(600, 900));
    for (name, bytes) in &all {
        storage.put(name, bytes).unwrap();
    }
    storage.sync().unwrap();
    all
}

/// The replica is what the pool was, byte for byte, and its manifest says so.
pub fn assert_replica(replica: &dyn Storage, want: &BTreeMap<Name, Vec<u8>>) {
    let manifest = Manifest::decode(&replica.get(&Name::Manifest).unwrap()).unwrap();
    let lengths: BTreeMap<Name, u64> = want.iter().map(|(n, b)| (*n, b.len() as u64)).collect();
    assert_eq!(manifest.objects, lengths);
    assert_eq!(manifest.lacking(replica).unwrap(), vec![]);
    let mut listed = replica.list(Class::Segments).unwrap();
    listed.extend(replica.list(Class::Snapshots).unwrap());
    assert_eq!(listed.len() + 1, want.len());
    for (name, bytes) in want {
        assert!(&replica.get(name).unwrap() == bytes, "{name}");
    }
}

/// Notes what is done to a storage, and fails from a given write on.
struct Watched<'a> {
    inner: &'a dyn Storage,
    log: Mutex<Vec<String>>,
    fail_at: usize,
}

fn watch(inner: &dyn Storage, fail_at: usize) -> Watched<'_> {
    Watched {
        inner,
        log: Mutex::default(),
        fail_at,
    }
}

impl Watched<'_> {
    fn note(&self, what: String) -> Result<()> {
        let mut log = self.log.lock().unwrap();
        if log.len() >= self.fail_at {
            return Err(colca::engine::Error::new(
                Kind::Transient,
                "the line is cut",
            ));
        }
        log.push(what);
        Ok(())
    }
}

impl Storage for Watched<'_> {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.note(format!("put {name}"))?;
        self.inner.put(name, bytes)
    }
    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        self.inner.get(name)
    }
    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>> {
        self.inner.list(class)
    }
    fn delete(&self, name: &Name) -> Result<()> {
        self.note(format!("delete {name}"))?;
        self.inner.delete(name)
    }
    fn sync(&self) -> Result<()> {
        self.note("sync".into())?;
        self.inner.sync()
    }
    fn space(&self) -> Result<Space> {
        self.inner.space()
    }
    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[test]
fn replication_writes_in_the_order_that_makes_it_safe() {
    let dir = TempDir::new().unwrap();
    let pool = new_pool(dir.path());
    let mut want = fill(&pool, 6, 100_000);
    let replica_dir = TempDir::new().unwrap();
    let replica = Folder::open(replica_dir.path()).unwrap();
    let progress = Progress::default();
    let watched = watch(&replica, usize::MAX);
    let report = replicate(&pool, &watched, &progress).unwrap();
    let log = watched.log.into_inner().unwrap();
    let of = |what: &str| {
        let found: Vec<usize> = (0..log.len())
            .filter(|i| log[*i].starts_with(what))
            .collect();
        (found[0], found[found.len() - 1])
    };
    // A header from before a key change would not open what comes after it.
    assert_eq!(
        (of("put header").1, log[1].as_str()),
        (0, "sync"),
        "{log:?}"
    );
    assert!(of("put segments").1 < of("put snapshots").0, "{log:?}");
    assert_eq!(
        log[of("put snapshots").1 + 1..],
        ["sync", "put manifest", "sync"]
    );
    assert_eq!((report.copied, report.present, report.removed), (10, 0, 0));
    let bytes: u64 = want.values().map(|b| b.len() as u64).sum();
    assert_eq!(report.bytes, bytes);
    let view = progress.view();
    assert_eq!((view.files, view.files_total), (9, 9));
    assert_eq!(view.bytes, view.bytes_total);
    assert_replica(&replica, &want);

    // Another day: one segment and snapshot less, others more.
    let gone: Vec<Name> = want
        .keys()
        .filter(|n| matches!(n, Name::Segment(_)))
        .take(2)
        .copied()
        .collect();
    for name in gone.iter().chain([&Name::Snapshot([1; 16])]) {
        pool.delete(name).unwrap();
        want.remove(name);
    }
    for i in 50..53 {
        let bytes = noise(i, 80_000);
        pool.put(&segment(&bytes), &bytes).unwrap();
        want.insert(segment(&bytes), bytes);
    }
    let bytes = noise(77, 350);
    pool.put(&Name::Snapshot([7; 16]), &bytes).unwrap();
    want.insert(Name::Snapshot([7; 16]), bytes);
    let header = noise(78, 950);
    pool.put(&Name::Header, &header).unwrap();
    want.insert(Name::Header, header);

    // The line is cut, later every time: what the manifest promises is there,
    // the old one until the new one is.
    let old = Manifest::decode(&replica.get(&Name::Manifest).unwrap()).unwrap();
    let mut removed = 0;
    for cut in 0.. {
        assert!(cut < 20);
        let watched = watch(&replica, cut);
        let result = replicate(&pool, &watched, &Progress::default());
        let log = watched.log.into_inner().unwrap();
        let now = Manifest::decode(&replica.get(&Name::Manifest).unwrap()).unwrap();
        assert!(now.lacking(&replica).unwrap().is_empty(), "{log:?}");
        assert!(now == old || now.objects.len() == want.len());
        let at = |what: &str| log.iter().position(|l| l.starts_with(what));
        let deletes = log.iter().filter(|l| l.starts_with("delete"));
        removed += deletes.count();
        if let Some(first) = at("delete") {
            assert!(now != old, "{log:?}");
            assert!(at("put manifest").is_none_or(|m| m + 1 < first && log[m + 1] == "sync"));
        }
        match result {
            Err(e) => assert_eq!(e.kind(), Kind::Transient),
            Ok(_) => break,
        }
    }
    assert_eq!(removed, 3);
    assert_replica(&replica, &want);
    // Nothing to do: nothing is written.
    let watched = watch(&replica, usize::MAX);
    let report = replicate(&pool, &watched, &Progress::default()).unwrap();
    assert_eq!((report.copied, report.bytes, report.removed), (0, 0, 0));
    assert_eq!(report.present, want.len() as u64);
    assert_eq!(*watched.log.lock().unwrap(), ["sync"]);
}

#[test]
fn replication_protects_the_replica_from_a_poorer_pool() {
    let dir = TempDir::new().unwrap();
    let pool = new_pool(dir.path());
    let want = fill(&pool, 4, 100_000);
    let replica_dir = TempDir::new().unwrap();
    let replica = Folder::open(replica_dir.path()).unwrap();
    replicate(&pool, &replica, &Progress::default()).unwrap();
    // Another pool's replica is not overwritten.
    let other_dir = TempDir::new().unwrap();
    let other = new_pool(other_dir.path());
    other.put(&Name::Header, b"another header").unwrap();
    let e = replicate(&other, &replica, &Progress::default()).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused, "{e}");
    // Nor is anything removed while the pool has lost too many members.
    for disk in [0, 1] {
        fs::remove_dir_all(dir.path().join(format!("disk{disk}"))).unwrap();
    }
    let _ = pool.get(&Name::Header);
    pool.rescan(&disks(dir.path())).unwrap();
    let e = replicate(&pool, &replica, &Progress::default()).unwrap_err();
    assert_eq!(e.kind(), Kind::Missing, "{e}");
    assert_replica(&replica, &want);
    // The replica gives everything back to a new pool.
    let new_dir = TempDir::new().unwrap();
    let new = new_pool(new_dir.path());
    replicate(&replica, &new, &Progress::default()).unwrap();
    for (name, bytes) in &want {
        assert!(&new.get(name).unwrap() == bytes);
    }
}

/// Replicates in a process of its own, which the test below kills.
#[test]
#[ignore = "started by a_replication_cut_off_goes_on"]
fn replicate_as_a_process() {
    let config: S3Config = serde_json::from_str(&std::env::var("COLCA_TEST_S3").unwrap()).unwrap();
    let dir = PathBuf::from(std::env::var("COLCA_TEST_POOL").unwrap());
    let pool = Pool::open(&disks(&dir), None).unwrap();
    replicate(&pool, &S3::open(&config).unwrap(), &Progress::default()).unwrap();
}

#[test]
fn a_replication_cut_off_goes_on() {
    let ceph_dir = TempDir::new().unwrap();
    let mut ceph = Ceph::start(ceph_dir.path()).unwrap();
    let dir = TempDir::new().unwrap();
    let pool = new_pool(dir.path());
    let want = fill(&pool, 40, 3 << 20);
    let config = ceph.config("replica", "box");
    let s3 = S3::open(&config).unwrap();
    let there = || s3.list(Class::Segments).unwrap().len();

    // Killed in the middle.
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "replication::replicate_as_a_process",
            "--ignored",
        ])
        .env("COLCA_TEST_S3", serde_json::to_string(&config).unwrap())
        .env("COLCA_TEST_POOL", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while there() < 5 {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < end);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let after_kill = there();
    assert!((5..40).contains(&after_kill), "{after_kill}");
    assert_eq!(s3.get(&Name::Manifest).unwrap_err().kind(), Kind::Missing);
    assert_eq!(
        s3.list(Class::Snapshots).unwrap(),
        vec![],
        "segments come first"
    );

    // Cancelled in the middle.
    let progress = Progress::default();
    let result = std::thread::scope(|scope| {
        let running = scope.spawn(|| replicate(&pool, &s3, &progress));
        while progress.files.load(Ordering::Relaxed) < 3 && !running.is_finished() {
            std::thread::sleep(Duration::from_millis(2));
        }
        progress.cancel();
        running.join().unwrap()
    });
    assert_eq!(result.unwrap_err().kind(), Kind::Cancelled);
    let after_cancel = there();
    assert!(
        (after_kill + 3..40).contains(&after_cancel),
        "{after_cancel}"
    );

    // The server dies in the middle.
    let progress = Progress::default();
    let result = std::thread::scope(|scope| {
        let running = scope.spawn(|| replicate(&pool, &s3, &progress));
        while progress.files.load(Ordering::Relaxed) < 3 && !running.is_finished() {
            std::thread::sleep(Duration::from_millis(2));
        }
        ceph.stop_gateway();
        running.join().unwrap()
    });
    let e = result.unwrap_err();
    assert_eq!(e.kind(), Kind::Transient, "{e}");

    // And then it goes through, copying only what was lacking.
    ceph.start_gateway().unwrap();
    let before = there();
    assert!(before > after_cancel && before < 40);
    let report = replicate(&pool, &s3, &Progress::default()).unwrap();
    // The header came first, so it is there as well.
    assert_eq!(report.present as usize, before + 1);
    assert_eq!(report.copied as usize, 40 - before + 3);
    assert_replica(&s3, &want);

    // A damaged object at the provider is noticed; a shorter one is replaced.
    let name = *want.keys().find(|n| matches!(n, Name::Segment(_))).unwrap();
    s3.put(&name, b"short").unwrap();
    assert_eq!(s3.get(&name).unwrap_err().kind(), Kind::Corrupt);
    let report = replicate(&pool, &s3, &Progress::default()).unwrap();
    assert_eq!(report.copied, 1);
    assert_replica(&s3, &want);
}

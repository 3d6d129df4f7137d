//! What the pool has lost the provider still has: reading past it, healing the
//! pool, restoring with no box at all, and looking at what is out there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use colca::engine::storage::{Class, Name, Storage, hex};
use colca::engine::{BackupOptions, Kind, MasterKey, Params, Progress, RecoveryKey, Repository};
use colca::pool::{NewMember, Pool};
use colca::provider::{
    Config, Folder, Given, Ladder, Memory, Provider, Replication, inspect, open_replica, replicate,
};
use colca::sources::{local_target, local_tree};
use tempfile::TempDir;

use super::conformance::noise;
use super::harness::peers::{Ceph, Sshd};

/// A pool with a repository and one snapshot of `tree`.
struct Kit {
    dir: TempDir,
    disks: Vec<PathBuf>,
    words: String,
    master: MasterKey,
    tree: PathBuf,
}

impl Kit {
    fn new(redundancy: &str, disks: usize) -> Self {
        let dir = TempDir::new().unwrap();
        let disks: Vec<PathBuf> = (0..disks)
            .map(|i| {
                let path = dir.path().join(format!("disk{i}"));
                fs::create_dir(&path).unwrap();
                path
            })
            .collect();
        let members: Vec<NewMember> = disks
            .iter()
            .map(|path| NewMember {
                path: path.clone(),
                label: path.display().to_string(),
                spare: false,
            })
            .collect();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("inner")).unwrap();
        for i in 0..30u64 {
            let bytes = noise(i, 50_000 + 20_000 * i as usize);
            fs::write(tree.join(format!("inner/file{i}")), bytes).unwrap();
        }
        let pool = Pool::create(&members, redundancy.parse().unwrap()).unwrap();
        let (master, words) = (
            MasterKey::generate().unwrap(),
            RecoveryKey::generate().unwrap(),
        );
        // Small segments, so that there are several.
        let params = Params {
            segment_bytes: 1 << 20,
            ..Params::default()
        };
        let state = dir.path().join("state");
        let repository =
            Repository::create(Arc::new(pool), &state, &master, &words, params).unwrap();
        let kit = Self {
            dir,
            disks,
            words: words.words().join(" "),
            master,
            tree,
        };
        kit.backup(&repository);
        kit
    }

    fn backup(&self, repository: &Repository) {
        let options = BackupOptions {
            name: "tree".into(),
            full: false,
        };
        let tree = local_tree(&self.tree).unwrap();
        let progress = Progress::default();
        repository.backup(&*tree, &options, &progress).unwrap();
    }

    fn pool(&self) -> Arc<Pool> {
        Arc::new(Pool::open(&self.disks, None).unwrap())
    }

    fn open(&self, storage: Arc<dyn Storage>) -> Repository {
        Repository::open(storage, &self.dir.path().join("state"), &self.master).unwrap()
    }

    /// The files of one object's shards.
    fn shards(&self, name: &Name) -> Vec<PathBuf> {
        let (kind, id) = match name {
            Name::Segment(id) => ("segments", hex(id)),
            Name::Snapshot(id) => ("snapshots", hex(id)),
            _ => panic!("{name} is replaced"),
        };
        let folder = |disk: &PathBuf| disk.join("objects").join(kind).join(&id[..3]);
        self.disks
            .iter()
            .filter_map(|disk| fs::read_dir(folder(disk)).ok())
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with(&id))
            .collect()
    }

    fn same(&self, restored: &Path) -> bool {
        (0..30).all(|i| {
            let file = format!("inner/file{i}");
            fs::read(self.tree.join(&file)).unwrap()
                == fs::read(restored.join(&file)).unwrap_or_default()
        })
    }
}

/// Restores the newest snapshot; how many things could not be restored.
fn restore(repository: &Repository, to: &Path) -> u64 {
    let snapshot = repository.find("latest").unwrap();
    let target = local_target(to).unwrap();
    let progress = Progress::default();
    match repository.restore(&snapshot, &[], &*target, &progress) {
        Ok(report) => report.warning_count,
        Err(e) => {
            assert!(matches!(e.kind(), Kind::Corrupt | Kind::Missing), "{e}");
            u64::MAX
        }
    }
}

fn garble(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let from = bytes.len().min(300);
    bytes[from..].iter_mut().for_each(|b| *b ^= 0x5a);
    fs::write(file, bytes).unwrap();
}

fn ladder(pool: Arc<Pool>, replica: &Path) -> Arc<Ladder> {
    let replica = replica.to_owned();
    let open = move || {
        let folder: Arc<dyn Storage> = Arc::new(Folder::open(&replica)?);
        Ok(Some(folder))
    };
    Arc::new(Ladder::new(pool, Box::new(open)))
}

#[test]
fn what_the_pool_has_lost_comes_from_the_provider_and_is_healed() {
    for (redundancy, disks) in [("1+1", 2), ("2+1", 3)] {
        let kit = Kit::new(redundancy, disks);
        let at = |name: &str| kit.dir.path().join(name);
        fs::create_dir(at("replica")).unwrap();
        let replica = Folder::open(&at("replica")).unwrap();
        replicate(&*kit.pool(), &replica, &Progress::default()).unwrap();
        // The largest hold content; the smallest what the files are called.
        let mut segments = kit.pool().list(Class::Segments).unwrap();
        segments.sort_by_key(|(_, len)| std::cmp::Reverse(*len));
        let segments: Vec<Name> = segments.into_iter().map(|(name, _)| name).collect();
        assert!(segments.len() > 5);

        // Every shard of half the segments is garbled, while the box runs.
        let pool = kit.pool();
        let alone = kit.open(pool.clone());
        let garbled: Vec<&Name> = segments.iter().take(segments.len() / 2).collect();
        for name in &garbled {
            kit.shards(name).iter().for_each(|shard| garble(shard));
        }
        // Without the provider it is lost.
        assert!(restore(&alone, &at("lost")) > 0);
        assert!(!kit.same(&at("lost")));
        drop((alone, pool));

        // With it, everything is there, and only what is read is fetched.
        let rungs = ladder(kit.pool(), &at("replica"));
        let repository = kit.open(rungs.clone());
        assert_eq!(restore(&repository, &at("whole")), 0);
        assert!(kit.same(&at("whole")));
        assert!(rungs.counts().0 > 0, "it came from the provider");
        drop((repository, rungs));

        // A verification without the provider names what is lost, and gives it up.
        let alone = kit.open(kit.pool());
        let report = alone.verify(true, &Progress::default()).unwrap();
        let named = report.errors.join("\n");
        for name in &garbled {
            assert!(named.contains(&name.to_string()), "{name}: {named}");
        }
        assert!(named.contains("inner/file"), "{named}");
        drop(alone);
        let rungs = ladder(kit.pool(), &at("replica"));
        let repository = kit.open(rungs.clone());
        // A verification of the data puts it back.
        let report = repository.verify(true, &Progress::default()).unwrap();
        assert_eq!(report.errors, Vec::<String>::new());
        assert!(report.repaired_parts >= garbled.len() as u64, "{report:?}");
        assert_eq!(rungs.counts().1, garbled.len() as u64);
        drop((repository, rungs));
        let alone = kit.open(kit.pool());
        let report = alone.verify(true, &Progress::default()).unwrap();
        assert_eq!((report.errors.len(), report.damaged_parts), (0, 0));
        drop(alone);

        // Some vanish altogether, while the box is off: the pool does not even
        // list them. They are put back before the engine looks.
        for name in &garbled {
            let shards = kit.shards(name);
            shards
                .iter()
                .for_each(|shard| fs::remove_file(shard).unwrap());
        }
        // A replication does not take the last copy with them.
        {
            let repository = kit.open(kit.pool());
            let sound = || {
                Ok(repository
                    .verify(false, &Progress::default())?
                    .errors
                    .is_empty())
            };
            let replication = Replication {
                sound: Some(&sound),
                ..Replication::default()
            };
            let pool = repository.storage().as_ref();
            let report = replication
                .run(pool, &replica, &mut Memory::none(), &Progress::default())
                .unwrap();
            assert_eq!(report.kept, garbled.len() as u64, "{report:?}");
            assert_eq!(report.removed, 0);
        }
        let rungs = ladder(kit.pool(), &at("replica"));
        let came = rungs.bring_back(&Progress::default()).unwrap();
        assert_eq!(came, garbled.len() as u64);
        assert_eq!(rungs.bring_back(&Progress::default()).unwrap(), 0);
        let alone = kit.open(kit.pool());
        assert_eq!(restore(&alone, &at("again")), 0);
        assert!(kit.same(&at("again")));
        drop(alone);
        // And what neither has is lost, by name, and nothing else.
        let name = garbled[0];
        kit.shards(name).iter().for_each(|shard| garble(shard));
        garble(&at("replica").join(name.to_string()));
        let e = rungs.get(name).unwrap_err();
        assert!(matches!(e.kind(), Kind::Corrupt | Kind::Missing), "{e}");
        assert!(
            e.to_string().contains("nor does the provider have it"),
            "{e}"
        );
        let repository = kit.open(rungs);
        let report = repository.verify(true, &Progress::default()).unwrap();
        let named = report.errors.join("\n");
        assert!(
            named.contains(&name.to_string()) && named.contains("file"),
            "{named}"
        );
        assert!(!named.contains(&garbled[1].to_string()), "{named}");
    }
}

/// Opens with the words, restores everything, and has changed nothing.
fn rescue(kit: &Kit, url: &str, given: &Given, to: &Path) {
    let storage: Arc<dyn Storage> = Arc::from(open_replica(url, given).unwrap());
    let words = RecoveryKey::parse(&kit.words).unwrap();
    let key = Repository::recover_key(&*storage, &words).unwrap();
    let state = TempDir::new().unwrap();
    let repository = Repository::open(storage, state.path(), &key).unwrap();
    assert_eq!(repository.snapshots().unwrap().len(), 1);
    assert_eq!(restore(&repository, to), 0);
    assert!(kit.same(to), "{url}");
    let e = repository.storage().put(&Name::Header, b"x").unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
}

#[test]
fn everything_is_restored_without_a_box_from_each_provider() {
    let kit = Kit::new("2+1", 3);
    let at = |name: &str| kit.dir.path().join(name);
    for folder in ["ceph", "sshd", "folder"] {
        fs::create_dir(at(folder)).unwrap();
    }
    let ceph = Ceph::start(&at("ceph")).unwrap();
    let sshd = Sshd::start(&at("sshd")).unwrap();
    let s3 = ceph.config("replica", "box");
    let given = Given {
        endpoint: Some(s3.endpoint.clone()),
        region: Some(s3.region.clone()),
        access_key: Some(s3.access_key.clone()),
        secret_key: Some(s3.secret_key.clone()),
        private_key: Some(sshd.private_key.clone()),
        host_key: Some(sshd.host_key.clone()),
        ..Given::default()
    };
    let remote = at("remote");
    let urls = [
        "s3://replica/box".to_owned(),
        format!(
            "sftp://{}@127.0.0.1:{}{}",
            sshd.user,
            sshd.port,
            remote.display()
        ),
        at("folder").display().to_string(),
    ];
    for (i, url) in urls.iter().enumerate() {
        let config = Config::parse(url, &given).unwrap();
        let provider = Provider::open(&config, colca::provider::Access::default()).unwrap();
        replicate(&*kit.pool(), provider.storage(), &Progress::default()).unwrap();
        rescue(&kit, url, &given, &at(&format!("restored{i}")));
    }
    // A server whose key nobody has compared is not spoken to, but it is shown.
    let unknown = Given {
        host_key: None,
        ..given
    };
    let Err(e) = Config::parse(&urls[1], &unknown) else {
        panic!("the host key is not known");
    };
    assert_eq!(e.kind(), Kind::Refused);
    assert!(e.to_string().contains(&sshd.host_key), "{e}");
}

#[test]
fn an_inspection_finds_what_is_lost_damaged_or_not_there_yet() {
    let kit = Kit::new("1+1", 2);
    let replica_dir = TempDir::new().unwrap();
    let replica = Folder::open(replica_dir.path()).unwrap();
    let state = TempDir::new().unwrap();
    let pool = kit.pool();
    let look = |budget: u64| {
        let mut memory = Memory::open(state.path()).unwrap();
        inspect(&*pool, &replica, budget, &mut memory, &Progress::default()).unwrap()
    };
    let bring = || {
        let mut memory = Memory::open(state.path()).unwrap();
        Replication::default()
            .run(&*pool, &replica, &mut memory, &Progress::default())
            .unwrap()
    };
    // Nothing is there yet.
    let report = look(0);
    assert!(!report.manifest);
    assert_eq!((report.objects, report.bad), (0, 0));
    assert_eq!(report.lag_snapshots.len(), 1);
    assert!(report.lag_bytes > 5 << 20, "{report:?}");

    // Then all; samples of a few bytes cover every segment by and by.
    bring();
    let segments = pool.list(Class::Segments).unwrap();
    let mut seen = 0;
    for _ in 0..segments.len() {
        let report = look(1);
        assert_eq!((report.sampled, report.bad, report.lag_objects), (1, 0, 0));
        assert!(report.stored_bytes > 5 << 20);
        seen += report.sampled_bytes;
    }
    assert_eq!(seen, segments.iter().map(|(_, len)| len).sum::<u64>());

    // One is garbled, one is gone: found, and brought by the next replication,
    // which else would have believed its memory.
    assert!(!bring().listed);
    let file = |i: usize| replica_dir.path().join(segments[i].0.to_string());
    garble(&file(0));
    fs::remove_file(file(1)).unwrap();
    let report = look(u64::MAX);
    assert_eq!(report.bad, 2, "{report:?}");
    let named = report.errors.join("\n");
    for (name, _) in &segments[..2] {
        assert!(named.contains(&name.to_string()), "{named}");
    }
    assert_eq!(report.lag_objects, 1);
    let report = bring();
    assert!(report.listed);
    assert_eq!(report.copied, 2, "{report:?}");
    assert_eq!(look(u64::MAX).bad, 0);
}

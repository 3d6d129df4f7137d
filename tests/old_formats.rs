//! Every released format is read for ever: `tests/fixtures/vN` holds a small
//! repository of each, as a program of its time wrote it.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use colca::engine::storage::{Name, Storage};
use colca::engine::tree::FileType;
use colca::engine::{
    BackupOptions, CollectOptions, Kind, MasterKey, NewSlot, Params, Passphrase, Progress,
    RecoveryKey, Repository, Unlock,
};
use colca::provider::Folder;
use support::memory::{MemTarget, MemTree, Node, Piece};
use support::{noise, text};

const PASSPHRASE: &str = "ocho llamas cruzan el puente";

fn fixture(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(version)
}

/// A copy that may be written to: opening a folder as a storage makes it sure
/// of its layout, and the fixture is to stay as it was committed.
fn copy(version: &str) -> tempfile::TempDir {
    fn all(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in from.read_dir().unwrap() {
            let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
            match path.is_dir() {
                true => all(&path, &to.join(name)),
                false => drop(std::fs::copy(&path, to.join(name)).unwrap()),
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    all(&fixture(version).join("storage"), folder.path());
    folder
}

fn storage(folder: &Path) -> Arc<Folder> {
    Arc::new(Folder::open(folder).unwrap())
}

/// What each snapshot must restore to, one fact a line.
fn expected(version: &str, snapshot: &str) -> Vec<String> {
    let file = fixture(version).join(format!("{snapshot}.txt"));
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn short(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

/// One line an entry, in words that depend on nothing in the program.
fn facts(root: &Node) -> Vec<String> {
    fn collect(path: &str, node: &Node, out: &mut Vec<String>) {
        let m = &node.meta;
        let kind = match &m.kind {
            FileType::File { size } => {
                format!("file {size} {}", short(&node.bytes()))
            }
            FileType::Folder => "folder".into(),
            FileType::Symlink { target } => format!("link {}", target.escape_ascii()),
            FileType::Fifo => "fifo".into(),
            FileType::Socket => "socket".into(),
            FileType::CharDevice { rdev } => format!("character device {rdev:#x}"),
            FileType::BlockDevice { rdev } => format!("block device {rdev:#x}"),
        };
        let (secs, nanos) = (m.mtime.secs, m.mtime.nanos);
        let mut line = format!(
            "{path} {kind}, mode {:o}, {}:{}, {secs}.{nanos:09}",
            m.mode, m.uid, m.gid
        );
        for (name, value) in &m.xattrs {
            line += &format!(", {}={}", name.escape_ascii(), short(value));
        }
        out.push(line);
        for (name, child) in &node.children {
            collect(&format!("{path}/{}", name.escape_ascii()), child, out);
        }
    }
    let mut out = Vec::new();
    collect("", root, &mut out);
    out
}

#[test]
fn version_1_opens_restores_verifies_and_goes_on() {
    let folder = copy("v1");
    let storage = storage(folder.path());
    let words = std::fs::read_to_string(fixture("v1").join("words.txt")).unwrap();
    let recovery = RecoveryKey::parse(&words).unwrap();
    let master = Repository::recover_key(&*storage, &recovery).unwrap();
    let passphrase = Passphrase::new(PASSPHRASE).unwrap();
    let again = Repository::unlock(&*storage, Unlock::Passphrase(&passphrase)).unwrap();
    assert_eq!(master.0, again.0);
    let keys = Repository::key_slots(&*storage).unwrap();
    assert_eq!((keys.epoch, keys.slots.len()), (2, 2));
    assert_eq!(keys.slots[0].label, recovery.page_check());

    let state = tempfile::tempdir().unwrap();
    let repository = Repository::open(storage.clone(), state.path(), &master).unwrap();
    let restored = |name: &str| {
        let target = MemTarget::new();
        let snapshot = repository.find(&format!("latest:{name}")).unwrap();
        let report = repository
            .restore(&snapshot, &[], &target, &Progress::default())
            .unwrap();
        assert_eq!(report.warnings, []);
        target.into_root()
    };
    for name in ["first", "second"] {
        assert_eq!(facts(&restored(name)), expected("v1", name), "{name}");
    }
    let clean = || {
        let report = repository.verify(true, &Progress::default()).unwrap();
        assert_eq!(report.errors, Vec::<String>::new());
        report
    };
    let report = clean();
    assert_eq!(report.snapshots, 2);

    // What is stored now is found there again, and what is needed survives a collection.
    let mut root = restored("second");
    // Restored in memory these have no holes any more, so they are cut otherwise.
    for sparse in ["trozos", "hueco.img"] {
        root.children.remove(sparse.as_bytes()).unwrap();
    }
    let options = BackupOptions {
        name: "third".into(),
        full: true,
    };
    let third = repository
        .backup(&MemTree::new(&root), &options, &Progress::default())
        .unwrap();
    assert_eq!(third.snapshot.new_bytes, 0);
    repository
        .forget(&repository.find("latest:first").unwrap())
        .unwrap();
    repository
        .collect(&CollectOptions::default(), &Progress::default())
        .unwrap();
    assert_eq!(facts(&restored("third")), facts(&root));
    assert_eq!(facts(&restored("second")), expected("v1", "second"));
    clean();
}

#[test]
fn newer_formats_and_features_are_refused_in_these_words() {
    // Version 2, and a feature without which nothing may be read.
    for (at, words) in [(8, "format version 2"), (16, "features 0x2")] {
        let folder = copy("v1");
        let storage = storage(folder.path());
        let mut header = storage.get(&Name::Header).unwrap();
        header[at] = 2;
        let end = header.len() - 32;
        let sum = blake3::hash(&header[..end]);
        header[end..].copy_from_slice(sum.as_bytes());
        storage.put(&Name::Header, &header).unwrap();
        let state = tempfile::tempdir().unwrap();
        let e = Repository::open(storage, state.path(), &MasterKey([0; 32]))
            .err()
            .unwrap();
        assert_eq!(e.kind(), Kind::Refused);
        let message = e.to_string();
        assert!(
            message.contains(words) && message.contains("use a newer program"),
            "{message}"
        );
    }
    // A newer segment or record among old ones is named, and nothing is called damaged.
    for class in ["segments", "snapshots"] {
        let folder = copy("v1");
        let words = std::fs::read_to_string(fixture("v1").join("words.txt")).unwrap();
        let storage = storage(folder.path());
        let master =
            Repository::recover_key(&*storage, &RecoveryKey::parse(&words).unwrap()).unwrap();
        let file = first_file(&folder.path().join(class));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[8] = 2;
        std::fs::write(&file, bytes).unwrap();
        let state = tempfile::tempdir().unwrap();
        let repository = Repository::open(storage, state.path(), &master).unwrap();
        let report = repository.verify(false, &Progress::default()).unwrap();
        assert!(
            report.errors.iter().any(|e| e.contains("format version 2")),
            "{:?}",
            report.errors
        );
        // Nobody can tell what it holds or needs, so nothing is freed.
        if class == "snapshots" {
            assert!(
                repository
                    .collect(&CollectOptions::default(), &Progress::default())
                    .is_err()
            );
        }
    }
}

fn first_file(folder: &Path) -> PathBuf {
    let mut entries: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    match entries[0].is_dir() {
        true => first_file(&entries[0]),
        false => entries.swap_remove(0),
    }
}

/// How the fixture of the current version was made:
///
///     cargo nextest run --release --test old_formats --run-ignored only
///
/// Once a version is released its fixture is never made again.
#[test]
#[ignore = "writes tests/fixtures/v1 anew"]
fn make_version_1() {
    let folder = fixture("v1");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(folder.join("storage")).unwrap();
    let storage = storage(&folder.join("storage"));
    let state = tempfile::tempdir().unwrap();
    let (first, second) = (MasterKey([1; 32]), MasterKey([2; 32]));
    let (old, recovery) = (RecoveryKey([3; 32]), RecoveryKey::generate().unwrap());
    let repository = Repository::create(
        storage.clone(),
        state.path(),
        &first,
        &old,
        Params::default(),
    )
    .unwrap();
    let save = |name: &str, root: &Node| {
        let options = BackupOptions {
            name: name.into(),
            full: false,
        };
        repository
            .backup(&MemTree::new(root), &options, &Progress::default())
            .unwrap();
        std::fs::write(
            folder.join(format!("{name}.txt")),
            facts(root).join("\n") + "\n",
        )
        .unwrap();
    };

    // Every kind of entry, list, extent, block and codec.
    let mut root = Node::folder();
    root.put("vacío", Node::file(""))
        .put("texto.txt", Node::file(text(20_000, 1)))
        .put("ruido.bin", Node::file(noise(70_000, 2)))
        .put(
            "hueco.img",
            Node::pieces(vec![
                Piece::Hole(1 << 20),
                Piece::Data(noise(10, 3)),
                Piece::Hole(9),
            ]),
        )
        .put(
            "a/enlace",
            Node::special(FileType::Symlink {
                target: b"../texto.txt".to_vec(),
            }),
        )
        .put("a/tubo", Node::special(FileType::Fifo))
        .put(
            "a/disco",
            Node::special(FileType::BlockDevice { rdev: 0x801 }),
        )
        .put(
            "a/nulo",
            Node::special(FileType::CharDevice { rdev: 0x103 }),
        );
    root.at("a").meta.mtime.secs = -1_000_000;
    for i in 0..300 {
        root.put(&format!("muchos/{i}"), Node::file(text(40, i)));
    }
    // More extents than their entry holds.
    let pieces = (0..40).flat_map(|i| [Piece::Data(noise(30, i)), Piece::Hole(70_000)]);
    root.put("trozos", Node::pieces(pieces.collect()));
    let texto = root.at("texto.txt");
    texto
        .meta
        .xattrs
        .insert(b"user.origen".to_vec(), b"mesa".to_vec());
    // More attributes than their entry holds.
    for i in 0..2u8 {
        let tubo = root.at("vac\u{ed}o");
        tubo.meta.xattrs.insert(vec![b'x', i], noise(3000, 77));
    }
    save("first", &root);
    repository.change_key(&second, &recovery).unwrap();
    let passphrase = Passphrase::new(PASSPHRASE).unwrap();
    let slot = NewSlot {
        label: "fixture",
        unlock: Unlock::Passphrase(&passphrase),
        sealed: &[],
    };
    repository.add_key_slot(&slot).unwrap();
    root.at("texto.txt").rewrite(text(20_000, 4));
    root.put("nuevo", Node::file(noise(500, 5)));
    save("second", &root);
    std::fs::write(folder.join("words.txt"), recovery.words().join(" ") + "\n").unwrap();
}

//! What a person sees when something is wrong: the thing is named, the exit
//! code is the documented one, and nothing is lost.

use std::os::unix::fs::PermissionsExt;

use crate::facts::{self, Fidelity};
use crate::kit::{Run, Stage, noise, rich_tree, same};

fn restores(stage: &Stage, source: &std::path::Path) {
    let target = stage.folder("proof");
    stage
        .colca([&"restore".into(), &"docs".into(), &target])
        .ok();
    same(source, &target);
}

#[test]
fn wrong_recovery_words_are_refused() {
    let (stage, mut words, source) = Stage::backed_up("1+1", 2);
    let open = |words: &[String]| {
        let file = stage.file("words", &words.join(" "));
        stage.open_elsewhere("other", &["--recovery-key", &file])
    };
    let right = words.clone();
    // Another pool's words are well-formed, and still do not fit.
    let other = Stage::new().pool("1+1", 2);
    open(&other).code(8).says(&["recovery"]);
    words.swap(0, 1);
    if words != right {
        open(&words).code(8);
    }
    words[3] = "zapatilla-rota".into();
    open(&words).code(8).says(&["zapatilla-rota"]);
    open(&right[..23]).code(8).says(&["24"]);
    assert!(!stage.path("other/pool.json").exists());
    open(&right).ok();
    drop(source);
}

#[test]
fn an_unreadable_file_is_named_and_the_rest_is_saved() {
    let stage = Stage::new();
    stage.pool("1+1", 2);
    let source = stage.folder("source");
    std::fs::write(source.join("good"), b"good").unwrap();
    let closed = source.join("closed");
    std::fs::write(&closed, b"closed").unwrap();
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).unwrap();
    let mut command = stage.command([&"backup".into(), &source, &"--name".into(), &"docs".into()]);
    if nix::unistd::geteuid().is_root() {
        // Root reads everything, so the command runs as nobody on folders of nobody.
        give_to_nobody(stage.path("").as_path());
        std::os::unix::fs::chown(&closed, Some(0), Some(0)).unwrap();
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
        std::os::unix::process::CommandExt::gid(&mut command, 65534);
    }
    command.run().code(3).says(&["closed"]);
    let target = stage.path("target");
    stage
        .colca([&"restore".into(), &"docs:good".into(), &target])
        .ok();
    assert_eq!(std::fs::read(target.join("good")).unwrap(), b"good");
}

fn give_to_nobody(path: &std::path::Path) {
    std::os::unix::fs::lchown(path, Some(65534), Some(65534)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_to_nobody(&entry.unwrap().path());
        }
    }
}

#[test]
fn a_vanished_source_is_named() {
    let (stage, _, source) = Stage::backed_up("1+1", 2);
    let gone = stage.path("gone");
    stage
        .colca([&"backup".into(), &gone, &"--name".into(), &"docs".into()])
        .code(5)
        .says(&[gone.to_str().unwrap()]);
    restores(&stage, &source);
}

#[test]
fn a_corrupt_shard_does_not_disturb_a_restore() {
    let (stage, _, source) = Stage::backed_up("2+1", 3);
    flip_middle(&biggest(&stage.path("disk2")));
    restores(&stage, &source);
}

#[test]
fn a_corrupt_shard_is_found_and_mended_by_verify() {
    let (stage, _, source) = Stage::backed_up("2+1", 3);
    let shard = biggest(&stage.path("disk2"));
    let good = std::fs::read(&shard).unwrap();
    flip_middle(&shard);
    let report = stage.colca(["--json", "verify", "--data"]).code(3).json();
    assert_eq!(
        (&report["damaged_parts"], &report["repaired_parts"]),
        (&1.into(), &1.into()),
        "{report}"
    );
    assert!(
        std::fs::read(&shard).unwrap() == good,
        "the shard on the disk is still damaged"
    );
    stage.colca(["verify", "--data"]).ok();
    restores(&stage, &source);
}

#[test]
fn too_much_corruption_names_the_file_and_spares_the_others() {
    let stage = Stage::new();
    stage.pool("1+0", 1);
    let (first, second) = (stage.folder("first"), stage.folder("second"));
    rich_tree(&first);
    stage
        .colca([&"backup".into(), &first, &"--name".into(), &"first".into()])
        .ok();
    let noise = noise("ruido", 3_000_000);
    std::fs::write(second.join("ruido.bin"), noise).unwrap();
    let before = objects(&stage.path("disk1"));
    stage
        .colca([
            &"backup".into(),
            &second,
            &"--name".into(),
            &"second".into(),
        ])
        .ok();
    // The biggest object that only the second backup wrote holds its data.
    let new = objects(&stage.path("disk1"))
        .into_iter()
        .filter(|path| !before.contains(path));
    let victim = new
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    flip_middle(&victim);
    stage
        .colca(["verify", "--data"])
        .code(4)
        .says(&["ruido.bin"]);
    let target = stage.path("hurt");
    stage
        .colca([&"restore".into(), &"second".into(), &target])
        .code(3)
        .says(&["ruido.bin"]);
    let target = stage.path("whole");
    stage
        .colca([&"restore".into(), &"first".into(), &target])
        .ok();
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    // A real small file system: needs root to mount it.
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test mounts a small tmpfs and needs root"
    );
    let stage = Stage::new();
    let disk = stage.disk(1);
    let _mount = TinyMount::new(&disk, "24m");
    stage.pool("1+0", 1);
    let source = stage.folder("source");
    std::fs::write(source.join("small"), b"small").unwrap();
    stage
        .colca([&"backup".into(), &source, &"--name".into(), &"docs".into()])
        .ok();
    let small = facts::read(&source, Fidelity::LOCAL).unwrap();
    let noise = noise("big", 60_000_000);
    std::fs::write(source.join("big"), noise).unwrap();
    stage
        .colca([&"backup".into(), &source, &"--name".into(), &"docs".into()])
        .code(7)
        .says(&["room"]);
    std::fs::remove_file(source.join("big")).unwrap();
    let target = stage.path("target");
    stage
        .colca([&"restore".into(), &"docs".into(), &target])
        .ok();
    let restored = facts::read(&target, Fidelity::LOCAL).unwrap();
    assert_eq!(
        small.get(std::path::Path::new("small")),
        restored.get(std::path::Path::new("small"))
    );
    // What the failed backup left behind is freed, and then the next one fits.
    stage.colca(["collect"]).ok();
    stage
        .colca([&"backup".into(), &source, &"--name".into(), &"docs".into()])
        .ok();
    stage.colca(["verify", "--data"]).ok();
}

#[test]
fn a_missing_pool_and_bad_arguments_are_explained() {
    let stage = Stage::new();
    stage
        .colca(["snapshots"])
        .code(5)
        .says(&["colca pool create", "--state"]);
    stage
        .colca(["pool", "create", "--redundancy", "two", "x"])
        .code(2)
        .says(&["2+1"]);
    stage.disk(1);
    let disk = stage.path("disk1");
    stage
        .colca([
            &"pool".into(),
            &"create".into(),
            &"--redundancy".into(),
            &"2+1".into(),
            &disk,
        ])
        .code(8)
        .says(&["3"]);
    std::fs::write(disk.join("mine"), b"precious").unwrap();
    stage
        .colca([
            &"pool".into(),
            &"create".into(),
            &"--redundancy".into(),
            &"1+0".into(),
            &disk,
        ])
        .code(8)
        .says(&["disk1", "empty"]);
    assert_eq!(std::fs::read(disk.join("mine")).unwrap(), b"precious");
    std::fs::remove_file(disk.join("mine")).unwrap();
    stage.pool("1+0", 1);
    stage
        .colca(["restore", "latest", "/tmp/never-made-by-colca"])
        .code(5);
    stage.colca(["ls", ":x"]).code(8);
    assert!(!std::path::Path::new("/tmp/never-made-by-colca").exists());
}

#[test]
fn two_at_once_on_one_state_folder_is_busy() {
    let (stage, _, source) = Stage::backed_up("1+1", 2);
    // This process holds the pool, as a running daemon would.
    let key = std::fs::read_to_string(stage.path("state/pool.key")).unwrap();
    let key = colca::engine::MasterKey(colca::engine::storage::unhex(key.trim()).unwrap());
    let pool = colca::pool::Pool::open(&[stage.path("disk1"), stage.path("disk2")], None).unwrap();
    let held = colca::engine::Repository::open(
        std::sync::Arc::new(pool),
        &stage.path("state/engine"),
        &key,
    )
    .unwrap();
    stage
        .colca([&"backup".into(), &source, &"--name".into(), &"docs".into()])
        .code(9);
    drop(held);
    stage
        .colca([&"backup".into(), &source, &"--name".into(), &"docs".into()])
        .ok();
}

fn objects(disk: &std::path::Path) -> Vec<std::path::PathBuf> {
    let all = facts::read(disk, Fidelity::LOCAL).unwrap();
    all.into_iter()
        .filter(|(_, facts)| facts.kind == "file")
        .map(|(path, _)| disk.join(path))
        .collect()
}

fn biggest(disk: &std::path::Path) -> std::path::PathBuf {
    objects(disk)
        .into_iter()
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap()
}

fn flip_middle(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

/// A small real file system, unmounted when dropped.
struct TinyMount(std::path::PathBuf);

impl TinyMount {
    fn new(path: &std::path::Path, size: &str) -> Self {
        let options = format!("size={size}");
        nix::mount::mount(
            Some("tmpfs"),
            path,
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            Some(options.as_str()),
        )
        .unwrap();
        Self(path.to_owned())
    }
}

impl Drop for TinyMount {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

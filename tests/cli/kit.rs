//! A small stage: folders for disks, a state folder, and the binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::facts::{self, Fidelity};

pub struct Stage {
    folder: tempfile::TempDir,
}

/// A finished command.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Stage {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes an empty folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn disk(&self, number: usize) -> PathBuf {
        self.folder(&format!("disk{number}"))
    }

    /// Runs `colca` with the stage's state folder.
    pub fn colca<I: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ran {
        self.command(arguments).run()
    }

    pub fn command<I: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = I>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_colca"));
        command
            .args(arguments)
            .env("COLCA_STATE", self.path("state"))
            .env_remove("RUST_LOG");
        command
    }

    /// A pool of `K+M` on as many disks; returns its recovery words.
    pub fn pool(&self, redundancy: &str, disks: usize) -> Vec<String> {
        let mut arguments = vec!["--json".into(), "pool".into(), "create".into()];
        arguments.extend(["--redundancy".into(), redundancy.into()]);
        arguments.extend((1..=disks).map(|n| self.disk(n).into_os_string()));
        let made = self.colca(arguments).ok().json();
        serde_json::from_value(made["recovery_words"].clone()).unwrap()
    }

    /// A pool with one snapshot, `docs`, of a rich tree; its recovery words and the tree.
    pub fn backed_up(redundancy: &str, disks: usize) -> (Self, Vec<String>, PathBuf) {
        let stage = Self::new();
        let words = stage.pool(redundancy, disks);
        let source = stage.folder("source");
        rich_tree(&source);
        stage
            .colca([&"backup".into(), &source, &"--name".into(), &"docs".into()])
            .ok();
        (stage, words, source)
    }

    /// Opens the first two disks from another state folder.
    pub fn open_elsewhere(&self, state: &str, how: &[&str]) -> Ran {
        let mut command = self.command(["pool", "open"]);
        command.env("COLCA_STATE", self.path(state)).args(how);
        command.args([self.path("disk1"), self.path("disk2")]).run()
    }

    /// Writes a text to a file; its path, as an argument.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

pub trait Run {
    fn run(&mut self) -> Ran;
}

impl Run for Command {
    fn run(&mut self) -> Ran {
        let Output {
            status,
            stdout,
            stderr,
        } = self.output().unwrap();
        Ran {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.out, self.err
        );
        self
    }

    /// Standard error contains all these.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in:\n{}", self.err);
        }
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e} in:\n{}\n{}", self.out, self.err))
    }
}

/// What was restored is what there was.
#[track_caller]
pub fn same(source: &Path, restored: &Path) {
    facts::same(
        &facts::read(source, Fidelity::LOCAL).unwrap(),
        &facts::read(restored, Fidelity::LOCAL).unwrap(),
    )
    .unwrap();
}

/// A tree with every kind of entry a folder can hold; device nodes and foreign owners when root.
pub fn rich_tree(top: &Path) {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let file = |name: &str, bytes: &[u8]| {
        let path = top.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
    };

    file("empty", b"");
    let big = noise("grande", 12_000_000);
    file("datos/grande.bin", &big);
    file("datos/grande copia.bin", &big);
    for n in 0..300 {
        file(
            &format!("datos/pequeños/{n:03}.txt"),
            format!("línea {n}\n").repeat(n + 1).as_bytes(),
        );
    }
    let script = file("bin/run", b"#!/bin/sh\n");
    mode(&script, 0o4755);
    std::fs::hard_link(&script, top.join("bin/run-too")).unwrap();
    symlink("run", top.join("bin/link")).unwrap();
    symlink("/nowhere/at all", top.join("bin/dangling")).unwrap();
    nix::unistd::mkfifo(
        &top.join("pipe"),
        nix::sys::stat::Mode::from_bits_truncate(0o600),
    )
    .unwrap();
    let odd = std::os::unix::ffi::OsStringExt::from_vec(b"not utf-8 \xff\n\t'\"".to_vec());
    std::fs::write(top.join::<std::ffi::OsString>(odd), b"odd").unwrap();
    let sparse = std::fs::File::create(top.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 50 << 20).unwrap();
    let noted = file("noted", b"with attributes");
    xattr::set(&noted, "user.origen", b"mesa de partes").unwrap();
    acl(&noted, "u:65534:r--");
    let dated = std::fs::File::open(file("old", b"before 1970")).unwrap();
    let time = std::time::SystemTime::UNIX_EPOCH - std::time::Duration::new(86_400, 123_456_789);
    dated.set_modified(time).unwrap();
    std::fs::create_dir(top.join("closed")).unwrap();
    mode(&top.join("closed"), 0o1770);
    if nix::unistd::geteuid().is_root() {
        use nix::sys::stat::{Mode, SFlag, makedev, mknod};
        mknod(
            &top.join("null"),
            SFlag::S_IFCHR,
            Mode::from_bits_truncate(0o666),
            makedev(1, 3),
        )
        .unwrap();
        std::os::unix::fs::chown(top.join("old"), Some(1234), Some(5678)).unwrap();
    }
    let folder = std::fs::File::open(top.join("datos")).unwrap();
    folder
        .set_modified(
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 1),
        )
        .unwrap();
}

fn acl(path: &Path, entry: &str) {
    let status = Command::new("setfacl")
        .args(["-m", entry])
        .arg(path)
        .status()
        .expect("setfacl (package acl)");
    assert!(status.success());
}

/// Bytes that neither compress nor repeat.
pub fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(seed.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

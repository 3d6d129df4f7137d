//! Pools to be treated badly.

use std::fs;
use std::path::{Path, PathBuf};

use colca::engine::Progress;
use colca::engine::storage::{Health, Name, Storage};
use colca::pool::{NewMember, Pace, Pool, SettleReport};
use tempfile::TempDir;

use super::conformance::{noise, segment};

/// A pool on folders `0`, `1`, … of a temporary folder.
pub struct Lab {
    pub dir: TempDir,
    disks: usize,
    pub pool: Option<Pool>,
}

impl Lab {
    pub fn new(redundancy: &str, actives: usize, spares: usize) -> Self {
        let dir = TempDir::new().unwrap();
        let members: Vec<NewMember> = (0..actives + spares)
            .map(|i| {
                let path = dir.path().join(i.to_string());
                fs::create_dir(&path).unwrap();
                NewMember {
                    path,
                    label: format!("disk{i}"),
                    spare: i >= actives,
                }
            })
            .collect();
        let pool = Pool::create(&members, redundancy.parse().unwrap()).unwrap();
        Self {
            dir,
            disks: actives + spares,
            pool: Some(pool),
        }
    }

    pub fn pool(&self) -> &Pool {
        self.pool.as_ref().unwrap()
    }

    pub fn disk(&self, i: usize) -> PathBuf {
        self.dir.path().join(i.to_string())
    }

    pub fn disks(&self) -> Vec<PathBuf> {
        (0..self.disks).map(|i| self.disk(i)).collect()
    }

    /// An empty folder that may become the next disk.
    pub fn fresh(&mut self, spare: bool) -> NewMember {
        let path = self.disk(self.disks);
        fs::create_dir(&path).unwrap();
        self.disks += 1;
        NewMember {
            path,
            label: format!("disk{}", self.disks - 1),
            spare,
        }
    }

    /// Puts everything in order as fast as can be.
    pub fn settle(&self) -> SettleReport {
        let progress = Progress::default();
        self.pool().settle(&Pace::new(&progress, 0)).unwrap()
    }

    /// Everything is read back right and lacks nothing.
    pub fn all_well(&self, objects: &[(Name, Vec<u8>)]) {
        for (name, bytes) in objects {
            assert!(&self.pool().get(name).unwrap() == bytes, "{name}");
            let health = self.pool().check(name, false).unwrap();
            assert_eq!(health, Health::default(), "{name}");
        }
    }

    pub fn reopen(&mut self) {
        self.pool = None;
        self.pool = Some(Pool::open(&self.disks(), None).unwrap());
    }

    /// Takes a disk away, as the kernel does when it is pulled out.
    pub fn pull(&self, i: usize) {
        fs::rename(self.disk(i), self.dir.path().join(format!("pulled{i}"))).unwrap();
        fs::create_dir(self.disk(i)).unwrap();
    }

    /// Puts it back and lets the pool look.
    pub fn plug(&self, i: usize) {
        fs::remove_dir(self.disk(i)).unwrap();
        fs::rename(self.dir.path().join(format!("pulled{i}")), self.disk(i)).unwrap();
        self.pool().rescan(&self.disks()).unwrap();
    }

    /// Every shard file under a disk's folder.
    pub fn shards(&self, i: usize) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.disk(i).join("objects"), &mut found);
        found
    }
}

pub fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}

pub fn put(pool: &Pool, seed: u64, len: usize) -> (Name, Vec<u8>) {
    let bytes = noise(seed, len);
    let name = segment(&bytes);
    pool.put(&name, &bytes).unwrap();
    (name, bytes)
}

/// A small file system of its own, for a disk that gets full.
pub struct Mounted(pub PathBuf);

impl Mounted {
    pub fn new(path: &Path, bytes: u64) -> Self {
        fs::create_dir_all(path).unwrap();
        let ok = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(path)
            .status()
            .expect("mount runs (root is needed)")
            .success();
        assert!(ok, "cannot mount a tmpfs; these tests need root");
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

pub fn mounted_pool(dir: &TempDir, redundancy: &str, sizes: &[u64]) -> (Vec<Mounted>, Pool) {
    let mounts: Vec<Mounted> = sizes
        .iter()
        .enumerate()
        .map(|(i, size)| Mounted::new(&dir.path().join(i.to_string()), *size))
        .collect();
    let members: Vec<NewMember> = mounts
        .iter()
        .enumerate()
        .map(|(i, m)| NewMember {
            path: m.0.clone(),
            label: format!("disk{i}"),
            spare: false,
        })
        .collect();
    let pool = Pool::create(&members, redundancy.parse().unwrap()).unwrap();
    (mounts, pool)
}

pub fn temps(mounts: &[Mounted]) -> usize {
    let count = |m: &Mounted| fs::read_dir(m.0.join("tmp")).unwrap().count();
    mounts.iter().map(count).sum()
}

pub fn run(program: &str, args: &[&str]) {
    let status = std::process::Command::new(program).args(args).status();
    let status = status.unwrap_or_else(|e| panic!("{program} is needed: {e}"));
    assert!(status.success(), "{program} {args:?}");
}

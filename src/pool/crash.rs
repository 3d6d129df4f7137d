//! The power is cut before every single change that adding, retiring, replacing,
//! reshaping and settling make on the members. After each cut everything can
//! be read, with as many members lost as before, and settling ends the work.
#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use super::fuse::Fuse;
use super::open::How;
use super::{NewMember, Pace, Pool, PoolState};
use crate::engine::Progress;
use crate::engine::storage::{Health, Name, Storage};

type Objects = Vec<(Name, Vec<u8>)>;

/// A pool, and what is done to it.
struct Story {
    name: &'static str,
    redundancy: &'static str,
    disks: usize,
    /// The first disk is away.
    missing: bool,
    /// Members that may be lost at any moment.
    may_lose: usize,
    work: fn(&Pool, &Path) -> crate::engine::Result<()>,
}

fn new_member(folder: &Path) -> NewMember {
    NewMember {
        path: folder.join("new"),
        label: "new".into(),
        spare: false,
    }
}

fn settle(pool: &Pool) -> crate::engine::Result<()> {
    let progress = Progress::default();
    pool.settle(&Pace::new(&progress, 0)).map(|_| ())
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0u8; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    out
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Every folder that may be a member.
fn folders(at: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(at).unwrap().map(|e| e.unwrap().path());
    all.filter(|p| !p.ends_with("away")).collect()
}

fn begin(story: &Story, at: &Path) -> Objects {
    fs::create_dir_all(at.join("new")).unwrap();
    let members: Vec<NewMember> = (0..story.disks)
        .map(|i| {
            let path = at.join(i.to_string());
            fs::create_dir(&path).unwrap();
            NewMember {
                path,
                label: format!("disk{i}"),
                spare: false,
            }
        })
        .collect();
    let pool = Pool::create(&members, story.redundancy.parse().unwrap()).unwrap();
    let mut objects: Objects = [70_000, 200_000, 66_000, 300]
        .iter()
        .zip(0..)
        .map(|(len, seed)| noise(seed, *len))
        .map(|bytes| (Name::Segment(*blake3::hash(&bytes).as_bytes()), bytes))
        .collect();
    objects.push((Name::Snapshot([7; 16]), noise(77, 500)));
    objects.push((Name::Header, noise(78, 500)));
    for (name, bytes) in &objects {
        pool.put(name, bytes).unwrap();
    }
    pool.sync().unwrap();
    drop(pool);
    if story.missing {
        fs::rename(at.join("0"), at.join("away")).unwrap();
    }
    objects
}

fn reads(folders: &[PathBuf], objects: &Objects, what: &str) {
    let pool = Pool::open_read_only(folders, None)
        .unwrap_or_else(|e| panic!("{what}: cannot be opened: {e}"));
    for (name, bytes) in objects {
        let read = pool.get(name);
        assert!(
            read.as_ref().is_ok_and(|r| r == bytes),
            "{what}: {name}: {read:.80?}"
        );
    }
}

fn every_cut(story: &Story) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let template = dir.path().join("template");
    let objects = begin(story, &template);
    let all = std::env::var_os("COLCA_TORTURE").is_some();
    for cut in (0..).step_by(if all { 1 } else { 4 }) {
        let at = dir.path().join(cut.to_string());
        copy(&template, &at);
        let what = format!("{} cut at {cut}", story.name);
        let how = How {
            fuse: Fuse::after(cut),
            ..How::default()
        };
        let done = match Pool::open_so(&folders(&at), None, &how) {
            Ok(pool) => (story.work)(&pool, &at).is_ok() && how.fuse.left() > 0,
            Err(_) => false,
        };
        // The power is back. First without anybody touching anything.
        let all = folders(&at);
        reads(&all, &objects, &what);
        if story.may_lose > 0 {
            for lost in &all {
                let rest: Vec<PathBuf> = all.iter().filter(|f| *f != lost).cloned().collect();
                reads(&rest, &objects, &format!("{what}, {} lost", lost.display()));
            }
        }
        // Then the work is asked for again, and done.
        let pool = Pool::open(&all, None).unwrap();
        let again = (story.work)(&pool, &at);
        assert!(again.is_ok() || done, "{what}: {again:?}");
        settle(&pool).unwrap();
        for (name, bytes) in &objects {
            assert!(&pool.get(name).unwrap() == bytes, "{what}: {name}");
            assert_eq!(
                pool.check(name, false).unwrap(),
                Health::default(),
                "{what}: {name}"
            );
        }
        assert_eq!(pool.status().state, PoolState::Ok, "{what}");
        drop(pool);
        fs::remove_dir_all(&at).unwrap();
        if done {
            return cut;
        }
    }
    0
}

/// Whether a member of this label is still in the pool.
fn has(pool: &Pool, label: &str) -> bool {
    pool.status().members.iter().any(|m| m.label == label)
}

/// Every cut with `COLCA_TORTURE`, else one in four.
fn run(story: &Story) {
    let cuts = every_cut(story);
    assert!(cuts > 10, "{}: {cuts}", story.name);
    println!("{}: power cut before each of {cuts} changes", story.name);
}

#[test]
fn adding_a_disk() {
    run(&Story {
        name: "add",
        redundancy: "2+1",
        disks: 3,
        missing: false,
        may_lose: 1,
        work: |pool, at| {
            if !has(pool, "new") {
                pool.add(&[new_member(at)])?;
            }
            settle(pool)
        },
    });
}

#[test]
fn retiring_a_disk() {
    run(&Story {
        name: "retire",
        redundancy: "1+1",
        disks: 3,
        missing: false,
        may_lose: 1,
        work: |pool, _| {
            if has(pool, "disk0") {
                pool.retire("disk0")?;
                settle(pool)?;
                pool.remove("disk0", false)?;
            }
            settle(pool)
        },
    });
}

#[test]
fn replacing_a_disk() {
    run(&Story {
        name: "replace",
        redundancy: "2+1",
        disks: 3,
        missing: false,
        may_lose: 1,
        work: |pool, at| {
            if !has(pool, "new") {
                pool.replace("disk0", &new_member(at))?;
            }
            settle(pool)
        },
    });
}

#[test]
fn replacing_a_missing_disk() {
    run(&Story {
        name: "replace a missing one",
        redundancy: "2+1",
        disks: 3,
        missing: true,
        may_lose: 0,
        work: |pool, at| {
            if !has(pool, "new") {
                pool.replace("disk0", &new_member(at))?;
            }
            settle(pool)
        },
    });
}

#[test]
fn from_mirrors_to_parity() {
    run(&Story {
        name: "1+1 to 2+1",
        redundancy: "1+1",
        disks: 3,
        missing: false,
        may_lose: 1,
        work: |pool, _| {
            pool.set_redundancy("2+1".parse()?)?;
            settle(pool)
        },
    });
}

#[test]
fn from_parity_to_mirrors() {
    run(&Story {
        name: "2+1 to 1+1",
        redundancy: "2+1",
        disks: 3,
        missing: false,
        may_lose: 1,
        work: |pool, _| {
            pool.set_redundancy("1+1".parse()?)?;
            settle(pool)
        },
    });
}

#[test]
fn from_parity_to_three_copies() {
    run(&Story {
        name: "2+1 to 1+2",
        redundancy: "2+1",
        disks: 4,
        missing: false,
        may_lose: 1,
        work: |pool, _| {
            pool.set_redundancy("1+2".parse()?)?;
            settle(pool)
        },
    });
}

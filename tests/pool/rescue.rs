//! Reading a pool without ever writing to its disks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use colca::engine::Kind;
use colca::engine::storage::{Class, Name, Storage};
use colca::pool::Pool;

use super::lab::{Lab, collect, put, run};

/// Every file with its bytes and the time of its last change.
fn picture(lab: &Lab) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut files = Vec::new();
    for disk in lab.disks() {
        collect(&disk, &mut files);
    }
    let time = |f: &Path| fs::metadata(f).unwrap().modified().unwrap();
    let with = |f: PathBuf| (f.clone(), (fs::read(&f).unwrap(), time(&f)));
    files.into_iter().map(with).collect()
}

#[test]
fn read_only_reads_everything_and_changes_nothing() {
    let mut lab = Lab::new("2+1", 4, 1);
    let mut objects: Vec<_> = (0..8).map(|i| put(lab.pool(), i, 150_000)).collect();
    objects.push(put(lab.pool(), 50, 200));
    lab.pool().put(&Name::Header, b"header").unwrap();
    lab.pull(3);
    let deleted = objects.remove(0);
    lab.pool().delete(&deleted.0).unwrap();
    lab.pool().put(&Name::Header, b"newer header").unwrap();
    lab.pool = None;
    // It all comes back damaged, in another order, with one disk away and one
    // that has not heard of anything.
    fs::remove_dir(lab.disk(3)).unwrap();
    fs::rename(lab.dir.path().join("pulled3"), lab.disk(3)).unwrap();
    fs::write(lab.disk(1).join("tmp/leftover"), b"half").unwrap();
    let bad = lab.shards(1)[2].clone();
    let mut bytes = fs::read(&bad).unwrap();
    bytes[500] ^= 1;
    fs::write(&bad, bytes).unwrap();
    let before = picture(&lab);
    let mut order = lab.disks();
    order.reverse();
    let pool = Pool::open_read_only(&order, None).unwrap();
    for (name, bytes) in &objects {
        assert!(&pool.get(name).unwrap() == bytes);
        assert!(pool.check(name, true).is_ok());
        assert!(pool.get_sealed(name, 10, 50).unwrap() == bytes[10..60]);
    }
    assert_eq!(pool.get(&Name::Header).unwrap(), b"newer header");
    assert_eq!(pool.get(&deleted.0).unwrap_err().kind(), Kind::Missing);
    assert_eq!(pool.list(Class::Segments).unwrap().len(), objects.len());
    for refused in [
        pool.put(&Name::Snapshot([1; 16]), b"x"),
        pool.delete(&objects[0].0),
        pool.retire("disk0"),
        pool.set_redundancy("1+1".parse().unwrap()),
    ] {
        assert_eq!(refused.unwrap_err().kind(), Kind::Refused);
    }
    assert!(pool.status().members.len() == 5);
    drop(pool);
    assert!(picture(&lab) == before, "nothing was written");
    // As many disks as may be lost.
    let pool = Pool::open_read_only(&order[1..], None).unwrap();
    for (name, bytes) in &objects {
        assert!(&pool.get(name).unwrap() == bytes);
    }
}

#[test]
fn it_reads_from_disks_that_are_mounted_read_only() {
    let dir = tempfile::TempDir::new().unwrap();
    let (mounts, pool) = super::lab::mounted_pool(&dir, "1+1", &[16 << 20; 2]);
    let (name, bytes) = put(&pool, 1, 200_000);
    drop(pool);
    for mount in &mounts {
        run("mount", &["-o", "remount,ro", mount.0.to_str().unwrap()]);
    }
    let paths: Vec<PathBuf> = mounts.iter().map(|m| m.0.clone()).collect();
    let pool = Pool::open_read_only(&paths, None).unwrap();
    assert!(pool.get(&name).unwrap() == bytes);
    assert_eq!(pool.list(Class::Segments).unwrap(), [(name, 200_000)]);
}

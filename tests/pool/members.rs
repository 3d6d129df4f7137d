//! Disks that go, come back, move, and get full.

use std::fs;

use colca::engine::Kind;
use colca::engine::storage::{Class, Health, Name, Storage};
use colca::pool::{MemberState, NewMember, Pool, PoolState};
use tempfile::TempDir;

use super::conformance::{noise, segment};
use super::lab::{Lab, Mounted, mounted_pool, put, run, temps};

#[test]
fn lost_members_are_made_up_for() {
    for (redundancy, disks, may_fail) in [("1+1", 2, 1), ("2+1", 3, 1), ("4+2", 6, 2)] {
        let lab = Lab::new(redundancy, disks, 0);
        let objects: Vec<_> = [10, 65_536, 700_001, 5 << 20]
            .into_iter()
            .map(|len| put(lab.pool(), len as u64, len))
            .collect();
        for first in 0..disks {
            let gone: Vec<usize> = (0..may_fail).map(|i| (first + i) % disks).collect();
            for i in &gone {
                lab.pull(*i);
            }
            for (name, bytes) in &objects {
                assert!(&lab.pool().get(name).unwrap() == bytes);
                let end = bytes.len() as u64 - 5;
                assert!(lab.pool().get_range(name, end, 5).unwrap() == bytes[bytes.len() - 5..]);
            }
            assert_eq!(lab.pool().status().state, PoolState::Degraded);
            for i in &gone {
                lab.plug(*i);
            }
            assert_eq!(lab.pool().status().state, PoolState::Ok);
        }
    }
}

#[test]
fn more_lost_members_than_parity_are_named() {
    let mut lab = Lab::new("2+1", 3, 0);
    let (name, bytes) = put(lab.pool(), 5, 300_000);
    let small = put(lab.pool(), 6, 300);
    lab.pull(0);
    lab.pull(2);
    let e = lab.pool().get(&name).unwrap_err();
    assert_eq!(e.kind(), Kind::Missing);
    assert!(
        e.to_string().contains("disk0") && e.to_string().contains("disk2"),
        "{e}"
    );
    // Copies are on every member.
    assert!(lab.pool().get(&small.0).unwrap() == small.1);
    assert_eq!(lab.pool().status().state, PoolState::Failed);
    let e = lab.pool().complete().unwrap_err();
    assert!(e.to_string().contains("disk0, disk2"), "{e}");
    assert!(
        lab.pool()
            .list(Class::Segments)
            .unwrap()
            .iter()
            .any(|(n, _)| *n == name)
    );
    let e = lab.pool().put(&segment(b"new"), b"new").unwrap_err();
    assert_eq!(e.kind(), Kind::Missing, "{e}");
    lab.pool = None;
    let Err(e) = Pool::open(&lab.disks(), None) else {
        panic!("opened with one of three members");
    };
    assert_eq!(e.kind(), Kind::Missing);
    assert!(
        e.to_string().contains("disk0") && e.to_string().contains("disk2"),
        "{e}"
    );
    for i in [0, 2] {
        fs::remove_dir(lab.disk(i)).unwrap();
        fs::rename(lab.dir.path().join(format!("pulled{i}")), lab.disk(i)).unwrap();
    }
    lab.reopen();
    assert!(lab.pool().get(&name).unwrap() == bytes);
    lab.pool().complete().unwrap();
}

#[test]
fn a_spare_takes_the_place_of_a_missing_member() {
    let mut lab = Lab::new("2+1", 3, 1);
    let before = put(lab.pool(), 1, 500_000);
    assert!(lab.shards(3).is_empty(), "a spare holds nothing");
    assert_eq!(lab.pool().status().members[3].state, MemberState::Spare);
    lab.pull(1);
    let after = put(lab.pool(), 2, 500_000);
    assert_eq!(
        lab.pool().check(&after.0, false).unwrap(),
        Health::default()
    );
    let status = lab.pool().status();
    assert_eq!(status.members[3].state, MemberState::Online);
    assert_eq!(status.members[1].state, MemberState::Missing);
    assert_eq!(status.state, PoolState::Degraded);
    // What was written before is rebuilt onto it, and then another may fail.
    let seen = lab.pool().check(&before.0, true).unwrap();
    assert_eq!(
        seen,
        Health {
            missing: 1,
            corrupt: 0,
            repaired: 1
        }
    );
    lab.reopen();
    lab.pull(0);
    for (name, bytes) in [&before, &after] {
        assert!(&lab.pool().get(name).unwrap() == bytes);
    }
    lab.plug(0);
    lab.plug(1);
    assert_eq!(lab.pool().status().state, PoolState::Ok);
    for (name, bytes) in [&before, &after] {
        assert!(&lab.pool().get(name).unwrap() == bytes);
        assert_eq!(lab.pool().check(name, true).unwrap(), Health::default());
    }
}

#[test]
fn a_returning_member_brings_nothing_back_to_life() {
    for redundancy in ["1+1", "2+1"] {
        let mut lab = Lab::new(redundancy, 3, 0);
        let kept = put(lab.pool(), 1, 200_000);
        let deleted = put(lab.pool(), 2, 200_000);
        let snapshot = Name::Snapshot([9; 16]);
        lab.pool().put(&snapshot, b"a snapshot record").unwrap();
        lab.pool().put(&Name::Header, b"the old header").unwrap();
        lab.pool().sync().unwrap();
        lab.pull(2);
        lab.pool().delete(&deleted.0).unwrap();
        lab.pool().delete(&snapshot).unwrap();
        lab.pool().put(&Name::Header, b"the new header").unwrap();
        let new = put(lab.pool(), 3, 200_000);
        let again = Name::Snapshot([8; 16]);
        lab.pool().put(&again, b"first").unwrap();
        lab.pool().delete(&again).unwrap();
        lab.pool().put(&again, b"again").unwrap();
        lab.pool().sync().unwrap();
        // The box restarts while the member is away, then it comes back.
        lab.reopen();
        assert_eq!(lab.pool().status().state, PoolState::Degraded);
        lab.plug(2);
        assert_eq!(lab.pool().status().state, PoolState::Ok);
        for gone in [&deleted.0, &snapshot] {
            assert_eq!(lab.pool().get(gone).unwrap_err().kind(), Kind::Missing);
        }
        assert_eq!(lab.pool().list(Class::Snapshots).unwrap(), vec![(again, 5)]);
        assert_eq!(lab.pool().list(Class::Segments).unwrap().len(), 2);
        assert_eq!(lab.pool().get(&Name::Header).unwrap(), b"the new header");
        assert_eq!(lab.pool().get(&again).unwrap(), b"again");
        for (name, bytes) in [&kept, &new] {
            assert!(&lab.pool().get(name).unwrap() == bytes);
        }
        // Nothing of the deleted is left, and the notes about it are gone.
        for disk in 0..3 {
            for file in lab.shards(disk) {
                let name = file.file_name().unwrap().to_str().unwrap().to_owned();
                assert!(
                    !deleted
                        .0
                        .to_string()
                        .contains(name.split('.').next().unwrap())
                );
            }
            assert_eq!(
                fs::read_dir(lab.disk(disk).join("deleted"))
                    .unwrap()
                    .count(),
                0
            );
        }
        // Reading the header repaired its stale copy: any member alone has the new one.
        let copies: Vec<Vec<u8>> = (0..3)
            .map(|i| fs::read(lab.disk(i).join("objects/header")).unwrap())
            .collect();
        for copy in copies {
            assert!(copy.ends_with(b"the new header"));
        }
    }
}

#[test]
fn an_unmounted_member_is_missed_at_once() {
    let dir = TempDir::new().unwrap();
    let (mut mounts, pool) = mounted_pool(&dir, "2+1", &[16 << 20; 4]);
    let before = put(&pool, 1, 300_000);
    let path = mounts[1].0.clone();
    drop(mounts.remove(1));
    // The mount point is an empty folder of the disk below now.
    let after = put(&pool, 2, 300_000);
    for i in 3..30 {
        put(&pool, i, 100_000);
    }
    assert_eq!(
        fs::read_dir(&path).unwrap().count(),
        0,
        "nothing is written below"
    );
    let status = pool.status();
    assert_eq!(status.members[1].state, MemberState::Missing);
    assert_eq!(status.members[1].path, None);
    assert!(status.members[1].total > 0);
    assert_eq!(status.state, PoolState::Degraded);
    pool.sync().unwrap();
    for (name, bytes) in [&before, &after] {
        assert!(&pool.get(name).unwrap() == bytes);
    }
}

#[test]
fn a_dying_disk_is_missed_at_once_and_made_whole_again() {
    // One member on a real XFS, which the kernel shuts down as it does when
    // the disk below is gone: every access fails with EIO.
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("xfs.img");
    fs::File::create(&image)
        .unwrap()
        .set_len(400 << 20)
        .unwrap();
    let image = image.to_str().unwrap();
    run("mkfs.xfs", &["-q", image]);
    let path = dir.path().join("xfs");
    fs::create_dir(&path).unwrap();
    let disk = &path.display().to_string();
    run("mount", &["-o", "loop", image, disk]);
    let mounted = Mounted(path.clone());
    let mut members: Vec<NewMember> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            NewMember {
                path,
                label: name.into(),
                spare: false,
            }
        })
        .collect();
    members.push(NewMember {
        path: path.clone(),
        label: "WD-1234".into(),
        spare: false,
    });
    let pool = Pool::create(&members, "2+1".parse().unwrap()).unwrap();
    let before = put(&pool, 1, 3 << 20);
    pool.sync().unwrap();

    run("xfs_io", &["-x", "-c", "shutdown", disk]);
    // The first to touch it, a writer, goes on without it.
    let during = put(&pool, 2, 3 << 20);
    let status = pool.status();
    assert_eq!(status.members[2].state, MemberState::Missing);
    assert_eq!(status.state, PoolState::Degraded);
    pool.sync().unwrap();
    for (name, bytes) in [&before, &during] {
        assert!(&pool.get(name).unwrap() == bytes);
    }
    assert_eq!(pool.check(&during.0, true).unwrap().missing, 1);

    // The disk is plugged in again.
    drop(mounted);
    run("mount", &["-o", "loop", image, disk]);
    let mounted = Mounted(path);
    pool.rescan(std::slice::from_ref(&mounted.0)).unwrap();
    assert_eq!(pool.status().state, PoolState::Ok);
    let seen = pool.check(&during.0, true).unwrap();
    assert_eq!(
        seen,
        Health {
            missing: 1,
            corrupt: 0,
            repaired: 1
        }
    );
    assert_eq!(pool.check(&before.0, true).unwrap(), Health::default());

    // It dies again; this time a reader finds out.
    run("xfs_io", &["-x", "-c", "shutdown", disk]);
    for (name, bytes) in [&before, &during] {
        assert!(&pool.get(name).unwrap() == bytes);
    }
    assert_eq!(pool.status().members[2].state, MemberState::Missing);
    // And between a write and its sync: the write is safe without it.
    drop(mounted);
    run("mount", &["-o", "loop", image, disk]);
    let mounted = Mounted(dir.path().join("xfs"));
    pool.rescan(std::slice::from_ref(&mounted.0)).unwrap();
    let last = put(&pool, 3, 1 << 20);
    run("xfs_io", &["-x", "-c", "shutdown", disk]);
    pool.sync().unwrap();
    assert!(pool.get(&last.0).unwrap() == last.1);
    assert_eq!(pool.status().state, PoolState::Degraded);
    // Written with nothing to spare, losing one more before the sync is an error.
    let thin = put(&pool, 4, 1 << 20);
    fs::rename(dir.path().join("a"), dir.path().join("a-pulled")).unwrap();
    let e = pool.sync().unwrap_err();
    assert_eq!(e.kind(), Kind::Io);
    assert!(e.to_string().contains('a'), "{e}");
    assert_eq!(pool.sync().unwrap_err().kind(), Kind::Io, "not forgotten");
    fs::rename(dir.path().join("a-pulled"), dir.path().join("a")).unwrap();
    pool.rescan(&[dir.path().join("a")]).unwrap();
    pool.sync().unwrap();
    assert!(pool.get(&thin.0).unwrap() == thin.1);
}

#[test]
fn members_are_found_at_other_paths() {
    let mut lab = Lab::new("2+1", 3, 0);
    let (name, bytes) = put(lab.pool(), 1, 200_000);
    lab.pool = None;
    fs::rename(lab.disk(0), lab.dir.path().join("x")).unwrap();
    fs::rename(lab.disk(2), lab.disk(0)).unwrap();
    fs::rename(lab.dir.path().join("x"), lab.disk(2)).unwrap();
    lab.reopen();
    assert!(lab.pool().get(&name).unwrap() == bytes);
    // And while open: moved away, then found again elsewhere.
    let elsewhere = lab.dir.path().join("elsewhere");
    fs::rename(lab.disk(1), &elsewhere).unwrap();
    lab.pool().rescan(&lab.disks()).unwrap();
    assert_eq!(lab.pool().status().state, PoolState::Degraded);
    lab.pool().rescan(std::slice::from_ref(&elsewhere)).unwrap();
    let status = lab.pool().status();
    assert_eq!(status.state, PoolState::Ok);
    assert!(
        status
            .members
            .iter()
            .any(|m| m.path.as_deref() == Some(&elsewhere))
    );
    assert!(lab.pool().get(&name).unwrap() == bytes);
}

#[test]
fn a_full_pool_says_so_and_loses_nothing() {
    const MIB: u64 = 1 << 20;
    for (redundancy, sizes) in [
        ("2+1", vec![8 * MIB, 8 * MIB, 8 * MIB]),
        ("1+1", vec![24 * MIB, 8 * MIB, 8 * MIB]),
        ("2+1", vec![8 * MIB, 8 * MIB, 4 * MIB, 4 * MIB]),
    ] {
        let dir = TempDir::new().unwrap();
        let (mounts, pool) = mounted_pool(&dir, redundancy, &sizes);
        let promised = pool.space().unwrap();
        let mut stored = Vec::new();
        let e = loop {
            let bytes = noise(stored.len() as u64, 500_000);
            let name = segment(&bytes);
            match pool.put(&name, &bytes) {
                Ok(()) => stored.push((name, bytes)),
                Err(e) => break e,
            }
            assert!(stored.len() < 200);
        };
        assert_eq!(e.kind(), Kind::Full, "{e}");
        assert!(e.to_string().contains("disk"), "{e}");
        assert_eq!(temps(&mounts), 0, "nothing is left behind");
        assert_eq!(pool.list(Class::Segments).unwrap().len(), stored.len());
        for (name, bytes) in &stored {
            assert!(&pool.get(name).unwrap() == bytes);
            assert_eq!(pool.check(name, false).unwrap(), Health::default());
        }
        assert_eq!(pool.status().state, PoolState::Ok);
        // What was promised fits, but for what is lost to whole pages and folders.
        let bytes = stored.len() as u64 * 500_000;
        assert!(bytes <= promised.free, "{bytes} of {promised:?}");
        assert!(bytes * 100 >= promised.free * 80, "{bytes} of {promised:?}");
        assert!(pool.space().unwrap().free < promised.free / 5);
        // After freeing some, writing goes on.
        for (name, _) in stored.drain(..4) {
            pool.delete(&name).unwrap();
        }
        let bytes = noise(999, 500_000);
        pool.put(&segment(&bytes), &bytes).unwrap();
        pool.sync().unwrap();
        drop(pool);
    }
}

//! Members that come and go for good, and what is put in order after.

use std::fs;
use std::time::Duration;

use colca::engine::storage::{Class, Name, Storage};
use colca::engine::{Kind, Progress};
use colca::pool::{MemberState, Pace, Pool, PoolState};

use super::conformance::{noise, segment};
use super::lab::{Lab, put};

/// Small and large segments, a snapshot record, a header.
fn fill(pool: &Pool, seed: u64, count: u64) -> Vec<(Name, Vec<u8>)> {
    let mut objects: Vec<_> = (0..count)
        .map(|i| put(pool, seed + i, 70_000 + (i as usize * 40_013) % 300_000))
        .collect();
    objects.push(put(pool, seed + 1_000, 300));
    let id = u8::try_from(seed % 251).unwrap();
    objects.push((Name::Snapshot([id; 16]), noise(seed, 400)));
    objects.push((Name::Header, noise(seed + 1, 500)));
    for (name, bytes) in &objects[objects.len() - 2..] {
        pool.put(name, bytes).unwrap();
    }
    pool.sync().unwrap();
    objects
}

fn bytes_on(lab: &Lab, disk: usize) -> u64 {
    let files = lab.shards(disk).into_iter();
    files.map(|f| fs::metadata(f).unwrap().len()).sum()
}

#[test]
fn added_disks_take_their_share_and_no_more_is_moved_than_needed() {
    let mut lab = Lab::new("2+1", 3, 0);
    let objects = fill(lab.pool(), 1, 60);
    let all: u64 = (0..3).map(|i| bytes_on(&lab, i)).sum();
    let new = lab.fresh(false);
    lab.pool().add(&[new]).unwrap();
    assert_eq!(lab.pool().status().members.len(), 4);
    let report = lab.settle();
    assert_eq!(report.waiting, 0, "{report:?}");
    let share = bytes_on(&lab, 3);
    assert!(share * 4 > all / 10 * 8, "{share} of {all}");
    assert!(share * 4 < all / 10 * 12, "{share} of {all}");
    // One shard of an object, copies aside, moves once at most.
    assert!(report.moved <= 60, "{report:?}");
    lab.all_well(&objects);
    let again = lab.settle();
    assert_eq!(again.moved + again.rebuilt + again.removed, 0, "{again:?}");
    lab.reopen();
    lab.all_well(&objects);
    // Each object still lies on three different disks.
    for lost in 0..4 {
        lab.pull(lost);
        for (name, bytes) in &objects {
            assert!(&lab.pool().get(name).unwrap() == bytes);
        }
        lab.plug(lost);
    }
}

#[test]
fn a_retired_disk_is_emptied_and_can_be_taken_away() {
    for (redundancy, disks) in [("1+0", 2), ("1+1", 3), ("2+1", 4), ("4+2", 7)] {
        let mut lab = Lab::new(redundancy, disks, 0);
        let objects = fill(lab.pool(), 1, 12);
        // Not in use any more? First it has to be emptied.
        let e = lab.pool().remove("disk0", false).unwrap_err();
        assert_eq!(e.kind(), Kind::Refused);
        assert!(e.to_string().contains("retire it first"), "{e}");
        lab.pool().retire("disk0").unwrap();
        assert_eq!(lab.pool().status().members[0].state, MemberState::Retiring);
        let e = lab.pool().remove("disk0", false).unwrap_err();
        assert_eq!(e.kind(), Kind::Refused, "{e}");
        // The others are just enough: none of them can go, too.
        if disks == redundancy_width(redundancy) + 1 {
            let e = lab.pool().retire("disk1").unwrap_err();
            assert!(e.to_string().contains("needs"), "{e}");
        }
        // Nothing new goes there.
        let before = lab.shards(0).len();
        let more = put(lab.pool(), 77, 200_000);
        assert_eq!(lab.shards(0).len(), before);
        lab.reopen();
        let report = lab.settle();
        assert_eq!(report.waiting, 0, "{report:?}");
        assert_eq!(lab.shards(0).len(), 0, "{redundancy}: emptied");
        assert_eq!(lab.pool().remove("disk0", false).unwrap(), vec![]);
        let status = lab.pool().status();
        assert_eq!(status.state, PoolState::Ok);
        assert_eq!(status.members.len(), disks - 1);
        lab.all_well(&objects);
        lab.all_well(&[more]);
        lab.reopen();
        assert_eq!(lab.pool().status().members.len(), disks - 1);
        // Its folder is as good as new.
        let again = colca::pool::NewMember {
            path: lab.disk(0),
            label: "again".into(),
            spare: false,
        };
        lab.pool().add(&[again]).unwrap();
        assert_eq!(lab.pool().status().members.len(), disks);
        lab.settle();
        lab.all_well(&objects);
    }
}

fn redundancy_width(redundancy: &str) -> usize {
    redundancy
        .split('+')
        .map(|n| n.parse::<usize>().unwrap())
        .sum()
}

#[test]
fn a_missing_disk_is_given_up_when_nothing_needs_it() {
    let mut lab = Lab::new("2+1", 4, 0);
    let objects = fill(lab.pool(), 1, 12);
    lab.pull(2);
    // Two disks and the parity are left of everything, but not in three parts.
    let e = lab.pool().remove("disk2", false).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
    assert!(e.to_string().contains("lack parts"), "{e}");
    let report = lab.settle();
    assert!(report.rebuilt > 0, "{report:?}");
    lab.pool().remove("disk2", false).unwrap();
    let status = lab.pool().status();
    assert_eq!(status.state, PoolState::Ok);
    assert_eq!(status.members.len(), 3);
    lab.all_well(&objects);
    // Written after: on the three that are left.
    let later = put(lab.pool(), 500, 200_000);
    lab.pool().delete(&objects[0].0).unwrap();
    // It comes back, and is a stranger: nothing it brings counts.
    fs::remove_dir(lab.disk(2)).unwrap();
    fs::rename(lab.dir.path().join("pulled2"), lab.disk(2)).unwrap();
    lab.pool().rescan(&lab.disks()).unwrap();
    lab.reopen();
    assert_eq!(lab.pool().status().members.len(), 3);
    assert_eq!(
        lab.pool().get(&objects[0].0).unwrap_err().kind(),
        Kind::Missing
    );
    lab.all_well(&objects[1..]);
    lab.all_well(&[later]);
    // And it is not taken for an empty folder.
    let taken = colca::pool::NewMember {
        path: lab.disk(2),
        label: "x".into(),
        spare: false,
    };
    let e = lab.pool().add(&[taken]).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused, "{e}");
}

#[test]
fn what_only_a_missing_disk_has_is_named() {
    let lab = Lab::new("1+0", 3, 0);
    let objects = fill(lab.pool(), 1, 12);
    let gone: Vec<&Name> = {
        let on = |name: &Name| {
            let id = name.to_string().rsplit('/').next().unwrap().to_owned();
            let files = lab.shards(1);
            let mut names = files.iter().filter_map(|f| f.file_name()?.to_str());
            names.any(|file| file.starts_with(&id))
        };
        let large = objects.iter().filter(|(_, b)| b.len() >= 65_536);
        large.map(|(n, _)| n).filter(|n| on(n)).collect()
    };
    assert!(!gone.is_empty());
    lab.pull(1);
    // Names that are on no other member cannot be told; but the pool says so.
    let e = lab.pool().complete().unwrap_err();
    assert!(e.to_string().contains("disk1"), "{e}");
    for name in &gone {
        assert_eq!(lab.pool().get(name).unwrap_err().kind(), Kind::Missing);
    }

    // With one part of two left, the name is known.
    let lab = Lab::new("2+0", 3, 0);
    let objects = fill(lab.pool(), 1, 12);
    lab.pull(1);
    lab.settle();
    let e = lab.pool().remove("disk1", false).unwrap_err();
    assert!(e.to_string().contains("no other member has"), "{e}");
    let lost = lab.pool().remove("disk1", true).unwrap();
    assert_eq!(lab.pool().status().state, PoolState::Ok);
    for (name, bytes) in &objects {
        match lab.pool().get(name) {
            Ok(read) => assert!(read == *bytes && !lost.contains(name)),
            Err(e) => assert!(e.kind() == Kind::Corrupt && lost.contains(name), "{e}"),
        }
    }
}

#[test]
fn a_disk_is_replaced_healthy_or_missing() {
    for (redundancy, disks) in [("1+1", 2), ("2+1", 3), ("4+2", 6)] {
        for missing in [false, true] {
            let mut lab = Lab::new(redundancy, disks, 0);
            let objects = fill(lab.pool(), 1, 8);
            if missing {
                lab.pull(1);
            }
            let new = lab.fresh(false);
            lab.pool().replace("disk1", &new).unwrap();
            lab.reopen();
            let report = lab.settle();
            assert_eq!(report.gone, ["disk1"], "{report:?}");
            assert_eq!(report.waiting, 0, "{report:?}");
            let status = lab.pool().status();
            assert_eq!(status.state, PoolState::Ok, "{redundancy} {missing}");
            assert_eq!(status.members.len(), disks);
            lab.all_well(&objects);
            if missing {
                // The old one comes back: a stranger.
                lab.plug(1);
                assert_eq!(lab.pool().status().members.len(), disks);
            }
            lab.reopen();
            lab.all_well(&objects);
        }
    }
}

#[test]
fn redundancy_is_changed_while_the_pool_is_in_use() {
    for (from, to, disks) in [
        ("1+1", "2+1", 3),
        ("2+1", "1+1", 3),
        ("2+1", "4+2", 6),
        ("4+2", "2+1", 6),
        ("1+1", "1+2", 3),
        ("1+2", "1+1", 3),
        ("1+0", "8+3", 11),
    ] {
        let mut lab = Lab::new(from, disks, 0);
        let objects = fill(lab.pool(), 1, 10);
        lab.pool().set_redundancy(to.parse().unwrap()).unwrap();
        // Old and new side by side.
        let later = fill(lab.pool(), 200, 3);
        let header = later.last().unwrap().clone();
        lab.reopen();
        let seen = lab.pool().list(Class::Segments).unwrap().len();
        assert_eq!(seen, 15, "{from} to {to}");
        let report = lab.settle();
        assert_eq!(report.waiting, 0, "{from} to {to}: {report:?}");
        let again = lab.settle();
        assert_eq!(again.objects, 0, "{from} to {to}: {again:?}");
        let objects = [&objects[..objects.len() - 1], &later[..]].concat();
        lab.all_well(&objects);
        assert_eq!(lab.pool().list(Class::Segments).unwrap().len(), 15);
        // So many may be lost now.
        let parity: usize = to.split('+').nth(1).unwrap().parse().unwrap();
        for lost in 0..parity {
            lab.pull(lost);
        }
        for (name, bytes) in &objects {
            assert!(&lab.pool().get(name).unwrap() == bytes, "{from} to {to}");
        }
        for lost in 0..parity {
            lab.plug(lost);
        }
        // And back again.
        lab.pool().set_redundancy(from.parse().unwrap()).unwrap();
        lab.settle();
        lab.reopen();
        lab.all_well(&objects);
        for (name, _) in objects.iter().filter(|(name, _)| *name != header.0) {
            lab.pool().delete(name).unwrap();
        }
        for disk in 0..disks {
            assert!(
                lab.shards(disk).len() <= 1,
                "nothing is left of the deleted"
            );
        }
    }
    let lab = Lab::new("1+1", 2, 0);
    let e = lab.pool().set_redundancy("2+1".parse().unwrap());
    assert!(e.unwrap_err().to_string().contains("add 1 first"));
    assert_eq!(lab.pool().status().redundancy.to_string(), "1+1");
}

#[test]
fn a_disk_that_returns_is_caught_up() {
    let lab = Lab::new("2+1", 4, 0);
    let mut objects = fill(lab.pool(), 1, 12);
    lab.pull(3);
    for (name, _) in objects.drain(..4) {
        lab.pool().delete(&name).unwrap();
    }
    objects.pop();
    objects.extend(fill(lab.pool(), 100, 6));
    lab.plug(3);
    let report = lab.settle();
    assert_eq!(report.waiting, 0, "{report:?}");
    // Only what it lacked was written: no shard of what it had.
    let old = 8;
    assert!(report.rebuilt <= 9, "{report:?}");
    assert!(
        report.reshaped == 0 && report.objects <= old + 9,
        "{report:?}"
    );
    lab.all_well(&objects);
    for disk in 0..3 {
        lab.pull(disk);
        for (name, bytes) in &objects {
            assert!(&lab.pool().get(name).unwrap() == bytes);
        }
        lab.plug(disk);
    }
}

#[test]
fn a_settle_keeps_its_rate_is_stopped_and_goes_on() {
    let mut lab = Lab::new("2+1", 3, 0);
    let objects: Vec<_> = (0..20).map(|i| put(lab.pool(), i, 1 << 20)).collect();
    let new = lab.fresh(false);
    lab.pull(0);
    lab.pool().replace("disk0", &new).unwrap();
    let progress = Progress::default();
    let pace = Pace::new(&progress, 4 << 20);
    std::thread::scope(|scope| {
        let settling = scope.spawn(|| lab.pool().settle(&pace));
        // Meanwhile the pool is used, also for what is being rebuilt.
        for (name, bytes) in &objects {
            assert!(&lab.pool().get(name).unwrap() == bytes);
        }
        let e = lab.pool().settle(&Pace::new(&Progress::default(), 0));
        assert_eq!(e.unwrap_err().kind(), Kind::Busy);
        let during = noise(7, 500_000);
        lab.pool().put(&segment(&during), &during).unwrap();
        lab.pool().delete(&segment(&during)).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        progress.cancel();
        let e = settling.join().unwrap().unwrap_err();
        assert_eq!(e.kind(), Kind::Cancelled, "{e}");
    });
    let seen = progress.view();
    assert!(seen.files > 0 && seen.files < 20, "{seen:?}");
    assert_eq!(seen.bytes_total, 20 << 20);
    assert!(pace.time_left().unwrap() > Duration::ZERO);
    let rest = lab.settle();
    assert_eq!(rest.objects + seen.files, 20, "{rest:?} after {seen:?}");
    assert_eq!(rest.gone, ["disk0"]);
    lab.all_well(&objects);
}

#[test]
fn the_most_endangered_come_first() {
    let mut lab = Lab::new("2+2", 6, 0);
    let objects: Vec<_> = (0..30).map(|i| put(lab.pool(), i, 200_000)).collect();
    lab.pull(0);
    lab.pull(1);
    let (a, b) = (lab.fresh(false), lab.fresh(false));
    lab.pool().add(&[a, b]).unwrap();
    // How many parts are left of each, and in which order they are rebuilt.
    let left = |name: &Name| {
        let id = name.to_string().rsplit('/').next().unwrap().to_owned();
        let on = |disk: &usize| {
            lab.shards(*disk)
                .iter()
                .any(|f| f.file_name().unwrap().to_str().unwrap().starts_with(&id))
        };
        (2..6).filter(on).count()
    };
    let before: Vec<(Name, usize)> = objects.iter().map(|(n, _)| (*n, left(n))).collect();
    let thinnest: Vec<Name> = before
        .iter()
        .filter(|(_, n)| *n == 2)
        .map(|(n, _)| *n)
        .collect();
    assert!(!thinnest.is_empty() && before.iter().any(|(_, n)| *n == 3));
    let progress = Progress::default();
    let pace = Pace::new(&progress, 1_000_000);
    std::thread::scope(|scope| {
        let settling = scope.spawn(|| lab.pool().settle(&pace));
        while progress.view().files < thinnest.len() as u64 {
            std::thread::sleep(Duration::from_millis(5));
        }
        progress.cancel();
        let _ = settling.join().unwrap();
    });
    let whole = |name: &Name| lab.pool().check(name, false).unwrap().missing == 0;
    assert!(thinnest.iter().all(whole));
    let later = before
        .iter()
        .filter(|(_, n)| *n == 3)
        .filter(|(n, _)| whole(n));
    // The one under way when it was stopped, and one more.
    assert!(later.count() <= 2);
}

#[test]
fn a_pool_is_only_as_safe_as_its_oldest_objects() {
    let lab = Lab::new("1+0", 3, 0);
    let objects = fill(lab.pool(), 1, 6);
    lab.pool().set_redundancy("1+2".parse().unwrap()).unwrap();
    lab.pull(1);
    // What was stored before has no second copy yet.
    assert_eq!(lab.pool().status().state, PoolState::Failed);
    assert_eq!(lab.pool().complete().unwrap_err().kind(), Kind::Missing);
    lab.plug(1);
    assert_eq!(lab.settle().waiting, 0);
    lab.pull(1);
    lab.pull(2);
    assert_eq!(lab.pool().status().state, PoolState::Degraded);
    lab.pool().complete().unwrap();
    for (name, bytes) in &objects {
        assert!(&lab.pool().get(name).unwrap() == bytes);
    }
}

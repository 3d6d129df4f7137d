//! Bytes that change on disk.

use std::fs;
use std::path::PathBuf;

use colca::engine::Kind;
use colca::engine::storage::{Class, Health, Storage};
use colca::pool::{Pool, PoolState};

use super::lab::{Lab, put};

#[test]
fn every_flipped_byte_is_found_and_repaired_on_disk() {
    // A copy, of which every byte is tried, and shards, of which every byte
    // of header and checksums, both ends of every block, and some between.
    for (redundancy, disks, len) in [("1+1", 2, 40), ("2+1", 3, 200_000)] {
        let lab = Lab::new(redundancy, disks, 0);
        let (name, bytes) = put(lab.pool(), 1, len);
        for disk in 0..disks {
            let shard = lab.shards(disk).pop().unwrap();
            let good = fs::read(&shard).unwrap();
            let damaged = |bad: &[u8], what: &str| {
                fs::write(&shard, bad).unwrap();
                let seen = lab.pool().check(&name, false).unwrap();
                assert_eq!(seen.corrupt, 1, "{what} of disk {disk}");
                assert!(fs::read(&shard).unwrap() == bad, "a check changes nothing");
                assert!(lab.pool().get(&name).unwrap() == bytes);
                // A read repairs what it meets, a check all.
                let seen = lab.pool().check(&name, true).unwrap();
                assert_eq!(seen.corrupt, seen.repaired);
                assert!(fs::read(&shard).unwrap() == good, "{what} of disk {disk}");
                assert_eq!(lab.pool().check(&name, true).unwrap(), Health::default());
            };
            let body = if len == 40 { good.len() } else { 128 + 32 };
            let blocks = (body..good.len()).filter(|at| (at - body) % 21_845 < 2);
            for at in (0..body).chain(blocks).chain([good.len() - 1]) {
                let mut bad = good.clone();
                bad[at] ^= 0x10;
                damaged(&bad, &format!("byte {at}"));
            }
            for cut in [0, 1, 100, good.len() - 1] {
                damaged(&good[..cut], &format!("{cut} bytes"));
            }
            damaged(&[&good[..], b"more"].concat(), "a longer file");
        }
    }
}

#[test]
fn damage_in_large_objects_is_repaired_by_reading() {
    let lab = Lab::new("2+1", 3, 0);
    let (name, bytes) = put(lab.pool(), 9, (4 << 20) + 12_345);
    let files: Vec<PathBuf> = (0..3).map(|i| lab.shards(i).pop().unwrap()).collect();
    let good: Vec<Vec<u8>> = files.iter().map(|f| fs::read(f).unwrap()).collect();
    let size = good[0].len();
    // One bad block in each shard, all in different stripes: more bad shards
    // than parity, but no stripe with more than one.
    for (i, at) in [size / 5, size / 2, size - 10].into_iter().enumerate() {
        let mut bad = good[i].clone();
        bad[at] ^= 1;
        fs::write(&files[i], bad).unwrap();
    }
    assert_eq!(lab.pool().check(&name, false).unwrap().corrupt, 3);
    assert!(lab.pool().get(&name).unwrap() == bytes);
    for (file, good) in files.iter().zip(&good) {
        assert!(&fs::read(file).unwrap() == good, "repaired by reading");
    }
    assert_eq!(lab.pool().check(&name, false).unwrap(), Health::default());

    // A small read that meets damage is answered and heals too.
    // (Byte 13 is the index; only data shards are read then.)
    let data = (0..3).find(|i| good[*i][13] == 0).unwrap();
    let mut bad = good[data].clone();
    let body = 128 + 16 * 33;
    bad[body..body + 65_536].fill(0);
    fs::write(&files[data], &bad).unwrap();
    for offset in (0..bytes.len()).step_by(65_536) {
        let part = lab
            .pool()
            .get_range(&name, offset as u64, 100.min(bytes.len() - offset));
        assert!(part.unwrap() == bytes[offset..(offset + 100).min(bytes.len())]);
    }
    assert!(fs::read(&files[data]).unwrap() == good[data]);
}

#[test]
fn too_much_damage_is_an_error_not_wrong_bytes() {
    let lab = Lab::new("2+1", 3, 0);
    let (name, bytes) = put(lab.pool(), 5, 300_000);
    for disk in [0, 1] {
        let file = lab.shards(disk).pop().unwrap();
        let mut bad = fs::read(&file).unwrap();
        bad[1000] ^= 1;
        fs::write(&file, bad).unwrap();
    }
    let e = lab.pool().get(&name).unwrap_err();
    assert_eq!(e.kind(), Kind::Corrupt, "{e}");
    assert!(e.to_string().contains(&name.to_string()), "{e}");
    let e = lab.pool().check(&name, true).unwrap_err();
    assert_eq!(e.kind(), Kind::Corrupt, "{e}");
    // What is good of it can still be read.
    let tail = lab.pool().get_range(&name, 200_000, 1000).unwrap();
    assert!(tail == bytes[200_000..201_000]);
}

#[test]
fn a_sealed_read_leaves_what_is_amiss_to_the_one_that_mends() {
    for (redundancy, disks) in [("1+1", 2), ("2+1", 3)] {
        let lab = Lab::new(redundancy, disks, 0);
        let (name, bytes) = put(lab.pool(), 5, 300_000);
        let same = |from: usize, n: usize| {
            let read = lab.pool().get_sealed(&name, from as u64, n).unwrap();
            assert!(read == bytes[from..from + n], "{redundancy} {from}+{n}");
        };
        same(0, bytes.len());
        same(70_000, 200_000);
        // Cut short while they are open.
        for disk in 0..disks {
            for file in lab.shards(disk) {
                let good = fs::read(&file).unwrap();
                let cut = fs::OpenOptions::new().write(true).open(&file).unwrap();
                cut.set_len(good.len() as u64 - 100_000).unwrap();
                same(1_000, 290_000);
                lab.pool().check(&name, true).unwrap();
                assert!(fs::read(&file).unwrap() == good, "mended");
            }
        }
        same(0, bytes.len());
        lab.pull(0);
        same(100, 250_000);
        lab.pool().delete(&name).unwrap();
        let e = lab.pool().get_sealed(&name, 0, 100).unwrap_err();
        assert_eq!(e.kind(), Kind::Missing, "{e}");
    }
}

#[test]
fn leftovers_of_a_crash_are_ignored_and_cleaned() {
    let mut lab = Lab::new("2+1", 3, 0);
    let (name, bytes) = put(lab.pool(), 1, 200_000);
    let leftover = lab.disk(1).join("tmp/1234-0");
    fs::write(&leftover, b"half a shard").unwrap();
    // A write cut short between the names: one shard of three.
    let (ghost, _) = put(lab.pool(), 2, 200_000);
    for disk in [0, 2] {
        let id = ghost.to_string();
        let file = lab.shards(disk).into_iter().find(|f| {
            let name = f.file_name().unwrap().to_str().unwrap();
            id.ends_with(name.split('.').next().unwrap())
        });
        fs::remove_file(file.unwrap()).unwrap();
    }
    // Another opener's temporary files are not leftovers.
    let other = Pool::open(&lab.disks(), None).unwrap();
    assert!(leftover.exists());
    drop(other);
    lab.reopen();
    assert!(!leftover.exists());
    assert_eq!(
        lab.pool().list(Class::Segments).unwrap(),
        vec![(name, 200_000)]
    );
    assert_eq!(lab.pool().get(&ghost).unwrap_err().kind(), Kind::Corrupt);
    assert!(lab.pool().get(&name).unwrap() == bytes);
    // Writing it again makes it whole.
    let (ghost, bytes) = put(lab.pool(), 2, 200_000);
    assert!(lab.pool().get(&ghost).unwrap() == bytes);
    assert_eq!(lab.pool().check(&ghost, false).unwrap(), Health::default());
}

#[test]
fn a_damaged_identity_is_replaced_by_its_copy() {
    let mut lab = Lab::new("2+1", 3, 0);
    let id = lab.pool().id().to_owned();
    lab.pool = None;
    let file = lab.disk(1).join("member");
    let good = fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&file, bad).unwrap();
        assert_eq!(Pool::identify(&lab.disk(1)).unwrap(), Some(id.clone()));
    }
    // Both damaged: the member is missing, the pool is there.
    fs::write(lab.disk(1).join("member-copy"), b"nonsense").unwrap();
    assert_eq!(
        Pool::identify(&lab.disk(1)).unwrap_err().kind(),
        Kind::Corrupt
    );
    lab.reopen();
    assert_eq!(lab.pool().status().state, PoolState::Degraded);
    // A future version is refused, not taken for damage.
    let mut newer = good.clone();
    newer[8] = 9;
    let end = newer.len() - 32;
    let sum = blake3::hash(&newer[..end]);
    newer[end..].copy_from_slice(sum.as_bytes());
    fs::write(&file, newer).unwrap();
    let e = Pool::identify(&lab.disk(1)).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
    assert!(e.to_string().contains("version 9"), "{e}");
}

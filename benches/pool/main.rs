//! `make bench-pool`: how fast a pool is scrubbed and a lost member rebuilt,
//! as a share of what the disks themselves do one file after another. Both
//! are measured in the same run, with nothing in the page cache.
//!
//! `DISKS="A B C D"` names four empty folders on disks of their own; otherwise
//! all members are folders of one disk, which then has to do everything.

// A benchmark that cannot go on says so and ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use colca::engine::Progress;
use colca::engine::storage::{Name, Storage};
use colca::pool::{NewMember, Pace, Pool, ScrubOptions};

/// Objects in the pool, and bytes of each: about a segment.
const OBJECTS: u64 = 48;
const OBJECT: usize = 32 << 20;
const ROUNDS: usize = 3;
/// Rates are printed in MB, 10⁶ bytes, a second.
const MB: f64 = 1e6;

fn main() {
    let made = tempfile::Builder::new()
        .prefix("colca-bench-pool-")
        .tempdir_in(std::env::var("COLCA_BENCH_DIR").unwrap_or_else(|_| "target".into()))
        .unwrap();
    let disks: Vec<PathBuf> = match std::env::var("DISKS") {
        Ok(named) => named.split_whitespace().map(PathBuf::from).collect(),
        Err(_) => (0..4)
            .map(|n| made.path().join(format!("disk{n}")))
            .collect(),
    };
    assert_eq!(
        disks.len(),
        4,
        "three members and one to replace one of them"
    );
    for disk in &disks {
        fs::create_dir_all(disk).unwrap();
    }
    let apart = {
        let mut devices: Vec<u64> = disks
            .iter()
            .map(|d| fs::metadata(d).unwrap().dev())
            .collect();
        devices.sort_unstable();
        devices.dedup();
        devices.len() == disks.len()
    };
    println!(
        "pool 2+1, {OBJECTS} objects of {} MiB; members {}",
        OBJECT >> 20,
        if apart {
            "on a disk each"
        } else {
            "on one disk"
        }
    );
    println!("\n| what | MB/s of shards | the disks' own | share | goal |\n|---|--:|--:|--:|---|");
    let mut scrubs = Vec::new();
    let mut rebuilds = Vec::new();
    for _ in 0..ROUNDS {
        let (scrub, rebuild) = round(&disks, apart);
        scrubs.push(scrub);
        rebuilds.push(rebuild);
    }
    for (what, mut all) in [("scrub", scrubs), ("rebuild", rebuilds)] {
        all.sort_by(|a, b| a.share().total_cmp(&b.share()));
        let middle = &all[all.len() / 2];
        let met = if middle.share() >= 0.7 {
            "met"
        } else {
            "**not met**"
        };
        println!(
            "| {what} | {:.0} | {:.0} | {:.2} | ≥ 0.7, {met} |",
            middle.bytes / middle.took / MB,
            middle.bytes / middle.alone / MB,
            middle.share()
        );
    }
}

/// Seconds of a work on so many bytes, and what the disks need for as many.
struct Cost {
    bytes: f64,
    took: f64,
    alone: f64,
}

impl Cost {
    fn share(&self) -> f64 {
        self.alone / self.took
    }
}

fn round(disks: &[PathBuf], apart: bool) -> (Cost, Cost) {
    for disk in disks {
        empty(disk);
    }
    let new = |path: &PathBuf| NewMember {
        path: path.clone(),
        label: path.display().to_string(),
        spare: false,
    };
    let members: Vec<NewMember> = disks[..3].iter().map(new).collect();
    let pool = Pool::create(&members, "2+1".parse().unwrap()).unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..OBJECTS {
        let bytes = noise(&mut seed);
        let name = Name::Segment(*blake3::hash(&bytes).as_bytes());
        pool.put(&name, &bytes).unwrap();
    }
    pool.sync().unwrap();

    let shard = OBJECTS * OBJECT as u64 / 2;
    let read = alone(&disks[..3], shard);
    cold();
    let start = Instant::now();
    let options = ScrubOptions {
        all: true,
        ..ScrubOptions::default()
    };
    let progress = Progress::default();
    let report = pool.scrub(&options, &Pace::new(&progress, 0)).unwrap();
    assert_eq!((report.objects, report.damaged), (OBJECTS, 0));
    let scrub = Cost {
        bytes: report.bytes as f64,
        took: start.elapsed().as_secs_f64(),
        alone: read.0 * report.bytes as f64,
    };

    // A member is lost; another disk takes its place.
    empty(&disks[2]);
    drop(pool);
    let pool = Pool::open(&disks[..2], None).unwrap();
    let lost = disks[2].display().to_string();
    pool.replace(&lost, &new(&disks[3])).unwrap();
    cold();
    let start = Instant::now();
    let progress = Progress::default();
    let report = pool.settle(&Pace::new(&progress, 0)).unwrap();
    assert_eq!(
        (report.rebuilt, report.lost.len()),
        (OBJECTS, 0),
        "{report:?}"
    );
    let took = start.elapsed().as_secs_f64();
    let (reading, writing) = (read.0 * shard as f64, read.1 * shard as f64);
    let alone = match apart {
        // What all three read at once was measured; each of the two reads a third of that.
        true => (3.0 * reading).max(writing),
        false => 2.0 * reading + writing,
    };
    let bytes = 3.0 * shard as f64;
    (scrub, Cost { bytes, took, alone })
}

/// Seconds a byte that the disks need to read files of so many bytes, all at
/// once, and to write one, durably.
fn alone(disks: &[PathBuf], bytes: u64) -> (f64, f64) {
    let mut seed = 7;
    let block = noise(&mut seed);
    let write = |disk: &Path| {
        let mut file = File::create(disk.join("speed")).unwrap();
        for _ in 0..bytes / block.len() as u64 {
            file.write_all(&block).unwrap();
        }
        file.sync_all().unwrap();
    };
    let start = Instant::now();
    write(&disks[0]);
    let writing = start.elapsed().as_secs_f64() / bytes as f64;
    disks[1..].iter().for_each(|disk| write(disk));
    cold();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for disk in disks {
            scope.spawn(|| {
                let mut file = File::open(disk.join("speed")).unwrap();
                let mut buffer = vec![0; 1 << 20];
                while file.read(&mut buffer).unwrap() > 0 {}
            });
        }
    });
    let all = bytes * disks.len() as u64;
    let reading = start.elapsed().as_secs_f64() / all as f64;
    disks
        .iter()
        .for_each(|disk| fs::remove_file(disk.join("speed")).unwrap());
    (reading, writing)
}

/// Empties the page cache.
fn cold() {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").expect("emptying the page cache needs root");
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("lost+found") => {}
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
}

fn noise(seed: &mut u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OBJECT);
    while bytes.len() < OBJECT {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        bytes.extend_from_slice(&seed.to_le_bytes());
    }
    bytes
}

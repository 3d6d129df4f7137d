//! The fault campaign on folders: disks lost, swapped, exchanged and returned,
//! shards flipped, cut, zeroed and removed. After each fault everything the
//! redundancy allows is read back right, and what is lost is named exactly.
//!
//! `COLCA_TORTURE=N` makes it N times as long (`make torture`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here has failed"
)]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use colca::engine::storage::{Name, Storage};
use colca::engine::{Kind, Progress};
use colca::pool::{Pace, ScrubOptions, ScrubReport};

#[path = "harness/conformance.rs"]
mod conformance;
#[path = "pool/lab.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod lab;

use conformance::noise;
use lab::{Lab, put};

/// Redundancy and disks; with one more than needed as well.
const SHAPES: [(&str, usize); 6] = [
    ("1+1", 2),
    ("2+1", 3),
    ("4+2", 6),
    ("6+3", 9),
    ("1+1", 3),
    ("2+1", 4),
];

fn rounds() -> u64 {
    let set = std::env::var("COLCA_TORTURE").ok();
    set.and_then(|n| n.parse().ok()).unwrap_or(1).max(1)
}

fn parity(redundancy: &str) -> usize {
    redundancy.split('+').nth(1).unwrap().parse().unwrap()
}

/// Numbers that look drawn and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 += 1;
        let bytes = noise(self.0, 8);
        (u64::from_le_bytes(bytes.try_into().unwrap()) % below as u64) as usize
    }
}

type Objects = Vec<(Name, Vec<u8>)>;

fn filled(redundancy: &str, disks: usize, count: u64, seed: u64) -> (Lab, Objects) {
    let lab = Lab::new(redundancy, disks, 0);
    let mut dice = Dice(seed << 20);
    let mut objects: Objects = (0..count)
        .map(|i| put(lab.pool(), seed * 1000 + i, 65_536 + dice.roll(400_000)))
        .collect();
    objects.push(put(lab.pool(), seed * 1000 + 999, 1_000));
    objects.push((Name::Snapshot([3; 16]), noise(seed, 700)));
    objects.push((Name::Header, noise(seed + 1, 600)));
    for (name, bytes) in &objects[objects.len() - 2..] {
        lab.pool().put(name, bytes).unwrap();
    }
    lab.pool().sync().unwrap();
    (lab, objects)
}

/// What the campaign went through.
#[derive(Default)]
struct Counts {
    faults: u64,
    damaged: u64,
    healed: u64,
    read: u64,
    lost: u64,
}

impl Counts {
    fn say(&self, what: &str) {
        println!(
            "{what}: {} faults, {} shards damaged, {} healed, {} objects read back right, {} lost and named",
            self.faults, self.damaged, self.healed, self.read, self.lost
        );
    }
}

/// The id in a shard file's name, or the name of a replaced object.
fn id_of(file: &Path) -> String {
    let name = file.file_name().unwrap().to_str().unwrap();
    name.split('.').next().unwrap().to_owned()
}

fn id(name: &Name) -> String {
    name.to_string().rsplit('/').next().unwrap().to_owned()
}

/// On which disks each object has something.
fn holders(lab: &Lab, disks: usize) -> HashMap<String, BTreeSet<usize>> {
    let mut found: HashMap<String, BTreeSet<usize>> = HashMap::new();
    for disk in 0..disks {
        for file in lab.shards(disk) {
            found.entry(id_of(&file)).or_default().insert(disk);
        }
    }
    found
}

fn scrub(lab: &Lab) -> ScrubReport {
    let options = ScrubOptions {
        all: true,
        ..ScrubOptions::default()
    };
    let progress = Progress::default();
    lab.pool()
        .scrub(&options, &Pace::new(&progress, 0))
        .unwrap()
}

/// Reads everything; the names of what cannot be read, which must be told as such.
fn read_all(lab: &Lab, objects: &Objects, counts: &mut Counts) -> BTreeSet<String> {
    let mut lost = BTreeSet::new();
    for (name, bytes) in objects {
        match lab.pool().get(name) {
            Ok(read) => {
                assert!(&read == bytes, "{name}: wrong bytes");
                counts.read += 1;
            }
            Err(e) => {
                assert!(matches!(e.kind(), Kind::Corrupt | Kind::Missing), "{e}");
                assert!(e.to_string().contains(&name.to_string()), "{e}");
                lost.insert(name.to_string());
            }
        }
    }
    lost
}

#[test]
fn every_single_and_double_loss() {
    let mut counts = Counts::default();
    for round in 0..rounds() {
        for (redundancy, disks) in SHAPES {
            let (lab, objects) = filled(redundancy, disks, 10, round + 1);
            let on = holders(&lab, disks);
            let k: usize = redundancy.split('+').next().unwrap().parse().unwrap();
            for a in 0..disks {
                for b in a..disks {
                    let gone = BTreeSet::from([a, b]);
                    if disks - gone.len() < k {
                        // Such a pool does not open, and says who is missing.
                        continue;
                    }
                    for disk in &gone {
                        lab.pull(*disk);
                    }
                    let lost = read_all(&lab, &objects, &mut counts);
                    let needs = |name: &Name, bytes: &[u8]| match bytes.len() {
                        ..65_536 => 1,
                        _ if *name == Name::Header => 1,
                        _ => k,
                    };
                    let expected: BTreeSet<String> = objects
                        .iter()
                        .filter(|(name, bytes)| {
                            on[&id(name)].difference(&gone).count() < needs(name, bytes)
                        })
                        .map(|(name, _)| name.to_string())
                        .collect();
                    assert_eq!(lost, expected, "{redundancy} without {gone:?}");
                    assert!(gone.len() > parity(redundancy) || lost.is_empty());
                    counts.lost += lost.len() as u64;
                    counts.faults += 1;
                    for disk in &gone {
                        lab.plug(*disk);
                    }
                }
            }
            lab.all_well(&objects);
        }
    }
    counts.say("single and double losses");
    assert!(counts.faults > 60 && counts.lost > 0);
}

#[test]
fn disks_lost_for_good_are_replaced() {
    let mut counts = Counts::default();
    for round in 0..rounds() {
        for (redundancy, disks) in SHAPES {
            let mut dice = Dice(round * 77 + disks as u64);
            let (mut lab, objects) = filled(redundancy, disks, 8, round + 1);
            let mut gone = vec![dice.roll(disks)];
            if parity(redundancy) > 1 {
                gone.push((gone[0] + 1 + dice.roll(disks - 1)) % disks);
            }
            for disk in &gone {
                lab.pull(*disk);
                let new = lab.fresh(false);
                lab.pool().replace(&format!("disk{disk}"), &new).unwrap();
            }
            let report = lab.settle();
            assert_eq!(report.gone.len(), gone.len(), "{redundancy}: {report:?}");
            assert!(report.lost.is_empty() && report.waiting == 0, "{report:?}");
            counts.healed += report.rebuilt;
            counts.faults += gone.len() as u64;
            lab.reopen();
            assert!(read_all(&lab, &objects, &mut counts).is_empty());
            lab.all_well(&objects);
        }
    }
    counts.say("disks replaced");
}

#[test]
fn disks_swapped_exchanged_and_returned() {
    let mut counts = Counts::default();
    for round in 0..rounds() {
        for (redundancy, disks) in SHAPES {
            let mut dice = Dice(round * 99 + disks as u64);
            let (mut lab, mut objects) = filled(redundancy, disks, 8, round + 1);
            let a = dice.roll(disks);
            let b = (a + 1 + dice.roll(disks - 1)) % disks;
            // A disk of another pool in the bay of this one: it is not touched.
            let (other, theirs) = filled("1+0", 1, 3, 500 + round);
            let before = files(&other.disk(0));
            let mut other = other;
            other.pool = None;
            lab.pull(a);
            fs::remove_dir(lab.disk(a)).unwrap();
            fs::rename(other.disk(0), lab.disk(a)).unwrap();
            let id = lab.pool().id().to_owned();
            lab.pool = None;
            lab.pool = Some(colca::pool::Pool::open(&lab.disks(), Some(&id)).unwrap());
            let during = put(lab.pool(), 4_000 + round, 150_000);
            assert!(read_all(&lab, &objects, &mut counts).is_empty());
            // Changes of a week, then the right disk is back.
            for (name, _) in objects.drain(..3) {
                lab.pool().delete(&name).unwrap();
            }
            lab.pool = None;
            fs::rename(lab.disk(a), other.disk(0)).unwrap();
            assert!(files(&other.disk(0)) == before, "nothing was written there");
            other.reopen();
            other.all_well(&theirs);
            fs::create_dir(lab.disk(a)).unwrap();
            lab.reopen();
            lab.plug(a);
            objects.push(during);
            lab.settle();
            lab.all_well(&objects);
            // Two exchanged.
            lab.pool = None;
            let aside = lab.dir.path().join("aside");
            fs::rename(lab.disk(a), &aside).unwrap();
            fs::rename(lab.disk(b), lab.disk(a)).unwrap();
            fs::rename(&aside, lab.disk(b)).unwrap();
            lab.reopen();
            assert!(read_all(&lab, &objects, &mut counts).is_empty());
            lab.all_well(&objects);
            counts.faults += 3;
        }
    }
    counts.say("disks swapped, exchanged, returned");
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    lab::collect(folder, &mut found);
    found.sort();
    let read = |f: PathBuf| {
        let bytes = fs::read(&f).unwrap();
        (f.strip_prefix(folder).unwrap().to_owned(), bytes)
    };
    found.into_iter().map(read).collect()
}

#[test]
fn bits_flipped_and_shards_cut_zeroed_and_gone() {
    let mut counts = Counts::default();
    for round in 0..rounds() {
        for (redundancy, disks) in SHAPES {
            // One in a hundred, and far more.
            for share in [100, 6] {
                let mut dice = Dice(round * 1_000 + share as u64 + disks as u64 * 7);
                let (mut lab, objects) = filled(redundancy, disks, 20, round + 1);
                let shards: Vec<PathBuf> = (0..disks).flat_map(|disk| lab.shards(disk)).collect();
                let mut hit: HashMap<String, BTreeSet<PathBuf>> = HashMap::new();
                lab.pool = None;
                for _ in 0..shards.len().div_ceil(share) {
                    let file = &shards[dice.roll(shards.len())];
                    if !file.exists() {
                        continue;
                    }
                    damage(file, &mut dice);
                    hit.entry(id_of(file)).or_default().insert(file.clone());
                }
                lab.reopen();
                counts.faults += 1;
                counts.damaged += hit.values().map(|h| h.len() as u64).sum::<u64>();
                let report = scrub(&lab);
                counts.healed += report.healed;
                let lost = read_all(&lab, &objects, &mut counts);
                for (name, _) in &objects {
                    let damaged = hit.get(&id(name)).map_or(0, BTreeSet::len);
                    let may = damaged > parity(redundancy);
                    assert!(
                        may || !lost.contains(&name.to_string()),
                        "{redundancy} {name}"
                    );
                }
                // What the scrub names is what cannot be read, no more and no
                // less; names of which nothing at all is left it cannot know.
                let named: BTreeSet<String> = report.lost.iter().cloned().collect();
                assert!(named.is_subset(&lost), "{named:?} {lost:?}");
                let left = holders(&lab, disks);
                let unknown = |name: &String| {
                    Name::parse(name).is_some_and(|name| !left.contains_key(&id(&name)))
                };
                assert!(lost.difference(&named).all(unknown), "{named:?} {lost:?}");
                counts.lost += lost.len() as u64;
                // Nothing is left to be healed of what can be.
                let rest: Objects = objects
                    .into_iter()
                    .filter(|(name, _)| !lost.contains(&name.to_string()))
                    .collect();
                lab.all_well(&rest);
            }
        }
    }
    counts.say("bits flipped, shards cut, zeroed, gone");
    assert!(counts.healed > 0);
}

fn damage(file: &Path, dice: &mut Dice) {
    let mut bytes = fs::read(file).unwrap();
    let at = dice.roll(bytes.len().max(1));
    match dice.roll(4) {
        0 => fs::remove_file(file).unwrap(),
        1 => fs::write(file, &bytes[..at]).unwrap(),
        2 => fs::write(file, vec![0; bytes.len()]).unwrap(),
        _ if bytes.is_empty() => fs::remove_file(file).unwrap(),
        _ => {
            bytes[at] ^= 1 << dice.roll(8);
            fs::write(file, bytes).unwrap();
        }
    }
}

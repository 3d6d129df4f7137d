//! The chunk index at 1, 10 and 100 million chunks: `make bench-scale`, or
//! `make bench-scale SIZES="1 10"` for some sizes in millions. Chunks are made up:
//! uniform ids, 128 to 200 a segment. redb, which the index used before, runs
//! the same at up to 10 million for comparison.

// A bench fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Instant;

use colca::engine::scale::{Scale, Size};
use redb::{Database, Durability, ReadableDatabase, TableDefinition};

const LOOKUPS: u64 = 200_000;
const REDB_LARGEST: u64 = 10;

/// SplitMix64: the `n`th chunk's id, and others that are no chunk's.
fn id(n: u64) -> [u8; 32] {
    let mut out = [0; 32];
    for (i, part) in out.chunks_exact_mut(8).enumerate() {
        let mut x = (n * 4 + i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        part.copy_from_slice(&(x ^ (x >> 31)).to_le_bytes());
    }
    out
}

const ABSENT: u64 = 1 << 40;
const NAMES: u64 = 1 << 41;

/// Calls `each` with the ids of one segment after another.
fn segments(from: u64, to: u64, mut each: impl FnMut(u64, &[[u8; 32]])) {
    let mut at = from;
    while at < to {
        let n = 128 + at % 73;
        let ids: Vec<_> = (at..to.min(at + n)).map(id).collect();
        each(at, &ids);
        at += n;
    }
}

fn seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let out = work();
    (out, begun.elapsed().as_secs_f64())
}

/// Some of `n` numbers, far apart.
fn spread(n: u64) -> impl Iterator<Item = u64> {
    (0..LOOKUPS).map(move |i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % n)
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

fn rate(seconds: f64) -> f64 {
    LOOKUPS as f64 / seconds / 1e6
}

fn runs(millions: u64, folder: &Path) {
    let n = millions * 1_000_000;
    let before = resident();
    let index = Scale::open(folder).unwrap();
    let add = |from, to| {
        segments(from, to, |at, ids| index.add(id(NAMES + at), ids).unwrap());
        index.flush().unwrap();
    };
    let ((), build) = seconds(|| add(0, n));
    let ((), delta) = seconds(|| add(n, n + n / 100));
    drop(index);
    let (index, reopen) = seconds(|| Scale::open(folder).unwrap());
    let all = n + n / 100;
    // Once to have the pages that may be kept.
    spread(all).for_each(|i| assert!(index.lookup(id(i)).unwrap()));
    let ((), present) = seconds(|| spread(all).for_each(|i| assert!(index.lookup(id(i)).unwrap())));
    let ((), absent) =
        seconds(|| spread(all).for_each(|i| assert!(!index.lookup(id(ABSENT + i)).unwrap())));
    let touched = spread(all).filter(|i| index.passes(id(ABSENT + i))).count();
    let set = index.set();
    let ((), mark) =
        seconds(|| spread(all).for_each(|i| assert!(index.rely(id(i), &set).unwrap())));
    let (untouched, weigh) = seconds(|| index.untouched(&set));
    let Size {
        chunks,
        memory,
        disk,
        runs,
    } = index.size();
    assert_eq!(chunks, all);
    println!(
        "| {millions} M | runs | {build:.1} | {delta:.2} | {reopen:.2} | {:.2} | {:.2} | {:.2} % | {:.2} | {:.1} | {} | {:.2} | {weigh:.3} | {:.2} |",
        rate(present),
        rate(absent),
        100.0 * touched as f64 / LOOKUPS as f64,
        memory as f64 / all as f64,
        disk as f64 / all as f64,
        resident().saturating_sub(before) >> 20,
        rate(mark),
        set.memory() as f64 / all as f64,
    );
    eprintln!("{runs} runs, {untouched} segments without a mark");
}

fn redb(millions: u64, folder: &Path) {
    const TABLE: TableDefinition<&[u8; 32], &[u8; 24]> = TableDefinition::new("chunks");
    let n = millions * 1_000_000;
    let before = resident();
    let file = folder.join("compare.redb");
    let open = || {
        Database::builder()
            .set_cache_size(24 << 20)
            .create(&file)
            .unwrap()
    };
    let mut db = open();
    let add = |db: &Database, from, to| {
        segments(from, to, |_, ids| {
            let mut write = db.begin_write().unwrap();
            write.set_durability(Durability::None).unwrap();
            {
                let mut table = write.open_table(TABLE).unwrap();
                ids.iter().for_each(|id| {
                    table.insert(id, &[0; 24]).unwrap();
                });
            }
            write.commit().unwrap();
        });
        db.begin_write().unwrap().commit().unwrap();
    };
    let ((), build) = seconds(|| add(&db, 0, n));
    let ((), delta) = seconds(|| add(&db, n, n + n / 100));
    drop(db);
    let reopen;
    (db, reopen) = seconds(open);
    let all = n + n / 100;
    let table = db.begin_read().unwrap().open_table(TABLE).unwrap();
    let there = |i: u64| table.get(&id(i)).unwrap().is_some();
    spread(all).for_each(|i| assert!(there(i)));
    let ((), present) = seconds(|| spread(all).for_each(|i| assert!(there(i))));
    let ((), absent) = seconds(|| spread(all).for_each(|i| assert!(!there(ABSENT + i))));
    let disk = std::fs::metadata(&file).unwrap().len();
    println!(
        "| {millions} M | redb | {build:.1} | {delta:.2} | {reopen:.2} | {:.2} | {:.2} | 100 % | | {:.1} | {} | | | |",
        rate(present),
        rate(absent),
        disk as f64 / all as f64,
        resident().saturating_sub(before) >> 20,
    );
}

fn main() {
    let arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let mut sizes: Vec<u64> = arguments.map(|a| a.parse().expect("millions")).collect();
    if sizes.is_empty() {
        sizes = vec![1, 10, 100];
    }
    println!(
        "| chunks | index | build s | day's 1 % s | reopen s | present M/s | absent M/s | absent that read | memory B/chunk | disk B/chunk | RSS MiB | mark M/s | weigh s | set B/chunk |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for millions in sizes {
        // Not in /tmp, which may be memory.
        let folder = tempfile::tempdir_in("target").unwrap();
        runs(millions, folder.path());
        if millions <= REDB_LARGEST {
            redb(millions, folder.path());
        }
    }
}

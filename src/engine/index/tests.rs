//! Histories of the index against a plain map, with limits so small that every
//! merge happens, and a power cut at every step of keeping it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::Ordering;

use super::keep::Limits;
use super::steps::watch;
use super::*;
use crate::engine::format::segment::SegmentKind;

const REPOSITORY: [u8; 16] = [1; 16];

fn limits() -> Limits {
    Limits {
        memory: 400,
        small: 2000,
        resident: 3 * page::PAGE,
    }
}

fn open(state: &Path) -> Index {
    Index::open_with(state, REPOSITORY, limits()).unwrap()
}

fn id(n: u64) -> Id {
    Id(*blake3::hash(&n.to_le_bytes()).as_bytes())
}

/// A segment of these chunks, two a block.
fn segment(index: &Index, name: u64, ids: &[Id]) -> u32 {
    let header = SegmentHeader::new(SegmentKind::Data, REPOSITORY, 1).unwrap();
    let number = index.next_number();
    let blocks: Vec<_> = ids
        .chunks(2)
        .enumerate()
        .map(|(i, ids)| BlockEntry {
            offset: 100 * i as u32,
            stored: 50,
            plain: 7 * ids.len() as u32,
            chunks: ids.iter().map(|id| (*id, 7)).collect(),
        })
        .collect();
    index.add(id(name).0, header, 1000, &blocks).unwrap();
    number
}

fn all(index: &Index) -> BTreeMap<[u8; 32], Locator> {
    let mut out = BTreeMap::new();
    index
        .each(|id, place| assert!(out.insert(id.0, place).is_none()))
        .unwrap();
    out
}

/// What the index must say: the segments with their chunks, oldest first, and
/// which chunk is lost.
#[derive(Clone, Default)]
struct Model {
    segments: BTreeMap<u32, Vec<Id>>,
    lost: HashMap<Id, u32>,
    dropped: BTreeMap<u32, Vec<Id>>,
}

impl Model {
    fn check(&self, index: &Index) {
        assert_eq!(
            index.numbers(),
            self.segments.keys().copied().collect::<Vec<_>>()
        );
        let everything = all(index);
        let mut known: HashMap<Id, Vec<u32>> = HashMap::new();
        for (number, ids) in &self.segments {
            for id in ids {
                known.entry(*id).or_default().push(*number);
            }
        }
        let mut found = 0;
        for id in (0..4000).map(id) {
            // Some segment that was added after the chunk was lost, if it was.
            let after = self.lost.get(&id).copied();
            let mut holders = known.remove(&id).unwrap_or_default();
            holders.retain(|n| after.is_none_or(|a| *n >= a));
            let place = index.lookup(&id).unwrap();
            assert_eq!(everything.get(&id.0), place.as_ref());
            match place {
                // A merge keeps one place of each chunk, and that may be dropped.
                None => {
                    let last = holders.last().copied();
                    let mut gone = self.dropped.iter();
                    let excused = gone.any(|(n, ids)| Some(*n) > last && ids.contains(&id));
                    assert!(last.is_none() || excused, "{id} {holders:?}");
                }
                Some(place) => {
                    found += 1;
                    assert!(
                        holders.contains(&place.segment),
                        "{id} {place:?} {holders:?}"
                    );
                    let ids = &self.segments[&place.segment];
                    assert_eq!(ids[place.ordinal as usize], id);
                    assert_eq!(place.offset, place.ordinal / 2 * 100);
                    assert_eq!(place.at, place.ordinal % 2 * 7);
                }
            }
        }
        assert_eq!(everything.len(), found);
    }
}

/// A step of a history; numbers from `random` decide what it is.
fn act(index: &mut Option<Index>, state: &Path, model: &mut Model, random: [u8; 8]) {
    let [what, a, b, ..] = random.map(u64::from);
    let now = index.as_ref().unwrap();
    match what % 16 {
        0..8 => {
            let start = (a * 16 + b) % 4000;
            let ids: Vec<_> = (start..(start + 30 + a % 50).min(4000)).map(id).collect();
            let number = segment(now, u64::from(now.next_number()) + 1_000_000, &ids);
            model.segments.insert(number, ids);
        }
        8 => {
            let numbers: Vec<_> = model.segments.keys().copied().collect();
            let some: Vec<_> = numbers
                .into_iter()
                .filter(|n| u64::from(*n) % 7 == a % 7)
                .collect();
            now.drop_segments(&some).unwrap();
            for n in some {
                if let Some(ids) = model.segments.remove(&n) {
                    model.dropped.insert(n, ids);
                }
            }
        }
        9 => {
            let lost: Vec<_> = (0..20).map(|i| id((a * 16 + i * 3) % 4000)).collect();
            now.correct(&[], &lost).unwrap();
            let from = now.next_number();
            model.lost.extend(lost.into_iter().map(|id| (id, from)));
        }
        10..12 => now.flush().unwrap(),
        12..14 => now.tidy().unwrap(),
        14 if a < 40 => {
            now.clear().unwrap();
            model.segments.clear();
        }
        _ => {
            now.flush().unwrap();
            drop(index.take());
            *index = Some(open(state));
        }
    }
}

#[test]
fn any_history_agrees_with_a_plain_map() {
    let mut runs = 0;
    for history in 0..12u64 {
        let state = tempfile::tempdir().unwrap();
        let mut index = Some(open(state.path()));
        let mut model = Model::default();
        for step in 0..150u64 {
            let random = id(history * 1_000_003 + step * 31 + 17)
                .word(0)
                .to_le_bytes();
            act(&mut index, state.path(), &mut model, random);
            let now = index.as_ref().unwrap();
            runs = runs.max(now.state().runs.len());
            if step % 10 == 0 {
                model.check(now);
            }
        }
        let now = index.as_ref().unwrap();
        model.check(now);
        now.tidy().unwrap();
        model.check(now);
        let entries: Vec<_> = now.state().runs.iter().map(|r| r.row.entries).collect();
        for (i, n) in entries.iter().enumerate() {
            let younger: u64 = entries[i + 1..].iter().sum();
            assert!(*n >= 8 * younger, "{entries:?}");
        }
    }
    assert!(runs >= 3, "{runs}");
}

#[test]
fn ids_that_begin_alike_are_told_apart_over_many_pages() {
    let state = tempfile::tempdir().unwrap();
    let index = open(state.path());
    let like = |n: u32| {
        let mut id = [0x77; 32];
        id[28..].copy_from_slice(&n.to_be_bytes());
        Id(id)
    };
    let ids: Vec<_> = (0..390).map(|n| like(2 * n)).collect();
    segment(&index, 1, &ids);
    segment(&index, 2, &[id(1), Id([0; 32]), Id([0xff; 32])]);
    index.flush().unwrap();
    assert_eq!(index.state().runs.len(), 1);
    for n in 0..390 {
        assert_eq!(index.lookup(&like(2 * n)).unwrap().unwrap().ordinal, n);
        assert_eq!(index.lookup(&like(2 * n + 1)).unwrap(), None);
    }
    assert!(index.lookup(&Id([0; 32])).unwrap().is_some());
    assert!(index.lookup(&Id([0xff; 32])).unwrap().is_some());
    assert!(index.lookup(&id(2)).unwrap().is_none());
}

#[test]
fn absent_chunks_hardly_ever_pass_the_filter() {
    let state = tempfile::tempdir().unwrap();
    let index = Index::open(state.path(), REPOSITORY).unwrap();
    for n in 0..400 {
        let ids: Vec<_> = (n * 150..(n + 1) * 150).map(id).collect();
        segment(&index, 1_000_000 + n, &ids);
    }
    index.flush().unwrap();
    let state = index.state();
    let pass = |n: u64| state.runs.iter().any(|r| r.may_hold(&id(n)));
    assert!((0..60_000).all(pass));
    let wrong = (100_000..200_000).filter(|n| pass(*n)).count();
    assert!(wrong < 300, "{wrong}");
}

#[test]
fn a_condemned_segment_is_read_but_not_relied_on() {
    let state = tempfile::tempdir().unwrap();
    let index = open(state.path());
    let old = segment(&index, 1, &[id(1), id(2)]);
    index.flush().unwrap();
    let used = index.bits();
    let needed = |n| {
        let mut out = Vec::new();
        used.add_to(n, &mut out);
        out
    };
    assert!(index.rely(&id(1), &used).unwrap());
    assert_eq!(needed(old), [1]);
    index.condemn(&[old]);
    assert!(!index.rely(&id(2), &used).unwrap());
    assert_eq!(needed(old), [1]);
    assert!(index.lookup(&id(2)).unwrap().is_some());
    // Stored again elsewhere, the chunk can be relied on there.
    segment(&index, 2, &[id(2)]);
    assert!(index.rely(&id(2), &used).unwrap());
    index.absolve(&[old]);
    assert!(index.rely(&id(1), &used).unwrap());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// What may have become of a file that no transaction names yet, when the
/// power goes: it is there, gone, cut off, or full of zeros.
fn lose(image: &Path, named: &[PathBuf], how: usize) {
    for entry in std::fs::read_dir(image.join("chunks")).unwrap() {
        let path = entry.unwrap().path();
        if named.iter().any(|n| n.file_name() == path.file_name()) {
            continue;
        }
        let len = std::fs::metadata(&path).unwrap().len();
        match how {
            1 => std::fs::remove_file(&path).unwrap(),
            2 => std::fs::write(&path, vec![0; len as usize]).unwrap(),
            3 => std::fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(len / 2)
                .unwrap(),
            _ => {}
        }
    }
}

#[test]
fn the_power_may_go_at_every_step_of_flushing_and_merging() {
    let mut images = 0;
    for history in 0..2u64 {
        let state = tempfile::tempdir().unwrap();
        let mut index = Some(open(state.path()));
        // What the last transaction said, and what the next one is about to say.
        let mut durable = Model::default();
        let mut model = Model::default();
        for step in 0..60u64 {
            let random = id(history * 7919 + step * 13 + 5).word(1).to_le_bytes();
            if matches!(random[0] % 16, 8 | 9 | 14 | 15) {
                // These are durable by themselves in several steps.
                act(&mut index, state.path(), &mut model, random);
                index.as_ref().unwrap().flush().unwrap();
                durable = model.clone();
                continue;
            }
            if random[0] % 16 < 8 {
                act(&mut index, state.path(), &mut model, random);
                continue;
            }
            // Files that must not be touched: those that survive a power cut.
            let now = index.as_ref().unwrap();
            let synced = |r: &&Arc<Run>| r.durable.load(Ordering::Acquire);
            let state_now = now.state();
            let old: Vec<_> = state_now.runs.iter().filter(synced).collect();
            let old: Vec<_> = old
                .iter()
                .flat_map(|r| [r.files.pages.clone(), r.files.filter.clone()])
                .collect();
            drop(state_now);
            let doomed = now.work().doomed.clone();
            let old: Vec<_> = old
                .into_iter()
                .chain(doomed.into_iter().flat_map(|f| [f.pages, f.filter]))
                .collect();
            let shots = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
            let (seen, from) = (shots.clone(), state.path().to_owned());
            watch(Some(Box::new(move |what| {
                let image = tempfile::tempdir().unwrap();
                copy(&from, image.path());
                seen.borrow_mut().push((what.to_owned(), image));
            })));
            act(&mut index, state.path(), &mut model, random);
            watch(None);
            let named: Vec<_> = {
                let state = index.as_ref().unwrap().state();
                let runs = state.runs.iter();
                runs.flat_map(|r| [r.files.pages.clone(), r.files.filter.clone()])
                    .collect()
            };
            for (what, image) in shots.borrow().iter() {
                let committed =
                    what.contains("transaction is durable") || what.contains("old file");
                let keep = if committed || what.contains("runs are durable") {
                    [old.clone(), named.clone()].concat()
                } else {
                    old.clone()
                };
                for how in 0..4 {
                    let power = tempfile::tempdir().unwrap();
                    copy(image.path(), power.path());
                    lose(power.path(), &keep, how);
                    let reopened = open(power.path());
                    let expected = if committed { &model } else { &durable };
                    expected.check(&reopened);
                    images += 1;
                }
            }
            durable = model.clone();
        }
    }
    println!("{images} images of the state folder after a power cut");
    assert!(images > 200, "{images}");
}

/// Every way to damage a file that counts: the index notices at once or when it meets
/// the damage, and then starts anew; it never answers wrongly.
#[test]
fn damage_is_noticed_and_the_index_built_anew() {
    let mut cases = 0;
    for what in ["run", "filter"] {
        for how in 0..4 {
            let state = tempfile::tempdir().unwrap();
            let index = open(state.path());
            let ids: Vec<_> = (0..390).map(id).collect();
            segment(&index, 1, &ids);
            index.flush().unwrap();
            let files = index.state().runs[0].files.clone();
            drop(index);
            let path = if what == "run" {
                files.pages
            } else {
                files.filter
            };
            let mut bytes = std::fs::read(&path).unwrap();
            match how {
                0 => bytes.truncate(bytes.len() - 1),
                1 => bytes.clear(),
                2 => bytes.iter_mut().for_each(|b| *b = 0),
                _ => {
                    let at = bytes.len() / 2;
                    bytes[at] ^= 4;
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            let index = open(state.path());
            let noticed_at_opening = index.numbers().is_empty();
            if !noticed_at_opening {
                let mut damaged = 0;
                for (n, id) in ids.iter().enumerate() {
                    match index.lookup(id) {
                        Ok(place) => assert_eq!(place.unwrap().ordinal as usize, n),
                        Err(e) => {
                            assert_eq!(e.kind(), Kind::Corrupt);
                            damaged += 1;
                        }
                    }
                }
                assert!(damaged > 0, "{what} {how}");
            }
            drop(index);
            let index = open(state.path());
            assert_eq!(index.numbers(), [] as [u32; 0], "{what} {how}");
            assert_eq!(index.lookup(&ids[0]).unwrap(), None);
            // And serves again.
            segment(&index, 1, &ids);
            index.flush().unwrap();
            assert!(index.lookup(&ids[0]).unwrap().is_some());
            cases += 1;
        }
    }
    println!("{cases} kinds of damage");
}

//! Bringing a history up to date: what differs between the last snapshot read
//! in and the next one goes into the blocks it concerns; the others stay.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::block::{Facts, OPEN, Row, Rows, Version, encode};
use super::file::{Block, History, Reader, Writer};
use crate::engine::error::{Error, Kind, Result};

/// A block is written when its rows weigh this much; in this file's tests,
/// when there are a few.
const FULL: usize = if cfg!(test) { 600 } else { 96 << 10 };
/// A rewritten block of less than this takes in the one after it.
const SPARSE: usize = FULL / 4;

/// Rewrites the blocks of a history from front to back.
pub(super) struct Rewrite<'h> {
    /// Where new blocks go; its list of blocks is replaced at the end.
    out: &'h mut History,
    old: std::vec::IntoIter<Block>,
    blocks: Vec<Block>,
    /// The rest of the block that is being rewritten.
    rest: Option<std::vec::IntoIter<Row>>,
    /// Rows that are ready, and their weight.
    ready: Vec<Row>,
    weight: usize,
    /// Numbers of the snapshots that still exist.
    alive: &'h BTreeSet<u32>,
    reader: Reader,
    writer: Writer,
}

fn confused() -> Error {
    Error::new(
        Kind::Corrupt,
        "the catalogue does not agree with the snapshots; it is built anew from them",
    )
}

impl<'h> Rewrite<'h> {
    pub(super) fn new(out: &'h mut History, alive: &'h BTreeSet<u32>) -> Result<Self> {
        let old = std::mem::take(&mut out.head.blocks).into_iter();
        Ok(Self {
            out,
            old,
            blocks: Vec::new(),
            rest: None,
            ready: Vec::new(),
            weight: 0,
            alive,
            reader: Reader::new()?,
            writer: Writer::new()?,
        })
    }

    /// Notes that the entry at `key` is another one, or none, from the
    /// snapshot `number` on. Keys come in ascending order.
    pub(super) fn change(
        &mut self,
        key: &[u8],
        number: u32,
        old: Option<Facts>,
        new: Option<Facts>,
    ) -> Result<()> {
        self.seek(key)?;
        let mut row = match self.rest.as_mut().and_then(|rest| rest.as_slice().first()) {
            Some(row) if row.key == key => self.rest.as_mut().and_then(Iterator::next),
            _ => None,
        }
        .unwrap_or_else(|| Row {
            key: key.to_vec(),
            versions: Vec::new(),
        });
        let open = row.versions.last_mut().filter(|v| v.to == OPEN);
        match (open, old) {
            (Some(version), Some(old)) if version.facts == old => version.to = number,
            (None, None) => {}
            _ => return Err(confused()),
        }
        if let Some(facts) = new {
            row.versions.push(Version {
                facts,
                from: number,
                to: OPEN,
            });
        }
        self.push(row)
    }

    /// Goes to where `key` stands or would stand.
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        loop {
            let ahead = self.old.as_slice();
            let passed = ahead.partition_point(|block| block.first.0.as_slice() <= key);
            if self.rest.is_some() {
                if passed == 0 {
                    break;
                }
                self.close()?;
                continue;
            }
            // The first block also takes what comes before it.
            let last = passed.saturating_sub(1);
            self.blocks.extend(self.old.by_ref().take(last));
            self.open()?;
        }
        while let Some(row) = self.rest.as_mut().and_then(|rest| {
            let next = rest.as_slice().first()?;
            (next.key.as_slice().cmp(key) == Ordering::Less).then(|| rest.next())?
        }) {
            self.push(row)?;
        }
        Ok(())
    }

    /// Reads the next block in order to rewrite it.
    fn open(&mut self) -> Result<()> {
        let rows = match self.old.next() {
            Some(block) => {
                let parts = self.out.parts(&block, &mut self.reader)?;
                Rows::new(&parts).collect::<Result<Vec<_>>>()?
            }
            None => Vec::new(),
        };
        self.rest = Some(rows.into_iter());
        Ok(())
    }

    fn push(&mut self, mut row: Row) -> Result<()> {
        // What no snapshot has any more is dropped; what the last one read in
        // has stays, because the next one is compared with it.
        row.versions
            .retain(|v| v.to == OPEN || self.alive.range(v.from..v.to).next().is_some());
        if row.versions.is_empty() {
            return Ok(());
        }
        self.weight += row.weight();
        self.ready.push(row);
        if self.weight >= 2 * FULL {
            self.write(FULL)?;
        }
        Ok(())
    }

    /// Ends the block that is being rewritten.
    fn close(&mut self) -> Result<()> {
        for row in self.rest.take().into_iter().flatten() {
            self.push(row)?;
        }
        if self.weight < SPARSE && self.old.len() > 0 {
            return self.open();
        }
        if self.weight > FULL + FULL / 2 {
            self.write(self.weight / 2)?;
        }
        self.write(usize::MAX)
    }

    /// Writes ready rows of about that weight as a block.
    fn write(&mut self, weight: usize) -> Result<()> {
        let mut sum = 0;
        let n = self
            .ready
            .iter()
            .take_while(|row| {
                let more = sum < weight;
                sum += row.weight();
                more
            })
            .count();
        let rest = self.ready.split_off(n);
        let rows = std::mem::replace(&mut self.ready, rest);
        self.weight = self.ready.iter().map(Row::weight).sum();
        if let Some(first) = rows.first() {
            let block = self
                .out
                .put(&first.key, &encode(&rows)?, &mut self.writer)?;
            self.blocks.push(block);
        }
        Ok(())
    }

    /// Rewrites every block, so that nothing is left of snapshots that were forgotten.
    pub(super) fn sweep(&mut self) -> Result<()> {
        while self.rest.is_some() || self.old.len() > 0 {
            match self.rest {
                Some(_) => self.close()?,
                None => self.open()?,
            }
        }
        Ok(())
    }

    /// Ends; the history then consists of what was rewritten and what was not.
    pub(super) fn finish(mut self) -> Result<()> {
        while self.rest.is_some() {
            self.close()?;
        }
        self.blocks.extend(self.old);
        self.out.head.blocks = self.blocks;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::keys::{Keys, MasterKey};

    type Model = BTreeMap<Vec<u8>, Vec<Version>>;

    /// Which of 600 paths changes in a step, and to what: nothing or one of a few sizes.
    fn step() -> impl Strategy<Value = Vec<(u16, Option<u64>)>> {
        let one = (0..600u16, prop::option::weighted(0.7, 0..3u64));
        let cluster = (0..550u16, 1..50u16, prop::option::of(0..3u64))
            .prop_map(|(from, n, size)| (from..from + n).map(|k| (k, size)).collect());
        prop_oneof![prop::collection::vec(one, 0..40), cluster]
    }

    fn key(n: u16) -> Vec<u8> {
        let names = [
            format!("d{}", n / 100),
            format!("e{}", n % 3),
            format!("Name {n:03}"),
        ];
        names.join("\0").into_bytes()
    }

    fn seen(model: &Model, alive: &BTreeSet<u32>) -> Vec<(Vec<u8>, Vec<Version>)> {
        let kept = |v: &&Version| v.to == OPEN || alive.range(v.from..v.to).next().is_some();
        let rows = model.iter().map(|(key, versions)| {
            let versions: Vec<_> = versions.iter().filter(kept).copied().collect();
            (key.clone(), versions)
        });
        rows.filter(|(_, versions)| !versions.is_empty()).collect()
    }

    fn read(history: &History) -> Model {
        let mut rows = Model::new();
        let mut before: Option<Vec<u8>> = None;
        for block in &history.head.blocks {
            let parts = history.parts(block, &mut Reader::new().unwrap()).unwrap();
            let mut first = true;
            let mut weight = 0;
            for row in Rows::new(&parts) {
                let row = row.unwrap();
                assert!(
                    before.as_ref().is_none_or(|b| *b < row.key),
                    "rows are in order"
                );
                assert!(!first || block.first.0 == row.key);
                first = false;
                weight += row.weight();
                before = Some(row.key.clone());
                rows.insert(row.key, row.versions);
            }
            assert!(!first, "a block without rows");
            assert!(weight < 3 * FULL, "a block of {weight}");
        }
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
        #[test]
        fn blocks_hold_what_a_plain_map_holds(
            steps in prop::collection::vec((step(), any::<u32>()), 1..25)
        ) {
            let folder = tempfile::tempdir().unwrap();
            let keys = Keys::new(&MasterKey([3; 32]), &[]);
            let mut history = History::create(folder.path(), &keys, "n").unwrap();
            let mut model = Model::new();
            let mut alive = BTreeSet::new();
            for (number, (step, forget)) in (0u32..).zip(steps) {
                alive.retain(|n| forget >> (n % 32) & 3 != 0);
                alive.insert(number);
                let changes: BTreeMap<_, _> = step.into_iter().map(|(k, size)| (key(k), size)).collect();
                let mut next = history.writer(&keys).unwrap();
                let mut rewrite = Rewrite::new(&mut next, &alive).unwrap();
                for (key, size) in changes {
                    let versions = model.entry(key.clone()).or_default();
                    let new = size.map(|size| Facts { kind: 0, size, mtime: i64::from(number) });
                    let open = versions.last_mut().filter(|v| v.to == OPEN);
                    let old = open.as_ref().map(|v| v.facts);
                    if let Some(open) = open {
                        open.to = number;
                    }
                    versions.extend(new.map(|facts| Version { facts, from: number, to: OPEN }));
                    if old.is_some() || new.is_some() {
                        rewrite.change(&key, number, old, new).unwrap();
                    }
                }
                rewrite.finish().unwrap();
                if number % 5 == 4 {
                    let mut rewrite = Rewrite::new(&mut next, &alive).unwrap();
                    rewrite.sweep().unwrap();
                    rewrite.finish().unwrap();
                    let rows: Vec<_> = read(&next).into_iter().collect();
                    prop_assert_eq!(rows, seen(&model, &alive), "nothing else is left after a sweep");
                }
                next.commit([9; 16]).unwrap();
                history = match number % 3 {
                    0 => next,
                    _ => {
                        let head = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().path());
                        let head = head.into_iter().find(|p| p.extension().unwrap() == "head").unwrap();
                        prop_assert!(History::open(&head, [8; 16], &keys).is_err());
                        History::open(&head, [9; 16], &keys).unwrap()
                    }
                };
                let rows = read(&history);
                prop_assert_eq!(seen(&rows, &alive), seen(&model, &alive));
            }
        }
    }

    #[test]
    fn a_change_that_cannot_be_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(&MasterKey([3; 32]), &[]);
        let mut history = History::create(folder.path(), &keys, "n").unwrap();
        let alive = BTreeSet::from([0, 1]);
        let facts = |size| {
            Some(Facts {
                kind: 0,
                size,
                mtime: 0,
            })
        };
        let mut rewrite = Rewrite::new(&mut history, &alive).unwrap();
        rewrite.change(b"a", 0, None, facts(1)).unwrap();
        rewrite.finish().unwrap();
        for (key, old) in [("a", None), ("a", facts(2)), ("b", facts(1))] {
            let mut next = history.writer(&keys).unwrap();
            let mut rewrite = Rewrite::new(&mut next, &alive).unwrap();
            let e = rewrite
                .change(key.as_bytes(), 1, old, facts(3))
                .unwrap_err();
            assert_eq!(e.kind(), Kind::Corrupt);
        }
    }
}

//! Whole histories against a plain model: arbitrary edits, backups, two
//! backups at once, deletions, collections, failures, power cuts and reopenings.
//! Whatever the order, the snapshots the model knows are there, restore bit for
//! bit, and the repository verifies clean.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use colca::engine::tree::FileType;
use colca::engine::{BackupOptions, CollectOptions, Progress, Snapshot};
use proptest::prelude::*;
use support::fake::Fault;
use support::memory::{MemTree, Node, Piece};
use support::{Box_, noise, text};

#[derive(Clone, Debug)]
enum Step {
    Write { file: u8, len: u32, seed: u8 },
    Insert { file: u8, at: u32, len: u16 },
    Copy { from: u8, to: u8 },
    Sparse { file: u8, hole: u32 },
    Link { name: u8, target: u8 },
    Remove { file: u8 },
    Backup { full: bool },
    TwoBackups,
    BackupBesideCollect { full: bool },
    FailingBackup { at: u8, cut: bool },
    Forget { which: prop::sample::Index },
    Collect,
    FailingCollect { at: u8, cut: bool },
    Reopen { state: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let file = 0..12u8;
    prop_oneof![
        6 => (file.clone(), prop_oneof![0..2000u32, 0..200_000u32, 0..1_500_000u32], 0..6u8)
            .prop_map(|(file, len, seed)| Step::Write { file, len, seed }),
        2 => (file.clone(), any::<u32>(), 1..2000u16).prop_map(|(file, at, len)| Step::Insert { file, at, len }),
        2 => (file.clone(), file.clone()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => (file.clone(), 1..3_000_000u32).prop_map(|(file, hole)| Step::Sparse { file, hole }),
        1 => (file.clone(), any::<u8>()).prop_map(|(name, target)| Step::Link { name, target }),
        1 => file.prop_map(|file| Step::Remove { file }),
        5 => any::<bool>().prop_map(|full| Step::Backup { full }),
        1 => Just(Step::TwoBackups),
        3 => any::<bool>().prop_map(|full| Step::BackupBesideCollect { full }),
        3 => (0..12u8, any::<bool>()).prop_map(|(at, cut)| Step::FailingBackup { at, cut }),
        3 => any::<prop::sample::Index>().prop_map(|which| Step::Forget { which }),
        2 => Just(Step::Collect),
        2 => (0..10u8, any::<bool>()).prop_map(|(at, cut)| Step::FailingCollect { at, cut }),
        2 => any::<bool>().prop_map(|state| Step::Reopen { state }),
    ]
}

fn path(file: u8) -> String {
    format!("d{}/e{}/f{file}", file % 3, file % 2)
}

struct Model {
    b: Box_,
    now: Node,
    kept: Vec<(Snapshot, Node)>,
    crashes: u64,
}

fn options(full: bool) -> BackupOptions {
    BackupOptions {
        name: "test".into(),
        full,
    }
}

impl Model {
    fn file(&mut self, file: u8) -> Option<&mut Node> {
        let path = path(file);
        path.split('/')
            .try_fold(&mut self.now, |n, p| n.children.get_mut(p.as_bytes()))
            .filter(|n| matches!(n.meta.kind, FileType::File { .. }))
    }

    /// After a failed operation: the power may have gone, and what was committed without
    /// being reported is taken into the model, because it must be whole.
    fn recover(mut self, cut: bool) -> Self {
        self.crashes += 1;
        if cut {
            self.b.fake.restart(self.crashes);
            self.b = match self.crashes % 2 {
                0 => self.b.reopen(),
                _ => self.b.reopen_without_state(),
            };
        }
        for snapshot in self.b.repository.snapshots().unwrap() {
            if !self.kept.iter().any(|(s, _)| *s == snapshot) {
                self.kept.push((snapshot, self.now.clone()));
            }
        }
        self
    }

    fn run(mut self, step: Step) -> Self {
        match step {
            Step::Write { file, len, seed } => {
                let bytes = if seed % 2 == 0 {
                    noise(len as usize, seed.into())
                } else {
                    text(len as usize, seed.into())
                };
                match self.file(file) {
                    Some(node) => node.rewrite(bytes),
                    None => {
                        self.now.put(&path(file), Node::file(bytes));
                    }
                }
            }
            Step::Insert { file, at, len } => {
                if let Some(node) = self.file(file) {
                    let mut bytes = node.bytes();
                    let at = at as usize % (bytes.len() + 1);
                    bytes.splice(at..at, noise(len.into(), u64::from(len)));
                    node.rewrite(bytes);
                }
            }
            Step::Copy { from, to } => {
                if let Some(bytes) = self.file(from).map(|n| n.bytes()) {
                    self.now.put(&path(to), Node::file(bytes));
                }
            }
            Step::Sparse { file, hole } => {
                let data = noise(1000, hole.into());
                let pieces = vec![Piece::Hole(hole.into()), Piece::Data(data), Piece::Hole(5)];
                self.now.put(&path(file), Node::pieces(pieces));
            }
            Step::Link { name, target } => {
                let kind = FileType::Symlink {
                    target: vec![target],
                };
                self.now.put(&path(name), Node::special(kind));
            }
            Step::Remove { file } => {
                let folder = format!("d{}/e{}", file % 3, file % 2);
                if let Some(node) = folder
                    .split('/')
                    .try_fold(&mut self.now, |n, p| n.children.get_mut(p.as_bytes()))
                {
                    node.children.remove(format!("f{file}").as_bytes());
                }
            }
            Step::Backup { full } => {
                let report = self.b.backup_as(&MemTree::new(&self.now), "test", full);
                self.kept.push((report.snapshot, self.now.clone()));
            }
            Step::TwoBackups => {
                let (b, now) = (&self.b, &self.now);
                let two = std::thread::scope(|s| {
                    let other = s.spawn(|| b.backup_as(&MemTree::new(now), "other", false));
                    let one = b.backup_as(&MemTree::new(now), "test", false);
                    [one.snapshot, other.join().unwrap().snapshot]
                });
                self.kept.extend(two.map(|s| (s, self.now.clone())));
            }
            Step::BackupBesideCollect { full } => {
                let (b, now) = (&self.b, &self.now);
                let report = std::thread::scope(|s| {
                    let collection = s.spawn(|| {
                        b.repository
                            .collect(&CollectOptions::default(), &Progress::default())
                            .unwrap()
                    });
                    let report = b.backup_as(&MemTree::new(now), "test", full);
                    collection.join().unwrap();
                    report
                });
                self.kept.push((report.snapshot, self.now.clone()));
            }
            Step::FailingBackup { at, cut } => {
                let fault = if cut { Fault::PowerCut } else { Fault::Fail };
                self.b.fake.fault_in(at.into(), fault);
                let tree = MemTree::new(&self.now);
                let ran = self
                    .b
                    .repository
                    .backup(&tree, &options(false), &Progress::default());
                let struck = self.b.fake.struck();
                assert_eq!(ran.is_err(), struck);
                match ran {
                    Ok(report) => self.kept.push((report.snapshot, self.now.clone())),
                    Err(_) => return self.recover(cut),
                }
            }
            Step::Forget { which } => {
                if !self.kept.is_empty() {
                    let (snapshot, _) = self.kept.remove(which.index(self.kept.len()));
                    self.b.repository.forget(&snapshot).unwrap();
                }
            }
            Step::Collect => {
                self.b
                    .repository
                    .collect(&CollectOptions::default(), &Progress::default())
                    .unwrap();
            }
            Step::FailingCollect { at, cut } => {
                let fault = if cut { Fault::PowerCut } else { Fault::Fail };
                self.b.fake.fault_in(at.into(), fault);
                let ran = self
                    .b
                    .repository
                    .collect(&CollectOptions::default(), &Progress::default());
                assert_eq!(ran.is_err(), self.b.fake.struck());
                if ran.is_err() {
                    return self.recover(cut);
                }
            }
            Step::Reopen { state } => {
                self.b = if state {
                    self.b.reopen()
                } else {
                    self.b.reopen_without_state()
                };
            }
        }
        self
    }

    fn check(&self) {
        let mut known: Vec<_> = self.kept.iter().map(|(s, _)| s.id.clone()).collect();
        let mut there: Vec<_> = self
            .b
            .repository
            .snapshots()
            .unwrap()
            .into_iter()
            .map(|s| s.id)
            .collect();
        known.sort();
        there.sort();
        assert_eq!(there, known);
        for (snapshot, root) in &self.kept {
            assert_eq!(self.b.restore(snapshot).facts(), root.facts());
        }
        self.b.verify_clean();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 300, ..ProptestConfig::default() })]
    #[test]
    fn any_history_keeps_its_promises(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model {
            b: Box_::new(),
            now: Node::folder(),
            kept: Vec::new(),
            crashes: 0,
        };
        for step in steps {
            model = model.run(step);
        }
        model.check();
        // A last collection changes nothing that can be seen.
        model.b.repository.collect(&CollectOptions::default(), &Progress::default()).unwrap();
        model.check();
        let model = Model { b: model.b.reopen_without_state(), ..model };
        model.check();
    }
}

//! What a repository must hold, and the steps carried out on both.

use std::num::NonZero;

use colca::engine::tree::FileType;
use colca::engine::{
    BackupOptions, CollectOptions, Progress, Query, RecoveryKey, Repository, Snapshot,
};

use super::steps::Step;
use super::support::expected::{differences, facts, hits};
use super::support::fake::Fault;
use super::support::memory::{MemTree, Node, Piece};
use super::support::{Box_, master, noise, text};

fn path(file: u8) -> String {
    format!("d{}/e{}/f{file}", file % 3, file % 2)
}

pub struct Model {
    pub b: Box_,
    now: Node,
    kept: Vec<(Snapshot, Node)>,
    crashes: u64,
    /// Key changes that were tried; every key has its number.
    keys: u8,
}

fn options(full: bool) -> BackupOptions {
    BackupOptions {
        name: "test".into(),
        full,
    }
}

impl Model {
    pub fn new() -> Self {
        Self {
            b: Box_::new(),
            now: Node::folder(),
            kept: Vec::new(),
            crashes: 0,
            keys: 0,
        }
    }

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

    pub fn run(mut self, step: Step) -> Self {
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
            Step::TwoBackups { apart } => {
                // Of the same tree, or of one that differs in a file.
                let mut second = self.now.clone();
                if apart {
                    let bytes = noise(400_000, self.kept.len() as u64);
                    second.put("apart", Node::file(bytes));
                }
                let (b, now) = (&self.b, &self.now);
                let two = std::thread::scope(|s| {
                    let tree = MemTree::new(&second);
                    let other = s.spawn(move || b.backup_as(&tree, "other", false));
                    let one = b.backup_as(&MemTree::new(now), "test", false);
                    [one.snapshot, other.join().unwrap().snapshot]
                });
                let [one, other] = two;
                self.kept.push((one, self.now.clone()));
                self.kept.push((other, second));
            }
            Step::BackupBesideVerify => {
                let (b, now) = (&self.b, &self.now);
                let torn = b.fake.degraded() as u64;
                let report = std::thread::scope(|s| {
                    let verify = s.spawn(|| b.repository.verify(true, &Progress::default()));
                    let report = b.backup_as(&MemTree::new(now), "test", false);
                    let found = verify.join().unwrap().unwrap();
                    assert_eq!(found.errors, Vec::<String>::new());
                    assert_eq!((found.damaged_parts, found.repaired_parts), (torn, torn));
                    report
                });
                self.kept.push((report.snapshot, self.now.clone()));
            }
            Step::KeyChange => {
                self.keys += 1;
                let words = RecoveryKey([self.keys; 32]);
                let changed = self.b.repository.change_key(&master(self.keys), &words);
                if changed.is_err() {
                    // A change that failed before has happened all the same: this
                    // process does not know the key, and opening again finds it.
                    self.b = self.b.reopen();
                    self.b
                        .repository
                        .change_key(&master(self.keys), &words)
                        .unwrap();
                }
                let opened = Repository::recover_key(&*self.b.fake, &words).unwrap();
                assert_eq!(opened.0, master(self.keys).0);
            }
            Step::FailingKeyChange { at, cut } => {
                self.keys += 1;
                let words = RecoveryKey([self.keys; 32]);
                let fault = if cut { Fault::PowerCut } else { Fault::Late };
                self.b.fake.fault_in(at.into(), fault);
                let changed = self.b.repository.change_key(&master(self.keys), &words);
                changed.unwrap_err();
                // It was refused before it came to that.
                let struck = self.b.fake.struck();
                if struck {
                    return self.recover(cut);
                }
            }
            Step::Compare { old, new } => {
                if let Some(n) = NonZero::new(self.kept.len()) {
                    let (old, new) = (
                        &self.kept[usize::from(old) % n],
                        &self.kept[usize::from(new) % n],
                    );
                    self.compare(old, new);
                }
            }
            Step::Find { file } => self.find(&format!("f{file}")),
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
                    let which = usize::from(which) % self.kept.len();
                    let (snapshot, _) = self.kept.remove(which);
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

    fn compare(&self, old: &(Snapshot, Node), new: &(Snapshot, Node)) {
        let mut found = Vec::new();
        self.b
            .repository
            .diff(&old.0, &new.0, &[], &Progress::default(), |d| {
                found.push((d.path, d.change));
                Ok(())
            })
            .unwrap();
        let mut expected = Vec::new();
        differences(&[], Some(&old.1), Some(&new.1), &mut expected);
        assert_eq!(found, expected);
    }

    fn find(&self, text: &str) {
        let left = self.b.repository.update_catalogue(&Progress::default());
        assert_eq!(left.unwrap(), 0);
        let query = Query {
            text: text.into(),
            name: None,
            limit: 10_000,
        };
        let found = self.b.repository.search(&query).unwrap();
        assert_eq!(facts(&found), hits(&self.kept, text, None));
    }

    pub fn check(&self) {
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

//! Helpers of the engine's tests: a storage that can fail and lose power, and
//! trees and targets in memory.
// A test fails by panicking; not every test uses every helper.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    missing_docs,
    unused_imports
)]

pub mod crash;
pub mod cut;
pub mod expected;
pub mod fake;
pub mod memory;

use std::path::Path;
use std::sync::Arc;

use colca::engine::storage::{Name, Storage};
use colca::engine::{
    BackupOptions, BackupReport, MasterKey, Params, Progress, RecoveryKey, Repository, Snapshot,
};

use fake::Fake;
use memory::{MemTarget, MemTree, Node};

pub const MASTER: MasterKey = MasterKey([7; 32]);
pub const RECOVERY: RecoveryKey = RecoveryKey([9; 32]);

/// Segments of 1 MiB, so that small tests have several.
pub fn small() -> Params {
    Params {
        segment_bytes: 1 << 20,
        ..Params::default()
    }
}

/// A repository in a fake storage with a state folder of its own.
pub struct Box_ {
    pub fake: Arc<Fake>,
    pub state: tempfile::TempDir,
    pub repository: Arc<Repository>,
}

impl Box_ {
    pub fn new() -> Self {
        Self::with(Arc::new(Fake::new()), small())
    }

    pub fn with(fake: Arc<Fake>, params: Params) -> Self {
        let state = tempfile::tempdir().unwrap();
        let repository =
            Repository::create(fake.clone(), state.path(), &MASTER, &RECOVERY, params).unwrap();
        Self {
            fake,
            state,
            repository: Arc::new(repository),
        }
    }

    /// Closes and opens again.
    pub fn reopen(self) -> Self {
        let Self {
            fake,
            state,
            repository,
        } = self;
        drop(repository);
        let repository = open(fake.clone(), state.path());
        Self {
            fake,
            state,
            repository: Arc::new(repository),
        }
    }

    /// Closes, loses the state folder, opens again.
    pub fn reopen_without_state(self) -> Self {
        let Self {
            fake,
            state,
            repository,
        } = self;
        drop((repository, state));
        let state = tempfile::tempdir().unwrap();
        let repository = open(fake.clone(), state.path());
        Self {
            fake,
            state,
            repository: Arc::new(repository),
        }
    }

    pub fn backup(&self, tree: &MemTree) -> BackupReport {
        self.backup_as(tree, "test", false)
    }

    pub fn backup_as(&self, tree: &MemTree, name: &str, full: bool) -> BackupReport {
        let options = BackupOptions {
            name: name.into(),
            full,
        };
        self.repository
            .backup(tree, &options, &Progress::default())
            .unwrap()
    }

    /// Restores a whole snapshot; warnings fail the test.
    pub fn restore(&self, snapshot: &Snapshot) -> Node {
        let target = MemTarget::new();
        let report = self
            .repository
            .restore(snapshot, &[], &target, &Progress::default())
            .unwrap();
        assert_eq!(report.warnings, vec![]);
        target.into_root()
    }

    /// A verification of all data without a finding. Redundancy that a power
    /// cut tore off is found, every bit of it, and made anew.
    pub fn verify_clean(&self) {
        let torn = self.fake.degraded() as u64;
        let report = self.repository.verify(true, &Progress::default()).unwrap();
        assert_eq!(report.errors, Vec::<String>::new());
        assert_eq!((report.damaged_parts, report.repaired_parts), (torn, torn));
        assert_eq!(self.fake.degraded(), 0);
    }
}

/// The header as it stands, without its seal and sum.
pub fn header_body(fake: &Fake) -> Vec<u8> {
    let mut bytes = fake.bytes(&Name::Header);
    bytes.truncate(bytes.len() - 64);
    bytes
}

/// Puts header bytes in place as somebody with the key would: sealed (§3) and summed.
pub fn put_header(fake: &Fake, mut body: Vec<u8>) {
    let key = blake3::derive_key("colca v1 header", &MASTER.0);
    let seal = blake3::keyed_hash(&key, &body);
    body.extend_from_slice(seal.as_bytes());
    let sum = blake3::hash(&body);
    body.extend_from_slice(sum.as_bytes());
    fake.tamper(&Name::Header, Some(body));
}

/// The key after so many key changes.
pub fn master(changes: u8) -> MasterKey {
    match changes {
        0 => MASTER,
        n => MasterKey([100 + n; 32]),
    }
}

/// Opens with whichever key there has been fits, as the program does.
pub fn open(fake: Arc<Fake>, state: &Path) -> Repository {
    let keys: Vec<_> = (0..100).map(master).collect();
    let key = Repository::fitting_key(&*fake, &keys).unwrap();
    Repository::open(fake as Arc<dyn Storage>, state, &key).unwrap()
}

/// A large file, and sixty small ones in five folders.
pub fn tree() -> Node {
    let mut root = Node::folder();
    root.put("big", Node::file(noise(1_500_000, 1)));
    for i in 0..60 {
        root.put(&format!("d{}/f{i}", i % 5), Node::file(text(3000, i)));
    }
    root
}

/// The same bytes for the same seed; they do not compress.
pub fn noise(n: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; n];
    let mut reader = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    reader.fill(&mut out);
    out
}

/// Text that compresses about as source code does, different for each seed:
/// lines that recur in other files too.
pub fn text(n: usize, seed: u64) -> Vec<u8> {
    let random = noise(n / 8 + 16, seed);
    let mut out = Vec::with_capacity(n + 100);
    for pair in random.chunks(2) {
        if out.len() >= n {
            break;
        }
        let line = u16::from_le_bytes([pair[0], pair[pair.len() - 1]]) % 600;
        let words = noise(12, u64::from(line));
        let words: Vec<String> = words
            .chunks(3)
            .map(|w| format!("{:x}{:x}", w[0], u16::from_le_bytes([w[1], w[2]])))
            .collect();
        out.extend_from_slice(words.join(" ").as_bytes());
        out.push(b'\n');
    }
    out.truncate(n);
    out
}

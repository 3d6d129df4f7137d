//! Enumerating crash points: an operation is run from the same beginning again
//! and again, with a fault at each of its changing calls in turn, in each of
//! [`CASES`].

use std::fs;
use std::path::Path;
use std::sync::Arc;

use colca::engine::{CollectOptions, Error, Progress, Repository, Snapshot};

use super::cut::Cut;
use super::fake::{Fake, Fault};
use super::memory::{MemTree, Node};
use super::{Box_, noise, open};

/// What becomes of the state folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is as at the moment of the crash, not closed in order.
    Kept,
    /// It is as before the operation; what was written since is torn.
    Older,
    Lost,
}

/// A way in which an operation ends.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub fault: Fault,
    /// After a power cut, what survives of what was not synced.
    pub cut: Cut,
    pub state: State,
}

const fn case(fault: Fault, cut: Cut, state: State) -> Case {
    Case { fault, cut, state }
}

pub const CASES: [Case; 9] = [
    case(Fault::Fail, Cut::Nothing, State::Kept),
    case(Fault::Fail, Cut::Nothing, State::Lost),
    case(Fault::Late, Cut::Nothing, State::Older),
    case(Fault::PowerCut, Cut::Nothing, State::Kept),
    case(Fault::PowerCut, Cut::Everything, State::Older),
    case(Fault::PowerCut, Cut::Later, State::Kept),
    case(Fault::PowerCut, Cut::Torn, State::Kept),
    case(Fault::PowerCut, Cut::Torn, State::Older),
    case(Fault::PowerCut, Cut::Torn, State::Lost),
];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), &to).unwrap()),
        }
    }
}

/// Adds what is only in `new`, torn.
fn add_torn(old: &Path, new: &Path, seed: u64) {
    for entry in fs::read_dir(new).unwrap() {
        let entry = entry.unwrap();
        let to = old.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&to).unwrap();
            add_torn(&to, &entry.path(), seed);
        } else if !to.exists() {
            let mut bytes = fs::read(entry.path()).unwrap();
            let dice = noise(2, seed ^ bytes.len() as u64);
            bytes.truncate(bytes.len() * usize::from(dice[0]) / 255);
            let end = bytes.len();
            bytes[end / 2..].fill(dice[1]);
            fs::write(to, bytes).unwrap();
        }
    }
}

/// A copy of a folder.
pub fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    to
}

impl Box_ {
    /// Another box with the same storage and state folder as this one.
    pub fn twin(&self) -> Self {
        self.fake.sync_all();
        let state = copied(self.state.path());
        let fake = Arc::new(self.fake.twin());
        let repository = Arc::new(open(fake.clone(), state.path()));
        Self {
            fake,
            state,
            repository,
        }
    }

    /// Opened again after the operation ended as `case` says; `before` is the
    /// state folder from before it.
    pub fn crashed(self, case: Case, before: &Path, seed: u64) -> Self {
        let Self {
            fake,
            state,
            repository,
        } = self;
        let state = match case.state {
            State::Kept if case.fault == Fault::PowerCut => copied(state.path()),
            State::Kept => state,
            State::Older => {
                let older = copied(before);
                add_torn(older.path(), state.path(), seed);
                older
            }
            State::Lost => tempfile::tempdir().unwrap(),
        };
        drop(repository);
        if case.fault == Fault::PowerCut {
            fake.restart_as(case.cut, seed);
        }
        let repository = Arc::new(open(fake.clone(), state.path()));
        Self {
            fake,
            state,
            repository,
        }
    }

    pub fn collect(&self) -> colca::engine::CollectReport {
        self.repository
            .collect(&CollectOptions::default(), &Progress::default())
            .unwrap()
    }
}

/// Says where it was when a check fails.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("failed: {}", self.0);
        }
    }
}

/// Runs `operation` on twins of `start` with a fault at every changing call, and
/// `check` on what came of it, once it was opened again. Prints and returns how
/// many crash points there were.
pub fn crash_points<T>(
    what: &str,
    start: &Box_,
    operation: impl Fn(&Box_) -> Result<T, Error>,
    mut check: impl FnMut(Box_, Option<T>, Case),
) -> u64 {
    let mut points = 0;
    for (number, case) in (0..).zip(CASES) {
        for n in 0.. {
            let b = start.twin();
            let before = copied(b.state.path());
            b.fake.fault_in(n, case.fault);
            let ran = operation(&b);
            let struck = b.fake.struck();
            assert_eq!(struck, ran.is_err(), "{what}, operation {n}, {case:?}");
            let case = match struck {
                true => case,
                // It ended well; then the power may still go.
                false => Case {
                    fault: Fault::PowerCut,
                    ..case
                },
            };
            let _named = Named(format!("{what}, operation {n}, {case:?}"));
            let b = b.crashed(case, before.path(), number * 1000 + n);
            check(b, ran.ok(), case);
            if !struck {
                break;
            }
            points += 1;
        }
    }
    println!("crash points enumerated: {what} {points}");
    points
}

/// Checks all that was promised, with whatever snapshots exist.
pub fn all_well(b: &Box_, committed: &[(Snapshot, &Node)], candidate: &Node) {
    let snapshots = b.repository.snapshots().unwrap();
    for (snapshot, root) in committed {
        assert!(
            snapshots.contains(snapshot),
            "a committed snapshot is gone: {snapshot:?}"
        );
        assert_eq!(b.restore(snapshot).facts(), root.facts());
    }
    for snapshot in &snapshots {
        if !committed.iter().any(|(s, _)| s == snapshot) {
            // Not reported, but there: then it must be whole.
            assert_eq!(b.restore(snapshot).facts(), candidate.facts());
        }
    }
    b.verify_clean();
}

/// That all is well, and stays so through another backup and a collection.
pub fn all_well_and_goes_on(b: &Box_, committed: &[(Snapshot, &Node)], next: &Node) {
    all_well(b, committed, next);
    let mut committed = committed.to_vec();
    committed.push((b.backup(&MemTree::new(next)).snapshot, next));
    all_well(b, &committed, next);
    // What a crash left behind is collected, and nothing else.
    b.collect();
    all_well(b, &committed, next);
}

/// Enough for several segments of both kinds.
pub fn first() -> Node {
    let mut root = Node::folder();
    root.put("big", Node::file(noise(2_500_000, 1)));
    for i in 0..150 {
        root.put(
            &format!("d{}/f{i}", i % 5),
            Node::file(super::text(3000, i)),
        );
    }
    root
}

pub fn second() -> Node {
    let mut root = first();
    root.at("big").rewrite(noise(2_500_000, 2));
    for i in 0..40 {
        root.at(&format!("d{}/f{i}", i % 5))
            .rewrite(super::text(3000, 1000 + i));
    }
    root
}

/// Creates a repository in a storage of its own.
pub fn create(fake: &Arc<Fake>, state: &Path) -> Result<Repository, Error> {
    Repository::create(
        fake.clone(),
        state,
        &super::MASTER,
        &super::RECOVERY,
        super::small(),
    )
}

//! What was written and is not durable yet, and making it so.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::Pool;
use super::member::Member;
use super::state::lock;
use super::write::Target;
use crate::engine::{Error, Kind, Result};

/// What the next sync must make durable.
#[derive(Default)]
pub(super) struct Unsynced {
    /// Slots written to.
    slots: HashSet<usize>,
    /// How many of them may fail without an object being lost.
    slack: Option<usize>,
}

impl Pool {
    /// Notes shards written: `slack` of them may be lost.
    pub(super) fn note_written(&self, targets: &[Target], slack: usize) {
        let mut unsynced = lock(&self.unsynced);
        unsynced.slots.extend(targets.iter().map(|(m, _)| m.slot));
        unsynced.slack = Some(unsynced.slack.map_or(slack, |s| s.min(slack)));
    }

    /// Notes members changed in a way that loses nothing when undone.
    pub(super) fn note_touched(&self, slots: impl Iterator<Item = usize>) {
        lock(&self.unsynced).slots.extend(slots);
    }

    pub(super) fn make_durable(&self) -> Result<()> {
        self.make_durable_by(Member::sync)
    }

    fn make_durable_by(&self, sync: impl Fn(&Member) -> io::Result<()> + Sync) -> Result<()> {
        // One after the other: what another caller is making durable is not so
        // before it has ended, and may yet fail.
        let _syncing = lock(&self.syncing);
        let work = std::mem::take(&mut *lock(&self.unsynced));
        let members: Vec<Arc<Member>> = self.online();
        let mut failed: Vec<usize> = work
            .slots
            .iter()
            .filter(|slot| members.iter().all(|m| m.slot != **slot))
            .copied()
            .collect();
        let sync = &sync;
        let results: Vec<(Arc<Member>, io::Result<()>)> = std::thread::scope(|scope| {
            let running: Vec<_> = members
                .iter()
                .filter(|m| work.slots.contains(&m.slot))
                .map(|m| (m, scope.spawn(move || sync(m))))
                .collect();
            running
                .into_iter()
                .map(|(m, thread)| {
                    let result = thread.join();
                    let result = result.unwrap_or_else(|_| Err(io::Error::other("panicked")));
                    (Arc::clone(m), result)
                })
                .collect()
        });
        for (member, result) in results {
            if let Err(e) = result {
                failed.push(member.slot);
                self.lost(&member, &e);
            }
        }
        if work.slack.is_none_or(|slack| failed.len() <= slack) {
            return Ok(());
        }
        let names: Vec<String> = {
            let state = self.look();
            let label = |slot: &usize| state.roster.members[*slot].label.clone();
            failed.iter().map(label).collect()
        };
        // Stays undone, so that no later sync claims it.
        let mut unsynced = lock(&self.unsynced);
        unsynced.slots.extend(work.slots);
        unsynced.slack = match (unsynced.slack, work.slack) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Err(Error::new(
            Kind::Io,
            format!(
                "what was written last is not safe: these members failed before it was durable: {}; check them, then run it again",
                names.join(", ")
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::engine::storage::{Name, Storage};
    use crate::pool::NewMember;

    /// Whoever syncs while another sync is under way is not told that things
    /// are durable before they are, nor if that one fails.
    #[test]
    fn a_sync_waits_for_the_one_under_way() {
        let folder = tempfile::tempdir().unwrap();
        let member = NewMember {
            path: folder.path().to_owned(),
            label: "a".into(),
            spare: false,
        };
        let pool = Pool::create(&[member], "1+0".parse().unwrap()).unwrap();
        pool.put(&Name::Snapshot([1; 16]), b"bytes").unwrap();
        let (under_way, begun) = mpsc::channel();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                pool.make_durable_by(|_| {
                    under_way.send(()).unwrap();
                    std::thread::sleep(Duration::from_millis(200));
                    Err(io::Error::other("the disk did not take it"))
                })
            });
            begun.recv().unwrap();
            assert!(pool.sync().is_err());
            assert!(first.join().unwrap().is_err());
        });
    }
}

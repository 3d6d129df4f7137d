//! What was found damaged, and whether it was healed: kept on the members, so
//! that it is still known after a restart. The last thousand findings are
//! kept; losing them loses nothing but the memory.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Pool;

/// The file at the top of each member.
pub(super) const FILE: &str = "findings";
/// Findings kept.
const MOST: usize = 1000;
/// Longer files are not ours.
const LONGEST: u64 = 4 << 20;

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// A shard's bytes were not what was written.
    Corrupt,
    /// A shard was not there.
    Missing,
    /// Too few good shards are left: the object cannot be read from this pool.
    Lost,
}

/// One damage found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Seconds since 1970.
    pub time: u64,
    /// The object, as [`crate::engine::storage::Name`] is rendered; its `parse` reads it.
    pub object: String,
    /// Label of the member that held the shard; unknown for a missing one.
    pub member: Option<String>,
    /// What was wrong.
    pub damage: Damage,
    /// Written anew from the good shards.
    pub healed: bool,
}

/// The findings in memory.
#[derive(Default)]
pub(super) struct Findings(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    list: VecDeque<Finding>,
    saved: bool,
}

impl Findings {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, finding: Finding) {
        let mut kept = self.kept();
        let old = kept.list.iter().position(|f| {
            // Found again and again, it is one damage still.
            (&f.object, &f.member, f.damage) == (&finding.object, &finding.member, finding.damage)
                && !f.healed
        });
        if let Some(old) = old {
            kept.list.remove(old);
        }
        kept.list.push_back(finding);
        if kept.list.len() > MOST {
            kept.list.pop_front();
        }
        kept.saved = false;
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs())
}

impl Pool {
    /// The latest damage found on the members, oldest first, at most a thousand.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.kept().list.iter().cloned().collect()
    }

    /// Reads what is kept on the members: the copy with the newest finding.
    pub(super) fn recall(&self) {
        let read = |path: std::path::PathBuf| -> Option<VecDeque<Finding>> {
            let short = fs::metadata(&path).ok()?.len() <= LONGEST;
            let bytes = short.then(|| fs::read(&path).ok()).flatten()?;
            serde_json::from_slice(&bytes).ok()
        };
        let lists = self
            .online()
            .into_iter()
            .filter_map(|m| read(m.path.join(FILE)));
        let newest = lists.max_by_key(|list| list.back().map_or(0, |f| f.time));
        if let Some(mut list) = newest {
            list.truncate(MOST);
            *self.findings.kept() = Kept { list, saved: true };
        }
    }

    /// Writes the findings to the members, if there are new ones.
    pub(super) fn remember_findings(&self) {
        let bytes = {
            let mut kept = self.findings.kept();
            if kept.saved || self.read_only {
                return;
            }
            kept.saved = true;
            serde_json::to_vec(&kept.list)
        };
        let Ok(bytes) = bytes else { return };
        for member in self.online() {
            if let Err(e) = member.keep(FILE, &bytes) {
                tracing::warn!("cannot note on {} what was found: {e}", member.called());
            }
        }
    }
}

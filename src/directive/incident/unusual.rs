//! Unusual change: a source that suddenly looks as if somebody encrypts,
//! deletes or renames it.
//!
//! Each backup is measured against the source's own history: the median of
//! what was usual, and how far from it the source strays by itself (the median
//! deviation, which single odd days hardly move). A finding holds the
//! collection of that source's snapshots until a person has looked. All shares
//! are in thousandths, so that equal inputs give equal findings everywhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a backup saw of its source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// Files there were before.
    pub before: u64,
    /// Of those, files whose content changed.
    pub changed: u64,
    /// Of those, files that are gone.
    pub deleted: u64,
    /// New files.
    pub added: u64,
    /// New and changed bytes.
    pub bytes: u64,
    /// Of those, bytes that look random: they neither compress nor were they
    /// there before.
    pub random: u64,
    /// New and changed files by their name's ending.
    pub types: BTreeMap<String, u64>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Changed files of those before.
    Changed,
    /// Deleted files of those before.
    Deleted,
    /// Random bytes of the new and changed ones.
    Random,
    /// New and changed files of a type that the source hardly had.
    Types,
}

/// Something unusual, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub measure: Measure,
    /// How much.
    pub share: u64,
    /// What is usual.
    pub usual: u64,
    /// From where on it is unusual.
    pub limit: u64,
}

/// From where on a share is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Below this share nothing is unusual, in thousandths.
    pub floor: u64,
    /// Deviations above the median that are still usual.
    pub deviations: u64,
    /// Backups that make a history; with fewer only `blind` counts.
    pub history: usize,
    /// From this share on it is unusual without a history, in thousandths.
    pub blind: u64,
    /// Changes to fewer files than this are never unusual.
    pub files: u64,
    /// Less new data than this never looks random, in bytes.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            floor: 200,
            deviations: 8,
            history: 7,
            blind: 600,
            files: 20,
            bytes: 16 << 20,
        }
    }
}

/// Everything unusual in a backup, held against those before it (any order).
pub fn unusual(history: &[Observation], now: &Observation, limits: &Limits) -> Vec<Finding> {
    let known = known_types(history);
    let measures: [(Measure, bool); 4] = [
        (Measure::Changed, now.changed >= limits.files),
        (Measure::Deleted, now.deleted >= limits.files),
        (Measure::Random, now.bytes >= limits.bytes),
        (Measure::Types, fresh(now, &known) >= limits.files),
    ];
    measures
        .into_iter()
        .filter(|(_, enough)| *enough)
        .filter_map(|(measure, _)| {
            let share = |it: &Observation| share(measure, it, &known);
            let past: Vec<u64> = history
                .iter()
                .filter(|it| counts(measure, it))
                .map(share)
                .collect();
            judge(measure, share(now), &past, limits)
        })
        .collect()
}

fn judge(measure: Measure, share: u64, past: &[u64], limits: &Limits) -> Option<Finding> {
    let (usual, limit) = if past.len() < limits.history {
        // New types mean nothing where every type is new.
        if measure == Measure::Types {
            return None;
        }
        (0, limits.blind)
    } else {
        let usual = median(past.to_vec());
        let strays = median(past.iter().map(|share| share.abs_diff(usual)).collect());
        let limit = usual + limits.floor.max(strays.saturating_mul(limits.deviations));
        // Nearly everything is worth a look, however much the source strays,
        // unless that is its habit.
        let nearly_all = if usual < 750 { 950 } else { u64::MAX };
        (usual, limit.min(nearly_all))
    };
    (share >= limit && share > usual).then_some(Finding {
        measure,
        share,
        usual,
        limit,
    })
}

/// Whether a backup of the past says anything about a measure.
fn counts(measure: Measure, it: &Observation) -> bool {
    match measure {
        Measure::Changed | Measure::Deleted => it.before > 0,
        Measure::Random => it.bytes > 0,
        Measure::Types => !it.types.is_empty(),
    }
}

fn share(measure: Measure, it: &Observation, known: &BTreeMap<&str, usize>) -> u64 {
    match measure {
        Measure::Changed => thousandths(it.changed, it.before),
        Measure::Deleted => thousandths(it.deleted, it.before),
        Measure::Random => thousandths(it.random, it.bytes),
        Measure::Types => thousandths(fresh(it, known), it.types.values().sum()),
    }
}

/// In how many backups each type was seen.
fn known_types(history: &[Observation]) -> BTreeMap<&str, usize> {
    let mut known = BTreeMap::new();
    for kind in history.iter().flat_map(|it| it.types.keys()) {
        *known.entry(kind.as_str()).or_default() += 1;
    }
    known
}

/// Files of types that at most one backup of the past had.
fn fresh(it: &Observation, known: &BTreeMap<&str, usize>) -> u64 {
    let files = it.types.iter();
    files
        .filter(|(kind, _)| known.get(kind.as_str()).is_none_or(|seen| *seen <= 1))
        .map(|(_, files)| files)
        .sum()
}

fn thousandths(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let share = u128::from(part) * 1000 / u128::from(whole);
    u64::try_from(share).unwrap_or(u64::MAX)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

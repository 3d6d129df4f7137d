//! What the pool found damaged, for people.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::pool::{Damage, Finding};
use crate::service::Service;

/// Damage counts for so long, in seconds.
const MONTH: u64 = 30 * 86_400;

impl Service {
    /// What the pool found damaged in the last month, oldest first; nothing
    /// while it is not open.
    pub fn pool_damage(&self) -> Vec<Finding> {
        let open = self.pool.now().open.clone();
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
        let mut found = open.map(|open| open.pool.findings()).unwrap_or_default();
        found.retain(|f| now.saturating_sub(f.time) < MONTH);
        found
    }

    /// How much of it lay on this member.
    pub(in crate::service) fn pool_errors(&self, label: &str) -> usize {
        let on = |f: &Finding| f.damage == Damage::Corrupt && f.member.as_deref() == Some(label);
        self.pool_damage().iter().filter(|f| on(f)).count()
    }
}

/// Healed pieces of damage, and objects that are lost.
pub(in crate::service) fn sum_up(found: &[Finding]) -> (usize, usize) {
    let healed = found.iter().filter(|f| f.healed).count();
    let lost: BTreeSet<&str> = found
        .iter()
        .filter(|f| f.damage == Damage::Lost && !f.healed)
        .map(|f| f.object.as_str())
        .collect();
    (healed, lost.len())
}

//! What the pool found damaged, for people.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::engine::storage::Name;
use crate::engine::{Kind, Result};
use crate::pool::{Damage, Finding};
use crate::service::Service;
use crate::service::jobs::Task;

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

/// Brings objects that the pool has lost back from the provider, where that has
/// them; of the others, which are returned, the job's log names what needs them.
pub(super) fn bring_or_name(task: &Task<'_>, lost: Vec<String>) -> Result<Vec<String>> {
    if lost.is_empty() {
        return Ok(lost);
    }
    let repository = task.service.repository()?;
    let storage = repository.storage();
    let (mut left, mut names) = (Vec::new(), Vec::new());
    for text in lost {
        let name = Name::parse(&text);
        if name.is_some_and(|name| storage.check(&name, true).is_ok()) {
            task.log
                .line(format!("{text} was put back from the provider"));
            continue;
        }
        names.extend(name);
        left.push(text);
    }
    if names.is_empty() {
        return Ok(left);
    }
    // A collection that runs meanwhile keeps it from being said now, not from being so.
    match repository.hurt_by(&names, task.progress) {
        Ok(hurt) if hurt.is_empty() => task.log.line("no snapshot needs what is lost"),
        Ok(hurt) => hurt.into_iter().for_each(|line| task.log.line(line)),
        Err(e) if e.kind() == Kind::Cancelled => return Err(e),
        Err(e) => task.log.line(format!(
            "what needs the lost objects cannot be said now: {e}"
        )),
    }
    Ok(left)
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

//! Reading several runs in the order of ids, the newest entry of each id first.

use std::sync::Arc;

use super::rows::Locator;
use super::run::{Cursor, Run};
use crate::engine::error::Result;
use crate::engine::ids::{Id, IdMap};

/// Entries in order, from disk or from memory.
enum Source {
    Run(Cursor),
    Memory(std::vec::IntoIter<(Id, Locator)>),
}

impl Source {
    fn next(&mut self) -> Result<Option<(Id, Locator)>> {
        match self {
            Self::Run(cursor) => cursor.next(),
            Self::Memory(entries) => Ok(entries.next()),
        }
    }
}

/// Sources merged. Memory: a few pages a run, and the entries from memory.
pub(super) struct Merge {
    /// Newest first, each with its next entry.
    sources: Vec<(Source, Option<(Id, Locator)>)>,
}

impl Merge {
    /// Of runs, oldest first, and of younger entries in memory, oldest first.
    pub(super) fn new(runs: &[Arc<Run>], memory: &[&IdMap<Locator>]) -> Result<Self> {
        let mut sources = Vec::with_capacity(runs.len() + memory.len());
        for map in memory.iter().rev() {
            let mut entries: Vec<_> = map.iter().map(|(id, place)| (*id, *place)).collect();
            entries.sort_unstable_by_key(|(id, _)| *id);
            sources.push(Source::Memory(entries.into_iter()));
        }
        for run in runs.iter().rev() {
            sources.push(Source::Run(Cursor::new(run.clone())));
        }
        let first = |mut source: Source| {
            let entry = source.next()?;
            Ok((source, entry))
        };
        Ok(Self {
            sources: sources.into_iter().map(first).collect::<Result<_>>()?,
        })
    }

    /// The next id with its newest entry that is in a segment for which
    /// `alive` holds, or with [`Locator::GONE`] if that is newer. Ids with
    /// neither are passed over.
    pub(super) fn next(&mut self, alive: impl Fn(u32) -> bool) -> Result<Option<(Id, Locator)>> {
        loop {
            let heads = self.sources.iter().filter_map(|(_, head)| *head);
            let Some((id, _)) = heads.min_by_key(|(id, _)| *id) else {
                return Ok(None);
            };
            let mut found = None;
            for (source, head) in &mut self.sources {
                let Some((_, place)) = head.filter(|(there, _)| *there == id) else {
                    continue;
                };
                if found.is_none() && (place.is_gone() || alive(place.segment)) {
                    found = Some(place);
                }
                *head = source.next()?;
            }
            if let Some(place) = found {
                return Ok(Some((id, place)));
            }
        }
    }
}

//! Reading for callers that tell right bytes from wrong by themselves, by
//! their seal: no block sums, no whole blocks for a part of one, and the shard
//! files stay open from one read to the next. Whatever is not as it should be
//! is left to the reading that proves and mends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Pool;
use super::locate::Found;
use super::shard::Shard;
use crate::engine::storage::Name;

/// Objects whose shards stay open.
const OPEN: usize = 16;

/// Objects read a moment ago, the last one at the end. Emptied whenever
/// members come or go, so that no open file keeps a disk from being let go.
#[derive(Default)]
pub(super) struct OpenObjects(Mutex<VecDeque<Arc<Found>>>);

impl OpenObjects {
    fn list(&self) -> MutexGuard<'_, VecDeque<Arc<Found>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &Name) -> Option<Arc<Found>> {
        self.list().iter().rev().find(|f| f.name == *name).cloned()
    }

    fn keep(&self, found: Arc<Found>) {
        let mut list = self.list();
        list.retain(|f| f.name != found.name);
        list.push_back(found);
        if list.len() > OPEN {
            list.pop_front();
        }
    }

    pub(super) fn forget(&self, name: &Name) {
        self.list().retain(|f| f.name != *name);
    }

    pub(super) fn clear(&self) {
        self.list().clear();
    }
}

impl Pool {
    /// `len` bytes from `offset` of a segment, as they lie on the members.
    /// `None` when they are not simply there.
    pub(super) fn read_sealed(&self, name: &Name, offset: u64, len: usize) -> Option<Vec<u8>> {
        if !matches!(name, Name::Segment(_)) {
            return None;
        }
        if let Some(found) = self.open.find(name) {
            let bytes = pieces(&found, offset, len);
            if bytes.is_none() {
                self.open.forget(name);
            }
            return bytes;
        }
        let found = self.locate(name, false).ok()?;
        if !found.damaged.is_empty() {
            return None;
        }
        let bytes = pieces(&found, offset, len)?;
        self.open.keep(Arc::new(found));
        Some(bytes)
    }
}

/// The bytes from the data shards; `None` if one is not there or not whole.
fn pieces(found: &Found, offset: u64, len: usize) -> Option<Vec<u8>> {
    let geometry = &found.geometry;
    let end = offset.checked_add(len as u64)?;
    if end > geometry.len {
        return None;
    }
    let whole = |shard: &&Shard| !shard.wrong_length;
    let mut bytes = Vec::with_capacity(len);
    if geometry.k() == 1 {
        // Its blocks are the object, one after the other.
        let shard = found.shards.iter().flatten().find(whole)?;
        shard.append(offset, len, &mut bytes).ok()?;
        return Some(bytes);
    }
    while bytes.len() < len {
        let at = offset + bytes.len() as u64;
        let stripe = at / geometry.stripe_bytes();
        let within = usize::try_from(at % geometry.stripe_bytes()).ok()?;
        let block = geometry.block_len(stripe);
        let part = (block - within % block).min(len - bytes.len());
        let shard = found.shards.get(within / block)?.as_ref().filter(whole)?;
        let from = stripe * super::layout::BLOCK as u64 + (within % block) as u64;
        shard.append(from, part, &mut bytes).ok()?;
    }
    Some(bytes)
}

//! A big file, saved in parts by several workers at once.
//!
//! Parts begin at fixed places, so an insertion near the front of the file
//! moves content across them: at each about one chunk more is new than if the
//! file had been cut from front to back. With parts of many chunks that is
//! less than a hundredth, and every core has work.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::folder::Window;
use super::reader::Extents;
use crate::engine::error::{Error, Result};
use crate::engine::format::tree::{EntryV1, Extent, KindV1};
use crate::engine::store::Depositor;
use crate::engine::tree::Entry;

/// Bytes of one part.
pub(super) const PART: u64 = 64 << 20;
/// Files from this length on are saved in parts.
pub(super) const BIG: u64 = 2 * PART;

struct State {
    /// The part to be begun next.
    next: u64,
    /// The part to be joined next; later ones wait, at most one a helper.
    joined: u64,
    waiting: BTreeMap<u64, Vec<Extent>>,
    extents: Extents,
    changed: bool,
    failed: Option<Error>,
}

/// A big file in work.
pub(super) struct Big {
    pub window: Arc<Window>,
    /// Its place in the window.
    pub at: usize,
    pub entry: Entry,
    saved: EntryV1,
    /// Workers still to come or at work on it.
    pub helpers: AtomicUsize,
    state: Mutex<State>,
}

impl Big {
    /// `saved` has everything but content and attributes.
    pub(super) fn new(window: Arc<Window>, at: usize, entry: Entry, saved: EntryV1) -> Self {
        Self {
            window,
            at,
            entry,
            saved,
            helpers: AtomicUsize::new(0),
            state: Mutex::new(State {
                next: 0,
                joined: 0,
                waiting: BTreeMap::new(),
                extents: Extents::new(),
                changed: false,
                failed: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many parts there are.
    pub(super) fn parts(&self) -> u64 {
        self.entry.meta.size().div_ceil(PART)
    }

    /// The number and the bytes of a part nobody has begun, until one failed.
    pub(super) fn next(&self) -> Option<(u64, Range<u64>)> {
        let mut state = self.state();
        if state.failed.is_some() || state.next >= self.parts() {
            return None;
        }
        let n = state.next;
        state.next += 1;
        Some((n, n * PART..(n + 1) * PART))
    }

    /// Takes in a part and joins what is complete from the front.
    pub(super) fn put(
        &self,
        n: u64,
        extents: Vec<Extent>,
        changed: bool,
        out: &mut Depositor<'_>,
    ) -> Result<()> {
        let mut state = self.state();
        state.changed |= changed;
        state.waiting.insert(n, extents);
        loop {
            let n = state.joined;
            let Some(extents) = state.waiting.remove(&n) else {
                return Ok(());
            };
            state.joined += 1;
            // A part cut off while the file was rewritten: what follows stays in its place.
            let gap = (n * PART).saturating_sub(state.extents.size);
            if gap > 0 && !extents.is_empty() {
                state.extents.push(Extent::Zeros { len: gap }, out)?;
            }
            for extent in extents {
                state.extents.push(extent, out)?;
            }
        }
    }

    /// The file cannot be saved.
    pub(super) fn fail(&self, e: Error) {
        self.state().failed.get_or_insert(e);
    }

    /// After the last part: the entry but for its attributes and whether the
    /// file changed meanwhile, or why it could not be read.
    pub(super) fn finish(
        &self,
        out: &mut Depositor<'_>,
    ) -> Result<std::result::Result<(EntryV1, bool), Error>> {
        let mut state = self.state();
        if let Some(e) = state.failed.take() {
            return Ok(Err(e));
        }
        let extents = std::mem::replace(&mut state.extents, Extents::new());
        let mut saved = self.saved.clone();
        saved.kind = KindV1::File {
            size: extents.size,
            extents: extents.finish(out)?,
        };
        Ok(Ok((saved, state.changed)))
    }
}

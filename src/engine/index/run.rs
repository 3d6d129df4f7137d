//! An immutable sorted run of entries, in two files: `N.run` holds the pages,
//! `N.filter` what of it is kept in memory.
//!
//! | bytes of `N.filter` | field |
//! |---|---|
//! | 64 × blocks | the filter |
//! | 8 × pages | fences: the first 8 bytes of each page's first id |
//! | 32 | u64 number, entries, pages, blocks |
//! | 32 | BLAKE3 of what precedes, keyed by nothing: it finds damage, not forgery |

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::filter::{self, BLOCK};
use super::page::{self, ENTRIES, PAGE, prefix};
use super::rows::Locator;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::ids::Id;

/// Bytes after filter and fences.
pub(super) const TRAILER: usize = 64;
/// Pages read at once when a run is read in order.
const AHEAD: u64 = 32;

/// What the list of runs says about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunRow {
    pub number: u64,
    pub entries: u64,
    /// The last 32 bytes of its filter's file.
    pub sum: [u8; 32],
}

/// An open run.
pub(super) struct Run {
    pub row: RunRow,
    pub files: Files,
    /// Whether the files survive a power cut.
    pub durable: AtomicBool,
    pages: u64,
    file: File,
    fences: Vec<u64>,
    filter: Vec<u8>,
    blocks: u64,
    /// So many pages from the start may be kept in memory, and are once as many
    /// were read one by one: for a few chunks that only seemed to be here it is not worth it.
    grant: u64,
    /// Reads of pages that may be kept.
    reads: AtomicU64,
    resident: OnceLock<Vec<u8>>,
    /// Held by who brings `resident`.
    loading: Mutex<()>,
}

/// The names of a run's files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub pages: PathBuf,
    pub filter: PathBuf,
}

impl Files {
    pub(super) fn new(folder: &Path, number: u64) -> Self {
        Self {
            pages: folder.join(format!("{number:010}.run")),
            filter: folder.join(format!("{number:010}.filter")),
        }
    }
}

fn failed(path: &Path, e: std::io::Error) -> Error {
    Error::io(format_args!("the index file {}", path.display()), e)
}

impl Run {
    /// Opens a run; `room` bytes of its pages may be kept in memory.
    ///
    /// # Errors
    /// `Corrupt` or `Missing` when the index must be built anew.
    pub(super) fn open(folder: &Path, row: RunRow, room: usize, durable: bool) -> Result<Self> {
        let files = Files::new(folder, row.number);
        let bad = |why: &str| {
            Error::new(
                Kind::Corrupt,
                format!("the index file {} {why}", files.filter.display()),
            )
        };
        let mut bytes = std::fs::read(&files.filter).map_err(|e| failed(&files.filter, e))?;
        let body = bytes
            .len()
            .checked_sub(TRAILER)
            .ok_or_else(|| bad("is cut off"))?;
        if bytes[body + 32..] != row.sum || blake3::hash(&bytes[..body + 32]).as_bytes() != &row.sum
        {
            return Err(bad("is damaged"));
        }
        let n = |i: usize| prefix(&bytes[body + i * 8..]);
        let (number, entries, pages, blocks) = (n(0), n(1), n(2), n(3));
        let split = usize::try_from(blocks)
            .unwrap_or(usize::MAX)
            .saturating_mul(BLOCK);
        if (number, entries) != (row.number, row.entries)
            || pages != row.entries.div_ceil(ENTRIES as u64)
            || split.saturating_add(
                usize::try_from(pages)
                    .unwrap_or(usize::MAX)
                    .saturating_mul(8),
            ) != body
        {
            return Err(bad("does not fit its run"));
        }
        let file = File::open(&files.pages).map_err(|e| failed(&files.pages, e))?;
        let len = file.metadata().map_err(|e| failed(&files.pages, e))?.len();
        if len != pages * PAGE as u64 {
            return Err(bad("does not fit its run's length"));
        }
        let fences = bytes[split..body].chunks_exact(8).map(prefix).collect();
        bytes.truncate(split);
        bytes.shrink_to_fit();
        Ok(Self {
            row,
            files,
            durable: AtomicBool::new(durable),
            pages,
            file,
            fences,
            filter: bytes,
            blocks,
            grant: pages.min((room / PAGE) as u64),
            reads: AtomicU64::new(0),
            resident: OnceLock::new(),
            loading: Mutex::default(),
        })
    }

    /// `false` if the chunk is certainly not in this run; needs no disk.
    pub(super) fn may_hold(&self, id: &Id) -> bool {
        let at = filter::block(id, self.blocks) as usize * BLOCK;
        filter::may_hold(&self.filter[at..], id)
    }

    /// What the run says about a chunk.
    pub(super) fn get(&self, id: &Id) -> Result<Option<Locator>> {
        if !self.may_hold(id) {
            return Ok(None);
        }
        let wanted = prefix(&id.0);
        let Some(mut at) = self.last_fence(wanted) else {
            return Ok(None);
        };
        loop {
            if let Some(found) = self.in_page(at, id)? {
                return Ok(Some(found));
            }
            // Ids that begin alike may fill the pages before as well.
            if at == 0 || self.fences[at] != wanted {
                return Ok(None);
            }
            at -= 1;
        }
    }

    /// The last page that begins at or before `wanted`. Ids are uniform, so
    /// the search starts where it should be and widens from there.
    fn last_fence(&self, wanted: u64) -> Option<usize> {
        let n = self.fences.len();
        let guess = ((u128::from(wanted) * n as u128) >> 64) as usize;
        let (mut low, mut high, mut step) = (guess, guess, 8);
        while low > 0 && self.fences[low] > wanted {
            low = low.saturating_sub(step);
            step *= 4;
        }
        step = 8;
        while high < n && self.fences[high] <= wanted {
            high = (high + step).min(n);
            step *= 4;
        }
        let after = low + self.fences[low..high].partition_point(|f| *f <= wanted);
        after.checked_sub(1)
    }

    fn in_page(&self, at: usize, id: &Id) -> Result<Option<Locator>> {
        let number = at as u64;
        let n = self.entries_in(number);
        if number < self.grant
            && (self.resident.get().is_some()
                || self.reads.fetch_add(1, Ordering::Relaxed) >= self.grant)
        {
            let pages = self.resident()?;
            return Ok(page::find(&pages[at * PAGE..(at + 1) * PAGE], n, id));
        }
        let mut bytes = [0; PAGE];
        self.read(number, &mut bytes)?;
        Ok(page::find(&bytes, n, id))
    }

    fn entries_in(&self, page: u64) -> usize {
        // At most ENTRIES.
        (self.row.entries - page * ENTRIES as u64).min(ENTRIES as u64) as usize
    }

    /// Reads and checks whole pages.
    fn read(&self, first: u64, into: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(into, first * PAGE as u64)
            .map_err(|e| {
                // Whatever the reason, what the run holds can be had from the storage.
                let path = self.files.pages.display();
                let why = format!("the index file {path} cannot be read: {e}");
                Error::with_source(Kind::Corrupt, why, e)
            })?;
        for (i, bytes) in into.chunks_exact(PAGE).enumerate() {
            page::check(bytes, self.row.number, first + i as u64)?;
        }
        Ok(())
    }

    fn resident(&self) -> Result<&[u8]> {
        if let Some(pages) = self.resident.get() {
            return Ok(pages);
        }
        // One thread brings them, or they would be in memory several times.
        let _only = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pages) = self.resident.get() {
            return Ok(pages);
        }
        let mut pages = vec![0; self.grant as usize * PAGE];
        self.read(0, &mut pages)?;
        Ok(self.resident.get_or_init(|| pages))
    }

    /// Bytes of memory that grow with the number of entries.
    pub(super) fn memory(&self) -> usize {
        self.filter.capacity() + self.fences.capacity() * 8
    }

    /// Bytes of its pages that are, or may come to be, in memory.
    pub(super) fn granted(&self) -> usize {
        self.grant as usize * PAGE
    }

    /// Bytes on disk.
    pub(super) fn disk(&self) -> u64 {
        self.pages * PAGE as u64
            + self.blocks * BLOCK as u64
            + self.fences.len() as u64 * 8
            + TRAILER as u64
    }

    /// Makes its files survive a power cut; their folder must be synced too.
    pub(super) fn sync(&self) -> Result<()> {
        if self.durable.load(Ordering::Acquire) {
            return Ok(());
        }
        self.file
            .sync_all()
            .map_err(|e| failed(&self.files.pages, e))?;
        File::open(&self.files.filter)
            .and_then(|f| f.sync_all())
            .map_err(|e| failed(&self.files.filter, e))
    }
}

/// Reads a run in order.
pub(super) struct Cursor {
    run: std::sync::Arc<Run>,
    pages: Vec<u8>,
    /// The page after those in memory.
    next: u64,
    /// The first page in memory.
    first: u64,
    at: usize,
}

impl Cursor {
    pub(super) fn new(run: std::sync::Arc<Run>) -> Self {
        Self {
            run,
            pages: Vec::new(),
            next: 0,
            first: 0,
            at: 0,
        }
    }

    /// The next entry.
    pub(super) fn next(&mut self) -> Result<Option<(Id, Locator)>> {
        loop {
            let loaded = (self.next - self.first) as usize;
            let page = self.at / ENTRIES;
            if page < loaded {
                let within = self.at % ENTRIES;
                if within >= self.run.entries_in(self.first + page as u64) {
                    return Ok(None);
                }
                self.at += 1;
                let bytes = &self.pages[page * PAGE..(page + 1) * PAGE];
                return Ok(Some(page::entry(bytes, within)));
            }
            let n = (self.run.pages - self.next).min(AHEAD);
            if n == 0 {
                return Ok(None);
            }
            self.pages.resize(n as usize * PAGE, 0);
            self.run.read(self.next, &mut self.pages)?;
            self.first = self.next;
            self.next += n;
            self.at = 0;
        }
    }
}

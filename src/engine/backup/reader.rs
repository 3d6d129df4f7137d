//! Reading one file: fill a buffer, leave out zeros, cut the rest, store it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::engine::chunker::{self, ZERO_RUN, leading_zeros};
use crate::engine::error::{Error, Kind};
use crate::engine::format::tree::{Extent, List};
use crate::engine::nodes::ListBuilder;
use crate::engine::store::Depositor;
use crate::engine::tree::{FileType, Folder, Input, Meta};

/// Read at a time; several of the largest chunks, and small enough for the cache.
const BUFFER: usize = 2 << 20;
/// How far a file may grow while it is read before the rest is left for the next time.
const GROWTH: u64 = 64 << 20;
/// Extents kept in the file's own entry.
const INLINE_EXTENTS: usize = 24;
/// A source is given up when so many entries in a row could not be reached.
const FAULTS: u32 = 16;
const RETRIES: u32 = 2;
/// Said of a file that changed.
pub(super) const CHANGED: &str = "it changed while it was read; it was saved as it was read";

/// A failure while saving one entry.
pub(super) enum Failure {
    /// Of the source: the entry is left out, with a warning.
    Source(Error),
    /// Of the repository: the backup ends.
    Store(Error),
}

/// Faults of the connection to the source, in a row.
#[derive(Default)]
pub(super) struct Faults(AtomicU32);

impl Faults {
    /// Runs `work`, again after a pause if it failed in passing. When many in a
    /// row fail so, the source is gone and the backup must not go on as if its
    /// files were.
    pub(super) fn guard<T>(
        &self,
        mut work: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut pause = Duration::from_millis(50);
        for _ in 0..RETRIES {
            match work() {
                Err(Failure::Source(e)) if e.kind() == Kind::Transient => {
                    std::thread::sleep(pause);
                    pause *= 4;
                }
                other => {
                    self.0.store(0, Ordering::Relaxed);
                    return other;
                }
            }
        }
        match work() {
            Err(Failure::Source(e)) if e.kind() == Kind::Transient => {
                if self.0.fetch_add(1, Ordering::Relaxed) + 1 >= FAULTS {
                    return Err(Failure::Store(e.context(
                        "the source cannot be reached any more; nothing was committed, try again when it can",
                    )));
                }
                Err(Failure::Source(e))
            }
            other => {
                self.0.store(0, Ordering::Relaxed);
                other
            }
        }
    }
}

/// A file's content as saved.
pub(super) struct Content {
    pub extents: List<Extent>,
    pub size: u64,
    /// Set when the file changed under the reader.
    pub changed: Option<&'static str>,
    /// Extended attributes, where the open file was asked for them.
    pub xattrs: Option<Xattrs>,
}

/// Extended attributes by name.
pub(super) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Collects extents, joining neighbouring zeros.
pub(super) struct Extents {
    list: ListBuilder<Extent>,
    /// Bytes so far.
    pub size: u64,
}

impl Extents {
    pub(super) fn new() -> Self {
        Self {
            list: ListBuilder::new(),
            size: 0,
        }
    }

    pub(super) fn push(&mut self, extent: Extent, out: &mut Depositor<'_>) -> Result<(), Error> {
        self.size += extent.len();
        if let Extent::Zeros { len: more } = extent
            && let Some(Extent::Zeros { len }) = self.list.last_mut()
        {
            *len += more;
            return Ok(());
        }
        self.list.push(extent, out)
    }

    pub(super) fn finish(self, out: &mut Depositor<'_>) -> Result<List<Extent>, Error> {
        self.list.finish(INLINE_EXTENTS, out)
    }
}

/// Reads files one after another into the same buffer.
pub(super) struct Reader {
    buffer: Vec<u8>,
    chunker: chunker::Settings,
}

impl Reader {
    pub(super) fn new(chunker: chunker::Settings) -> Self {
        Self {
            buffer: vec![0; BUFFER],
            chunker,
        }
    }

    /// Saves the content of `name`, which may be `opened` already, as it is
    /// while being read. `each` hears how many bytes came, and may end the backup.
    pub(super) fn read(
        &mut self,
        folder: &dyn Folder,
        name: &[u8],
        meta: &Meta,
        opened: Option<Box<dyn Input>>,
        out: &mut Depositor<'_>,
        each: impl FnMut(u64) -> Result<(), Error>,
    ) -> Result<Content, Failure> {
        let FileType::File { size: expected } = meta.kind else {
            return Err(Failure::Source(Error::new(
                Kind::Refused,
                "is not a regular file",
            )));
        };
        let open = || match folder.open_part(name, meta, 0..u64::MAX)? {
            Some(input) => Ok(input),
            None => folder.open(name),
        };
        let mut input = match opened {
            Some(input) => input,
            None => open().map_err(Failure::Source)?,
        };
        let mut extents = Extents::new();
        let limit = expected.saturating_add(GROWTH);
        let whole = self.extents(&mut *input, limit, out, each, |extent, out| {
            extents.push(extent, out)
        })?;
        let mut changed =
            (!whole).then_some("it grows while it is read; the rest is left for the next backup");
        if whole && !same(&mut *input, meta, extents.size).map_err(Failure::Source)? {
            changed = Some(CHANGED);
        }
        let xattrs = if meta.xattrs.is_empty() {
            input.xattrs().map_err(Failure::Source)?
        } else {
            None
        };
        let size = extents.size;
        let extents = extents.finish(out).map_err(Failure::Store)?;
        Ok(Content {
            extents,
            size,
            changed,
            xattrs,
        })
    }

    /// Saves one part of a big file; `None` where the source cannot read parts.
    /// Also says whether the file changed meanwhile.
    pub(super) fn part(
        &mut self,
        folder: &dyn Folder,
        name: &[u8],
        meta: &Meta,
        part: Range<u64>,
        out: &mut Depositor<'_>,
        each: impl FnMut(u64) -> Result<(), Error>,
    ) -> Result<Option<(Vec<Extent>, bool)>, Failure> {
        let opened = folder.open_part(name, meta, part.clone());
        let Some(mut input) = opened.map_err(Failure::Source)? else {
            return Ok(None);
        };
        let mut extents = Vec::new();
        let mut size = part.start;
        self.extents(&mut *input, u64::MAX, out, each, |extent, _| {
            size += extent.len();
            extents.push(extent);
            Ok(())
        })?;
        let FileType::File { size: whole } = meta.kind else {
            return Ok(Some((extents, true)));
        };
        let short = size < part.end.min(whole);
        let changed = short || !same(&mut *input, meta, whole).map_err(Failure::Source)?;
        Ok(Some((extents, changed)))
    }

    /// Cuts and stores what `input` gives. False if it was left off after `limit` bytes.
    fn extents(
        &mut self,
        input: &mut dyn Input,
        limit: u64,
        out: &mut Depositor<'_>,
        mut each: impl FnMut(u64) -> Result<(), Error>,
        mut push: impl FnMut(Extent, &mut Depositor<'_>) -> Result<(), Error>,
    ) -> Result<bool, Failure> {
        // `filled` bytes of the buffer are read and not stored yet; `in_zeros`
        // says that what was stored last are zeros that may go on.
        let (mut filled, mut in_zeros) = (0, false);
        let mut size = 0;
        loop {
            let (end, hole) = self.fill(input, &mut filled).map_err(Failure::Source)?;
            let mut at = 0;
            while at < filled {
                let rest = &self.buffer[at..filled];
                if !end && hole == 0 && rest.len() < self.chunker.max as usize {
                    break;
                }
                let zeros = leading_zeros(rest);
                let (extent, n) = if zeros >= ZERO_RUN || (in_zeros && zeros > 0) {
                    (Extent::Zeros { len: zeros as u64 }, zeros)
                } else {
                    let n = self.chunker.cut(rest);
                    let id = out.data(&rest[..n]).map_err(Failure::Store)?;
                    // Chunks are at most BLOCK_MAX long.
                    (Extent::Data { id, len: n as u32 }, n)
                };
                in_zeros = matches!(extent, Extent::Zeros { .. });
                push(extent, out).map_err(Failure::Store)?;
                at += n;
            }
            size += at as u64 + hole;
            each(at as u64 + hole).map_err(Failure::Store)?;
            self.buffer.copy_within(at..filled, 0);
            filled -= at;
            if hole > 0 {
                push(Extent::Zeros { len: hole }, out).map_err(Failure::Store)?;
                in_zeros = true;
            }
            if end {
                return Ok(true);
            }
            if size > limit {
                return Ok(false);
            }
        }
    }

    /// Reads until the buffer is full, a hole begins (its length is returned)
    /// or the file ends.
    fn fill(&mut self, input: &mut dyn Input, filled: &mut usize) -> Result<(bool, u64), Error> {
        while *filled < self.buffer.len() {
            let hole = input.skip_hole()?;
            if hole > 0 {
                return Ok((false, hole));
            }
            match input.read(&mut self.buffer[*filled..])? {
                0 => return Ok((true, 0)),
                n => *filled += n,
            }
        }
        Ok((false, 0))
    }
}

/// Whether the file still is what the folder's listing said.
fn same(input: &mut dyn Input, meta: &Meta, size: u64) -> Result<bool, Error> {
    let now = input.meta_now()?;
    Ok(FileType::File { size } == meta.kind
        && now.is_none_or(|now| now.kind == meta.kind && now.mtime == meta.mtime))
}

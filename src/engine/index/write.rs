//! Writing a run, in order and in one go. Nothing refers to its files until the list
//! of runs does, so they need neither a temporary name nor care when left half.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::filter::{self, BLOCK};
use super::page::{self, ENTRIES, PAGE, prefix};
use super::rows::Locator;
use super::run::{Files, RunRow};
use crate::engine::error::{Error, Kind, Result};
use crate::engine::ids::Id;

const BUFFER: usize = 256 << 10;

/// A file that knows the hash of what was written to it.
struct Hashed {
    file: BufWriter<File>,
    hash: blake3::Hasher,
}

impl Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }
}

/// A run being written.
pub(super) struct Writer {
    number: u64,
    files: Files,
    pages: BufWriter<File>,
    page: Box<[u8; PAGE]>,
    filter: Hashed,
    blocks: u64,
    block: Box<[u8; BLOCK]>,
    /// The block being filled.
    at: u64,
    fences: Vec<u64>,
    entries: u64,
    last: Option<Id>,
}

impl Writer {
    /// For at most `entries` entries.
    pub(super) fn new(folder: &Path, number: u64, entries: u64) -> Result<Self> {
        let files = Files::new(folder, number);
        let create = |path: &Path| {
            File::create(path)
                .map(|f| BufWriter::with_capacity(BUFFER, f))
                .map_err(|e| Error::io(format_args!("making the index file {}", path.display()), e))
        };
        Ok(Self {
            number,
            pages: create(&files.pages)?,
            page: Box::new([0; PAGE]),
            filter: Hashed {
                file: create(&files.filter)?,
                hash: blake3::Hasher::new(),
            },
            files,
            blocks: filter::blocks(entries),
            block: Box::new([0; BLOCK]),
            at: 0,
            fences: Vec::new(),
            entries: 0,
            last: None,
        })
    }

    fn failed(&self, e: std::io::Error) -> Error {
        let path = self.files.pages.display();
        Error::io(format_args!("writing the index file {path}"), e)
    }

    /// Adds an entry; ids must ascend.
    pub(super) fn push(&mut self, id: &Id, place: &Locator) -> Result<()> {
        if self.last.is_some_and(|last| last >= *id) {
            return Err(Error::new(
                Kind::Corrupt,
                "the index's entries are out of order",
            ));
        }
        self.last = Some(*id);
        let within = (self.entries % ENTRIES as u64) as usize;
        if within == 0 {
            if self.entries > 0 {
                self.end_page().map_err(|e| self.failed(e))?;
            }
            self.fences.push(prefix(&id.0));
        }
        page::put(&mut self.page[..], within, id, place);
        self.entries += 1;
        let block = filter::block(id, self.blocks);
        self.fill_to(block).map_err(|e| self.failed(e))?;
        filter::insert(&mut self.block, id);
        Ok(())
    }

    fn end_page(&mut self) -> std::io::Result<()> {
        page::seal(
            &mut self.page[..],
            self.number,
            self.fences.len() as u64 - 1,
        );
        self.pages.write_all(&self.page[..])?;
        self.page.fill(0);
        Ok(())
    }

    /// Writes the filter's blocks before `block`.
    fn fill_to(&mut self, block: u64) -> std::io::Result<()> {
        while self.at < block {
            self.filter.write(&self.block[..])?;
            self.block.fill(0);
            self.at += 1;
        }
        Ok(())
    }

    /// Completes the files; `None`, and no files, if nothing was added.
    pub(super) fn finish(mut self) -> Result<Option<RunRow>> {
        if self.entries == 0 {
            remove(&self.files);
            return Ok(None);
        }
        let mut end = || -> std::io::Result<[u8; 32]> {
            self.end_page()?;
            self.pages.flush()?;
            self.fill_to(self.blocks)?;
            for fence in &self.fences {
                self.filter.write(&fence.to_be_bytes())?;
            }
            let pages = self.fences.len() as u64;
            for n in [self.number, self.entries, pages, self.blocks] {
                self.filter.write(&n.to_be_bytes())?;
            }
            let sum = *self.filter.hash.finalize().as_bytes();
            self.filter.file.write_all(&sum)?;
            self.filter.file.flush()?;
            Ok(sum)
        };
        match end() {
            Ok(sum) => Ok(Some(RunRow {
                number: self.number,
                entries: self.entries,
                sum,
            })),
            Err(e) => Err(self.failed(e)),
        }
    }
}

/// Removes a run's files. Those that stay are removed at the next opening.
pub(super) fn remove(files: &Files) {
    for path in [&files.pages, &files.filter] {
        if let Err(e) = std::fs::remove_file(path)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), error = %e, "an old index file could not be removed");
        }
    }
}

//! The files of a history (the snapshots of one name).
//!
//! `ID.head` says what there is; it is replaced as a whole, and that is the
//! commit. `ID-N.names` and `ID-N.rows` hold the blocks' parts, each written
//! once behind what the head knows of; when half of that is no longer used, it
//! is copied into files with the next N. Everything is compressed and sealed
//! under a key of the history's own with a random nonce, and bound to its block's number,
//! which is never used again.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::block::Parts;
use crate::engine::crypt::ObjectKey;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::tree::{Bytes, EntryV1};
use crate::engine::keys::{Keys, random};
use crate::engine::storage::{hex, unhex};

const MAGIC: &[u8; 8] = b"COLCACT1";
const HEADER: usize = 8 + 16 + 16 + 4;
const NONCE: usize = 12;
const LEVEL: i32 = 3;
/// Files are not copied for less waste than this.
const WASTE_MIN: u64 = 4 << 20;

/// Where a part of a block is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Span {
    at: u64,
    len: u32,
    plain: u32,
}

/// A block.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Block {
    /// The key of its first row.
    pub first: Bytes,
    number: u64,
    names: Span,
    rows: Span,
}

/// What a history consists of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub name: String,
    /// The snapshots that were read in, with their numbers, in that order.
    pub snapshots: Vec<(u32, [u8; 16])>,
    /// The number of the next one.
    pub next: u32,
    /// The top of the last one: what the next one is compared with.
    pub root: Option<EntryV1>,
    /// In order of their keys, of which none is in two of them.
    pub blocks: Vec<Block>,
    block_numbers: u64,
    generation: u32,
    names_end: u64,
    rows_end: u64,
}

/// A history as it was committed. Blocks it knows stay readable while it
/// lives, whatever is committed after it.
pub(super) struct History {
    pub head: Head,
    id: [u8; 16],
    key: ObjectKey,
    folder: PathBuf,
    names: File,
    rows: File,
}

fn damaged(path: &Path) -> Error {
    Error::new(
        Kind::Corrupt,
        format!(
            "{} is damaged; it is built anew from the snapshots",
            path.display()
        ),
    )
}

fn io(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let what = format!("{what} {}", path.display());
    move |e| Error::io(what, e)
}

fn create(path: &Path) -> Result<File> {
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600);
    options.open(path).map_err(io("making", path))
}

fn head_path(folder: &Path, id: &[u8; 16]) -> PathBuf {
    folder.join(format!("{}.head", hex(id)))
}

fn data_path(folder: &Path, id: &[u8; 16], generation: u32, part: &str) -> PathBuf {
    folder.join(format!("{}-{generation}.{part}", hex(id)))
}

/// What a thread reads blocks with; made once.
pub(super) struct Reader(zstd::bulk::Decompressor<'static>);

impl Reader {
    pub(super) fn new() -> Result<Self> {
        let made = zstd::bulk::Decompressor::new();
        made.map(Self)
            .map_err(|e| Error::io("the decompressor could not be set up", e))
    }
}

/// What a thread writes blocks with; made once.
pub(super) struct Writer(zstd::bulk::Compressor<'static>);

impl Writer {
    pub(super) fn new() -> Result<Self> {
        let made = zstd::bulk::Compressor::new(LEVEL);
        made.map(Self)
            .map_err(|e| Error::io("the compressor could not be set up", e))
    }
}

fn seal(key: &ObjectKey, aad: &[u8], plain: &[u8], writer: &mut Writer) -> Result<Vec<u8>> {
    let packed = writer.0.compress(plain);
    let packed = packed.map_err(|e| Error::io("the catalogue could not be compressed", e))?;
    let nonce = random::<NONCE>()?;
    let mut out = [&nonce[..], &packed].concat();
    let tag = key.seal_nonce(nonce, aad, &mut out[NONCE..])?;
    out.extend_from_slice(&tag);
    Ok(out)
}

fn open(
    key: &ObjectKey,
    aad: &[u8],
    sealed: &mut [u8],
    plain: usize,
    reader: &mut Reader,
) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk_mut::<NONCE>()?;
    let packed = key.open_nonce(*nonce, aad, sealed)?;
    reader.0.decompress(packed, plain).ok()
}

/// What a part is bound to.
fn bound(number: u64, part: u8) -> [u8; 9] {
    let mut out = [part; 9];
    out[..8].copy_from_slice(&number.to_le_bytes());
    out
}

impl History {
    /// An empty one, not yet committed.
    pub(super) fn create(folder: &Path, keys: &Keys, name: &str) -> Result<Self> {
        let id = random::<16>()?;
        Ok(Self {
            head: Head {
                name: name.into(),
                snapshots: Vec::new(),
                next: 0,
                root: None,
                blocks: Vec::new(),
                block_numbers: 0,
                generation: 0,
                names_end: 0,
                rows_end: 0,
            },
            id,
            key: ObjectKey::new(keys.catalogue(&id))?,
            folder: folder.into(),
            names: create(&data_path(folder, &id, 0, "names"))?,
            rows: create(&data_path(folder, &id, 0, "rows"))?,
        })
    }

    /// Opens the one with this head. `Corrupt` if anything about the head is
    /// not as it was written, or it belongs to another repository.
    pub(super) fn open(path: &Path, repository: [u8; 16], keys: &Keys) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(io("reading", path))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let stem = path.file_stem().and_then(|s| s.to_str());
        let id = stem.and_then(unhex::<16>).ok_or_else(|| damaged(path))?;
        let key = ObjectKey::new(keys.catalogue(&id))?;
        let head = Self::read_head(&bytes, &id, repository, &key).ok_or_else(|| damaged(path))?;
        let data = |part| {
            let path = data_path(folder, &id, head.generation, part);
            let file = File::options().read(true).write(true).open(&path);
            file.map_err(|e| match e.kind() {
                ErrorKind::NotFound => damaged(&path),
                _ => io("opening", &path)(e),
            })
        };
        Ok(Self {
            names: data("names")?,
            rows: data("rows")?,
            head,
            id,
            key,
            folder: folder.into(),
        })
    }

    fn read_head(bytes: &[u8], id: &[u8], repository: [u8; 16], key: &ObjectKey) -> Option<Head> {
        let (header, sealed) = bytes.split_at_checked(HEADER)?;
        let (about, len) = header.split_last_chunk::<4>()?;
        if about != [&MAGIC[..], &repository, id].concat() {
            return None;
        }
        let len = u32::from_le_bytes(*len);
        let mut sealed = sealed.to_vec();
        let plain = open(
            key,
            header,
            &mut sealed,
            len as usize,
            &mut Reader::new().ok()?,
        )?;
        postcard::from_bytes(&plain).ok()
    }

    /// For what is to come after this one. It writes behind what this one knows.
    pub(super) fn writer(&self, keys: &Keys) -> Result<Self> {
        let again = |file: &File| {
            let file = file.try_clone();
            file.map_err(|e| Error::io("opening the catalogue a second time", e))
        };
        Ok(Self {
            head: self.head.clone(),
            id: self.id,
            key: ObjectKey::new(keys.catalogue(&self.id))?,
            folder: self.folder.clone(),
            names: again(&self.names)?,
            rows: again(&self.rows)?,
        })
    }

    fn read(
        &self,
        file: &File,
        span: Span,
        bound: [u8; 9],
        reader: &mut Reader,
    ) -> Result<Vec<u8>> {
        let bad = || damaged(&head_path(&self.folder, &self.id));
        let mut sealed = vec![0; span.len as usize];
        file.read_exact_at(&mut sealed, span.at)
            .map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => bad(),
                _ => Error::io("reading the catalogue", e),
            })?;
        open(&self.key, &bound, &mut sealed, span.plain as usize, reader).ok_or_else(bad)
    }

    /// The folded names of a block.
    pub(super) fn names(&self, block: &Block, reader: &mut Reader) -> Result<Vec<u8>> {
        self.read(&self.names, block.names, bound(block.number, 0), reader)
    }

    /// Both parts of a block.
    pub(super) fn parts(&self, block: &Block, reader: &mut Reader) -> Result<Parts> {
        Ok(Parts {
            names: self.names(block, reader)?,
            rows: self.read(&self.rows, block.rows, bound(block.number, 1), reader)?,
        })
    }

    /// Writes a block, which the next commit makes part of the history if the
    /// head then names it.
    pub(super) fn put(
        &mut self,
        first: &[u8],
        parts: &Parts,
        writer: &mut Writer,
    ) -> Result<Block> {
        let number = self.head.block_numbers;
        self.head.block_numbers += 1;
        let key = &self.key;
        let mut put = |file: &File, end: &mut u64, plain: &[u8], part: u8| {
            let sealed = seal(key, &bound(number, part), plain, writer)?;
            let too_long = |_| Error::new(Kind::Refused, "a block of the catalogue is too long");
            let span = Span {
                at: *end,
                len: sealed.len().try_into().map_err(too_long)?,
                plain: plain.len().try_into().map_err(too_long)?,
            };
            file.write_all_at(&sealed, *end)
                .map_err(|e| Error::io("writing the catalogue", e))?;
            *end += u64::from(span.len);
            Ok::<_, Error>(span)
        };
        Ok(Block {
            first: Bytes(first.into()),
            number,
            names: put(&self.names, &mut self.head.names_end, &parts.names, 0)?,
            rows: put(&self.rows, &mut self.head.rows_end, &parts.rows, 1)?,
        })
    }

    /// Makes the head as it is now the one that is found after a crash.
    pub(super) fn commit(&mut self, repository: [u8; 16]) -> Result<()> {
        let used: u64 = self
            .head
            .blocks
            .iter()
            .map(|b| u64::from(b.names.len) + u64::from(b.rows.len))
            .sum();
        let old = self.head.generation;
        if (self.head.names_end + self.head.rows_end).saturating_sub(used) > used.max(WASTE_MIN) {
            self.copy()?;
        }
        let sync = |file: &File| {
            file.sync_data()
                .map_err(|e| Error::io("writing the catalogue", e))
        };
        sync(&self.names)?;
        sync(&self.rows)?;
        let path = head_path(&self.folder, &self.id);
        let plain = postcard::to_stdvec(&self.head)
            .map_err(|e| Error::with_source(Kind::Io, "the catalogue could not be encoded", e))?;
        let mut bytes = [&MAGIC[..], &repository, &self.id].concat();
        let len = u32::try_from(plain.len());
        let len =
            len.map_err(|_| Error::new(Kind::Refused, "the catalogue has too many blocks"))?;
        bytes.extend_from_slice(&len.to_le_bytes());
        let sealed = seal(&self.key, &bytes, &plain, &mut Writer::new()?)?;
        bytes.extend_from_slice(&sealed);
        let fresh = path.with_extension("new");
        let file = create(&fresh)?;
        file.write_all_at(&bytes, 0)
            .map_err(io("writing", &fresh))?;
        sync(&file)?;
        std::fs::rename(&fresh, &path).map_err(io("replacing", &path))?;
        let folder = File::open(&self.folder).and_then(|f| f.sync_all());
        folder.map_err(io("writing", &self.folder))?;
        if old != self.head.generation {
            self.remove_data(old);
        }
        Ok(())
    }

    /// Copies what is used, sealed as it is, into files of the next generation.
    fn copy(&mut self) -> Result<()> {
        let generation = self.head.generation + 1;
        let mut move_to = |part: &str, from: &File, of: fn(&mut Block) -> &mut Span| {
            let to = create(&data_path(&self.folder, &self.id, generation, part))?;
            let mut end = 0;
            for block in &mut self.head.blocks {
                let span = of(block);
                let mut sealed = vec![0; span.len as usize];
                let moved = from.read_exact_at(&mut sealed, span.at);
                moved
                    .and_then(|()| to.write_all_at(&sealed, end))
                    .map_err(|e| Error::io("copying the catalogue", e))?;
                span.at = end;
                end += u64::from(span.len);
            }
            Ok::<_, Error>((to, end))
        };
        let (names, names_end) = move_to("names", &self.names, |b| &mut b.names)?;
        let (rows, rows_end) = move_to("rows", &self.rows, |b| &mut b.rows)?;
        (self.names, self.rows) = (names, rows);
        (self.head.names_end, self.head.rows_end) = (names_end, rows_end);
        self.head.generation = generation;
        Ok(())
    }

    fn remove_data(&self, generation: u32) {
        for part in ["names", "rows"] {
            remove(&data_path(&self.folder, &self.id, generation, part));
        }
    }

    /// Takes the history away; those who still read it are not disturbed.
    pub(super) fn remove(&self) {
        remove(&head_path(&self.folder, &self.id));
        self.remove_data(self.head.generation);
    }

    /// Whether both are the same history, however far each was read in.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.id == other.id
    }

    /// Whether a file of the catalogue's folder is one of this history's.
    pub(super) fn owns(&self, path: &Path) -> bool {
        let data = |part| data_path(&self.folder, &self.id, self.head.generation, part);
        [
            head_path(&self.folder, &self.id),
            data("names"),
            data("rows"),
        ]
        .iter()
        .any(|own| own == path)
    }
}

/// Removes a file nobody needs; if that fails, the next opening tries again.
pub(super) fn remove(path: &Path) {
    if let Err(e) = std::fs::remove_file(path)
        && e.kind() != ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %e, "could not be removed");
    }
}

//! The way in: chunks are claimed, gathered into blocks, compressed, packed and
//! written, each chunk once. Used by backups and by collections.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::codec::Compressor;
use super::error::Result;
use super::format::segment::{BLOCK_MAX, Codec, SegmentKind};
use super::ids::{Id, IdSet};
use super::index::{Bits, Index};
use super::keys::Keys;
use super::pack::{Counts, Finished, Packer, Packing, Spare, Stop, packers};
use super::progress::Progress;
use super::storage::{Name, Storage};

/// A block of content is closed at about this size: zstd finds in neighbouring
/// chunks and files what it cannot find in one, and it is still little enough
/// to fetch for one small file.
const DATA_BLOCK: usize = BLOCK_MAX;
/// A shared block of tree nodes: small, because browsing fetches single nodes.
const TREE_BLOCK: usize = 256 << 10;
/// Most chunks in a shared block.
const BLOCK_ITEMS: usize = 4096;
const SHARDS: usize = 64;

/// Chunks on their way into the index: claimed by one worker, so that no
/// other stores them too.
struct Claims(Vec<Mutex<IdSet>>);

impl Claims {
    fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    fn shard(&self, id: &Id) -> &Mutex<IdSet> {
        // Another word of the id than the maps hash by.
        &self.0[(id.word(1) % SHARDS as u64) as usize]
    }

    /// Whether the caller is the first and must store the chunk. The shard
    /// stays locked while the index is asked: [`Claims::settle`] runs after the
    /// index has the chunk, so a claim just settled is found there.
    fn claim(&self, id: &Id, index: &Index, used: &Bits) -> Result<bool> {
        let mut shard = self
            .shard(id)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if shard.contains(id) || index.rely(id, used)? {
            return Ok(false);
        }
        shard.insert(*id);
        Ok(true)
    }

    fn settle(&self, id: &Id) {
        self.shard(id)
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }
}

/// Where an operation's chunks go.
pub(crate) struct Store<'a> {
    storage: &'a dyn Storage,
    index: &'a Index,
    keys: Arc<Keys>,
    claims: Claims,
    data: Packer,
    tree: Packer,
    zstd_level: i32,
    used: &'a Bits,
    frees: bool,
    progress: &'a Progress,
    /// What was stored.
    pub counts: Counts,
}

/// What [`Store::run`] needs of the repository.
pub(crate) struct Place<'a> {
    pub storage: &'a dyn Storage,
    pub index: &'a Index,
    pub packing: Packing,
    pub zstd_level: i32,
    /// Where chunks that are there already are noted, so that they stay.
    pub used: &'a Bits,
    /// What is stored serves to free room.
    pub frees: bool,
}

impl<'a> Store<'a> {
    /// Runs `work` with a store, then writes what is left and makes all of it
    /// durable: first the storage, then the index.
    pub(crate) fn run<T>(
        place: &Place<'a>,
        progress: &'a Progress,
        stop: &'a Stop,
        work: impl FnOnce(&Store<'a>) -> Result<T>,
    ) -> Result<(T, Counts)> {
        let (data, tree, finished, spare) = packers(&place.packing);
        let store = Store {
            storage: place.storage,
            index: place.index,
            keys: place.packing.keys.clone(),
            claims: Claims::new(),
            data,
            tree,
            zstd_level: place.zstd_level,
            used: place.used,
            frees: place.frees,
            progress,
            counts: Counts::default(),
        };
        let out = std::thread::scope(|scope| {
            let store = &store;
            let writer = scope.spawn(move || {
                for segment in finished {
                    if stop.failed() {
                        // Drained, so that nobody waits for a writer that gave up.
                        continue;
                    }
                    if let Err(e) = store.write(segment, &spare) {
                        stop.fail(e);
                    }
                }
            });
            let out = work(store).and_then(|out| {
                store.data.flush()?;
                store.tree.flush()?;
                Ok(out)
            });
            store.data.close();
            store.tree.close();
            if writer.join().is_err() {
                stop.fail(super::error::Error::new(
                    super::error::Kind::Io,
                    "the writer of segments ended unexpectedly",
                ));
            }
            out
        })?;
        stop.check()?;
        place.storage.sync()?;
        place.index.flush()?;
        Ok((out, store.counts))
    }

    fn write(&self, segment: Finished, spare: &Spare) -> Result<()> {
        let name = segment.name;
        let stored = segment.bytes.len() as u64;
        let object = Name::Segment(name);
        match self.frees {
            true => self.storage.put_to_free(&object, &segment.bytes)?,
            false => self.storage.put(&object, &segment.bytes)?,
        }
        spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(segment.bytes);
        self.index
            .add(name, segment.header, stored, &segment.blocks)?;
        for (id, _) in segment.blocks.iter().flat_map(|b| &b.chunks) {
            self.claims.settle(id);
        }
        self.counts.stored.fetch_add(stored, Ordering::Relaxed);
        self.progress
            .stored_bytes
            .fetch_add(stored, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a chunk is there and will stay. Everything that takes over the
    /// id of a chunk or node without storing it must ask this.
    pub(crate) fn rely(&self, id: &Id) -> Result<bool> {
        self.index.rely(id, self.used)
    }

    /// One worker's way in.
    pub(crate) fn depositor(&self) -> Result<Depositor<'_>> {
        Ok(Depositor {
            data: Gathering::new(&self.data, DATA_BLOCK),
            tree: Gathering::new(&self.tree, TREE_BLOCK),
            compressor: Compressor::new(self.zstd_level)?,
            index: self.index,
            keys: &self.keys,
            claims: &self.claims,
            used: self.used,
            counts: &self.counts,
            progress: self.progress,
        })
    }
}

/// Chunks that will share a block.
struct Gathering<'s> {
    packer: &'s Packer,
    target: usize,
    body: Vec<u8>,
    chunks: Vec<(Id, u32)>,
}

impl<'s> Gathering<'s> {
    fn new(packer: &'s Packer, target: usize) -> Self {
        Self {
            packer,
            target,
            body: Vec::new(),
            chunks: Vec::new(),
        }
    }

    fn flush(&mut self, compressor: &mut Compressor) -> Result<()> {
        if self.chunks.is_empty() {
            return Ok(());
        }
        let (codec, stored) = compressor.compress(&self.body);
        self.packer.append(
            codec,
            stored,
            self.body.len() as u32,
            std::mem::take(&mut self.chunks),
        )?;
        self.body.clear();
        Ok(())
    }

    fn add(&mut self, id: Id, bytes: &[u8], compressor: &mut Compressor) -> Result<()> {
        // Chunks are at most BLOCK_MAX long.
        let len = bytes.len() as u32;
        if compressor.hopeless(bytes) {
            // Nothing is gained by gathering it; sealed from where it lies.
            return self.packer.append(Codec::Raw, bytes, len, vec![(id, len)]);
        }
        if self.body.len() + bytes.len() > self.target || self.chunks.len() >= BLOCK_ITEMS {
            self.flush(compressor)?;
        }
        self.body.extend_from_slice(bytes);
        self.chunks.push((id, len));
        Ok(())
    }
}

/// One worker's way into the store.
pub(crate) struct Depositor<'s> {
    data: Gathering<'s>,
    tree: Gathering<'s>,
    compressor: Compressor,
    index: &'s Index,
    keys: &'s Keys,
    claims: &'s Claims,
    used: &'s Bits,
    counts: &'s Counts,
    progress: &'s Progress,
}

impl Depositor<'_> {
    /// Stores a chunk of content unless it is there.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> Result<Id> {
        let id = self.keys.data_id(bytes);
        if self.claims.claim(&id, self.index, self.used)? {
            let n = bytes.len() as u64;
            self.counts.new_bytes.fetch_add(n, Ordering::Relaxed);
            self.progress.new_bytes.fetch_add(n, Ordering::Relaxed);
            self.data.add(id, bytes, &mut self.compressor)?;
        }
        Ok(id)
    }

    /// Stores a tree node unless it is there.
    pub(crate) fn node(&mut self, bytes: &[u8]) -> Result<Id> {
        let id = self.keys.tree_id(bytes);
        if self.claims.claim(&id, self.index, self.used)? {
            self.tree.add(id, bytes, &mut self.compressor)?;
        }
        Ok(id)
    }

    /// Stores a chunk again although it is there, to leave its old segment.
    pub(crate) fn again(&mut self, kind: SegmentKind, id: Id, bytes: &[u8]) -> Result<()> {
        match kind {
            SegmentKind::Data => self.data.add(id, bytes, &mut self.compressor),
            SegmentKind::Tree => self.tree.add(id, bytes, &mut self.compressor),
        }
    }

    /// Seals what was gathered. Must be called before the depositor goes.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.data.flush(&mut self.compressor)?;
        self.tree.flush(&mut self.compressor)
    }
}

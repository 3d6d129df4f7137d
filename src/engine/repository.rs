//! The open repository: what the rest of the program asks the engine for.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::blocks::Blocks;
use super::catalogue::Catalogue;
use super::error::{Error, Kind, Result};
use super::format::header::{Features, HeaderV1};
use super::format::snapshot::SnapshotV1;
use super::format::tree::{Bytes, EntryV1, Extent, KindV1, List};
use super::ids::Id;
use super::index::{Bits, Index};
use super::keys::{Keys, MasterKey, RecoveryKey, Unlock, random};
use super::locks::{Locks, Operation};
use super::nodes::{ListIter, find};
use super::pack::Packing;
use super::progress::Progress;
use super::snapshots::Snapshots;
use super::storage::{Class, Name, Storage};
use super::store::Place;
use super::tree::{Target, Tree};
use super::uses::Uses;
use super::warnings::display;
use super::{
    BackupOptions, BackupReport, CollectOptions, CollectReport, Node, Params, RestoreReport,
    Snapshot, VerifyReport, backup, content, convert, reconcile, restore,
};

/// Where a node's content or children are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeContent {
    /// Neither.
    None,
    /// A file's extents.
    File(List<Extent>),
    /// A folder's tree node.
    Folder(Id),
}

/// An open repository. Cheap to share (`Arc`); operations that may not run
/// together answer `Busy`.
pub struct Repository {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) header: HeaderV1,
    pub(crate) keys: Arc<Keys>,
    pub(crate) index: Arc<Index>,
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) snapshots: Snapshots,
    pub(crate) unusable: reconcile::Unusable,
    /// Segments the last verification found damaged; collections empty them.
    pub(crate) damaged: Mutex<BTreeSet<u32>>,
    pub(crate) locks: Locks,
    pub(crate) catalogue: Catalogue,
    /// What running backups rely on.
    pub(crate) uses: Uses,
}

impl Repository {
    /// Writes a new header into an empty storage and opens it. The state
    /// folder (mode 0700) holds index and catalogue, which are caches, and
    /// must not be shared by two repositories.
    pub fn create(
        storage: Arc<dyn Storage>,
        state: &Path,
        master: &MasterKey,
        recovery: &RecoveryKey,
        params: Params,
    ) -> Result<Self> {
        params.check()?;
        let place = storage.describe();
        let occupied = |what: &str| {
            Err(Error::new(
                Kind::Refused,
                format!("{place} already holds {what}; choose an empty storage"),
            ))
        };
        match storage.get(&Name::Header) {
            Ok(_) => return occupied("a repository"),
            Err(e) if e.kind() == Kind::Missing => {}
            Err(e) => return Err(e),
        }
        if !storage.list(Class::Segments)?.is_empty() || !storage.list(Class::Snapshots)?.is_empty()
        {
            return occupied("a repository's data without its header");
        }
        let header = HeaderV1::create(master, recovery, &params)?;
        storage.put(&Name::Header, &header.encode())?;
        storage.sync()?;
        Self::open(storage, state, master)
    }

    /// Opens; brings the index in step with the storage (new segments are
    /// read, vanished ones forgotten), building it anew if the state folder is empty.
    pub fn open(storage: Arc<dyn Storage>, state: &Path, master: &MasterKey) -> Result<Self> {
        let header = read_header(&*storage)?;
        let keys = Arc::new(header.keys(master)?);
        let index = Arc::new(Index::open(state, header.id)?);
        let unusable = reconcile::reconcile(&*storage, &index, &keys, header.id)?;
        let snapshots = Snapshots::open(&*storage, &index, &keys, header.id)?;
        let blocks = Arc::new(Blocks::new(storage.clone(), index.clone(), keys.clone()));
        Ok(Self {
            storage,
            header,
            keys,
            index,
            blocks,
            snapshots,
            unusable,
            damaged: Mutex::default(),
            locks: Locks::default(),
            catalogue: Catalogue::new(state),
            uses: Uses::default(),
        })
    }

    /// Unwraps the master key from a storage's header. Wrong words: `Refused`.
    pub fn recover_key(storage: &dyn Storage, recovery: &RecoveryKey) -> Result<MasterKey> {
        Self::unlock(storage, Unlock::Recovery(recovery))
    }

    /// The storage it works on.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// What storing chunks needs; chunks found already stored are noted in `used`.
    pub(crate) fn place<'a>(&'a self, used: &'a Bits) -> Place<'a> {
        Place {
            storage: &*self.storage,
            index: &self.index,
            packing: Packing {
                repository: self.header.id,
                epoch: self.keys.epoch(),
                segment_bytes: self.header.params.segment_bytes,
                keys: self.keys.clone(),
            },
            zstd_level: self.header.params.zstd_level,
            used,
            frees: false,
        }
    }

    /// Backs up a tree; the returned snapshot is durable.
    pub fn backup(
        &self,
        tree: &dyn Tree,
        options: &BackupOptions,
        progress: &Progress,
    ) -> Result<BackupReport> {
        Features::allow(self.header.features.write, "back up")?;
        let _running = self.locks.begin(Operation::Backup)?;
        let time = jiff::Timestamp::now();
        // Until the snapshot is committed.
        let used = self.uses.begin(&self.index);
        let parent = self.snapshots.newest(&options.name);
        // Forgotten and collected meanwhile, it could not tell what is unchanged.
        let _pin = parent
            .as_ref()
            .map(|(_, record)| self.locks.pin(record.root.kind.clone()));
        let saved = backup::save(
            &self.place(&used.bits),
            &self.blocks,
            self.header.chunker,
            tree,
            options,
            parent.as_ref().map(|(_, record)| &record.root),
            progress,
        )?;
        progress.check()?;
        let id = random::<16>()?;
        let (files, bytes) = match &saved.root.kind {
            KindV1::Folder { entries, bytes, .. } => (*entries, *bytes),
            _ => (0, 0),
        };
        let record = SnapshotV1 {
            version: SnapshotV1::VERSION,
            name: options.name.clone(),
            origin: tree.describe(),
            writer: concat!("colca ", env!("CARGO_PKG_VERSION")).into(),
            secs: time.as_second(),
            // Before 1970 the part of a second is negative; no clock is that wrong.
            nanos: u32::try_from(time.subsec_nanosecond()).unwrap_or_default(),
            files,
            bytes,
            new_bytes: saved.new_bytes,
            stored_bytes: saved.stored_bytes,
            millis: saved.millis,
            warnings: saved.warning_count,
            full: options.full,
            parent: parent.map(|(id, _)| id),
            root: saved.root,
        };
        let sealed = record.seal(id, self.header.id, self.keys.epoch(), &self.keys)?;
        let snapshot = self
            .snapshots
            .commit(&*self.storage, &self.index, id, sealed, record)?;
        drop(used);
        // The snapshot does not need it.
        if let Err(e) = self.index.tidy() {
            tracing::warn!(error = %e, "the index could not be tidied");
        }
        Ok(BackupReport {
            snapshot,
            warnings: saved.warnings,
        })
    }

    /// All snapshots, oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        Ok(self.snapshots.list())
    }

    /// The snapshot meant by `id` (see [`Snapshot`]). `Missing` or, if ambiguous, `Refused`.
    pub fn find(&self, id: &str) -> Result<Snapshot> {
        self.snapshots.find(id)
    }

    /// Forgets a snapshot; its room is freed by the next collection.
    pub fn forget(&self, snapshot: &Snapshot) -> Result<()> {
        Features::allow(self.header.features.delete, "forget snapshots")?;
        self.snapshots
            .forget(&*self.storage, &self.index, &snapshot.id)
    }

    /// The stored entry at a path.
    pub(crate) fn entry(&self, snapshot: &Snapshot, path: &[Vec<u8>]) -> Result<EntryV1> {
        let (_, record) = self.snapshots.record(&snapshot.id)?;
        let mut entry = record.root;
        for (depth, name) in path.iter().enumerate() {
            let next = match &entry.kind {
                KindV1::Folder { id, .. } => find::<EntryV1>(&self.blocks, id, name)?,
                _ => None,
            };
            entry = next.ok_or_else(|| {
                Error::new(
                    Kind::Missing,
                    format!(
                        "snapshot {} has no {} in {}",
                        &snapshot.id[..snapshot.id.len().min(8)],
                        String::from_utf8_lossy(name),
                        display(&path[..depth])
                    ),
                )
            })?;
        }
        Ok(entry)
    }

    /// One entry by path. `Missing` names the part of the path that is not there.
    pub fn node(&self, snapshot: &Snapshot, path: &[Vec<u8>]) -> Result<Node> {
        self.show(self.entry(snapshot, path)?)
    }

    fn show(&self, entry: EntryV1) -> Result<Node> {
        let mut meta = convert::meta(&entry);
        for item in ListIter::new(&*self.blocks, entry.xattrs) {
            let (Bytes(name), Bytes(value)) = item?;
            meta.xattrs.insert(name, value);
        }
        Ok(Node {
            name: entry.name.0,
            meta,
            content: match entry.kind {
                KindV1::File { extents, .. } => NodeContent::File(extents),
                KindV1::Folder { id, .. } => NodeContent::Folder(id),
                _ => NodeContent::None,
            },
        })
    }

    /// The entries of a folder, by name.
    pub fn children(&self, folder: &Node) -> Result<Vec<Node>> {
        ListIter::<_, EntryV1>::node(&*self.blocks, folder_id(folder)?)?
            .map(|entry| self.show(entry?))
            .collect()
    }

    /// The next entries of a folder by name: at most `limit` of those after
    /// the name `after`, or from the first one on. Reads only the pages they
    /// are in, so any part of a folder of a million names is there at once.
    pub fn children_page(
        &self,
        folder: &Node,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Node>> {
        ListIter::<_, EntryV1>::after(&*self.blocks, folder_id(folder)?, after)?
            .take(limit)
            .map(|entry| self.show(entry?))
            .collect()
    }

    /// The content of a regular file, checked chunk by chunk while read.
    pub fn read(self: &Arc<Self>, file: &Node) -> Result<Box<dyn Read + Send>> {
        let NodeContent::File(extents) = &file.content else {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{} is not a regular file and has no content",
                    String::from_utf8_lossy(&file.name)
                ),
            ));
        };
        let pin = self.locks.pin(KindV1::File {
            size: 0,
            extents: extents.clone(),
        });
        Ok(Box::new(content::Content::new(
            self.blocks.clone(),
            extents.clone(),
            pin,
        )))
    }

    /// Restores the entry at `path` and all below it. A folder's *content* is
    /// put into the target's top; a file is put there under its own name.
    pub fn restore(
        &self,
        snapshot: &Snapshot,
        path: &[Vec<u8>],
        target: &dyn Target,
        progress: &Progress,
    ) -> Result<RestoreReport> {
        let entry = self.entry(snapshot, path)?;
        let _pin = self.locks.pin(entry.kind.clone());
        // Still there now that it is pinned: nobody can collect it any more.
        self.snapshots.record(&snapshot.id)?;
        restore::restore(&self.blocks, entry, target, progress)
    }

    /// Checks that every snapshot's tree and chunks are there; with `data`,
    /// reads, repairs and decrypts everything.
    pub fn verify(&self, data: bool, progress: &Progress) -> Result<VerifyReport> {
        Features::allow(self.header.features.check, "verify")?;
        let _running = self.locks.begin(Operation::Verify)?;
        super::verify::verify(self, data, progress)
    }

    /// Frees what no snapshot needs. Backups and everything that reads may go
    /// on; stopped in the middle, what was done stays done.
    pub fn collect(&self, options: &CollectOptions, progress: &Progress) -> Result<CollectReport> {
        Features::allow(self.header.features.delete, "collect")?;
        // It stores again what it rewrites.
        Features::allow(self.header.features.write, "collect")?;
        let _running = self.locks.begin(Operation::Collect)?;
        super::collect::collect(self, options, progress)
    }
}

fn folder_id(node: &Node) -> Result<&Id> {
    match &node.content {
        NodeContent::Folder(id) => Ok(id),
        _ => Err(Error::new(
            Kind::Refused,
            format!("{} is not a folder", String::from_utf8_lossy(&node.name)),
        )),
    }
}

/// The header of a storage. `Missing`, `Corrupt`, or `Refused` when it needs a
/// newer program.
pub(crate) fn read_header(storage: &dyn Storage) -> Result<HeaderV1> {
    let bytes = storage.get(&Name::Header).map_err(|e| {
        if e.kind() == Kind::Missing {
            Error::new(
                Kind::Missing,
                format!("there is no repository in {}", storage.describe()),
            )
        } else {
            e
        }
    })?;
    HeaderV1::decode(&bytes)
}

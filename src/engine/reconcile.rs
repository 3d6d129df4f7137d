//! Brings the index in step with the storage when a repository is opened.

use std::collections::BTreeSet;

use super::crypt::{ObjectKey, TAG};
use super::error::{Error, Kind, Result};
use super::format::segment::{
    self, BlockEntry, Codec, FOOTER, Footer, HEADER, RECORD, RecordHeader, RecordType,
    SegmentHeader, damaged,
};
use super::index::Index;
use super::keys::Keys;
use super::storage::{Class, Name, Storage};

/// Segments the storage has but that cannot be used, and why.
pub(crate) type Unusable = Vec<([u8; 32], String)>;

/// Reads unknown segments' directories into the index and forgets vanished
/// segments, so that no backup relies on a chunk that is not there. Of those
/// that a storage does not list while parts of it are away, the index keeps what
/// it knows, but nothing new relies on them.
pub(crate) fn reconcile(
    storage: &dyn Storage,
    index: &Index,
    keys: &Keys,
    repository: [u8; 16],
) -> Result<Unusable> {
    let mut listed = Vec::new();
    for (name, len) in storage.list(Class::Segments)? {
        if let Name::Segment(id) = name {
            listed.push((id, len));
        }
    }
    listed.sort_unstable();
    listed.dedup();
    let mut known = vec![false; listed.len()];
    let mut absent = Vec::new();
    for segment in index.segments() {
        match listed.binary_search(&(segment.name, segment.stored)) {
            Ok(at) => known[at] = true,
            Err(_) => absent.push((segment.number, segment.name)),
        }
    }
    match storage.complete() {
        _ if absent.is_empty() => {}
        Ok(()) => {
            // A chunk of a vanished segment may also be in another one, which only
            // the directories can tell.
            tracing::warn!("segments have vanished from the storage; building the index anew");
            index.clear()?;
            known.fill(false);
        }
        Err(why) => {
            // They are as likely to come back as their disks. Until this is
            // opened again nothing new relies on them.
            tracing::warn!(segments = absent.len(), error = %why, "segments cannot be reached now");
            let numbers: Vec<u32> = absent.iter().map(|(number, _)| *number).collect();
            index.condemn(&numbers);
            let names: BTreeSet<[u8; 32]> = absent.into_iter().map(|(_, name)| name).collect();
            for (known, (name, _)) in known.iter_mut().zip(&listed) {
                *known |= names.contains(name);
            }
        }
    }
    let mut unusable = Vec::new();
    let mut added = false;
    for ((id, len), known) in listed.into_iter().zip(known) {
        if known {
            continue;
        }
        match fetch_directory(storage, keys, repository, &id, len) {
            Ok((header, blocks)) => {
                index.add(id, header, len, &blocks)?;
                added = true;
            }
            Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Missing | Kind::Refused) => {
                tracing::warn!(segment = %Name::Segment(id), error = %e, "segment cannot be used");
                unusable.push((id, e.to_string()));
            }
            Err(e) => return Err(e),
        }
    }
    if added {
        index.flush()?;
    }
    index.tidy()?;
    Ok(unusable)
}

/// A segment's header and directory; where the directory is lost, the same
/// gathered from the records.
pub(crate) fn fetch_directory(
    storage: &dyn Storage,
    keys: &Keys,
    repository: [u8; 16],
    id: &[u8; 32],
    len: u64,
) -> Result<(SegmentHeader, Vec<BlockEntry>)> {
    let name = Name::Segment(*id);
    if len < (HEADER + RECORD + TAG + FOOTER) as u64 {
        return Err(damaged(&name, len, "it is too short to be a segment"));
    }
    let header = SegmentHeader::decode(&storage.get_range(&name, 0, HEADER)?)
        .map_err(|e| e.context(name))?;
    if header.repository != repository {
        return Err(Error::new(
            Kind::Refused,
            format!("{name} belongs to another repository"),
        ));
    }
    let key = header.key(keys)?;
    let read = || -> Result<Vec<BlockEntry>> {
        let footer = storage.get_range(&name, len - FOOTER as u64, FOOTER)?;
        let footer = Footer::decode(&footer, len)?;
        let bytes = storage.get_range(&name, footer.offset, footer.len as usize)?;
        open_directory(&key, &footer, bytes)
    };
    match read() {
        Ok(blocks) => Ok((header, blocks)),
        Err(e) if e.kind() == Kind::Corrupt => {
            tracing::warn!(segment = %name, error = %e, "directory lost; reading the records");
            let blocks = salvage(&name, &key, keys, &header, &storage.get(&name)?)?;
            Ok((header, blocks))
        }
        Err(e) => Err(e),
    }
}

/// The directory of a segment that is in memory.
pub(crate) fn read_directory(
    name: &Name,
    key: &ObjectKey,
    bytes: &[u8],
) -> Result<Vec<BlockEntry>> {
    let cut = || damaged(name, bytes.len() as u64, "it is cut off");
    let end = bytes.len().checked_sub(FOOTER).ok_or_else(cut)?;
    let footer = Footer::decode(&bytes[end..], bytes.len() as u64)?;
    let start = usize::try_from(footer.offset).map_err(|_| cut())?;
    open_directory(key, &footer, bytes[start..end].to_vec())
}

/// The same; where the directory is lost, gathered from the records that can be opened.
pub(crate) fn directory(
    name: &Name,
    header: &SegmentHeader,
    keys: &Keys,
    bytes: &[u8],
) -> Result<Vec<BlockEntry>> {
    let key = header.key(keys)?;
    read_directory(name, &key, bytes).or_else(|_| salvage(name, &key, keys, header, bytes))
}

/// Decodes a directory record.
fn open_directory(key: &ObjectKey, footer: &Footer, mut bytes: Vec<u8>) -> Result<Vec<BlockEntry>> {
    let bad = |why: &str| {
        Error::new(
            Kind::Corrupt,
            format!("the segment's directory is damaged: {why}"),
        )
    };
    if blake3::hash(&bytes).as_bytes() != &footer.hash {
        return Err(bad("its checksum does not match"));
    }
    let record = RecordHeader::decode(&bytes)?;
    if record.record != RecordType::Directory
        || record.codec != Codec::Raw
        || record.stored as usize + RECORD != bytes.len()
    {
        return Err(bad("it is no directory"));
    }
    let (head, sealed) = bytes.split_at_mut(RECORD);
    let plain = key
        .open(record.seq, head, sealed)
        .ok_or_else(|| bad("its content does not match its seal"))?;
    segment::decode_directory(plain, footer.blocks)
}

/// Walks the records of a segment and computes what its directory would say.
/// Records that cannot be opened are left out.
fn salvage(
    name: &Name,
    key: &ObjectKey,
    keys: &Keys,
    header: &SegmentHeader,
    bytes: &[u8],
) -> Result<Vec<BlockEntry>> {
    let mut zstd = super::codec::Decompressor::new()?;
    let mut out = Vec::new();
    let mut at = HEADER;
    while let Some(head) = bytes.get(at..at + RECORD) {
        let Ok(record) = RecordHeader::decode(head) else {
            at += 1;
            continue;
        };
        let end = at + RECORD + record.stored as usize;
        let Some(sealed) = bytes.get(at + RECORD..end) else {
            at += 1;
            continue;
        };
        if record.record == RecordType::Directory {
            break;
        }
        let mut sealed = sealed.to_vec();
        let Some(plain) = key.open(record.seq, head, &mut sealed) else {
            at += 1;
            continue;
        };
        let (lens, start) = segment::decode_block_table(plain)?;
        let (len, mut body) = (lens.iter().map(|l| *l as usize).sum(), Vec::new());
        let body = zstd.expand(record.codec, &plain[start..], len, &mut body)?;
        let mut chunks = Vec::with_capacity(lens.len());
        let mut from = 0;
        for len in lens {
            let chunk = &body[from..from + len as usize];
            chunks.push((super::blocks::chunk_id(keys, header.kind, chunk), len));
            from += len as usize;
        }
        out.push(BlockEntry {
            // Segments are shorter than 4 GiB.
            offset: u32::try_from(at).map_err(|_| damaged(name, at as u64, "it is too long"))?,
            stored: record.stored,
            plain: body.len() as u32,
            chunks,
        });
        at = end;
    }
    if out.is_empty() {
        return Err(damaged(name, HEADER as u64, "no record can be opened"));
    }
    Ok(out)
}

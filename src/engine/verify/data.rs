//! Reading every stored byte.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Findings, about_data};
use crate::engine::Repository;
use crate::engine::blocks::{chunk_id, open_block};
use crate::engine::codec::Decompressor;
use crate::engine::crypt::ObjectKey;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::format::segment::{BLOCK_MAX, BlockEntry, RECORD, SegmentHeader, damaged};
use crate::engine::ids::{Id, IdMap};
use crate::engine::index::{Locator, SegmentInfo};
use crate::engine::pack::Stop;
use crate::engine::progress::Progress;
use crate::engine::reconcile::directory;

/// What a worker uses again for each block.
struct Tools {
    zstd: Decompressor,
    segment: Vec<u8>,
    body: Vec<u8>,
}

/// Reads every segment with all workers.
pub(super) fn read_all(
    repository: &Repository,
    segments: &[u32],
    found: Findings,
    progress: &Progress,
) -> Result<Findings> {
    let found = Mutex::new(found);
    let largest = (repository.index.segments())
        .map(|s| usize::try_from(s.stored).unwrap_or(0))
        .max()
        .unwrap_or(0);
    let next = AtomicUsize::new(0);
    let stop = Stop::default();
    std::thread::scope(|scope| {
        let work = || {
            let run = || -> Result<()> {
                let mut tools = Tools {
                    zstd: Decompressor::new()?,
                    // Room for any of them at once: growing with them, or new
                    // memory for each, would leave gaps.
                    segment: Vec::with_capacity(largest),
                    body: Vec::with_capacity(BLOCK_MAX),
                };
                while let Some(number) = segments.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(segment) = repository.index.segment(*number) else {
                        continue;
                    };
                    stop.check()?;
                    progress.check()?;
                    progress.at(&segment.object().to_string());
                    segment_data(repository, &segment, &found, &mut tools)?;
                    progress.files.fetch_add(1, Ordering::Relaxed);
                    progress.bytes.fetch_add(segment.stored, Ordering::Relaxed);
                }
                Ok(())
            };
            if let Err(e) = run() {
                stop.fail(e);
            }
        };
        // Each holds a whole segment, so few are enough to keep the storage busy.
        let workers = crate::engine::backup::workers().min(4);
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in running {
            if worker.join().is_err() {
                stop.fail(Error::new(
                    Kind::Io,
                    "a worker of the verification ended unexpectedly; please report this",
                ));
            }
        }
    });
    stop.into_result()?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Checks, repairs and decrypts one segment.
fn segment_data(
    repository: &Repository,
    segment: &SegmentInfo,
    found: &Mutex<Findings>,
    tools: &mut Tools,
) -> Result<()> {
    let name = segment.object();
    let note = |f: &mut dyn FnMut(&mut Findings)| {
        f(&mut found.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let Tools {
        zstd,
        segment: bytes,
        body,
    } = tools;
    match repository.storage.check_and_get(&name, true, bytes) {
        Ok(health) => note(&mut |f| {
            f.report.damaged_parts += u64::from(health.missing) + u64::from(health.corrupt);
            f.report.repaired_parts += u64::from(health.repaired);
        }),
        Err(e) if about_data(&e) => {
            let mut ids = Vec::new();
            repository.index.each(|id, place| {
                if place.segment == segment.number {
                    ids.push(id);
                }
            })?;
            note(&mut |f| {
                f.error(format!("{name} is lost: {e}"));
                f.lost.extend(ids.iter().map(|id| (*id, name)));
            });
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    note(&mut |f| f.report.bytes += bytes.len() as u64);
    if *blake3::hash(bytes).as_bytes() != segment.name {
        note(&mut |f| {
            f.error(format!("{name}: its bytes do not match its name"));
            f.damaged.insert(segment.number);
        });
    }
    // The directory as opened now, or else what the index was told before.
    let opened = SegmentHeader::decode(bytes).and_then(|header| {
        if header != segment.header {
            return Err(damaged(&name, 0, "its header is another one than before"));
        }
        directory(&name, &header, &repository.keys, bytes)
    });
    let blocks = match opened {
        Ok(blocks) => blocks,
        Err(e) if about_data(&e) => {
            note(&mut |f| f.error(format!("{name}: {e}")));
            from_index(repository, segment)?
        }
        Err(e) => return Err(e),
    };
    let key = segment.header.key(&repository.keys)?;
    for block in &blocks {
        let checked = block_data(repository, segment, &key, block, bytes, zstd, body);
        match checked {
            Ok(copies) => note(&mut |f| f.copies.extend(copies.iter().copied())),
            Err(e) if about_data(&e) => {
                // Chunks that are also elsewhere, and found there, are not lost.
                let mut lost = Vec::new();
                for (id, _) in &block.chunks {
                    if is_here(repository, segment, block, id)?.is_some() {
                        lost.push((*id, name));
                    }
                }
                note(&mut |f| {
                    if !lost.is_empty() {
                        f.error(e.to_string());
                    }
                    f.lost.extend(lost.iter().copied());
                });
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The chunk's place, if the index has it in this block.
fn is_here(
    repository: &Repository,
    segment: &SegmentInfo,
    block: &BlockEntry,
    id: &Id,
) -> Result<Option<Locator>> {
    let place = repository.index.lookup(id)?;
    Ok(place.filter(|l| l.segment == segment.number && l.offset == block.offset))
}

/// The segment's blocks as the index knows them.
fn from_index(repository: &Repository, segment: &SegmentInfo) -> Result<Vec<BlockEntry>> {
    let mut blocks: HashMap<u32, BlockEntry> = HashMap::new();
    let mut places: HashMap<Id, u32> = HashMap::new();
    repository.index.each(|id, place| {
        if place.segment == segment.number {
            let block = blocks.entry(place.offset).or_insert_with(|| BlockEntry {
                offset: place.offset,
                stored: place.stored,
                plain: 0,
                chunks: Vec::new(),
            });
            block.plain += place.len;
            block.chunks.push((id, place.len));
            places.insert(id, place.at);
        }
    })?;
    let mut blocks: Vec<_> = blocks.into_values().collect();
    blocks.sort_unstable_by_key(|b| b.offset);
    for block in &mut blocks {
        block.chunks.sort_unstable_by_key(|(id, _)| places.get(id));
    }
    Ok(blocks)
}

/// Opens one block and recomputes its chunks' ids. Returns good chunks that
/// the index has not here but elsewhere or nowhere.
fn block_data(
    repository: &Repository,
    segment: &SegmentInfo,
    key: &ObjectKey,
    block: &BlockEntry,
    bytes: &mut [u8],
    zstd: &mut Decompressor,
    body: &mut Vec<u8>,
) -> Result<Vec<(Id, Locator)>> {
    let name = &segment.object();
    let from = block.offset as usize;
    let record = from
        .checked_add(RECORD + block.stored as usize)
        .and_then(|to| bytes.get_mut(from..to))
        .ok_or_else(|| damaged(name, u64::from(block.offset), "it is cut off"))?;
    let offset = u64::from(block.offset);
    let (lens, body) = open_block(name, offset, key, record, zstd, body)?;
    let mut at = 0usize;
    let mut ids = IdMap::default();
    for len in lens {
        let chunk = &body[at..at + len as usize];
        ids.insert(
            chunk_id(&repository.keys, segment.header.kind, chunk),
            (at as u32, len),
        );
        at += len as usize;
    }
    let mut copies = Vec::new();
    for (id, _) in &block.chunks {
        let wrong = || {
            damaged(
                name,
                u64::from(block.offset),
                "a chunk is not where the index or directory says",
            )
        };
        let (at, len) = *ids.get(id).ok_or_else(wrong)?;
        match is_here(repository, segment, block, id)? {
            Some(place) if (place.at, place.len) != (at, len) => return Err(wrong()),
            Some(_) => {}
            None => copies.push((
                *id,
                Locator {
                    segment: segment.number,
                    ordinal: Locator::UNPLACED,
                    offset: block.offset,
                    stored: block.stored,
                    at,
                    len,
                },
            )),
        }
    }
    Ok(copies)
}

//! Reading through an object's shards: every block verified, what is bad or
//! gone rebuilt from the others.

use std::collections::{BTreeMap, HashMap};
use std::thread;

use super::Pool;
use super::coding;
use super::layout::BLOCK;
use super::locate::Found;
use super::shard::{Fault, Shard};
use crate::engine::storage::Name;
use crate::engine::{Error, Kind, Result};

/// Work below this many bytes is not worth a thread.
pub(super) const PARALLEL: usize = 1 << 20;

/// One shard's part of a batch of stripes.
struct Lane<'a> {
    shard: &'a Shard,
    /// Where data blocks go: for each stripe a piece of the object, empty when
    /// the block is all fill.
    pieces: Vec<&'a mut [u8]>,
    /// Blocks kept aside: parity.
    blocks: Vec<Vec<u8>>,
    /// Stripes (counted from the batch's first) that could not be read.
    bad: Vec<usize>,
    io: Option<std::io::Error>,
}

/// What a lane brought.
struct Asked {
    index: usize,
    blocks: Vec<Vec<u8>>,
    bad: Vec<usize>,
}

impl Lane<'_> {
    fn run(&mut self, first: u64, count: usize) {
        let geometry = *self.shard.geometry();
        let data = geometry.k() == 1 || self.shard.index() < geometry.k();
        let mut scratch = Vec::new();
        for i in 0..count {
            let stripe = first + i as u64;
            let len = geometry.block_len(stripe);
            let result = if !data {
                let mut block = vec![0; len];
                let result = self.shard.read_block(stripe, &mut block);
                self.blocks.push(block);
                result
            } else if self.pieces[i].len() == len {
                self.shard.read_block(stripe, self.pieces[i])
            } else {
                scratch.resize(len, 0);
                let result = self.shard.read_block(stripe, &mut scratch);
                let part = self.pieces[i].len();
                self.pieces[i].copy_from_slice(&scratch[..part]);
                result
            };
            match result {
                Ok(()) => {}
                Err(Fault::Corrupt) => self.bad.push(i),
                Err(Fault::Io(e)) => {
                    self.bad.push(i);
                    self.io = Some(e);
                }
            }
        }
    }
}

impl Pool {
    /// Reads `count` stripes from `first` into `out`, which has exactly their
    /// object bytes. Says whether everything read was good.
    pub(super) fn read_stripes(
        &self,
        found: &Found,
        first: u64,
        count: u64,
        out: &mut [u8],
    ) -> Result<bool> {
        let geometry = &found.geometry;
        let mut clean = true;
        let mut rest = out;
        let mut at = first;
        let end = first + count;
        while at < end {
            let n = geometry.batch().min(end - at);
            let bytes: usize = (at..at + n).map(|s| geometry.object_bytes(s)).sum();
            let (now, later) = rest.split_at_mut(bytes);
            clean &= self.read_batch(found, at, n, now)?;
            rest = later;
            at += n;
        }
        Ok(clean)
    }

    fn read_batch(&self, found: &Found, first: u64, count: u64, out: &mut [u8]) -> Result<bool> {
        let geometry = &found.geometry;
        let k = geometry.k();
        // At most 8 MiB worth of stripes.
        let count = usize::try_from(count).unwrap_or(0);
        let chosen: Vec<&Shard> = found.shards.iter().flatten().take(k).collect();
        if chosen.len() < k {
            return Err(self.too_few(&found.name, chosen.len(), k));
        }
        let big = out.len() >= PARALLEL;
        let mut pieces: Vec<Vec<&mut [u8]>> = (0..k).map(|_| Vec::new()).collect();
        let mut rest = &mut *out;
        for i in 0..count {
            let stripe = first + i as u64;
            let len = geometry.block_len(stripe);
            for lane in &mut pieces {
                let part = len.min(rest.len()).min(geometry.object_bytes(stripe));
                let (piece, later) = rest.split_at_mut(part);
                lane.push(piece);
                rest = later;
            }
        }
        let mut lanes: Vec<Lane<'_>> = chosen
            .iter()
            .map(|shard| Lane {
                shard,
                pieces: match pieces.get_mut(shard.index()) {
                    Some(p) => std::mem::take(p),
                    None if k == 1 => std::mem::take(&mut pieces[0]),
                    None => Vec::new(),
                },
                blocks: Vec::new(),
                bad: Vec::new(),
                io: None,
            })
            .collect();
        if big && lanes.len() > 1 {
            thread::scope(|scope| {
                for lane in &mut lanes {
                    scope.spawn(|| lane.run(first, count));
                }
            });
        } else {
            for lane in &mut lanes {
                lane.run(first, count);
            }
        }
        let mut clean = true;
        let mut asked = Vec::new();
        for lane in lanes {
            if let Some(e) = &lane.io {
                self.trouble(&lane.shard.member, e);
            }
            if !lane.bad.is_empty() {
                clean = false;
                tracing::warn!(
                    "{} of {count} blocks of {} on {} are bad",
                    lane.bad.len(),
                    found.name,
                    lane.shard.member.called()
                );
            }
            asked.push(Asked {
                index: lane.shard.index(),
                blocks: lane.blocks,
                bad: lane.bad,
            });
        }
        self.rebuild(found, first, count, &asked, out)?;
        Ok(clean)
    }

    /// Rebuilds the stripes of a batch that have not all their data, from the
    /// good blocks at hand and, where these are too few, from shards not asked yet.
    fn rebuild(
        &self,
        found: &Found,
        first: u64,
        count: usize,
        asked: &[Asked],
        out: &mut [u8],
    ) -> Result<()> {
        let geometry = &found.geometry;
        let k = geometry.k();
        let all_data = asked.iter().all(|a| k == 1 || a.index < k);
        if all_data && asked.iter().all(|a| a.bad.is_empty()) {
            return Ok(());
        }
        // Stripes by the shards that are good for them, with the blocks that
        // are not in `out` already.
        let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        let mut extra: HashMap<(usize, usize), Vec<u8>> = HashMap::new();
        for i in 0..count {
            let good = asked.iter().filter(|a| !a.bad.contains(&i));
            let mut have: Vec<usize> = good.map(|a| a.index).collect();
            if have.len() == k && (k == 1 || have.iter().all(|index| *index < k)) {
                continue;
            }
            for shard in found.shards.iter().flatten() {
                let index = shard.index();
                if have.len() >= k {
                    break;
                }
                if asked.iter().any(|a| a.index == index) {
                    continue;
                }
                let stripe = first + i as u64;
                let mut block = vec![0; geometry.block_len(stripe)];
                if shard.read_block(stripe, &mut block).is_ok() {
                    extra.insert((index, i), block);
                    have.push(index);
                }
            }
            if have.len() < k {
                return Err(self.too_few(&found.name, have.len(), k));
            }
            groups.entry(have).or_default().push(i);
        }
        // Where a data block lies in `out`, without the fill.
        let place = |i: usize, index: usize| {
            let stripe = first + i as u64;
            let start = (0..i).map(|i| geometry.object_bytes(first + i as u64));
            let start: usize = start.sum();
            let (len, bytes) = (geometry.block_len(stripe), geometry.object_bytes(stripe));
            let from = (index * len).min(bytes);
            let to = (from + len).min(bytes);
            (start + from..start + to, len)
        };
        for (indexes, stripes) in groups {
            let mut columns = Vec::with_capacity(k);
            for index in indexes {
                let mut column = Vec::new();
                for i in &stripes {
                    let aside = asked.iter().find(|a| a.index == index);
                    let block = extra
                        .get(&(index, *i))
                        .or_else(|| aside.and_then(|a| a.blocks.get(*i)));
                    match block {
                        Some(block) => column.extend_from_slice(block),
                        None => {
                            let (range, len) = place(*i, index);
                            let end = column.len() + len;
                            column.extend_from_slice(&out[range]);
                            column.resize(end, 0);
                        }
                    }
                }
                columns.push((index, column));
            }
            for (index, column) in coding::recover(geometry, &columns)? {
                let mut at = 0;
                for i in &stripes {
                    let (range, len) = place(*i, index);
                    let part = range.len();
                    out[range].copy_from_slice(&column[at..at + part]);
                    at += len;
                }
            }
        }
        Ok(())
    }

    /// `len` bytes from `offset`, or the whole object; damage found on the way is repaired.
    pub(super) fn read(&self, name: &Name, range: Option<(u64, usize)>) -> Result<Vec<u8>> {
        let mut found = self.locate(name, false)?;
        if !found.complete && !found.damaged.is_empty() {
            found = self.locate(name, true)?;
        }
        let (bytes, clean) = match read_range(self, &found, range) {
            Err(e) if !found.complete && matches!(e.kind(), Kind::Corrupt | Kind::Missing) => {
                found = self.locate(name, true)?;
                let bytes = self.read_any(&found, range)?;
                (bytes, false)
            }
            Err(_) if found.alternatives > 0 => (self.read_any(&found, range)?, false),
            other => other?,
        };
        let lacking =
            found.complete && found.count() < found.geometry.shards() && self.missing().is_empty();
        if !self.read_only && (!clean || !found.damaged.is_empty() || lacking) {
            drop(found);
            match self.check_object(name, true) {
                Ok(health) => tracing::warn!("{name} was damaged: {health:?}"),
                Err(e) => tracing::warn!("{name} is damaged and could not be repaired: {e}"),
            }
        }
        Ok(bytes)
    }

    /// Reads from whichever shape the object can be had in.
    pub(super) fn read_any(&self, found: &Found, range: Option<(u64, usize)>) -> Result<Vec<u8>> {
        let mut first = read_range(self, found, range);
        for skip in 1..=found.alternatives {
            if first.is_ok() {
                break;
            }
            let found = self.locate_but(&found.name, true, skip)?;
            if let Ok(read) = read_range(self, &found, range) {
                first = Ok(read);
            }
        }
        first.map(|(bytes, _)| bytes)
    }
}

fn read_range(pool: &Pool, found: &Found, range: Option<(u64, usize)>) -> Result<(Vec<u8>, bool)> {
    let geometry = &found.geometry;
    let size = |n: u64| {
        usize::try_from(n).map_err(|_| {
            Error::new(
                Kind::Refused,
                format!("{} is too large for this machine", found.name),
            )
        })
    };
    let (offset, len) = match range {
        Some((offset, len)) => (offset, len),
        None => (0, size(geometry.len)?),
    };
    let end = offset
        .checked_add(len as u64)
        .filter(|end| *end <= geometry.len)
        .ok_or_else(|| {
            Error::new(
                Kind::Corrupt,
                format!(
                    "{} is {} bytes long, shorter than expected",
                    found.name, geometry.len
                ),
            )
        })?;
    // Blocks are whole in the checksums' eyes, so whole stripes are read; a
    // range within one block needs that block only.
    if len == 0 {
        return Ok((
            Vec::new(),
            found.shards.iter().flatten().all(|s| !s.wrong_length),
        ));
    }
    if let Some(bytes) = within_block(found, offset, len) {
        return Ok((bytes, true));
    }
    let first = offset / geometry.stripe_bytes();
    let last = (end - 1) / geometry.stripe_bytes();
    let from = first * geometry.stripe_bytes();
    let until = geometry.len.min((last + 1) * geometry.stripe_bytes());
    let mut bytes = vec![0; size(until - from)?];
    let clean = pool.read_stripes(found, first, last - first + 1, &mut bytes)?
        && found.shards.iter().flatten().all(|s| !s.wrong_length);
    let skip = size(offset - from)?;
    if skip > 0 || bytes.len() != len {
        bytes.truncate(skip + len);
        bytes.drain(..skip);
    }
    Ok((bytes, clean))
}

/// A range that lies within one good block of a data shard.
fn within_block(found: &Found, offset: u64, len: usize) -> Option<Vec<u8>> {
    let geometry = &found.geometry;
    let stripe = offset / geometry.stripe_bytes();
    let block_len = geometry.block_len(stripe);
    let within = usize::try_from(offset % geometry.stripe_bytes()).ok()?;
    let (index, start) = (within / block_len, within % block_len);
    if len > BLOCK || start + len > block_len {
        return None;
    }
    let shard = match geometry.k() {
        1 => found.shards.iter().flatten().next()?,
        _ => found.shards.get(index)?.as_ref()?,
    };
    if shard.wrong_length {
        return None;
    }
    let mut block = vec![0; block_len];
    shard.read_block(stripe, &mut block).ok()?;
    block.truncate(start + len);
    block.drain(..start);
    Some(block)
}

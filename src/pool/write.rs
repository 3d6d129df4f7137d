//! Storing an object: choose members, encode stripe by stripe, one thread per
//! member, and give the shards their names only when all of them are durable.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::thread;

use super::coding::Stripe;
use super::layout::{Geometry, SMALL, ShardHeader};
use super::member::{Member, is_full, is_replaced};
use super::read::PARALLEL;
use super::shard::ShardWriter;
use super::status::rooms;
use super::{Pool, place};
use crate::engine::storage::{Name, Space};
use crate::engine::{Error, Kind, Result};

/// Members beyond this many get no copy of a small object.
pub(super) const MAX_COPIES: u8 = 64;

/// Blocks written by one call: the kernel keeps what it gets in large pieces in
/// large pages, at about half the cost; more would leave the processor's cache.
const AT_ONCE: usize = 16;

/// A shard to be written: its index and where.
pub(super) type Target = (Arc<Member>, u8);

/// Gives the object bytes of so many stripes from the first.
pub(super) type Source<'a> = dyn FnMut(u64, u64) -> Result<Cow<'a, [u8]>> + 'a;

/// Why shards were not written.
pub(super) enum WriteError {
    /// These members failed; the pool can go on without them.
    Members(Vec<(Arc<Member>, io::Error)>),
    /// The object itself could not be had.
    Object(Error),
}

impl Pool {
    /// Stores an object; with `reserved` also into the room that is kept free.
    pub(super) fn store(&self, name: &Name, bytes: &[u8], reserved: bool) -> Result<()> {
        self.writable()?;
        let _held = self.hold(name);
        let len = bytes.len() as u64;
        let mut newest = self.grave(name);
        match self.locate(name, true) {
            Ok(found) if is_replaced(name) => newest = newest.max(found.version),
            Ok(found) if found.readable() => {
                if found.geometry.len != len {
                    return Err(Error::new(
                        Kind::Refused,
                        format!("{name} is stored already, with other content"),
                    ));
                }
                let whole = found.count() == found.geometry.shards() && found.damaged.is_empty();
                if !whole {
                    let mut source = slice_source(found.geometry, bytes);
                    self.fill(&found, &[], &mut source)?;
                }
                return Ok(());
            }
            // Too little is left to be an object: the rest of a write that never ended.
            Ok(_) => {
                for member in self.ranked(name) {
                    if let Err(e) = member.remove(name) {
                        self.trouble(&member, &e);
                    }
                }
            }
            Err(e) if matches!(e.kind(), Kind::Missing | Kind::Corrupt) => {}
            Err(e) => return Err(e),
        }
        let version = self.stamp(newest);
        let mut full: HashSet<usize> = HashSet::new();
        loop {
            self.call_spares();
            if !reserved {
                full.extend(self.at_the_floor(name, len));
            }
            let (geometry, targets) = self.choose(name, len, &full)?;
            let mut source = slice_source(geometry, bytes);
            match self.write_shards(name, geometry, version, &targets, &mut source) {
                Ok(written) => {
                    self.note_written(&targets, written - geometry.k());
                    return Ok(());
                }
                Err(WriteError::Object(e)) => return Err(e),
                // Each turn leaves fewer members, so this ends.
                Err(WriteError::Members(failed)) => {
                    for (member, e) in failed {
                        if is_full(&e) {
                            full.insert(member.slot);
                        } else {
                            self.lost(&member, &e);
                        }
                    }
                }
            }
        }
    }

    /// Members on which a new segment would go below the room kept free. What
    /// is not a segment is small, and may be needed to free room.
    fn at_the_floor(&self, name: &Name, len: u64) -> Vec<usize> {
        if !matches!(name, Name::Segment(_)) {
            return Vec::new();
        }
        let shard = self.wanted(name, len).file_len();
        let members = self.online();
        let rooms = rooms(&members);
        let short = |(_, room): &(&Arc<Member>, &Space)| {
            room.free < shard.saturating_add(self.floor(room.total))
        };
        let both = members.iter().zip(&rooms);
        both.filter(short).map(|(m, _)| m.slot).collect()
    }

    /// The form of a new object and the members to hold it.
    pub(super) fn choose(
        &self,
        name: &Name,
        len: u64,
        full: &HashSet<usize>,
    ) -> Result<(Geometry, Vec<Target>)> {
        let (online, actives) = self.actives(name);
        let redundancy = self.redundancy();
        let (k, m) = (usize::from(redundancy.data), usize::from(redundancy.parity));
        if online.len() < k {
            return Err(Error::new(
                Kind::Missing,
                format!(
                    "pool {} has {} of {actives} members; writing needs at least {k}; bring back: {}",
                    self.id_text,
                    online.len(),
                    self.missing().join(", ")
                ),
            ));
        }
        let mut with_room: Vec<Arc<Member>> = online
            .iter()
            .filter(|member| !full.contains(&member.slot))
            .cloned()
            .collect();
        let copies = len < SMALL || is_replaced(name);
        let (geometry, need) = if copies {
            // On every member, but content with as many as may fail and one.
            (self.wanted(name, len), (m + 1).min(online.len()))
        } else {
            let geometry = self.wanted(name, len);
            let width = (k + m).min(online.len());
            // Members so large that the pool only gets full when they take
            // part in everything come first.
            let free: Vec<u64> = rooms(&with_room).iter().map(|s| s.free).collect();
            let level = place::level(&free, width);
            let mut order: Vec<usize> = (0..free.len()).collect();
            order.sort_by_key(|i| free[*i] < level);
            with_room = order.iter().map(|i| Arc::clone(&with_room[*i])).collect();
            (geometry, width)
        };
        if with_room.len() < need {
            let names: Vec<String> = online
                .iter()
                .filter(|member| full.contains(&member.slot))
                .map(|member| member.called())
                .collect();
            return Err(Error::new(
                Kind::Full,
                format!(
                    "no room for {name} ({len} bytes): these members are full: {}; free space by forgetting snapshots, or add disks",
                    names.join(", ")
                ),
            ));
        }
        let targets = with_room
            .into_iter()
            .take(geometry.shards())
            .zip(0u8..)
            .collect();
        Ok((geometry, targets))
    }
}

/// The object bytes as a source of stripes.
pub(super) fn slice_source<'a>(
    geometry: Geometry,
    bytes: &'a [u8],
) -> impl FnMut(u64, u64) -> Result<Cow<'a, [u8]>> {
    move |first, count| {
        let at = |stripe: u64| {
            let offset = (stripe * geometry.stripe_bytes()).min(geometry.len);
            // Within the slice, which is in memory.
            usize::try_from(offset).unwrap_or(bytes.len())
        };
        Ok(Cow::Borrowed(&bytes[at(first)..at(first + count)]))
    }
}

/// Runs `work` on every writer, in threads when it is worth it; returns what failed.
fn on_each(
    writers: &mut [ShardWriter],
    parallel: bool,
    work: impl Fn(&mut ShardWriter) -> io::Result<()> + Sync,
) -> Vec<(Arc<Member>, io::Error)> {
    let failed = |writer: &ShardWriter, result: io::Result<()>| {
        result.err().map(|e| (Arc::clone(&writer.member), e))
    };
    if !parallel || writers.len() < 2 {
        return writers
            .iter_mut()
            .filter_map(|w| {
                let result = work(w);
                failed(w, result)
            })
            .collect();
    }
    thread::scope(|scope| {
        let running: Vec<_> = writers
            .iter_mut()
            .map(|w| {
                let work = &work;
                scope.spawn(move || {
                    let result = work(w);
                    failed(w, result)
                })
            })
            .collect();
        running
            .into_iter()
            .filter_map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

impl Pool {
    /// Writes these shards of an object; the number that got their name.
    /// Nothing is left behind on failure.
    pub(super) fn write_shards(
        &self,
        name: &Name,
        geometry: Geometry,
        version: u64,
        targets: &[Target],
        source: &mut Source<'_>,
    ) -> Result<usize, WriteError> {
        let first = self.look().roster.first();
        let mut writers = Vec::with_capacity(targets.len());
        let mut failed = Vec::new();
        for (member, index) in targets {
            let header = ShardHeader {
                pool: self.id,
                name: *name,
                geometry,
                index: *index,
                version,
            };
            match ShardWriter::create(Arc::clone(member), header, first) {
                Ok(writer) => writers.push(writer),
                Err(e) => failed.push((Arc::clone(member), e)),
            }
        }
        let parallel = geometry.len >= PARALLEL as u64;
        let mut encoder = None;
        let mut at = 0;
        while at < geometry.stripes() && failed.is_empty() {
            let count = geometry.batch().min(geometry.stripes() - at);
            let bytes = source(at, count).map_err(WriteError::Object)?;
            let mut rest: &[u8] = &bytes;
            let mut stripes = Vec::new();
            for stripe in at..at + count {
                let (now, later) = rest.split_at(geometry.object_bytes(stripe));
                let encoded = Stripe::encode(&geometry, stripe, now, &mut encoder);
                stripes.push(encoded.map_err(WriteError::Object)?);
                rest = later;
            }
            failed = on_each(&mut writers, parallel, |writer| {
                let index = writer.index();
                let blocks: Vec<&[u8]> =
                    stripes.iter().map(|s| s.block(&geometry, index)).collect();
                for (blocks, first) in blocks.chunks(AT_ONCE).zip((at..).step_by(AT_ONCE)) {
                    writer.write_blocks(first, blocks)?;
                }
                writer.hurry(at);
                Ok(())
            });
            at += count;
        }
        if failed.is_empty() {
            failed = on_each(&mut writers, true, ShardWriter::finish);
        }
        if !failed.is_empty() {
            return Err(WriteError::Members(failed));
        }
        let mut settled = Vec::new();
        for writer in writers {
            let member = Arc::clone(&writer.member);
            match writer.settle() {
                Ok(path) => settled.push((member, path)),
                Err(e) => failed.push((member, e)),
            }
        }
        // A name half given is taken back, unless it replaced something: then
        // the newest version is the one that counts from here on.
        if !failed.is_empty() && !is_replaced(name) {
            for (member, path) in &settled {
                if let Err(e) = member.remove_file(path) {
                    self.trouble(member, &e);
                }
            }
            return Err(WriteError::Members(failed));
        }
        if settled.is_empty() {
            return Err(WriteError::Members(failed));
        }
        Ok(settled.len())
    }
}

//! One object brought to where, and to the shape in which, it should be.
//!
//! At every step at least as many shards can be read as before: what is
//! written is durable, its name too, before anything old is removed. So a cut
//! anywhere leaves the old, the new, or both.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::Pool;
use super::layout::{BLOCK, Geometry, ShardHeader};
use super::locate::Found;
use super::member::{Member, is_full, is_replaced};
use super::settle::SettleReport;
use super::shard::{Shard, ShardWriter};
use super::write::{WriteError, slice_source};
use crate::engine::storage::{Name, hex};
use crate::engine::{Error, Kind, Result};

/// How far an object was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arranged {
    /// Something was changed.
    Done,
    /// There was nothing to do: it was deleted, or somebody else did it.
    Nothing,
    /// It is not as it should be, and there is no room or no member for more.
    Waits,
}

impl Pool {
    /// Writes what lacks, moves what lies on members that leave, and with
    /// `shift` one shard from a slot to another; removes what is not needed.
    pub(super) fn arrange(
        &self,
        name: &Name,
        shift: Option<(usize, usize)>,
        report: &mut SettleReport,
    ) -> Result<Arranged> {
        let _held = self.hold(name);
        let mut found = match self.locate(name, true) {
            Err(e) if e.kind() == Kind::Missing => return Ok(Arranged::Nothing),
            other => other?,
        };
        if !found.readable() {
            return Err(self.too_few(name, found.count(), found.geometry.k()));
        }
        let wanted = self.wanted(name, found.geometry.len);
        let mirrors = found.geometry.k() == 1 && wanted.k() == 1;
        let mut done = Arranged::Nothing;
        let mut proven = false;
        if !mirrors && found.geometry != wanted {
            if self.actives(name).0.len() >= wanted.shards() {
                match self.reshape(&found)? {
                    Arranged::Done => {}
                    other => return Ok(other),
                }
                report.reshaped += 1;
                done = Arranged::Done;
                proven = true;
                drop(found);
                found = self.locate(name, true)?;
            }
        } else if mirrors {
            found.geometry.parity = wanted.parity;
            found
                .shards
                .resize_with(wanted.shards().max(found.shards.len()), || None);
        }
        self.take_seconds(&mut found);
        let moved = self.move_away(&mut found, shift)?;
        if moved > 0 {
            report.moved += moved;
            done = Arranged::Done;
        }
        let width = found.geometry.shards().min(self.width_now(&found));
        if found.count() < width || !found.damaged.is_empty() {
            let mut source = self.sources(&found)?;
            let written = self.fill(&found, &[], &mut source)?;
            drop(source);
            report.rebuilt += u64::from(written);
            if written > 0 {
                done = Arranged::Done;
            }
            found = self.locate(name, true)?;
            self.take_seconds(&mut found);
        }
        let removed = self.tidy(&found, proven)?;
        if removed > 0 {
            report.removed += removed;
            done = Arranged::Done;
        }
        self.open.forget(name);
        self.note_touched(self.online().iter().map(|m| m.slot));
        match done {
            Arranged::Nothing if found.count() < width => Ok(Arranged::Waits),
            done => Ok(done),
        }
    }

    /// Members on which the object can lie now.
    fn width_now(&self, found: &Found) -> usize {
        match found.geometry.k() {
            1 => self.actives(&found.name).0.len().max(1),
            _ => found.geometry.shards(),
        }
    }

    fn stays(&self, member: &Member) -> bool {
        self.look().roster.members[member.slot].active()
    }

    /// Where a second copy of a shard lies on a member that stays, and the
    /// first on one that leaves, or nowhere, the second counts.
    fn take_seconds(&self, found: &mut Found) {
        let geometry = found.geometry;
        let alike = |s: &Shard| match geometry.k() {
            1 => s.geometry().k() == 1 && s.geometry().len == geometry.len,
            _ => *s.geometry() == geometry,
        };
        for second in std::mem::take(&mut found.other) {
            let place = match geometry.k() {
                _ if !alike(&second) || !self.stays(&second.member) => None,
                1 => {
                    let worse = |s: &Shard| !self.stays(&s.member);
                    let places = found.shards.iter_mut();
                    places.into_iter().find(|p| p.as_ref().is_none_or(worse))
                }
                _ => found.shards.get_mut(second.index()).filter(|p| {
                    let first = p.as_ref();
                    first.is_none_or(|s| !self.stays(&s.member))
                }),
            };
            match place {
                Some(place) => found.other.extend(place.replace(second)),
                None => found.other.push(second),
            }
        }
    }

    /// Moves shards off members that leave, and one as wished; how many.
    fn move_away(&self, found: &mut Found, shift: Option<(usize, usize)>) -> Result<u64> {
        let mut moved = 0;
        for place in 0..found.shards.len() {
            let Some(shard) = found.shards[place].as_ref() else {
                continue;
            };
            let from = Arc::clone(&shard.member);
            let to = match shift {
                Some((source, to)) if source == from.slot => Some(to),
                _ if self.stays(&from) => continue,
                _ => None,
            };
            let Some(target) = self.move_one(found, place, &from, to)? else {
                continue;
            };
            let old = found.shards[place].take().map(|s| s.path);
            found.shards[place] = target;
            if let Some(old) = old {
                self.drop_files(&[(from, old)])?;
            }
            moved += 1;
        }
        Ok(moved)
    }

    /// Writes one shard on another member, durable; the shard as it lies
    /// there. `None` when no member can take it.
    #[allow(clippy::type_complexity, reason = "a place of `Found`")]
    fn move_one(
        &self,
        found: &Found,
        place: usize,
        from: &Arc<Member>,
        to: Option<usize>,
    ) -> Result<Option<Option<Shard>>> {
        let holds = |m: &Arc<Member>| {
            found
                .shards
                .iter()
                .flatten()
                .any(|s| s.member.slot == m.slot)
        };
        let mut free = self.actives(&found.name).0;
        free.retain(|m| !holds(m));
        let successor = {
            let (state, id) = (self.look(), hex(&from.id));
            let entries = state.roster.members.iter();
            let heir = |e: &super::identity::RosterEntry| e.replaces.as_deref() == Some(&*id);
            entries.clone().position(|e| !e.gone && heir(e))
        };
        let first = to.or(successor);
        free.sort_by_key(|m| Some(m.slot) != first);
        if to.is_some() {
            free.truncate(1);
        }
        for target in free {
            match self.copy_shard(found, place, &target) {
                Ok(path) => {
                    if let Err(e) = target.sync_names(&found.name) {
                        self.trouble(&target, &e);
                        continue;
                    }
                    let shard = Shard::open(&target, &path, &found.name, &self.id)?;
                    return Ok(Some(Some(shard)));
                }
                Err(WriteError::Object(e)) => return Err(e),
                Err(WriteError::Members(failed)) => {
                    for (member, e) in failed {
                        if !is_full(&e) {
                            self.trouble(&member, &e);
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// The same shard on another member: copied where it is good, else made anew.
    fn copy_shard(
        &self,
        found: &Found,
        place: usize,
        target: &Arc<Member>,
    ) -> Result<PathBuf, WriteError> {
        let index = u8::try_from(place).unwrap_or(u8::MAX);
        let geometry = found.geometry;
        let header = ShardHeader {
            pool: self.id,
            name: found.name,
            geometry,
            index,
            version: found.version,
        };
        let failed = |e| WriteError::Members(vec![(Arc::clone(target), e)]);
        let first = self.look().roster.first();
        if let Some(shard) = found.shards[place].as_ref().filter(|s| !s.wrong_length) {
            let mut writer =
                ShardWriter::create(Arc::clone(target), header, first).map_err(failed)?;
            if copy_blocks(shard, &mut writer, &geometry).map_err(failed)? {
                return writer
                    .finish()
                    .and_then(|()| writer.settle())
                    .map_err(failed);
            }
        }
        let mut source = self.sources(found).map_err(WriteError::Object)?;
        let one = [(Arc::clone(target), index)];
        self.write_shards(&found.name, geometry, found.version, &one, &mut source)?;
        let io = |e| WriteError::Members(vec![(Arc::clone(target), e)]);
        let suffix = super::layout::suffix(&geometry, first);
        let files = target.find(&found.name).map_err(io)?;
        let ours = |path: &PathBuf| {
            is_replaced(&found.name) || path.to_string_lossy().ends_with(&format!(".{suffix}"))
        };
        files
            .into_iter()
            .find(ours)
            .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
    }

    /// Writes the object in the shape of now, whole and durable, beside the old.
    fn reshape(&self, found: &Found) -> Result<Arranged> {
        let (name, len) = (&found.name, found.geometry.len);
        let bytes = self.read_any(found, None)?;
        if let Name::Segment(id) = name
            && blake3::hash(&bytes).as_bytes() != id
        {
            return Err(Error::new(
                Kind::Corrupt,
                format!("{name} is not what its name says; it stays in its old shape"),
            ));
        }
        let mut full: HashSet<usize> = HashSet::new();
        loop {
            let (geometry, targets) = self.choose(name, len, &full)?;
            if targets.len() < geometry.shards() {
                return Ok(Arranged::Waits);
            }
            let mut source = slice_source(geometry, &bytes);
            match self.write_shards(name, geometry, found.version, &targets, &mut source) {
                Ok(_) => {
                    for (member, _) in &targets {
                        if let Err(e) = member.sync_names(name) {
                            self.trouble(member, &e);
                            return Ok(Arranged::Waits);
                        }
                    }
                    return Ok(Arranged::Done);
                }
                Err(WriteError::Object(e)) => return Err(e),
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

    /// Removes what is there besides a whole object. Unless it was `proven`
    /// just now, all of it is read first.
    fn tidy(&self, found: &Found, proven: bool) -> Result<u64> {
        let geometry = &found.geometry;
        let width = geometry.shards().min(self.width_now(found));
        let promised = usize::from(self.redundancy().parity);
        let enough = found.count() >= width && (geometry.k() > 1 || width > promised);
        let stay = found.shards.iter().flatten().all(|s| self.stays(&s.member));
        if found.other.is_empty() || !enough || !stay {
            return Ok(0);
        }
        if !proven {
            let bad = self.bad_shards(found, 0);
            if !bad.is_empty() {
                let rewritten: Vec<_> = bad
                    .iter()
                    .filter_map(|i| Some((found.shards.get(*i)?.as_ref()?, u8::try_from(*i).ok()?)))
                    .map(|(s, place)| (Arc::clone(&s.member), place))
                    .collect();
                let mut source = self.sources(found)?;
                self.fill(found, &rewritten, &mut source)?;
                return Ok(0);
            }
            // What is kept may have been written a moment ago.
            for shard in found.shards.iter().flatten() {
                if let Err(e) = shard.member.sync_names(&found.name) {
                    self.trouble(&shard.member, &e);
                    return Ok(0);
                }
            }
        }
        let kept = |path: &PathBuf| found.shards.iter().flatten().any(|s| s.path == *path);
        let files: Vec<(Arc<Member>, PathBuf)> = found
            .other
            .iter()
            .filter(|s| !kept(&s.path))
            .map(|s| (Arc::clone(&s.member), s.path.clone()))
            .collect();
        self.drop_files(&files)?;
        Ok(files.len() as u64)
    }

    fn drop_files(&self, files: &[(Arc<Member>, PathBuf)]) -> Result<()> {
        for (member, path) in files {
            if let Err(e) = member.remove_file(path)
                && !self.trouble(member, &e)
            {
                return Err(Error::io(format_args!("removing {}", path.display()), e));
            }
        }
        Ok(())
    }
}

/// Whether all blocks were good and are written.
fn copy_blocks(
    shard: &Shard,
    writer: &mut ShardWriter,
    geometry: &Geometry,
) -> std::io::Result<bool> {
    let mut blocks = vec![0u8; 16 * BLOCK];
    let mut at = 0;
    while at < geometry.stripes() {
        let some = (geometry.stripes() - at).min(16);
        let mut slices = Vec::new();
        let mut rest = &mut blocks[..];
        for stripe in at..at + some {
            let (block, later) = rest.split_at_mut(geometry.block_len(stripe));
            if shard.read_block(stripe, block).is_err() {
                return Ok(false);
            }
            slices.push(&*block);
            rest = later;
        }
        writer.write_blocks(at, &slices)?;
        at += some;
    }
    Ok(true)
}

//! The deep check of an object: every shard read, and with `repair` what is
//! bad or lacking written anew from the good ones.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;

use super::Pool;
use super::locate::Found;
use super::member::{Member, is_replaced};
use super::read::PARALLEL;
use super::write::{Source, Target, WriteError};
use crate::engine::Result;
use crate::engine::storage::{Health, Name};

impl Pool {
    /// Reads every shard of the object; see [`crate::engine::storage::Storage::check`].
    pub(super) fn check_object(&self, name: &Name, repair: bool) -> Result<Health> {
        let _held = self.hold(name);
        if repair {
            self.call_spares();
        }
        let found = self.locate(name, true)?;
        let bad = self.bad_shards(&found, 0);
        let lacking = found.geometry.shards() - found.count();
        let mut health = Health {
            corrupt: small(bad.len() + found.damaged.len()),
            // A broken header is a shard found, if not known which.
            missing: small(lacking.saturating_sub(found.damaged.len())),
            repaired: 0,
        };
        if health == Health::default() {
            return Ok(health);
        }
        // Also without repair it must be known whether the object can be had.
        let mut whole = self.sources(&found)?;
        if repair {
            let rewritten: Vec<Target> = bad
                .iter()
                .filter_map(|i| found.shards[*i].as_ref())
                .map(|s| (Arc::clone(&s.member), s.header.index))
                .collect();
            health.repaired = self.fill(&found, &rewritten, &mut whole)?;
        } else {
            let step = found.geometry.batch();
            let mut at = 0;
            while at < found.geometry.stripes() {
                let count = step.min(found.geometry.stripes() - at);
                whole(at, count)?;
                at += count;
            }
        }
        Ok(health)
    }

    /// Reads the object, if every shard there should be is there and good; says whether.
    pub(super) fn read_whole(&self, name: &Name, bytes: &mut Vec<u8>) -> Result<bool> {
        let _held = self.hold(name);
        let found = self.locate(name, true)?;
        let geometry = &found.geometry;
        let whole = found.count() == geometry.shards()
            && found.damaged.is_empty()
            && found.shards.iter().flatten().all(|s| !s.wrong_length);
        // What is not read for the data is checked by itself.
        if !whole || !self.bad_shards(&found, geometry.k()).is_empty() {
            return Ok(false);
        }
        let len = usize::try_from(geometry.len).unwrap_or(usize::MAX);
        bytes.resize(len, 0);
        let clean = self.read_stripes(&found, 0, geometry.stripes(), bytes);
        Ok(matches!(clean, Ok(true)))
    }

    /// The object's stripes, read from what is good of it.
    fn sources<'a>(
        &'a self,
        found: &'a Found,
    ) -> Result<impl FnMut(u64, u64) -> Result<Cow<'a, [u8]>> + 'a> {
        if found.count() < found.geometry.k() {
            return Err(self.too_few(&found.name, found.count(), found.geometry.k()));
        }
        Ok(move |first: u64, count: u64| {
            let bytes: usize = (first..first + count)
                .map(|s| found.geometry.object_bytes(s))
                .sum();
            let mut out = vec![0; bytes];
            self.read_stripes(found, first, count, &mut out)?;
            Ok(Cow::Owned(out))
        })
    }

    /// The indexes of shards with any bad block, but for the first `skip`.
    fn bad_shards(&self, found: &Found, skip: usize) -> Vec<usize> {
        let one = |shard: &super::shard::Shard| match shard.bad_blocks() {
            Ok(0) => shard.wrong_length,
            Ok(_) => true,
            Err(e) => {
                self.trouble(&shard.member, &e);
                true
            }
        };
        let shards: Vec<_> = found.shards.iter().flatten().skip(skip).collect();
        let bad: Vec<bool> = if shards.len() > 1 && found.geometry.len >= PARALLEL as u64 {
            thread::scope(|scope| {
                let running: Vec<_> = shards
                    .iter()
                    .map(|shard| scope.spawn(move || one(shard)))
                    .collect();
                running
                    .into_iter()
                    // A shard whose reading panicked is not one to trust.
                    .map(|thread| thread.join().unwrap_or(true))
                    .collect()
            })
        } else {
            shards.iter().map(|shard| one(shard)).collect()
        };
        shards
            .iter()
            .zip(bad)
            .filter(|(_, bad)| *bad)
            .map(|(shard, _)| shard.index())
            .collect()
    }

    /// Writes the given shards anew and those that no member holds, the
    /// latter on members that hold nothing good of the object. Answers how
    /// many were written; a member that fails at it is left out.
    pub(super) fn fill(
        &self,
        found: &Found,
        rewrite: &[Target],
        source: &mut Source<'_>,
    ) -> Result<u32> {
        let mut targets: Vec<Target> = rewrite
            .iter()
            .filter(|(member, _)| self.is_online(member))
            .cloned()
            .collect();
        let holders: Vec<usize> = found
            .shards
            .iter()
            .flatten()
            .filter(|s| self.is_online(&s.member))
            .map(|s| s.member.slot)
            .collect();
        let (mut free, actives): (Vec<Arc<Member>>, usize) = self.actives(&found.name);
        free.retain(|member| !holders.contains(&member.slot));
        // Where something broken lies already, the good one takes its place.
        free.sort_by_key(|member| !found.damaged.iter().any(|d| d.slot == member.slot));
        let mut free = free.into_iter();
        let width = match is_replaced(&found.name) || found.geometry.k() == 1 {
            true => found.geometry.shards().min(actives.max(1)),
            false => found.geometry.shards(),
        };
        let lacking = (0u8..)
            .take(found.geometry.shards())
            .filter(|i| found.shards[usize::from(*i)].is_none());
        let wanted = width.saturating_sub(found.count());
        targets.extend(lacking.take(wanted).zip(&mut free).map(|(i, m)| (m, i)));
        // Broken things on members that get no new shard are only in the way.
        for member in &found.damaged {
            let rewritten = targets.iter().any(|(m, _)| m.slot == member.slot);
            if rewritten || holders.contains(&member.slot) {
                continue;
            }
            if let Err(e) = member.remove(&found.name) {
                self.trouble(member, &e);
            }
        }
        if targets.is_empty() {
            return Ok(0);
        }
        let mut written = 0;
        // One shard at a time when writing together failed, so that one full
        // or failing member does not keep the others from being repaired.
        let together =
            self.write_shards(&found.name, found.geometry, found.version, &targets, source);
        match together {
            Ok(n) => written = n,
            Err(WriteError::Object(e)) => return Err(e),
            Err(WriteError::Members(failed)) => {
                for (member, e) in &failed {
                    tracing::warn!("cannot repair {} on {}: {e}", found.name, member.called());
                    self.trouble(member, e);
                }
                for target in targets {
                    if failed.iter().any(|(m, _)| m.slot == target.0.slot) {
                        continue;
                    }
                    let one = [target];
                    match self.write_shards(
                        &found.name,
                        found.geometry,
                        found.version,
                        &one,
                        source,
                    ) {
                        Ok(n) => {
                            written += n;
                        }
                        Err(WriteError::Object(e)) => return Err(e),
                        Err(WriteError::Members(failed)) => {
                            for (member, e) in failed {
                                self.trouble(&member, &e);
                            }
                        }
                    }
                }
            }
        }
        if written > 0 {
            self.open.forget(&found.name);
            self.note_touched(self.online().iter().map(|m| m.slot));
        }
        Ok(small(written))
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

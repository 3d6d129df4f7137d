//! The deep check of an object: every shard read, and with `repair` what is
//! bad or lacking written anew from the good ones.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;

use super::findings::now;
use super::locate::Found;
use super::member::{Member, is_replaced};
use super::read::PARALLEL;
use super::write::{Source, Target, WriteError};
use super::{Damage, Finding, Pool};
use crate::engine::storage::{Health, Name};
use crate::engine::{Kind, Result};

impl Pool {
    /// Reads every shard of the object; see [`crate::engine::storage::Storage::check`].
    pub(super) fn check_object(&self, name: &Name, repair: bool) -> Result<Health> {
        self.check_and_tell(name, repair, &mut Vec::new())
    }

    /// The same, telling what was found; with `repair` that is also kept.
    pub(super) fn check_and_tell(
        &self,
        name: &Name,
        repair: bool,
        findings: &mut Vec<Finding>,
    ) -> Result<Health> {
        let repair = repair && !self.read_only;
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
        let mut told = self.tell(&found, &bad, health.missing);
        let outcome = self.mend(&found, &bad, &mut health, repair);
        let all = health.repaired >= health.corrupt + health.missing;
        for finding in &mut told {
            finding.healed = all;
        }
        if let Err(e) = &outcome
            && e.kind() == Kind::Corrupt
        {
            told.push(finding(name, None, Damage::Lost));
        }
        if repair {
            told.iter().for_each(|f| self.findings.add(f.clone()));
        }
        findings.extend(told);
        outcome.map(|()| health)
    }

    /// What is amiss, for people.
    fn tell(&self, found: &Found, bad: &[usize], missing: u32) -> Vec<Finding> {
        let name = &found.name;
        let bad = bad.iter().filter_map(|i| found.shards.get(*i)?.as_ref());
        let bad = bad.map(|s| s.member.label.as_str());
        let broken = found.damaged.iter().map(|(m, _)| m.label.as_str());
        let mut told: Vec<Finding> = bad
            .chain(broken)
            .map(|member| finding(name, Some(member), Damage::Corrupt))
            .collect();
        // What a member lacks that is away is no damage.
        if self.missing().is_empty() {
            told.extend((0..missing).map(|_| finding(name, None, Damage::Missing)));
        }
        told
    }

    fn mend(&self, found: &Found, bad: &[usize], health: &mut Health, repair: bool) -> Result<()> {
        // Also without repair it must be known whether the object can be had.
        let mut whole = self.sources(found)?;
        if repair {
            let rewritten: Vec<Target> = bad
                .iter()
                .filter_map(|i| Some((found.shards.get(*i)?.as_ref()?, u8::try_from(*i).ok()?)))
                .map(|(s, place)| (Arc::clone(&s.member), place))
                .collect();
            health.repaired = self.fill(found, &rewritten, &mut whole)?;
        } else {
            let step = found.geometry.batch();
            let mut at = 0;
            while at < found.geometry.stripes() {
                let count = step.min(found.geometry.stripes() - at);
                whole(at, count)?;
                at += count;
            }
        }
        Ok(())
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
    pub(super) fn sources<'a>(
        &'a self,
        found: &'a Found,
    ) -> Result<impl FnMut(u64, u64) -> Result<Cow<'a, [u8]>> + 'a> {
        if !found.readable() {
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

    /// The places of shards with any bad block, but for the first `skip`.
    pub(super) fn bad_shards(&self, found: &Found, skip: usize) -> Vec<usize> {
        let one = |shard: &super::shard::Shard| match shard.bad_blocks() {
            Ok(0) => shard.wrong_length,
            Ok(_) => true,
            Err(e) => {
                self.trouble(&shard.member, &e);
                true
            }
        };
        let all = found.shards.iter().enumerate();
        let (places, shards): (Vec<usize>, Vec<_>) = all
            .filter_map(|(place, shard)| Some((place, shard.as_ref()?)))
            .skip(skip)
            .unzip();
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
        places
            .into_iter()
            .zip(bad)
            .filter(|(_, bad)| *bad)
            .map(|(place, _)| place)
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
        free.sort_by_key(|member| !found.damaged.iter().any(|(d, _)| d.slot == member.slot));
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
        for (member, path) in &found.damaged {
            let rewritten = targets.iter().any(|(m, _)| m.slot == member.slot);
            let in_use = found.shards.iter().flatten().any(|s| s.path == *path);
            if rewritten || in_use {
                continue;
            }
            if let Err(e) = member.remove_file(path) {
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

fn finding(name: &Name, member: Option<&str>, damage: Damage) -> Finding {
    Finding {
        time: now(),
        object: name.to_string(),
        member: member.map(str::to_owned),
        damage,
        healed: false,
    }
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

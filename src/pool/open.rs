//! Creating a pool, finding it again, and looking after members that come and go.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder;
use super::fuse::Fuse;
use super::identity::{Id, Identity, Roster, RosterEntry, random_id};
use super::member::{Member, Seat};
use super::state::State;
use super::{NewMember, Pool, Redundancy};
use crate::engine::storage::{Name, hex};
use crate::engine::{Error, Kind, Result};

fn refused(message: String) -> Error {
    Error::new(Kind::Refused, message)
}

/// How a pool is opened.
#[derive(Clone, Default)]
pub(super) struct How {
    /// Nothing is ever written.
    pub read_only: bool,
    pub fuse: Fuse,
}

/// An empty folder about to become a member, and what the list will say of it.
pub(super) fn new_entry(new: &NewMember) -> Result<(PathBuf, RosterEntry)> {
    let shown = new.path.display();
    let path =
        fs::canonicalize(&new.path).map_err(|e| Error::io(format_args!("opening {shown}"), e))?;
    if !path.is_dir() {
        return Err(refused(format!("{shown} is not a folder")));
    }
    if let Some(id) = Pool::identify(&path)? {
        return Err(refused(format!("{shown} is already a member of pool {id}")));
    }
    let io = |e| Error::io(format_args!("reading {shown}"), e);
    if !folder::is_empty(&path).map_err(io)? {
        return Err(refused(format!(
            "{shown} is not empty; choose an empty folder or prepare the disk first"
        )));
    }
    let space = folder::space_of(&path).map_err(io)?;
    let entry = RosterEntry {
        id: random_id()?,
        label: new.label.clone(),
        spare: new.spare,
        replaces: None,
        retiring: false,
        gone: false,
        size: space.total,
    };
    Ok((path, entry))
}

impl Pool {
    /// Writes a new pool onto empty folders and opens it.
    ///
    /// # Errors
    /// `Refused` when there are too few members, a folder is not empty, given
    /// twice, or not a folder; nothing is left behind.
    pub fn create(members: &[NewMember], redundancy: Redundancy) -> Result<Self> {
        // The fields are public: check as when read from text.
        redundancy.to_string().parse::<Redundancy>()?;
        let width = usize::from(redundancy.data) + usize::from(redundancy.parity);
        let actives = members.iter().filter(|m| !m.spare).count();
        if actives < width {
            return Err(refused(format!(
                "redundancy {redundancy} needs at least {width} disks besides spares; {actives} given"
            )));
        }
        let mut seen = HashMap::new();
        let mut entries = Vec::new();
        for new in members {
            let (path, entry) = new_entry(new)?;
            if let Some(other) = seen.insert(path.clone(), &new.label) {
                let shown = new.path.display();
                return Err(refused(format!("{shown} is given twice ({other})")));
            }
            entries.push((path, entry));
        }
        let roster = Roster {
            pool: random_id()?,
            redundancy,
            first: None,
            old: Vec::new(),
            generation: 1,
            members: entries.iter().map(|(_, e)| e.clone()).collect(),
        };
        let lay_out = || -> Result<()> {
            for (path, entry) in &entries {
                folder::lay_out(path)
                    .map_err(|e| Error::io(format_args!("writing to {}", path.display()), e))?;
                let identity = Identity {
                    member: entry.id,
                    roster: roster.clone(),
                };
                identity.write(path, &Fuse::default())?;
            }
            Ok(())
        };
        if let Err(e) = lay_out() {
            // Every folder was empty before, so all that is known is ours.
            for (path, _) in &entries {
                folder::wipe_layout(path);
            }
            return Err(e);
        }
        let paths: Vec<PathBuf> = entries.into_iter().map(|(path, _)| path).collect();
        Self::open(&paths, Some(&hex(&roster.pool)))
    }

    /// Opens the pool found on `candidates` (folders that may be members, in
    /// any order). With `id`, folders of other pools are ignored; without, two
    /// pools are `Refused`. Fewer than k members: `Missing`, naming them.
    pub fn open(candidates: &[PathBuf], id: Option<&str>) -> Result<Self> {
        Self::open_so(candidates, id, &How::default())
    }

    /// [`Pool::open`] for looking and restoring: nothing is ever written to the
    /// members, not even a lock, so they may be mounted read-only. Whatever would
    /// change something is `Refused`; damage is read around, not repaired.
    pub fn open_read_only(candidates: &[PathBuf], id: Option<&str>) -> Result<Self> {
        let how = How {
            read_only: true,
            ..How::default()
        };
        Self::open_so(candidates, id, &how)
    }

    pub(super) fn open_so(candidates: &[PathBuf], id: Option<&str>, how: &How) -> Result<Self> {
        let mut found = Vec::new();
        let mut trouble = None;
        for (path, identity) in read_identities(candidates) {
            match identity {
                Ok(Some(identity)) => found.push((path, identity)),
                Ok(None) => {}
                Err(e) => {
                    tracing::warn!("{e}");
                    trouble = Some(e);
                }
            }
        }
        if let Some(id) = id {
            found.retain(|(_, identity)| hex(&identity.roster.pool) == id);
        }
        let Some((_, first)) = found.first() else {
            return Err(trouble.unwrap_or_else(|| {
                let which = id.map_or("no pool".to_owned(), |id| format!("pool {id} not"));
                let looked: Vec<String> =
                    candidates.iter().map(|c| c.display().to_string()).collect();
                Error::new(
                    Kind::Missing,
                    format!("{which} found in: {}", looked.join(", ")),
                )
            }));
        };
        let pool = first.roster.pool;
        if let Some((path, other)) = found.iter().find(|(_, i)| i.roster.pool != pool) {
            return Err(refused(format!(
                "members of two pools: {} in {}, {} in {}; say which pool",
                hex(&pool),
                found[0].0.display(),
                hex(&other.roster.pool),
                path.display()
            )));
        }
        let newest = found
            .iter()
            .max_by_key(|(_, i)| i.roster.generation)
            .map(|(_, i)| i.roster.clone())
            .unwrap_or_else(|| first.roster.clone());
        let pool = Self::assemble(newest, how);
        let mut problems = pool.join(found)?;
        problems.extend(trouble);
        let shapes = pool.look().roster.shapes().map(|s| s.data).min();
        let need = usize::from(shapes.unwrap_or(1));
        let there = pool.online().len();
        pool.recall();
        if there < need {
            let mut message = format!(
                "pool {} needs at least {need} of its members, {there} found; missing: {}",
                pool.id_text,
                pool.missing().join(", ")
            );
            for e in problems {
                message = format!("{message}; {e}");
            }
            return Err(Error::new(Kind::Missing, message));
        }
        Ok(pool)
    }

    /// The pool id in a member folder, if it is one. Does not open the pool.
    pub fn identify(folder: &Path) -> Result<Option<String>> {
        Ok(Identity::read(folder)?.map(|i| hex(&i.roster.pool)))
    }

    /// Looks at the members again (a disk pulled out, one come back at another path).
    pub fn rescan(&self, candidates: &[PathBuf]) -> Result<()> {
        for member in self.online() {
            if !member.answers() {
                self.lost(&member, &std::io::Error::other("it does not answer"));
            }
        }
        let mut found = Vec::new();
        for (path, identity) in read_identities(candidates) {
            match identity {
                Ok(Some(identity)) if identity.roster.pool == self.id => {
                    found.push((path, identity));
                }
                Ok(_) => {}
                Err(e) => tracing::warn!("{e}"),
            }
        }
        self.join(found).map(|_| ())
    }

    /// Takes found members into use: tells them who the members are now and
    /// what was deleted while they were away. Answers why some could not be.
    fn join(&self, found: Vec<(PathBuf, Identity)>) -> Result<Vec<Error>> {
        let mut by_id: BTreeMap<Id, Vec<(PathBuf, Identity)>> = BTreeMap::new();
        for (path, identity) in found {
            by_id
                .entry(identity.member)
                .or_default()
                .push((path, identity));
        }
        let mut state = self.alter();
        let newest = by_id
            .values()
            .flatten()
            .map(|(_, identity)| &identity.roster)
            .max_by_key(|roster| roster.generation);
        let mut outdated = false;
        if let Some(newest) = newest.filter(|n| n.generation > state.roster.generation) {
            // Entries only ever come, so places stay.
            state.roster = newest.clone();
            let State { roster, online } = &mut *state;
            online.resize_with(roster.members.len(), || None);
            for (entry, online) in roster.members.iter().zip(online) {
                if entry.gone {
                    *online = None;
                }
            }
            outdated = true;
        }
        let mut joined = Vec::new();
        let mut problems = Vec::new();
        for (id, places) in by_id {
            let known = state.roster.members.iter().position(|m| m.id == id);
            let Some(slot) = known.filter(|slot| !state.roster.members[*slot].gone) else {
                tracing::warn!(
                    "{} says it is a member of pool {}, but the pool does not know it, or no more",
                    places[0].0.display(),
                    self.id_text
                );
                continue;
            };
            if state.online[slot].is_some() {
                continue;
            }
            if let [(a, _), (b, _), ..] = places.as_slice() {
                return Err(refused(format!(
                    "{} and {} are the same member of pool {}; take one of the two away",
                    a.display(),
                    b.display(),
                    self.id_text
                )));
            }
            let (path, identity) = &places[0];
            let entry = &state.roster.members[slot];
            let seat = Seat {
                slot,
                id,
                label: &entry.label,
                size: entry.size,
            };
            match Member::attach(&seat, path, self.read_only, &self.fuse) {
                Ok(member) => {
                    outdated |= identity.roster.generation != state.roster.generation;
                    joined.push(Arc::new(member));
                }
                Err(e) => {
                    tracing::warn!("{e}; the member counts as missing");
                    problems.push(e);
                }
            }
        }
        if joined.is_empty() {
            return Ok(problems);
        }
        let before: HashMap<Name, u64> = self.graves().clone();
        let mut graves = before.clone();
        joined.retain(|member| match member.graves() {
            Ok(noted) => {
                for (name, version) in noted {
                    let newest = graves.entry(name).or_insert(0);
                    *newest = version.max(*newest);
                }
                true
            }
            Err(e) => {
                tracing::warn!("{}: {e}; the member counts as missing", member.called());
                false
            }
        });
        if self.read_only {
            for member in joined {
                let slot = member.slot;
                state.online[slot] = Some(member);
            }
            *self.graves() = graves;
            return Ok(problems);
        }
        let news = graves != before;
        let older: Vec<Arc<Member>> = state.online.iter().flatten().cloned().collect();
        let told: &mut dyn Iterator<Item = &Arc<Member>> = match news {
            true => &mut older.iter().chain(&joined),
            false => &mut joined.iter(),
        };
        let mut failed = Vec::new();
        for member in told {
            if let Err(e) = self.settle_deletions(member, &graves) {
                tracing::warn!("{}: {e}; the member counts as missing", member.called());
                failed.push(member.slot);
            }
        }
        for member in joined {
            let slot = member.slot;
            if !failed.contains(&slot) {
                tracing::info!(
                    "member {} of pool {} is there",
                    member.called(),
                    self.id_text
                );
                state.online[slot] = Some(member);
            }
        }
        if outdated {
            self.publish(&state);
        }
        {
            let mut kept = self.graves();
            for (name, version) in graves {
                let newest = kept.entry(name).or_insert(0);
                *newest = version.max(*newest);
            }
        }
        drop(state);
        self.drop_notes();
        Ok(problems)
    }

    /// Forgets what was deleted when there is nobody left to be told.
    pub(super) fn drop_notes(&self) {
        let state = self.alter();
        let mut graves = self.graves();
        if !state.everybody() || graves.is_empty() {
            return;
        }
        for member in state.online.iter().flatten() {
            // First the deletions must last, then their notes may go.
            if let Err(e) = member.sync().and_then(|()| member.clear_graves()) {
                tracing::warn!("{}: {e}", member.called());
            }
        }
        graves.clear();
    }

    /// Removes what was deleted while the member was away, and notes there
    /// what others may still have to delete.
    fn settle_deletions(
        &self,
        member: &Arc<Member>,
        graves: &HashMap<Name, u64>,
    ) -> std::io::Result<()> {
        for (name, version) in graves {
            for path in member.find(name)? {
                let written = super::shard::Shard::open(member, &path, name, &self.id)
                    .map_or(0, |shard| shard.header.version);
                if written <= *version {
                    member.remove_file(&path)?;
                }
            }
            member.bury(name, *version)?;
        }
        Ok(())
    }
}

/// The identities in distinct folders.
fn read_identities(candidates: &[PathBuf]) -> Vec<(PathBuf, Result<Option<Identity>>)> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for candidate in candidates {
        let path = fs::canonicalize(candidate).unwrap_or_else(|_| candidate.clone());
        if !seen.contains(&path) {
            seen.push(path.clone());
            let identity = Identity::read(&path);
            found.push((path, identity));
        }
    }
    found
}

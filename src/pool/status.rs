//! The pool's health and room, for people and for placement.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::folder::space_of;
use super::member::Member;
use super::{MemberState, MemberStatus, Pool, PoolState, PoolStatus, place};
use crate::engine::storage::{Space, hex};

/// The room of each member; folders on one disk share its room. A member
/// that cannot be asked has none.
pub(super) fn rooms(members: &[Arc<Member>]) -> Vec<Space> {
    let shared = |device: u64| members.iter().filter(|m| m.device() == device).count() as u64;
    members
        .iter()
        .map(|member| {
            let room = match member.mounted() {
                true => space_of(&member.path).ok(),
                false => None,
            };
            let parts = shared(member.device()).max(1);
            room.map_or(Space { total: 0, free: 0 }, |s| Space {
                total: s.total / parts,
                free: s.free / parts,
            })
        })
        .collect()
}

impl Pool {
    /// Object bytes in all and free, given who is there.
    pub(super) fn room(&self) -> Space {
        let redundancy = self.redundancy();
        let (k, m) = (usize::from(redundancy.data), usize::from(redundancy.parity));
        let members: Vec<Arc<Member>> = {
            let state = self.look();
            let active = |m: &&Arc<Member>| state.roster.members[m.slot].active();
            state
                .online
                .iter()
                .flatten()
                .filter(active)
                .cloned()
                .collect()
        };
        let width = (k + m).min(members.len());
        if width < k {
            return Space { total: 0, free: 0 };
        }
        let rooms = rooms(&members);
        let part = |pick: fn(&Space) -> u64| -> Vec<u64> { rooms.iter().map(pick).collect() };
        Space {
            total: place::capacity(&part(|s| s.total), k, width),
            free: {
                let above = rooms
                    .iter()
                    .map(|s| s.free.saturating_sub(self.floor(s.total)));
                place::capacity(&above.collect::<Vec<_>>(), k, width)
            },
        }
    }

    /// Bytes of a member of this size that backups leave free, so that room
    /// can be made on a full pool.
    pub(super) fn floor(&self, total: u64) -> u64 {
        match self.reserve.load(Ordering::Relaxed) {
            0 => 0,
            share => (total / 1000 * u64::from(share)).max((64 << 20).min(total / 16)),
        }
    }

    /// Sets how much of each member backups leave free, in per mille of its
    /// size (at most 500); 0 means nothing. At least 64 MiB are left free, but of
    /// no member more than a sixteenth for that.
    pub fn set_reserve(&self, per_mille: u32) {
        self.reserve.store(per_mille.min(500), Ordering::Relaxed);
    }

    /// 32 hex digits.
    pub fn id(&self) -> &str {
        &self.id_text
    }

    /// Notices members that went without anybody touching them.
    pub(super) fn look_around(&self) {
        for member in self.online() {
            if !member.mounted() {
                self.lost(&member, &io::Error::other("its file system is not mounted"));
            }
        }
    }

    /// Health, looked at now.
    pub fn status(&self) -> PoolStatus {
        self.look_around();
        let room = self.room();
        let state = self.look();
        let members: Vec<MemberStatus> = state
            .members()
            .map(|(_, entry, online)| {
                let space = online.and_then(|m| space_of(&m.path).ok());
                let total = space.map_or(entry.size, |s| s.total);
                MemberStatus {
                    id: hex(&entry.id),
                    label: entry.label.clone(),
                    path: online.map(|m| m.path.clone()),
                    state: match online {
                        None => MemberState::Missing,
                        Some(_) if entry.spare => MemberState::Spare,
                        Some(_) if entry.retiring => MemberState::Retiring,
                        Some(_) => MemberState::Online,
                    },
                    total,
                    free: space.map_or(0, |s| s.free),
                    reserve: self.floor(total),
                }
            })
            .collect();
        let redundancy = state.roster.redundancy;
        let health = if state.away() > state.roster.tolerance() {
            PoolState::Failed
        } else if !state.everybody() {
            PoolState::Degraded
        } else {
            PoolState::Ok
        };
        PoolStatus {
            id: self.id_text.clone(),
            redundancy,
            state: health,
            members,
            total: room.total,
            free: room.free,
        }
    }
}

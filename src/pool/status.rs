//! The pool's health and room, for people and for placement.

use std::io;
use std::sync::Arc;

use super::identity::RosterEntry;
use super::member::{Member, space_of};
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
        let (k, m) = (
            usize::from(self.redundancy.data),
            usize::from(self.redundancy.parity),
        );
        let members: Vec<Arc<Member>> = {
            let state = self.look();
            let active = |m: &&Arc<Member>| !state.roster.members[m.slot].spare;
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
            free: place::capacity(&part(|s| s.free), k, width),
        }
    }

    /// 32 hex digits.
    pub fn id(&self) -> &str {
        &self.id_text
    }

    /// Health, looked at now.
    pub fn status(&self) -> PoolStatus {
        for member in self.online() {
            if !member.mounted() {
                self.lost(&member, &io::Error::other("its file system is not mounted"));
            }
        }
        let room = self.room();
        let state = self.look();
        let members: Vec<MemberStatus> = state
            .roster
            .members
            .iter()
            .zip(&state.online)
            .map(|(entry, online)| {
                let space = online.as_ref().and_then(|m| space_of(&m.path).ok());
                MemberStatus {
                    id: hex(&entry.id),
                    label: entry.label.clone(),
                    path: online.as_ref().map(|m| m.path.clone()),
                    state: match (online, entry.spare) {
                        (None, _) => MemberState::Missing,
                        (Some(_), true) => MemberState::Spare,
                        (Some(_), false) => MemberState::Online,
                    },
                    total: space.map_or(entry.size, |s| s.total),
                    free: space.map_or(0, |s| s.free),
                }
            })
            .collect();
        let gone = |spare: bool| {
            let away =
                |(e, o): &(&RosterEntry, &Option<Arc<Member>>)| o.is_none() && e.spare == spare;
            state
                .roster
                .members
                .iter()
                .zip(&state.online)
                .filter(away)
                .count()
        };
        let health = if gone(false) > usize::from(self.redundancy.parity) {
            PoolState::Failed
        } else if gone(false) + gone(true) > 0 {
            PoolState::Degraded
        } else {
            PoolState::Ok
        };
        PoolStatus {
            id: self.id_text.clone(),
            redundancy: self.redundancy,
            state: health,
            members,
            total: room.total,
            free: room.free,
        }
    }
}

//! Which members hold an object, and how much fits.
//!
//! Weighted rendezvous hashing: every member draws a number for every object,
//! larger members draw luckier. Nothing needs to be remembered, and a member
//! that comes or goes moves only its own share. The ranking is a preference,
//! not a promise: reading falls back to looking on every member.

use super::identity::Id;
use super::layout::{BLOCK, SUM};
use crate::engine::storage::Name;

/// The rank of a member for an object; the highest come first.
pub(super) fn score(name: &Name, member: &Id, size: u64) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(member);
    hasher.update(name.to_string().as_bytes());
    let mut first = [0u8; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    // 53 bits give a number within (0, 1) that an f64 holds exactly.
    let draw = ((u64::from_le_bytes(first) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    // The weight is only a preference, so the rounding of u64 to f64 is harmless.
    (size.max(1) as f64) / -draw.ln()
}

/// The bytes of shards that fit on each of `width` distinct members chosen
/// anew for every object: the largest t with `sum(min(room, t)) >= t * width`,
/// as no member holds two shards of an object. Members with at least so much
/// room must take part in every object for all the room to be usable.
pub(super) fn level(room: &[u64], width: usize) -> u64 {
    if width == 0 || room.len() < width {
        return 0;
    }
    let sum = |t: u64| -> u128 { room.iter().map(|r| u128::from((*r).min(t))).sum() };
    let most = sum(u64::MAX) / width as u128;
    let (mut low, mut high) = (0u64, u64::try_from(most).unwrap_or(u64::MAX));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if sum(middle) >= u128::from(middle) * width as u128 {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// Object bytes that fit when each is spread over `width` distinct members of
/// which `data` shards carry content, given the members' room.
pub(super) fn capacity(room: &[u64], data: usize, width: usize) -> u64 {
    // Block checksums take their share.
    let blocks = u128::from(level(room, width)) * BLOCK as u128 / (BLOCK + SUM) as u128;
    u64::try_from(blocks * data as u128).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_what_fits() {
        let gib = 1u64 << 30;
        let near = |a: u64, b: u64| a <= b && b - a < b / 1000;
        assert!(near(capacity(&[gib, gib, gib], 2, 3), 2 * gib));
        assert!(near(capacity(&[gib, gib], 1, 2), gib));
        // The largest disk cannot mirror itself.
        assert!(near(capacity(&[4 * gib, gib, gib], 1, 2), 2 * gib));
        // More members than shards: all of them are used.
        assert!(near(capacity(&[gib; 6], 2, 3), 4 * gib));
        assert!(near(capacity(&[gib; 3], 1, 1), 3 * gib));
        assert!(near(capacity(&[2 * gib, gib, gib], 1, 2), 2 * gib));
        assert_eq!(capacity(&[gib, gib], 2, 3), 0);
        assert_eq!(capacity(&[], 1, 1), 0);
        assert_eq!(capacity(&[0, 0, 0], 2, 3), 0);
        assert!(capacity(&[u64::MAX; 3], 2, 3) > u64::MAX / 2);
    }

    #[test]
    fn objects_follow_the_weights() {
        let members: Vec<(Id, u64)> = (0..4u8).map(|i| ([i; 16], 1 << (30 + i / 3))).collect();
        let mut first = [0u32; 4];
        for i in 0..4000u32 {
            let name = Name::Segment(*blake3::hash(&i.to_le_bytes()).as_bytes());
            let best = (0..4)
                .max_by(|a, b| {
                    let s = |i: &usize| score(&name, &members[*i].0, members[*i].1);
                    s(a).total_cmp(&s(b))
                })
                .unwrap();
            first[best] += 1;
        }
        // Weights 1, 1, 1, 2: 800, 800, 800, 1600 objects.
        for (i, n) in first.iter().enumerate() {
            let want = if i == 3 { 1600 } else { 800 };
            assert!(n.abs_diff(want) < 160, "{first:?}");
        }
    }
}

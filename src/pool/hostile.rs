//! The pool's parsers, each fed bytes that a foreign disk may hold; behind
//! their checksums as well, which anybody can compute.

use super::identity::Identity;
use super::layout::{HEADER, ShardHeader};

/// A shard file's header.
pub(crate) fn shard(bytes: &[u8]) {
    let mut head = [0; HEADER];
    let n = bytes.len().min(HEADER);
    head[..n].copy_from_slice(&bytes[..n]);
    let _ = ShardHeader::decode(&head, &"a shard");
    let sum = blake3::hash(&head[..96]);
    head[96..].copy_from_slice(sum.as_bytes());
    if let Ok(header) = ShardHeader::decode(&head, &"a shard") {
        assert_eq!(
            ShardHeader::decode(&header.encode(), &"again").ok(),
            Some(header)
        );
        let geometry = header.geometry;
        let _ = (geometry.shards(), geometry.k(), geometry.stripes());
    }
}

/// A member's identity file, with its list of members.
pub(crate) fn member(bytes: &[u8]) {
    let _ = Identity::decode(bytes, "a member");
    let mut whole = b"COLCAMBR".to_vec();
    whole.extend_from_slice(&[1, 0, 0, 0]);
    whole.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    whole.extend_from_slice(bytes);
    let sum = blake3::hash(&whole);
    whole.extend_from_slice(sum.as_bytes());
    let _ = Identity::decode(&whole, "a member");
    let _ = String::from_utf8_lossy(bytes).parse::<super::Redundancy>();
}

/// Well-formed bytes: target, name and bytes of each.
#[cfg(test)]
pub(crate) fn samples() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    use super::identity::{Roster, RosterEntry};
    use super::layout::Geometry;
    use crate::engine::storage::Name;

    let header = |name, data, parity, len| {
        let geometry = Geometry { data, parity, len };
        ShardHeader {
            pool: [1; 16],
            name,
            geometry,
            index: 1,
            version: 7,
        }
        .encode()
        .to_vec()
    };
    let entry = |id, spare| RosterEntry {
        id: [id; 16],
        label: "ST8000NM".into(),
        spare,
        replaces: None,
        retiring: id == 4,
        gone: false,
        size: 8 << 40,
    };
    let roster = Roster {
        pool: [1; 16],
        redundancy: super::Redundancy { data: 2, parity: 1 },
        first: Some(super::Redundancy { data: 1, parity: 1 }),
        old: vec![super::Redundancy { data: 1, parity: 1 }],
        generation: 3,
        members: vec![
            entry(2, false),
            entry(3, false),
            entry(4, false),
            entry(5, true),
        ],
    };
    let identity = Identity {
        member: [2; 16],
        roster,
    }
    .encode()
    .unwrap();
    let body = identity[16..identity.len() - 32].to_vec();
    vec![
        (
            "shard",
            "segment",
            header(Name::Segment([9; 32]), 2, 1, 32 << 20),
        ),
        (
            "shard",
            "snapshot",
            header(Name::Snapshot([9; 16]), 1, 2, 300),
        ),
        ("shard", "header", header(Name::Header, 1, 3, 500)),
        ("member", "whole", identity),
        ("member", "body", body),
        ("member", "redundancy", b"2+1".to_vec()),
    ]
}

//! The room that is kept free, so that room can be made.

use std::sync::Arc;

use colca::engine::Kind;
use colca::engine::storage::{Class, Name, Storage};
use colca::provider::Ladder;
use tempfile::TempDir;

use super::conformance::{noise, segment};
use super::lab::{mounted_pool, temps};

const MIB: u64 = 1 << 20;

#[test]
fn a_full_pool_has_room_for_what_frees_room() {
    let dir = TempDir::new().unwrap();
    let (mounts, pool) = mounted_pool(&dir, "2+1", &[32 * MIB; 3]);
    let pool = Arc::new(pool);
    let floor = pool.status().members[0].reserve;
    assert_eq!(floor, 2 * MIB, "a sixteenth of a small member");
    let mut stored = Vec::new();
    let e = loop {
        let bytes = noise(stored.len() as u64, 1_000_000);
        match pool.put(&segment(&bytes), &bytes) {
            Ok(()) => stored.push(segment(&bytes)),
            Err(e) => break e,
        }
        assert!(stored.len() < 200);
    };
    assert_eq!(e.kind(), Kind::Full, "{e}");
    assert_eq!(temps(&mounts), 0);
    assert_eq!(pool.list(Class::Segments).unwrap().len(), stored.len());
    for member in pool.status().members {
        assert!(member.free >= member.reserve, "{member:?}");
    }
    assert!(pool.space().unwrap().free < 1_500_000);
    // Snapshot records, the header and what a collection stores again go in.
    pool.put(&Name::Snapshot([1; 16]), &noise(5, 3_000))
        .unwrap();
    pool.put(&Name::Header, &noise(6, 3_000)).unwrap();
    // The daemon reaches the pool through the provider's ladder.
    let ladder = Ladder::new(pool.clone(), Box::new(|| Ok(None)));
    let again = noise(1_000, 1_000_000);
    assert_eq!(
        ladder.put(&segment(&again), &again).unwrap_err().kind(),
        Kind::Full
    );
    ladder.put_to_free(&segment(&again), &again).unwrap();
    assert!(pool.get(&segment(&again)).unwrap() == again);
    pool.delete(&stored.pop().unwrap()).unwrap();
    pool.delete(&stored.pop().unwrap()).unwrap();
    pool.delete(&stored.pop().unwrap()).unwrap();
    let bytes = noise(999, 1_000_000);
    pool.put(&segment(&bytes), &bytes).unwrap();
    // Without a reserve the last of it can be filled.
    pool.set_reserve(0);
    assert_eq!(pool.status().members[0].reserve, 0);
    let last = noise(998, 1_000_000);
    pool.put(&segment(&last), &last).unwrap();
    pool.sync().unwrap();
}

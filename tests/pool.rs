//! The pool on folders: what is stored comes back, whatever happens to disks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here has failed"
)]

use std::fs;

use colca::engine::Kind;
use colca::engine::storage::{Name, Storage};
use colca::pool::{NewMember, Pool, PoolState, Redundancy};
use tempfile::TempDir;

#[path = "harness/conformance.rs"]
mod conformance;
#[path = "pool/damage.rs"]
mod damage;
#[path = "pool/lab.rs"]
mod lab;
#[path = "pool/life.rs"]
mod life;
#[path = "pool/members.rs"]
mod members;
#[path = "pool/rescue.rs"]
mod rescue;
#[path = "pool/reserve.rs"]
mod reserve;
#[path = "pool/scrub.rs"]
mod scrub;

use conformance::conforms;
use lab::{Lab, put};

#[test]
fn every_redundancy_keeps_the_contract() {
    for (redundancy, actives, spares) in [
        ("1+0", 1, 0),
        ("1+1", 2, 0),
        ("2+1", 3, 1),
        ("4+2", 7, 0),
        ("8+3", 11, 0),
    ] {
        let lab = Lab::new(redundancy, actives, spares);
        conforms(lab.pool());
        assert_eq!(lab.pool().status().state, PoolState::Ok);
    }
}

#[test]
fn creation_refuses_what_it_must() {
    let dir = TempDir::new().unwrap();
    let member = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(&path).unwrap();
        NewMember {
            path,
            label: name.into(),
            spare: false,
        }
    };
    let two_one = Redundancy { data: 2, parity: 1 };
    let refused = |members: &[NewMember], redundancy| {
        let Err(e) = Pool::create(members, redundancy) else {
            panic!("created");
        };
        e
    };
    let e = refused(&[member("a"), member("b")], two_one);
    assert_eq!(e.kind(), Kind::Refused);
    let mut spare = member("c");
    spare.spare = true;
    assert!(
        refused(&[member("a"), member("b"), spare], two_one)
            .to_string()
            .contains("at least 3")
    );
    let e = refused(&[member("a"), member("b"), member("a")], two_one);
    assert!(e.to_string().contains("twice"), "{e}");
    fs::write(member("full").path.join("thesis.doc"), b"x").unwrap();
    let e = refused(&[member("a"), member("b"), member("full")], two_one);
    assert!(e.to_string().contains("not empty"), "{e}");
    let e = refused(&[member("a")], Redundancy { data: 0, parity: 0 });
    assert_eq!(e.kind(), Kind::Refused);
    let nowhere = NewMember {
        path: dir.path().join("nowhere"),
        label: "x".into(),
        spare: false,
    };
    assert_eq!(
        refused(&[nowhere], "1+0".parse().unwrap()).kind(),
        Kind::Missing
    );
    // Nothing was written by all that.
    assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 0);

    let fresh = member("a");
    fs::create_dir(fresh.path.join("lost+found")).unwrap();
    let first = Pool::create(std::slice::from_ref(&fresh), "1+0".parse().unwrap()).unwrap();
    let e = refused(std::slice::from_ref(&fresh), "1+0".parse().unwrap());
    assert!(e.to_string().contains(first.id()), "{e}");

    // Two pools at once, chosen by id; a member twice; no pool at all.
    let second = Pool::create(&[member("b")], "1+0".parse().unwrap()).unwrap();
    let both = [
        dir.path().join("a"),
        dir.path().join("b"),
        dir.path().join("full"),
    ];
    let Err(e) = Pool::open(&both, None) else {
        panic!("opened two pools");
    };
    assert_eq!(e.kind(), Kind::Refused);
    assert!(
        e.to_string().contains(first.id()) && e.to_string().contains(second.id()),
        "{e}"
    );
    let opened = Pool::open(&both, Some(second.id())).unwrap();
    assert_eq!(opened.id(), second.id());
    assert_eq!(
        Pool::identify(&both[0]).unwrap().as_deref(),
        Some(first.id())
    );
    assert_eq!(Pool::identify(&both[2]).unwrap(), None);
    let Err(e) = Pool::open(&both[2..], None) else {
        panic!("opened nothing");
    };
    assert_eq!(e.kind(), Kind::Missing);
    let copy = dir.path().join("copy");
    let done = std::process::Command::new("cp")
        .arg("-r")
        .arg(&both[0])
        .arg(&copy)
        .status();
    assert!(done.unwrap().success());
    let Err(e) = Pool::open(&[both[0].clone(), copy], None) else {
        panic!("opened the same member twice");
    };
    assert_eq!(e.kind(), Kind::Refused);
    assert!(e.to_string().contains("same member"), "{e}");
}

#[test]
fn an_object_is_rebuilt_by_hand_from_the_document() {
    // docs/pool.md alone, without the pool's code: the data shards of an
    // object on loose disks, put together by offsets.
    let lab = Lab::new("2+1", 3, 0);
    let (name, bytes) = put(lab.pool(), 1, 400_001);
    let Name::Segment(id) = name else {
        unreachable!()
    };
    let mut shards: Vec<(u8, Vec<u8>)> = Vec::new();
    for disk in 0..3 {
        let file = lab.shards(disk).pop().unwrap();
        let hex = colca::engine::storage::hex(&id);
        let expect = format!("objects/segments/{}/{hex}.400001", &hex[..3]);
        assert_eq!(file, lab.disk(disk).join(expect));
        let b = fs::read(file).unwrap();
        let u64_at = |at: usize| u64::from_le_bytes(b[at..at + 8].try_into().unwrap());
        assert_eq!(&b[..8], b"COLCASHD");
        assert_eq!((b[8], b[9], b[10], b[11], b[12]), (1, 0, 1, 2, 1));
        assert_eq!(u32::from_le_bytes(b[16..20].try_into().unwrap()), 65_536);
        assert_eq!(u64_at(24), 400_001);
        assert_eq!(colca::engine::storage::hex(&b[40..56]), lab.pool().id());
        assert_eq!(b[56..88], id);
        let key: [u8; 32] = b[96..128].try_into().unwrap();
        assert_eq!(blake3::hash(&b[..96]), key);
        // 400 001 bytes are 3 stripes of 131 072 and a last one of 6785: blocks
        // of 3393, rounded up to 3456.
        let lengths = [65_536usize, 65_536, 65_536, 3456];
        let mut at = 128 + 4 * 16;
        let mut content = Vec::new();
        for (i, len) in lengths.into_iter().enumerate() {
            let block = &b[at..at + len];
            let mut hasher = blake3::Hasher::new_keyed(&key);
            hasher.update(block).update(&(i as u64).to_le_bytes());
            let sum = &b[128 + i * 16..128 + (i + 1) * 16];
            assert_eq!(&hasher.finalize().as_bytes()[..16], sum);
            content.extend_from_slice(block);
            at += len;
        }
        assert_eq!(at, b.len());
        shards.push((b[13], content));
    }
    shards.sort();
    let mut object = Vec::new();
    for (i, len) in [65_536usize, 65_536, 65_536, 3456].into_iter().enumerate() {
        for (_, content) in &shards[..2] {
            object.extend_from_slice(&content[i * 65_536..i * 65_536 + len]);
        }
    }
    object.truncate(400_001);
    assert!(object == bytes);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..Default::default() })]
    /// Whatever the length and the redundancy, whichever members are lost and
    /// whatever part is asked for.
    #[test]
    fn any_object_survives(
        shape in proptest::sample::select(vec![("1+0", 1), ("1+1", 2), ("2+1", 3), ("4+2", 6), ("3+2", 6), ("16+4", 20)]),
        blocks in 0usize..9,
        edge in -70i64..70,
        seed in 0u64..1000,
        lost in 0usize..20,
        from in 0.0f64..1.0,
        part in 0.0f64..1.0,
    ) {
        let (redundancy, disks) = shape;
        let parity = redundancy.split('+').nth(1).unwrap().parse::<usize>().unwrap();
        let lab = Lab::new(redundancy, disks, 0);
        let len = usize::try_from((blocks as i64 * 65_536 + edge).max(0)).unwrap();
        let (name, bytes) = put(lab.pool(), seed, len);
        proptest::prop_assert!(lab.pool().get(&name).unwrap() == bytes);
        for i in 0..parity {
            lab.pull((lost + i * 2) % disks);
        }
        let start = (from * len as f64) as usize;
        let n = (part * (len - start) as f64) as usize;
        let range = lab.pool().get_range(&name, start as u64, n).unwrap();
        proptest::prop_assert!(range == bytes[start..start + n]);
        let sealed = lab.pool().get_sealed(&name, start as u64, n).unwrap();
        proptest::prop_assert!(sealed == bytes[start..start + n]);
        proptest::prop_assert!(lab.pool().get(&name).unwrap() == bytes);
    }
}

//! What every storage must do, whatever it is made of.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here has failed"
)]

use colca::engine::Kind;
use colca::engine::storage::{Class, Name, Storage};

/// Bytes that look like sealed ones and are the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0u8; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut out);
    out
}

/// A segment's name: the BLAKE3 of its bytes.
pub fn segment(bytes: &[u8]) -> Name {
    Name::Segment(*blake3::hash(bytes).as_bytes())
}

fn listed(storage: &dyn Storage, class: Class) -> Vec<(Name, u64)> {
    let mut all = storage.list(class).unwrap();
    all.sort();
    all
}

/// Runs the whole contract against an empty storage and leaves it empty.
pub fn conforms(storage: &dyn Storage) {
    assert!(!storage.describe().is_empty());
    assert_eq!(listed(storage, Class::Segments), vec![]);
    assert_eq!(listed(storage, Class::Snapshots), vec![]);
    let space = storage.space().unwrap();
    assert!(space.free <= space.total);

    // Absent things.
    let nothing = Name::Segment([7; 32]);
    assert_eq!(storage.get(&nothing).unwrap_err().kind(), Kind::Missing);
    let range = storage.get_range(&nothing, 0, 1);
    assert_eq!(range.unwrap_err().kind(), Kind::Missing);
    assert_eq!(
        storage.get(&Name::Header).unwrap_err().kind(),
        Kind::Missing
    );
    assert_eq!(
        storage.check(&nothing, true).unwrap_err().kind(),
        Kind::Missing
    );
    storage.delete(&nothing).unwrap();

    // Segments of many lengths, put twice, listed with their lengths.
    let mut segments: Vec<(Name, Vec<u8>)> =
        [1, 2, 63, 4096, 65_535, 65_536, 65_537, 1_000_003, 3 << 20]
            .into_iter()
            .map(|len| {
                let bytes = noise(len as u64, len);
                (segment(&bytes), bytes)
            })
            .collect();
    for (name, bytes) in &segments {
        storage.put(name, bytes).unwrap();
        storage.put(name, bytes).unwrap();
    }
    let snapshots: Vec<(Name, Vec<u8>)> = (0..5u8)
        .map(|i| {
            (
                Name::Snapshot([i; 16]),
                noise(u64::from(i) + 77, 300 + usize::from(i)),
            )
        })
        .collect();
    for (name, bytes) in &snapshots {
        storage.put(name, bytes).unwrap();
    }
    storage.sync().unwrap();
    segments.sort();
    let want: Vec<(Name, u64)> = segments.iter().map(|(n, b)| (*n, b.len() as u64)).collect();
    assert_eq!(listed(storage, Class::Segments), want);
    let want: Vec<(Name, u64)> = snapshots
        .iter()
        .map(|(n, b)| (*n, b.len() as u64))
        .collect();
    assert_eq!(listed(storage, Class::Snapshots), want);
    for (name, bytes) in segments.iter().chain(&snapshots) {
        assert!(&storage.get(name).unwrap() == bytes, "{name}");
        assert_eq!(storage.check(name, false).unwrap(), Default::default());
        let len = bytes.len();
        for (from, n) in [
            (0, len),
            (0, 1),
            (len - 1, 1),
            (len, 0),
            (len / 3, len / 2),
            (len.saturating_sub(70_000), len.min(70_000)),
        ] {
            let part = storage.get_range(name, from as u64, n).unwrap();
            assert!(part == bytes[from..from + n], "{name} {from}+{n}");
            // Twice, because a storage may keep open what it read.
            for _ in 0..2 {
                let part = storage.get_sealed(name, from as u64, n).unwrap();
                assert!(part == bytes[from..from + n], "{name} {from}+{n}");
            }
        }
        for (from, n) in [(0, len + 1), (len, 1), (usize::MAX / 2, 1)] {
            let past = storage.get_range(name, from as u64, n);
            assert_eq!(past.unwrap_err().kind(), Kind::Corrupt, "{name} {from}+{n}");
            let past = storage.get_sealed(name, from as u64, n);
            assert_eq!(past.unwrap_err().kind(), Kind::Corrupt, "{name} {from}+{n}");
        }
    }

    // Header and manifest are replaced, also by something shorter or longer.
    for name in [Name::Header, Name::Manifest] {
        for len in [500, 20, 200_000, 0, 70] {
            let bytes = noise(len as u64 + 5, len);
            storage.put(&name, &bytes).unwrap();
            assert!(storage.get(&name).unwrap() == bytes, "{name} {len}");
        }
        storage.delete(&name).unwrap();
        assert_eq!(storage.get(&name).unwrap_err().kind(), Kind::Missing);
    }

    // Many hands at once.
    std::thread::scope(|scope| {
        for t in 0..4u64 {
            scope.spawn(move || {
                for i in 0..5u64 {
                    let bytes = noise(1000 + t * 100 + i, 100_000);
                    let name = segment(&bytes);
                    storage.put(&name, &bytes).unwrap();
                    assert!(storage.get(&name).unwrap() == bytes);
                    storage.delete(&name).unwrap();
                }
            });
        }
    });

    for (name, _) in segments.iter().chain(&snapshots) {
        storage.delete(name).unwrap();
        assert_eq!(storage.get(name).unwrap_err().kind(), Kind::Missing);
    }
    storage.sync().unwrap();
    assert_eq!(listed(storage, Class::Segments), vec![]);
    assert_eq!(listed(storage, Class::Snapshots), vec![]);
}

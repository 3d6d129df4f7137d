//! Whatever bytes come from a disk or a provider: decoding gives a value or an
//! error, never a panic, and what decodes encodes to the same bytes.

use proptest::prelude::*;

use super::cursor::Cursor;
use super::header::HeaderV1;
use super::segment::*;
use super::snapshot::SnapshotV1;
use super::tree::*;
use crate::engine::Params;
use crate::engine::ids::Id;
use crate::engine::keys::{Keys, MasterKey, RecoveryKey};

const MASTER: MasterKey = MasterKey([3; 32]);

fn entry(name: &[u8], kind: KindV1) -> EntryV1 {
    EntryV1 {
        name: Bytes(name.to_vec()),
        mode: 0o644,
        uid: 1,
        gid: 2,
        mtime: (-3, 4),
        ctime: (5, 6),
        dev: 7,
        ino: 8,
        links: 1,
        xattrs: List::Items(vec![(Bytes(b"user.a".to_vec()), Bytes(vec![0, 255]))]),
        kind,
    }
}

fn snapshot() -> SnapshotV1 {
    SnapshotV1 {
        version: SnapshotV1::VERSION,
        name: "n".into(),
        origin: "o".into(),
        writer: "w".into(),
        secs: 1,
        nanos: 2,
        files: 3,
        bytes: 4,
        new_bytes: 5,
        stored_bytes: 6,
        millis: 7,
        warnings: 8,
        full: true,
        parent: Some([9; 16]),
        root: entry(
            b"",
            KindV1::Folder {
                id: Id([1; 32]),
                entries: 1,
                bytes: 2,
            },
        ),
    }
}

/// Feeds `bytes` to every decoder.
fn decode_all(bytes: &[u8]) {
    let keys = Keys::new(&MASTER, &[]);
    let _ = HeaderV1::decode(bytes);
    let _ = SegmentHeader::decode(bytes);
    let _ = RecordHeader::decode(bytes);
    for segment in [0, bytes.len() as u64, u64::MAX] {
        let _ = Footer::decode(bytes, segment);
    }
    for n in [0, 1, u32::MAX] {
        let _ = decode_directory(bytes, n);
    }
    let _ = decode_block_table(bytes);
    let _ = decode_node::<EntryV1>(bytes);
    let _ = decode_node::<Extent>(bytes);
    let _ = decode_node::<(Bytes, Bytes)>(bytes);
    let _ = SnapshotV1::open(bytes, [1; 16], [2; 16], &keys);
}

/// Well-formed bytes of every kind.
fn samples() -> Vec<Vec<u8>> {
    let keys = Keys::new(&MASTER, &[]);
    let blocks = [BlockEntry {
        offset: 80,
        stored: 99,
        plain: 30,
        chunks: vec![(Id([4; 32]), 10), (Id([5; 32]), 20)],
    }];
    let mut table = Vec::new();
    encode_block_table([10u32, 20].into_iter(), &mut table);
    vec![
        HeaderV1::create(&MASTER, &RecoveryKey([1; 32]), &Params::default())
            .unwrap()
            .encode(),
        SegmentHeader::new(SegmentKind::Tree, [2; 16], 1)
            .unwrap()
            .bytes
            .to_vec(),
        RecordHeader {
            record: RecordType::Block,
            codec: Codec::Zstd,
            seq: 3,
            stored: 40,
        }
        .encode()
        .to_vec(),
        Footer {
            offset: 200,
            len: 60,
            blocks: 1,
            hash: [7; 32],
        }
        .encode()
        .to_vec(),
        encode_directory(&blocks),
        table,
        encode_node(&List::Items(vec![entry(
            b"file",
            KindV1::File {
                size: 30,
                extents: List::Items(vec![
                    Extent::Data {
                        id: Id([6; 32]),
                        len: 10,
                    },
                    Extent::Zeros { len: 20 },
                ]),
            },
        )]))
        .unwrap(),
        encode_node(&List::<EntryV1>::Pages(vec![PageRef {
            id: Id([8; 32]),
            items: 1,
            bytes: 2,
            first: Bytes(b"a".to_vec()),
        }]))
        .unwrap(),
        snapshot().seal([1; 16], [2; 16], 1, &keys).unwrap(),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        decode_all(&bytes);
    }

    #[test]
    fn nearly_right_bytes_never_panic(
        which in 0..9usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        more in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut bytes = samples().swap_remove(which);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend(more);
        decode_all(&bytes);
    }

    #[test]
    fn nodes_encode_to_what_they_were(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut node = vec![1, 2];
        node.extend(bytes);
        if let Ok(list) = decode_node::<Extent>(&node) {
            // LEB128 has longer forms of the same number, so only the values must agree.
            let again = encode_node(&list).unwrap();
            prop_assert_eq!(decode_node::<Extent>(&again).unwrap(), list);
        }
    }
}

#[test]
fn what_was_encoded_decodes_to_the_same() {
    let keys = Keys::new(&MASTER, &[]);
    let sealed = snapshot().seal([1; 16], [2; 16], 1, &keys).unwrap();
    assert_eq!(
        SnapshotV1::open(&sealed, [1; 16], [2; 16], &keys).unwrap(),
        snapshot()
    );
    // Bound to its name, its repository and its key.
    assert!(SnapshotV1::open(&sealed, [0; 16], [2; 16], &keys).is_err());
    assert!(SnapshotV1::open(&sealed, [1; 16], [0; 16], &keys).is_err());
    let other = Keys::new(&MasterKey([4; 32]), &[]);
    assert!(SnapshotV1::open(&sealed, [1; 16], [2; 16], &other).is_err());
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        assert!(
            SnapshotV1::open(&bad, [1; 16], [2; 16], &keys).is_err(),
            "byte {at}"
        );
    }
    let header = SegmentHeader::new(SegmentKind::Data, [2; 16], 7).unwrap();
    assert_eq!(SegmentHeader::decode(&header.bytes).unwrap(), header);
    let samples = samples();
    assert_eq!(
        encode_directory(&decode_directory(&samples[4], 1).unwrap()),
        samples[4]
    );
    assert_eq!(decode_block_table(&samples[5]).unwrap().0, [10, 20]);
    let footer = Footer::decode(&samples[3], 316).unwrap();
    assert_eq!(footer.encode().to_vec(), samples[3]);
}

#[test]
fn newer_formats_are_refused_not_called_damaged() {
    use crate::engine::Kind;
    let samples = samples();
    for (which, version_at) in [(0, 8), (1, 8), (8, 8)] {
        let mut newer = samples[which].clone();
        newer[version_at] = 2;
        let keys = Keys::new(&MASTER, &[]);
        let e = match which {
            0 => HeaderV1::decode(&newer).err(),
            1 => SegmentHeader::decode(&newer).err(),
            _ => SnapshotV1::open(&newer, [1; 16], [2; 16], &keys).err(),
        };
        assert_eq!(e.unwrap().kind(), Kind::Refused, "sample {which}");
    }
    let e = decode_node::<EntryV1>(&[9, 1, 0]).unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
    let e = Cursor::new(&[1, 0, 0, 0], "a thing")
        .no_flags()
        .unwrap_err();
    assert_eq!(e.kind(), Kind::Refused);
}

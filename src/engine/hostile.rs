//! The engine's parsers, each fed bytes that somebody else made. Where a
//! checksum or a seal would stop everything at the door, the bytes are tried
//! behind it as well: a provider can compute checksums, too, and what is
//! sealed may have been written by a box with a fault.

use super::codec::Decompressor;
use super::crypt::{ObjectKey, TAG};
use super::format::cursor::Cursor;
use super::format::header::HeaderV1;
use super::format::segment::{
    self, Codec, FOOTER, Footer, HEADER, HEADER_KEYED, RECORD, RecordHeader, SegmentHeader,
    SegmentKind,
};
use super::format::slot::SlotV1;
use super::format::snapshot::SnapshotV1;
use super::format::tree::{Bytes, EntryV1, Extent, decode_node};
use super::keys::{Keys, MasterKey, Passphrase, RecoveryKey, Unlock};
use super::storage::Name;
use super::{parse_path, reconcile};

const MASTER: MasterKey = MasterKey([3; 32]);
const RECOVERY: RecoveryKey = RecoveryKey([4; 32]);

/// The header object, as it is and with its checksum made right.
pub(crate) fn header(bytes: &[u8]) {
    let mut summed = bytes.to_vec();
    summed.extend_from_slice(&[0; 32]);
    let sum = blake3::hash(&summed);
    summed.extend_from_slice(sum.as_bytes());
    for bytes in [bytes, &summed] {
        let Ok(header) = HeaderV1::decode(bytes) else {
            continue;
        };
        assert_eq!(header.encode(), bytes, "a header has one form only");
        let _ = header.unlock(Unlock::Recovery(&RECOVERY));
        let _ = header.keys(&MASTER);
        for slot in header.slots() {
            slot.show();
        }
    }
    let _ = SlotV1::decode(&mut Cursor::new(bytes, "a slot"));
}

/// A segment: its header, directory and footer, and its records where the
/// directory is lost.
pub(crate) fn segment(bytes: &[u8]) {
    let _ = RecordHeader::decode(bytes);
    for len in [0, bytes.len() as u64, u64::MAX] {
        let _ = Footer::decode(bytes, len);
    }
    let keys = Keys::new(&MASTER, &[]);
    let name = Name::Segment([0; 32]);
    if let Ok(header) = SegmentHeader::decode(bytes) {
        let _ = reconcile::directory(&name, &header, &keys, bytes);
    }
    // The same bytes as records of a segment that begins as it should.
    let mut whole = [0; HEADER].to_vec();
    whole[..8].copy_from_slice(b"COLCASEG");
    (whole[8], whole[10], whole[32]) = (1, 1, 1);
    let sum = blake3::hash(&whole[..HEADER_KEYED]);
    whole[HEADER_KEYED..].copy_from_slice(&sum.as_bytes()[..8]);
    if let Ok(header) = SegmentHeader::decode(&whole) {
        whole.extend_from_slice(bytes);
        let _ = reconcile::directory(&name, &header, &keys, &whole);
    }
}

/// What lies inside a segment's seals: directory, table of a block, and block.
pub(crate) fn segment_inside(bytes: &[u8]) {
    for count in [0, 1, 2, u32::MAX] {
        if let Ok(blocks) = segment::decode_directory(bytes, count) {
            assert_eq!(segment::encode_directory(&blocks), bytes);
        }
    }
    if let Ok((lens, at)) = segment::decode_block_table(bytes)
        && let Ok(mut zstd) = Decompressor::new()
    {
        let (len, mut body) = (lens.iter().map(|l| *l as usize).sum(), Vec::new());
        for codec in [Codec::Raw, Codec::Zstd] {
            let _ = zstd.expand(codec, &bytes[at..], len, &mut body);
        }
    }
    // A whole segment around one record with this content.
    let keys = Keys::new(&MASTER, &[]);
    let Ok(header) = SegmentHeader::new(SegmentKind::Data, [2; 16], 1) else {
        return;
    };
    let Ok(key) = header.key(&keys) else { return };
    let mut whole = header.bytes.to_vec();
    let mut sealed = bytes.to_vec();
    let record = RecordHeader {
        record: segment::RecordType::Block,
        codec: Codec::Zstd,
        seq: 0,
        stored: (bytes.len() + TAG) as u32,
    };
    let head = record.encode();
    let Ok(tag) = key.seal(0, &head, &mut sealed) else {
        return;
    };
    whole.extend_from_slice(&head);
    whole.extend_from_slice(&sealed);
    whole.extend_from_slice(&tag);
    whole.extend_from_slice(&[0; RECORD + FOOTER]);
    let _ = reconcile::directory(&Name::Segment([0; 32]), &header, &keys, &whole);
}

/// A snapshot record, as it is and as the content of a sound seal.
pub(crate) fn snapshot(bytes: &[u8]) {
    const ID: [u8; 16] = [1; 16];
    const REPOSITORY: [u8; 16] = [2; 16];
    let keys = Keys::new(&MASTER, &[]);
    let _ = SnapshotV1::open(bytes, ID, REPOSITORY, &keys);
    let mut whole = [0u8; 72].to_vec();
    whole[..8].copy_from_slice(b"COLCASNP");
    (whole[8], whole[32]) = (1, 1);
    whole[16..32].copy_from_slice(&REPOSITORY);
    whole[40..56].copy_from_slice(&ID);
    let mut sealed = bytes.to_vec();
    let tag = keys
        .snapshot(1, &whole)
        .and_then(ObjectKey::new)
        .and_then(|key| key.seal(0, &whole, &mut sealed));
    let Ok(tag) = tag else { return };
    whole.extend_from_slice(&sealed);
    whole.extend_from_slice(&tag);
    let _ = SnapshotV1::open(&whole, ID, REPOSITORY, &keys);
}

/// Tree nodes of every type.
pub(crate) fn tree(bytes: &[u8]) {
    let _ = decode_node::<EntryV1>(bytes);
    let _ = decode_node::<Extent>(bytes);
    let _ = decode_node::<(Bytes, Bytes)>(bytes);
}

/// What people type: recovery words, passphrases, names of objects, paths.
pub(crate) fn typed(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = RecoveryKey::parse(&text) {
        let again = RecoveryKey::parse(&key.words().join(" "));
        assert!(again.is_ok_and(|k| k.0 == key.0));
    }
    let _ = Passphrase::new(&text);
    if let Some(name) = Name::parse(&text) {
        assert_eq!(name.to_string(), text);
    }
    let _ = parse_path(&text);
}

/// Well-formed bytes: target, name and bytes of each. A repository of one
/// tree, taken apart, and what is not stored as it is.
#[cfg(test)]
pub(crate) fn samples(
    storage: std::sync::Arc<dyn super::storage::Storage>,
    state: &std::path::Path,
    tree: &dyn super::tree::Tree,
) -> Vec<(&'static str, String, Vec<u8>)> {
    use super::storage::Class;
    use super::{BackupOptions, NewSlot, Params, Progress, Repository};

    let params = Params::default();
    let repository =
        Repository::create(storage.clone(), state, &MASTER, &RECOVERY, params).unwrap();
    let mut out = vec![(
        "header",
        "one-slot".to_owned(),
        storage.get(&Name::Header).unwrap(),
    )];
    let passphrase = Passphrase::new("ocho llamas cruzan").unwrap();
    for (unlock, sealed) in [
        (Unlock::Passphrase(&passphrase), &b""[..]),
        (
            Unlock::Outside(&super::OutsideKey([5; 32])),
            b"sealed by a TPM",
        ),
    ] {
        let slot = NewSlot {
            label: "etiqueta",
            unlock,
            sealed,
        };
        repository.add_key_slot(&slot).unwrap();
    }
    out.push((
        "header",
        "three-slots".into(),
        storage.get(&Name::Header).unwrap(),
    ));

    let options = BackupOptions {
        name: "seeds".into(),
        full: false,
    };
    repository
        .backup(tree, &options, &Progress::default())
        .unwrap();

    let keys = Keys::new(&MASTER, &[]);
    for (i, (name, _)) in storage.list(Class::Snapshots).unwrap().iter().enumerate() {
        let bytes = storage.get(name).unwrap();
        let key = ObjectKey::new(keys.snapshot(1, &bytes[..72]).unwrap()).unwrap();
        let (head, body) = bytes.split_at(72);
        let mut body = body.to_vec();
        let plain = key.open(0, head, &mut body).unwrap().to_vec();
        out.push(("snapshot", format!("record-{i}"), bytes));
        out.push(("snapshot", format!("inside-{i}"), plain));
    }
    for (i, (name, _)) in storage.list(Class::Segments).unwrap().iter().enumerate() {
        let bytes = storage.get(name).unwrap();
        let header = SegmentHeader::decode(&bytes).unwrap();
        let blocks = reconcile::directory(name, &header, &keys, &bytes).unwrap();
        let directory = segment::encode_directory(&blocks);
        out.push(("segment-inside", format!("directory-{i}"), directory));
        let key = header.key(&keys).unwrap();
        for (seq, block) in (0..).zip(&blocks) {
            let from = block.offset as usize;
            let (head, sealed) =
                bytes[from..from + RECORD + block.stored as usize].split_at(RECORD);
            let mut sealed = sealed.to_vec();
            let plain = key.open(seq, head, &mut sealed).unwrap();
            out.push(("segment-inside", format!("block-{i}-{seq}"), plain.to_vec()));
            if header.kind == SegmentKind::Tree {
                let (lens, start) = segment::decode_block_table(plain).unwrap();
                let (len, mut body) = (block.plain as usize, Vec::new());
                let codec = RecordHeader::decode(head).unwrap().codec;
                let mut zstd = Decompressor::new().unwrap();
                let mut rest = zstd.expand(codec, &plain[start..], len, &mut body).unwrap();
                for (n, len) in lens.iter().enumerate() {
                    let (node, later) = rest.split_at(*len as usize);
                    out.push(("tree", format!("node-{seq}-{n}"), node.to_vec()));
                    rest = later;
                }
            }
        }
        out.push(("segment", format!("whole-{i}"), bytes));
    }
    for (name, text) in [
        ("words", RECOVERY.words().join(" ")),
        (
            "words-in-capitals",
            RECOVERY.words().join("\n").to_uppercase(),
        ),
        ("segment", Name::Segment([0xab; 32]).to_string()),
        ("snapshot", Name::Snapshot([0xcd; 16]).to_string()),
        ("path", "datos/./mesa de partes/a\u{301}".to_owned()),
    ] {
        out.push(("typed", name.to_owned(), text.into_bytes()));
    }
    out
}

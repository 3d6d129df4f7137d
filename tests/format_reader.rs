//! An independent reader of the stored format: follows `docs/format.md` with
//! nothing but BLAKE3, AES-256-GCM and zstd, and uses no code of the engine.
//! If this stops working, the page and the program have parted.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use colca::engine::storage::{Class, Name};
use colca::engine::tree::FileType;
use colca::engine::{MasterKey, NewSlot, Passphrase, RecoveryKey, Unlock};
use support::memory::{MemTree, Node, Piece};
use support::{Box_, MASTER, noise, text};

type Id = [u8; 32];

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(b[at..at + 2].try_into().unwrap())
}
fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(b[at..at + 4].try_into().unwrap())
}
fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(b[at..at + 8].try_into().unwrap())
}

fn unseal(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut bytes = sealed.to_vec();
    let n = key
        .open_in_place(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut bytes,
        )
        .expect("the seal holds")
        .len();
    bytes.truncate(n);
    bytes
}

fn counter(seq: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&seq.to_le_bytes());
    nonce
}

/// §2: `derive_key(context, M(e))`, then keyed with the header.
fn object_key(context: &str, secrets: &[[u8; 32]], epoch: u32, header: &[u8]) -> [u8; 32] {
    let epoch_key = blake3::derive_key(context, &secrets[epoch as usize - 1]);
    *blake3::keyed_hash(&epoch_key, header).as_bytes()
}

/// What opens the header: the recovery key, or a passphrase.
enum Opener<'a> {
    Words(&'a [u8; 32]),
    Passphrase(&'a str),
}

/// §3. Returns the secrets of all epochs, the master key last, and the
/// repository id.
fn read_header(bytes: &[u8], opener: &Opener<'_>) -> (Vec<[u8; 32]>, [u8; 16]) {
    assert_eq!(&bytes[..8], b"COLCAHDR");
    assert_eq!(u16_at(bytes, 8), 1);
    assert!(bytes[10..48].iter().all(|b| *b == 0), "reserved and flags");
    assert_eq!(
        (u32_at(bytes, 72), u32_at(bytes, 76), u32_at(bytes, 80)),
        (1, 128 << 10, 384 << 10)
    );
    let epoch = u32_at(bytes, 84);
    let end = bytes.len() - 64;
    assert_eq!(
        blake3::hash(&bytes[..end + 32]).as_bytes(),
        &bytes[end + 32..]
    );
    assert_eq!(bytes[106..108], [0; 2]);
    let older = &bytes[108..108 + 12 + 32 * (epoch as usize - 1) + 16];
    let mut at = 108 + older.len();
    let mut master = None;
    for _ in 0..u16_at(bytes, 104) {
        let (kind, label) = (bytes[at], usize::from(bytes[at + 1]));
        let start = at;
        let mut body = at + 8 + label;
        at = body + usize::from(u16_at(bytes, start + 2));
        let wrap = match (kind, opener) {
            (1, Opener::Words(recovery)) => {
                let check = blake3::derive_key("colca v1 recovery page", *recovery);
                let digits: String = check[..4].iter().map(|b| format!("{b:02x}")).collect();
                let label = String::from_utf8(bytes[start + 8..body].to_vec()).unwrap();
                assert_eq!(label.replace('-', ""), digits);
                blake3::derive_key("colca v1 recovery", *recovery)
            }
            (2, Opener::Passphrase(text)) => {
                let number = |i: usize| u32_at(bytes, body + 4 * i);
                let params = argon2::Params::new(number(0), number(1), number(2), Some(32));
                let mut stretched = [0; 32];
                argon2::Argon2::new(
                    argon2::Algorithm::Argon2id,
                    argon2::Version::V0x13,
                    params.unwrap(),
                )
                .hash_password_into(
                    text.as_bytes(),
                    &bytes[body + 12..body + 28],
                    &mut stretched,
                )
                .unwrap();
                body += 28;
                blake3::derive_key("colca v1 passphrase", &stretched)
            }
            _ => continue,
        };
        let aad = [&bytes[48..64], &bytes[84..88], &bytes[start..body]].concat();
        let nonce = bytes[body..body + 12].try_into().unwrap();
        let opened = unseal(&wrap, nonce, &aad, &bytes[body + 12..body + 60]);
        master = Some(<[u8; 32]>::try_from(opened).unwrap());
    }
    assert_eq!(at, end, "the slots end where the seal begins");
    let master = master.expect("a slot that opens");
    assert_eq!(
        &blake3::derive_key("colca v1 key check", &master)[..16],
        &bytes[88..104]
    );
    let seal = blake3::derive_key("colca v1 header", &master);
    assert_eq!(
        blake3::keyed_hash(&seal, &bytes[..end]).as_bytes(),
        &bytes[end..end + 32]
    );
    let older = unseal(
        &blake3::derive_key("colca v1 older keys", &master),
        older[..12].try_into().unwrap(),
        &[&bytes[48..64], &bytes[84..88]].concat(),
        &older[12..],
    );
    let mut secrets: Vec<[u8; 32]> = older.chunks(32).map(|s| s.try_into().unwrap()).collect();
    secrets.push(master);
    assert_eq!(secrets.len(), epoch as usize);
    (secrets, bytes[48..64].try_into().unwrap())
}

/// §4. Reads a segment twice, by its directory and by its records, which must
/// agree; returns its kind and chunks.
fn read_segment(
    bytes: &[u8],
    secrets: &[[u8; 32]],
    repository: &[u8; 16],
) -> (u8, Vec<(Id, Vec<u8>)>) {
    assert_eq!(&bytes[..8], b"COLCASEG");
    assert_eq!(u16_at(bytes, 8), 1);
    let kind = bytes[10];
    assert_eq!(bytes[11..16], [0; 5]);
    assert_eq!(&bytes[16..32], repository);
    assert_eq!(bytes[36..40], [0; 4]);
    assert_eq!(&blake3::hash(&bytes[..72]).as_bytes()[..8], &bytes[72..80]);
    let key = object_key(
        "colca v1 segment epoch",
        secrets,
        u32_at(bytes, 32),
        &bytes[..72],
    );
    let id_key = match kind {
        1 => blake3::derive_key("colca v1 chunk id data", &secrets[0]),
        2 => blake3::derive_key("colca v1 chunk id tree", &secrets[0]),
        other => panic!("kind {other}"),
    };

    let footer = &bytes[bytes.len() - 56..];
    assert_eq!(&footer[..8], b"COLCAEND");
    let start = u64_at(footer, 8) as usize;
    let record = &bytes[start..start + u32_at(footer, 16) as usize];
    assert_eq!(start + record.len() + 56, bytes.len());
    assert_eq!(blake3::hash(record).as_bytes(), &footer[24..56]);
    let blocks = u32_at(footer, 20);
    assert_eq!((&record[..4], record[4], record[5]), (&b"CREC"[..], 2, 0));
    assert_eq!(u32_at(record, 8), blocks, "the directory's sequence number");
    let directory = unseal(&key, counter(blocks), &record[..16], &record[16..]);

    let (mut at, mut out) = (0, Vec::new());
    let mut position = 80;
    for seq in 0..blocks {
        let (offset, stored, plain, n) = (
            u32_at(&directory, at) as usize,
            u32_at(&directory, at + 4),
            u32_at(&directory, at + 8) as usize,
            u32_at(&directory, at + 12) as usize,
        );
        at += 16;
        assert_eq!(offset, position, "records follow each other");
        let head = &bytes[offset..offset + 16];
        assert_eq!((&head[..4], head[4]), (&b"CREC"[..], 1));
        assert_eq!(head[6..8], [0; 2]);
        assert_eq!(u32_at(head, 8), seq);
        assert_eq!(u32_at(head, 12), stored);
        position = offset + 16 + stored as usize;
        let block = unseal(&key, counter(seq), head, &bytes[offset + 16..position]);
        assert_eq!(u32_at(&block, 0) as usize, n);
        let body = &block[4 + 4 * n..];
        let body = match head[5] {
            0 => body.to_vec(),
            1 => zstd::bulk::decompress(body, plain).unwrap(),
            other => panic!("codec {other}"),
        };
        assert_eq!(body.len(), plain);
        let mut from = 0;
        for i in 0..n {
            let id: Id = directory[at..at + 32].try_into().unwrap();
            let len = u32_at(&directory, at + 32) as usize;
            at += 36;
            assert_eq!(len, u32_at(&block, 4 + 4 * i) as usize);
            let chunk = body[from..from + len].to_vec();
            from += len;
            assert_eq!(*blake3::keyed_hash(&id_key, &chunk).as_bytes(), id);
            out.push((id, chunk));
        }
        assert_eq!(from, body.len());
    }
    assert_eq!(at, directory.len());
    assert_eq!(position, start, "the directory follows the last record");
    (kind, out)
}

/// §7: postcard, by hand.
struct Postcard<'a>(&'a [u8]);

impl<'a> Postcard<'a> {
    fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }
    fn number(&mut self) -> u64 {
        let mut out = 0;
        for shift in (0..).step_by(7) {
            let byte = self.bytes(1)[0];
            out |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        out
    }
    fn signed(&mut self) -> i64 {
        let n = self.number();
        (n >> 1) as i64 ^ -((n & 1) as i64)
    }
    fn string(&mut self) -> Vec<u8> {
        let n = self.number() as usize;
        self.bytes(n).to_vec()
    }
    fn id(&mut self) -> Id {
        self.bytes(32).try_into().unwrap()
    }
}

/// What this reader makes of an entry, in the words of [`Node::facts`].
struct Reader {
    nodes: HashMap<Id, Vec<u8>>,
    chunks: HashMap<Id, Vec<u8>>,
}

impl Reader {
    /// §6: a list, its pages followed; `item` reads one item.
    fn list<T>(
        &self,
        from: &mut Postcard<'_>,
        kind: u8,
        item: &dyn Fn(&Self, &mut Postcard<'_>) -> T,
    ) -> Vec<T> {
        match from.number() {
            0 => (0..from.number()).map(|_| item(self, from)).collect(),
            1 => {
                let mut out = Vec::new();
                for _ in 0..from.number() {
                    let id = from.id();
                    let (_items, _bytes, _first) = (from.number(), from.number(), from.string());
                    out.extend(self.node(&id, kind, item));
                }
                out
            }
            other => panic!("list variant {other}"),
        }
    }

    fn node<T>(&self, id: &Id, kind: u8, item: &dyn Fn(&Self, &mut Postcard<'_>) -> T) -> Vec<T> {
        let node = &self.nodes[id];
        assert_eq!(node[..2], [1, kind]);
        let mut inner = Postcard(&node[2..]);
        let out = self.list(&mut inner, kind, item);
        assert!(inner.0.is_empty());
        out
    }

    fn content(&self, from: &mut Postcard<'_>) -> Vec<u8> {
        let extents = self.list(from, 2, &|this, p| match p.number() {
            0 => {
                let (id, len) = (p.id(), p.number() as usize);
                let chunk = this.chunks[&id].clone();
                assert_eq!(chunk.len(), len);
                chunk
            }
            1 => vec![0; p.number() as usize],
            other => panic!("extent variant {other}"),
        });
        extents.concat()
    }

    /// Reads an entry with all below it.
    fn entry(&self, p: &mut Postcard<'_>) -> (Vec<u8>, Node) {
        let name = p.string();
        let mut node = Node::folder();
        let m = &mut node.meta;
        (m.mode, m.uid, m.gid) = (p.number() as u32, p.number() as u32, p.number() as u32);
        (m.mtime.secs, m.mtime.nanos) = (p.signed(), p.number() as u32);
        (m.ctime.secs, m.ctime.nanos) = (p.signed(), p.number() as u32);
        m.inode = (p.number(), p.number());
        m.links = p.number();
        m.xattrs = self
            .list(p, 3, &|_, p| (p.string(), p.string()))
            .into_iter()
            .collect();
        m.kind = match p.number() {
            0 => {
                let size = p.number();
                let bytes = self.content(p);
                assert_eq!(bytes.len() as u64, size);
                node.content = vec![Piece::Data(bytes)];
                FileType::File { size }
            }
            1 => {
                let (id, _entries, _bytes) = (p.id(), p.number(), p.number());
                node.children = self
                    .node(&id, 1, &|this, p| this.entry(p))
                    .into_iter()
                    .collect();
                FileType::Folder
            }
            2 => FileType::Symlink { target: p.string() },
            3 => FileType::Fifo,
            4 => FileType::Socket,
            5 => FileType::CharDevice { rdev: p.number() },
            6 => FileType::BlockDevice { rdev: p.number() },
            other => panic!("kind {other}"),
        };
        (name, node)
    }
}

/// §5. Returns name, counted files, and the root entry.
fn read_snapshot(
    bytes: &[u8],
    secrets: &[[u8; 32]],
    id: &[u8; 16],
    reader: &Reader,
) -> (String, u64, Node) {
    assert_eq!(&bytes[..8], b"COLCASNP");
    assert_eq!(u16_at(bytes, 8), 1);
    assert_eq!(bytes[10..16], [0; 6]);
    assert_eq!(&bytes[40..56], id);
    let key = object_key(
        "colca v1 snapshot epoch",
        secrets,
        u32_at(bytes, 32),
        &bytes[..72],
    );
    let content = unseal(&key, counter(0), &bytes[..72], &bytes[72..]);
    assert_eq!(content[0], 1);
    let mut p = Postcard(&content[1..]);
    let name = String::from_utf8(p.string()).unwrap();
    let (_origin, writer) = (p.string(), p.string());
    assert!(writer.starts_with(b"colca "));
    assert!(p.signed() > 1_700_000_000);
    assert!(p.number() < 1_000_000_000);
    let files = p.number();
    let (_bytes, _new, _stored, _millis, _warnings) =
        (p.number(), p.number(), p.number(), p.number(), p.number());
    assert_eq!(p.bytes(1), [0], "full");
    if p.bytes(1) == [1] {
        p.bytes(16);
    }
    let (top, root) = reader.entry(&mut p);
    assert!(top.is_empty() && p.0.is_empty());
    (name, files, root)
}

#[test]
fn a_repository_is_read_with_the_page_alone() {
    let b = Box_::new();
    let mut root = Node::folder();
    root.put("noise", Node::file(noise(1_200_000, 1)))
        .put("text", Node::file(text(900_000, 2)))
        .put("empty", Node::file(""))
        .put(
            "sparse",
            Node::pieces(vec![
                Piece::Hole(1 << 20),
                Piece::Data(noise(10, 3)),
                Piece::Hole(9),
            ]),
        )
        .put(
            "a/link",
            Node::special(FileType::Symlink {
                target: b"x/y".to_vec(),
            }),
        )
        .put("a/pipe", Node::special(FileType::Fifo))
        .put(
            "a/device",
            Node::special(FileType::BlockDevice { rdev: 0x1234_5678 }),
        );
    for i in 0..1500 {
        root.put(&format!("many/{i}"), Node::file(text(300, i)));
    }
    let mut pieces = Vec::new();
    for i in 0..200 {
        pieces.push(Piece::Data(noise(100, i)));
        pieces.push(Piece::Hole(70_000));
    }
    root.put("pieces", Node::pieces(pieces));
    root.at("text")
        .meta
        .xattrs
        .insert(b"user.a".to_vec(), b"1".to_vec());
    for i in 0..5u8 {
        root.at("noise")
            .meta
            .xattrs
            .insert(vec![b'x', i], noise(3000, 77));
    }
    root.at("a").meta.mtime.secs = -1_000_000;
    b.backup(&MemTree::new(&root));
    // What follows is sealed in a second key epoch.
    b.repository
        .change_key(&MasterKey([77; 32]), &RecoveryKey([78; 32]))
        .unwrap();
    let passphrase = Passphrase::new("cuatro palabras y otra").unwrap();
    b.repository
        .add_key_slot(&NewSlot {
            label: "oficial",
            unlock: Unlock::Passphrase(&passphrase),
            sealed: &[],
        })
        .unwrap();
    root.at("text").rewrite(text(900_000, 4));
    let second = b.backup(&MemTree::new(&root)).snapshot;

    let header = b.fake.bytes(&Name::Header);
    let (secrets, repository) = read_header(&header, &Opener::Words(&[78; 32]));
    assert_eq!(secrets, [MASTER.0, [77; 32]]);
    let (again, _) = read_header(&header, &Opener::Passphrase("cuatro palabras y otra"));
    assert_eq!(again, secrets);
    let mut reader = Reader {
        nodes: HashMap::new(),
        chunks: HashMap::new(),
    };
    let segments = b.fake.names(Class::Segments);
    assert!(segments.len() >= 4, "{}", segments.len());
    for name in segments {
        let bytes = b.fake.bytes(&name);
        assert_eq!(name, Name::Segment(*blake3::hash(&bytes).as_bytes()));
        match read_segment(&bytes, &secrets, &repository) {
            (1, chunks) => reader.chunks.extend(chunks),
            (_, nodes) => reader.nodes.extend(nodes),
        }
    }
    let mut found = false;
    for name in b.fake.names(Class::Snapshots) {
        let Name::Snapshot(id) = name else {
            unreachable!()
        };
        let (label, files, got) = read_snapshot(&b.fake.bytes(&name), &secrets, &id, &reader);
        assert_eq!(label, "test");
        assert_eq!(files, root.count());
        if colca::engine::storage::hex(&id) == second.id {
            found = true;
            assert_eq!(got.facts(), root.facts());
        }
    }
    assert!(found);
}

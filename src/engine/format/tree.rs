//! Tree nodes as they are stored: entries of folders, extents of files,
//! extended attributes (`docs/format.md` §6). These types are the format; the
//! ones the rest of the program uses are in `engine::tree`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::error::{Error, Kind, Result};
use crate::engine::ids::Id;

const NODE_VERSION: u8 = 1;

/// Byte strings, encoded in one piece rather than byte by byte.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, v: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(v.to_vec()))
            }
        }
        d.deserialize_bytes(Visitor)
    }
}

/// A sequence, or the pages it was cut into because it is long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum List<T> {
    Items(Vec<T>),
    Pages(Vec<PageRef>),
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::Items(Vec::new())
    }
}

/// Where a page is and what is below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageRef {
    pub id: Id,
    pub items: u64,
    pub bytes: u64,
    pub first: Bytes,
}

/// A piece of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Extent {
    Data { id: Id, len: u32 },
    Zeros { len: u64 },
}

impl Extent {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Data { len, .. } => u64::from(*len),
            Self::Zeros { len } => *len,
        }
    }
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryV1 {
    pub name: Bytes,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub ctime: (i64, u32),
    pub dev: u64,
    pub ino: u64,
    pub links: u64,
    pub xattrs: List<(Bytes, Bytes)>,
    pub kind: KindV1,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KindV1 {
    File { size: u64, extents: List<Extent> },
    Folder { id: Id, entries: u64, bytes: u64 },
    Symlink(Bytes),
    Fifo,
    Socket,
    CharDevice(u64),
    BlockDevice(u64),
}

/// What a list in nodes is made of.
pub(crate) trait Item: Serialize + DeserializeOwned + Clone {
    /// The node's type byte.
    const TYPE: u8;
    /// A hash that decides where pages end: they do where its low byte is zero.
    fn boundary(&self) -> u8;
    /// About how many bytes it takes when encoded.
    fn weight(&self) -> usize;
    /// Bytes of content in or below it.
    fn bytes(&self) -> u64;
    /// Entries in or below it (1 if it is no folder).
    fn entries(&self) -> u64 {
        1
    }
    /// The name by which pages are found.
    fn name(&self) -> &[u8] {
        &[]
    }
}

impl Item for EntryV1 {
    const TYPE: u8 = 1;
    fn boundary(&self) -> u8 {
        blake3::hash(&self.name.0).as_bytes()[0]
    }
    fn weight(&self) -> usize {
        let kind = match &self.kind {
            KindV1::File { extents, .. } => match extents {
                List::Items(e) => e.len() * 36,
                List::Pages(p) => p.len() * 44,
            },
            KindV1::Symlink(target) => target.0.len(),
            _ => 40,
        };
        let xattrs = match &self.xattrs {
            List::Items(x) => x.iter().map(|(k, v)| k.0.len() + v.0.len() + 4).sum(),
            List::Pages(p) => p.len() * 44,
        };
        self.name.0.len() + 48 + kind + xattrs
    }
    fn bytes(&self) -> u64 {
        match &self.kind {
            KindV1::File { size, .. } => *size,
            KindV1::Folder { bytes, .. } => *bytes,
            _ => 0,
        }
    }
    fn entries(&self) -> u64 {
        match &self.kind {
            KindV1::Folder { entries, .. } => entries.saturating_add(1),
            _ => 1,
        }
    }
    fn name(&self) -> &[u8] {
        &self.name.0
    }
}

impl Item for Extent {
    const TYPE: u8 = 2;
    fn boundary(&self) -> u8 {
        match self {
            Self::Data { id, .. } => id.0[0],
            Self::Zeros { .. } => 1,
        }
    }
    fn weight(&self) -> usize {
        36
    }
    fn bytes(&self) -> u64 {
        self.len()
    }
}

impl Item for (Bytes, Bytes) {
    const TYPE: u8 = 3;
    fn boundary(&self) -> u8 {
        1
    }
    fn weight(&self) -> usize {
        self.0.0.len() + self.1.0.len() + 6
    }
    fn bytes(&self) -> u64 {
        0
    }
}

/// A node's bytes.
pub(crate) fn encode_node<T: Item>(list: &List<T>) -> Result<Vec<u8>> {
    let out = vec![NODE_VERSION, T::TYPE];
    postcard::to_extend(list, out)
        .map_err(|e| Error::with_source(Kind::Io, "a tree node could not be encoded", e))
}

/// The inverse of [`encode_node`].
pub(crate) fn decode_node<T: Item>(bytes: &[u8]) -> Result<List<T>> {
    let bad = |why: String| Error::new(Kind::Corrupt, format!("a tree node is damaged: {why}"));
    match bytes {
        [NODE_VERSION, node, rest @ ..] if *node == T::TYPE => {
            let (list, left) = postcard::take_from_bytes(rest).map_err(|e| bad(e.to_string()))?;
            if !left.is_empty() {
                return Err(bad("bytes are left over".into()));
            }
            Ok(list)
        }
        [NODE_VERSION, node, ..] => Err(bad(format!("it has type {node}, not {}", T::TYPE))),
        [newer, _, ..] if *newer > NODE_VERSION => Err(Error::new(
            Kind::Refused,
            format!(
                "a tree node has version {newer}, which this program does not know; use a newer program"
            ),
        )),
        _ => Err(bad("it is too short".into())),
    }
}

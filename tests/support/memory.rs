//! Trees to back up and targets to restore to, in memory.

mod target;
mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use colca::engine::tree::{FileType, Meta, Time};

pub use target::MemTarget;
pub use tree::{MemTree, Trouble};

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Data(Vec<u8>),
    Hole(u64),
}

/// A file, folder or special with all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub meta: Meta,
    pub content: Vec<Piece>,
    pub children: BTreeMap<Vec<u8>, Node>,
}

static INODES: AtomicU64 = AtomicU64::new(100);

pub fn meta(kind: FileType) -> Meta {
    let n = INODES.fetch_add(1, Ordering::Relaxed);
    Meta {
        kind,
        mode: 0o644,
        uid: 1000,
        gid: 1001,
        mtime: Time {
            secs: 1_700_000_000 + n as i64,
            nanos: 123_456_789,
        },
        ctime: Time {
            secs: 1_700_000_001,
            nanos: n as u32,
        },
        inode: (42, n),
        links: 1,
        xattrs: BTreeMap::new(),
    }
}

impl Node {
    pub fn folder() -> Self {
        let mut meta = meta(FileType::Folder);
        meta.mode = 0o755;
        Self {
            meta,
            content: Vec::new(),
            children: BTreeMap::new(),
        }
    }

    pub fn file(bytes: impl Into<Vec<u8>>) -> Self {
        Self::pieces(vec![Piece::Data(bytes.into())])
    }

    pub fn pieces(content: Vec<Piece>) -> Self {
        let size = content
            .iter()
            .map(|p| match p {
                Piece::Data(d) => d.len() as u64,
                Piece::Hole(n) => *n,
            })
            .sum();
        Self {
            meta: meta(FileType::File { size }),
            content,
            children: BTreeMap::new(),
        }
    }

    pub fn special(kind: FileType) -> Self {
        Self {
            meta: meta(kind),
            content: Vec::new(),
            children: BTreeMap::new(),
        }
    }

    /// The same with something put in at a path; folders in between are made.
    pub fn put(&mut self, path: &str, node: Node) -> &mut Self {
        self.put_bytes(
            &path
                .split('/')
                .map(|p| p.as_bytes().to_vec())
                .collect::<Vec<_>>(),
            node,
        )
    }

    pub fn put_bytes(&mut self, path: &[Vec<u8>], node: Node) -> &mut Self {
        let (first, rest) = path.split_first().unwrap();
        if rest.is_empty() {
            self.children.insert(first.clone(), node);
        } else {
            self.children
                .entry(first.clone())
                .or_insert_with(Node::folder)
                .put_bytes(rest, node);
        }
        self
    }

    pub fn at(&mut self, path: &str) -> &mut Node {
        path.split('/')
            .fold(self, |n, p| n.children.get_mut(p.as_bytes()).unwrap())
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.content {
            match piece {
                Piece::Data(d) => out.extend_from_slice(d),
                Piece::Hole(n) => out.resize(out.len() + *n as usize, 0),
            }
        }
        out
    }

    /// New content with new times, as a program writing the file leaves it.
    pub fn rewrite(&mut self, bytes: impl Into<Vec<u8>>) {
        let new = Node::file(bytes);
        self.meta.kind = new.meta.kind;
        self.meta.mtime = new.meta.mtime;
        self.meta.ctime = new.meta.ctime;
        self.content = new.content;
    }

    /// Everything a restore must bring back, as comparable lines: path, type,
    /// metadata, hash of the content, and which paths are one file.
    pub fn facts(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        let mut inodes: HashMap<(u64, u64), Vec<String>> = HashMap::new();
        self.collect(&mut Vec::new(), &mut out, &mut inodes);
        for names in inodes.values().filter(|n| n.len() > 1) {
            out.insert(format!("one file: {names:?}"));
        }
        out
    }

    fn collect(
        &self,
        path: &mut Vec<Vec<u8>>,
        out: &mut BTreeSet<String>,
        inodes: &mut HashMap<(u64, u64), Vec<String>>,
    ) {
        let name = format!(
            "{:?}",
            path.iter()
                .map(|p| p.escape_ascii().to_string())
                .collect::<Vec<_>>()
        );
        let m = &self.meta;
        if m.kind == FileType::Socket {
            return;
        }
        out.insert(format!(
            "{name} {:?} {:o} {}:{} {:?} {:?} {}",
            m.kind,
            m.mode,
            m.uid,
            m.gid,
            m.mtime,
            m.xattrs,
            blake3::hash(&self.bytes()).to_hex()
        ));
        if m.links > 1 && m.kind != FileType::Folder && m.inode != (0, 0) {
            inodes.entry(m.inode).or_default().push(name);
        }
        for (child, node) in &self.children {
            path.push(child.clone());
            node.collect(path, out, inodes);
            path.pop();
        }
    }

    pub fn count(&self) -> u64 {
        self.children.values().map(|c| 1 + c.count()).sum()
    }
}

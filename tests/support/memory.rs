//! Trees to back up and targets to restore to, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use colca::engine::tree::{
    Entry, Examined, FileType, Folder, Input, Meta, Names, Output, Target, Time, Tree,
};
use colca::engine::{Error, Kind, Result};

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

/// What a tree does wrong, by name of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Opening it fails for good.
    Unreadable,
    /// Opening it fails in passing so many times.
    Transient(u32),
    /// It is longer when read than it was listed.
    Grows,
    /// It is shorter.
    Shrinks,
    /// Its time of change is another one after reading.
    Touched,
    /// It cannot be examined.
    Unlistable,
}

type Meddling = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Watch {
    opened: Mutex<Vec<Vec<u8>>>,
    xattrs: AtomicU64,
    read: AtomicU64,
    trouble: Mutex<HashMap<Vec<u8>, Trouble>>,
    meddling: Mutex<Option<(usize, Meddling)>>,
}

/// A tree in memory that notes what is read.
pub struct MemTree {
    root: Arc<Node>,
    watch: Arc<Watch>,
}

impl MemTree {
    pub fn new(root: &Node) -> Self {
        Self {
            root: Arc::new(root.clone()),
            watch: Arc::default(),
        }
    }

    pub fn trouble(self, name: &str, trouble: Trouble) -> Self {
        self.watch
            .trouble
            .lock()
            .unwrap()
            .insert(name.as_bytes().to_vec(), trouble);
        self
    }

    /// Before the `n`th file is opened (0 is the first), `meddling` runs.
    pub fn meddle_at(self, n: usize, meddling: impl FnOnce() + Send + 'static) -> Self {
        *self.watch.meddling.lock().unwrap() = Some((n, Box::new(meddling)));
        self
    }

    /// Whether the meddling has happened.
    pub fn meddled(&self) -> bool {
        self.watch.meddling.lock().unwrap().is_none()
    }

    /// Names of the files opened.
    pub fn opened(&self) -> BTreeSet<String> {
        let opened = self.watch.opened.lock().unwrap();
        opened
            .iter()
            .map(|n| String::from_utf8_lossy(n).into_owned())
            .collect()
    }

    pub fn opens(&self) -> usize {
        self.watch.opened.lock().unwrap().len()
    }

    pub fn xattr_calls(&self) -> u64 {
        self.watch.xattrs.load(Ordering::Relaxed)
    }
}

impl Tree for MemTree {
    fn root(&self) -> Result<Box<dyn Folder>> {
        Ok(Box::new(MemFolder {
            node: self.root.clone(),
            watch: self.watch.clone(),
        }))
    }
    fn describe(&self) -> String {
        "memory".into()
    }
}

struct MemFolder {
    node: Arc<Node>,
    watch: Arc<Watch>,
}

impl MemFolder {
    fn child(&self, name: &[u8]) -> Result<&Node> {
        self.node
            .children
            .get(name)
            .ok_or_else(|| Error::new(Kind::Missing, "gone"))
    }
    fn trouble(&self, name: &[u8]) -> Option<Trouble> {
        self.watch.trouble.lock().unwrap().get(name).copied()
    }
}

impl Folder for MemFolder {
    fn meta(&self) -> Result<Meta> {
        Ok(self.node.meta.clone())
    }
    fn names(&self) -> Result<Names> {
        // Backwards, because no order is promised.
        let names = self.node.children.keys().rev();
        Ok(names.map(Vec::as_slice).collect())
    }
    fn examine(&self, names: &Names, which: Range<usize>) -> Result<Vec<Examined>> {
        Ok(names
            .range(which)
            .filter_map(|(name, _)| self.node.children.get_key_value(name))
            .map(|(name, node)| {
                if self.trouble(name) == Some(Trouble::Unlistable) {
                    return Err((name.clone(), Error::new(Kind::Refused, "not allowed")));
                }
                let mut meta = node.meta.clone();
                meta.xattrs.clear();
                Ok(Entry {
                    name: name.clone(),
                    meta,
                })
            })
            .collect())
    }
    fn xattrs(&self, name: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        self.watch.xattrs.fetch_add(1, Ordering::Relaxed);
        Ok(self.child(name)?.meta.xattrs.clone())
    }
    fn open(&self, name: &[u8]) -> Result<Box<dyn Input>> {
        let now = {
            let mut opened = self.watch.opened.lock().unwrap();
            opened.push(name.to_vec());
            opened.len() - 1
        };
        let due = {
            let mut meddling = self.watch.meddling.lock().unwrap();
            match &*meddling {
                Some((at, _)) if *at <= now => meddling.take(),
                _ => None,
            }
        };
        if let Some((_, meddle)) = due {
            meddle();
        }
        let node = self.child(name)?;
        let mut meta = node.meta.clone();
        let mut content = node.content.clone();
        match self.trouble(name) {
            Some(Trouble::Unreadable) => {
                return Err(Error::new(Kind::Refused, "permission denied"));
            }
            Some(Trouble::Transient(n)) if n > 0 => {
                self.watch
                    .trouble
                    .lock()
                    .unwrap()
                    .insert(name.to_vec(), Trouble::Transient(n - 1));
                return Err(Error::new(Kind::Transient, "connection lost"));
            }
            Some(Trouble::Grows) => content.push(Piece::Data(b"more".to_vec())),
            Some(Trouble::Shrinks) => {
                if let Some(Piece::Data(d)) = content.last_mut() {
                    d.truncate(d.len() / 2);
                }
            }
            Some(Trouble::Touched) => meta.mtime.secs += 1,
            _ => {}
        }
        content.reverse();
        Ok(Box::new(MemInput {
            content,
            at: 0,
            meta,
            watch: self.watch.clone(),
        }))
    }
    fn folder(&self, name: &[u8]) -> Result<Box<dyn Folder>> {
        if self.trouble(name) == Some(Trouble::Unreadable) {
            return Err(Error::new(Kind::Refused, "permission denied"));
        }
        Ok(Box::new(MemFolder {
            node: Arc::new(self.child(name)?.clone()),
            watch: self.watch.clone(),
        }))
    }
}

struct MemInput {
    /// What is left, last piece first.
    content: Vec<Piece>,
    at: usize,
    meta: Meta,
    watch: Arc<Watch>,
}

impl Input for MemInput {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            match self.content.last() {
                None => return Ok(0),
                Some(Piece::Hole(_)) => panic!("holes are asked for before reading"),
                Some(Piece::Data(d)) if self.at == d.len() => {
                    self.content.pop();
                    self.at = 0;
                    if let Some(Piece::Hole(_)) = self.content.last() {
                        // As a file system does: nothing says so but skip_hole.
                        return self.zeros(buf);
                    }
                }
                Some(Piece::Data(d)) => {
                    // Odd lengths, so that the engine cannot rely on full buffers.
                    let n = buf.len().min(d.len() - self.at).min(77_777);
                    buf[..n].copy_from_slice(&d[self.at..self.at + n]);
                    self.at += n;
                    self.watch.read.fetch_add(n as u64, Ordering::Relaxed);
                    return Ok(n);
                }
            }
        }
    }

    fn skip_hole(&mut self) -> Result<u64> {
        while let Some(Piece::Data(d)) = self.content.last() {
            if self.at < d.len() {
                return Ok(0);
            }
            self.content.pop();
            self.at = 0;
        }
        match self.content.pop() {
            Some(Piece::Hole(n)) => Ok(n),
            _ => Ok(0),
        }
    }

    fn meta_now(&mut self) -> Result<Option<Meta>> {
        Ok(Some(self.meta.clone()))
    }
}

impl MemInput {
    fn zeros(&mut self, buf: &mut [u8]) -> Result<usize> {
        let Some(Piece::Hole(left)) = self.content.last_mut() else {
            return Ok(0);
        };
        let n = (buf.len() as u64).min(*left) as usize;
        buf[..n].fill(0);
        *left -= n as u64;
        if *left == 0 {
            self.content.pop();
        }
        Ok(n)
    }
}

#[derive(Default)]
struct Made {
    nodes: BTreeMap<Vec<Vec<u8>>, Node>,
    finished: BTreeSet<Vec<Vec<u8>>>,
    hard_links: bool,
    written: u64,
}

/// A target in memory that checks the order in which it is called.
pub struct MemTarget(Arc<Mutex<Made>>);

impl MemTarget {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Made {
            hard_links: true,
            ..Made::default()
        })))
    }

    pub fn without_hard_links() -> Self {
        Self(Arc::default())
    }

    /// Bytes written, without holes.
    pub fn written(&self) -> u64 {
        self.0.lock().unwrap().written
    }

    /// What was restored.
    pub fn into_root(self) -> Node {
        let mut made = self.0.lock().unwrap();
        let nodes = std::mem::take(&mut made.nodes);
        for (path, node) in &nodes {
            assert!(
                made.finished.contains(path),
                "{path:?} {:?} was never finished",
                node.meta.kind
            );
        }
        let mut root = nodes.get(&Vec::new()).cloned().unwrap_or_else(Node::folder);
        for (path, node) in nodes {
            if !path.is_empty() {
                root.put_bytes(&path, node);
            }
        }
        root
    }

    fn parent(made: &Made, path: &[Vec<u8>]) {
        let Some((_, up)) = path.split_last() else {
            return;
        };
        let parent = made.nodes.get(up);
        assert!(
            parent.is_some_and(|p| p.meta.kind == FileType::Folder) || up.is_empty(),
            "{path:?} before its parent"
        );
        assert!(
            !made.finished.contains(up),
            "{path:?} after its folder was finished"
        );
    }
}

impl Target for MemTarget {
    fn folder(&self, path: &[Vec<u8>]) -> Result<()> {
        let mut made = self.0.lock().unwrap();
        Self::parent(&made, path);
        made.nodes.insert(path.to_vec(), Node::folder());
        Ok(())
    }
    fn file(&self, path: &[Vec<u8>], size: u64) -> Result<Box<dyn Output>> {
        Self::parent(&self.0.lock().unwrap(), path);
        Ok(Box::new(MemOutput {
            made: self.0.clone(),
            path: path.to_vec(),
            bytes: Mutex::new(vec![0; size as usize]),
        }))
    }
    fn special(&self, path: &[Vec<u8>], meta: &Meta) -> Result<()> {
        let mut made = self.0.lock().unwrap();
        Self::parent(&made, path);
        made.nodes
            .insert(path.to_vec(), Node::special(meta.kind.clone()));
        Ok(())
    }
    fn hard_link(&self, original: &[Vec<u8>], path: &[Vec<u8>]) -> Result<()> {
        let mut made = self.0.lock().unwrap();
        if !made.hard_links {
            return Err(Error::new(Kind::Io, "no hard links here"));
        }
        Self::parent(&made, path);
        let node = made
            .nodes
            .get(original)
            .cloned()
            .ok_or_else(|| Error::new(Kind::Missing, "no original"))?;
        made.nodes.insert(path.to_vec(), node);
        made.finished.insert(path.to_vec());
        Ok(())
    }
    fn finish(&self, path: &[Vec<u8>], meta: &Meta) -> Result<Vec<String>> {
        let mut made = self.0.lock().unwrap();
        let node = made
            .nodes
            .get_mut(path)
            .ok_or_else(|| Error::new(Kind::Missing, "not made"))?;
        node.meta = meta.clone();
        assert!(
            made.finished.insert(path.to_vec()),
            "{path:?} finished twice"
        );
        Ok(Vec::new())
    }
    fn describe(&self) -> String {
        "memory".into()
    }
}

struct MemOutput {
    made: Arc<Mutex<Made>>,
    path: Vec<Vec<u8>>,
    bytes: Mutex<Vec<u8>>,
}

impl Output for MemOutput {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let at = offset as usize;
        self.bytes.lock().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
        self.made.lock().unwrap().written += bytes.len() as u64;
        Ok(())
    }
    fn close(self: Box<Self>) -> Result<()> {
        let node = Node::file(self.bytes.into_inner().unwrap());
        self.made.lock().unwrap().nodes.insert(self.path, node);
        Ok(())
    }
}

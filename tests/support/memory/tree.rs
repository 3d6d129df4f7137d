//! A tree to back up that can go wrong, and notes what is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use colca::engine::tree::{Entry, Examined, Folder, Input, Meta, Names, Tree};
use colca::engine::{Error, Kind, Result};

use super::{Node, Piece};

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

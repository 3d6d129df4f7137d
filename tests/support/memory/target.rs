//! A target to restore to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use colca::engine::tree::{FileType, Meta, Output, Target};
use colca::engine::{Error, Kind, Result};

use super::Node;

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

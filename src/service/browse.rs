//! Looking into snapshots.

use super::{EntryType, EntryView, Service};
use crate::engine::{Error, Kind, Result, Snapshot};

impl Service {
    /// All snapshots, oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.repository()?.snapshots()
    }

    /// One snapshot by id or unambiguous prefix.
    pub fn snapshot(&self, id: &str) -> Result<Snapshot> {
        self.repository()?.find(id)
    }

    /// One entry; the empty path is the top folder.
    pub fn entry(&self, snapshot: &str, path: &[Vec<u8>]) -> Result<EntryView> {
        let repository = self.repository()?;
        let node = repository.node(&repository.find(snapshot)?, path)?;
        Ok(EntryView::new(&node))
    }

    /// What is in a folder: folders first, then by name. `Refused` if `path`
    /// is not a folder.
    pub fn browse(&self, snapshot: &str, path: &[Vec<u8>]) -> Result<Vec<EntryView>> {
        let repository = self.repository()?;
        let folder = repository.node(&repository.find(snapshot)?, path)?;
        if EntryView::new(&folder).kind != EntryType::Folder {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{} is not a folder; download it instead",
                    String::from_utf8_lossy(&folder.name)
                ),
            ));
        }
        let mut entries: Vec<EntryView> = repository
            .children(&folder)?
            .iter()
            .map(EntryView::new)
            .collect();
        entries.sort_by(|a, b| {
            let key = |e: &EntryView| e.kind != EntryType::Folder;
            (key(a), &a.raw_name).cmp(&(key(b), &b.raw_name))
        });
        Ok(entries)
    }
}

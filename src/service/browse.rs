//! Looking into snapshots.

use super::{EntryView, FolderPage, Service};
use crate::engine::{EntryKind, Error, Kind, Result, Snapshot};

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

    /// What is in a folder: at most `limit` entries by name, after the name
    /// `after` if there is one. A folder that fits is shown folders first; in
    /// one of a million names nobody could wait for that. `Refused` if `path`
    /// is not a folder.
    pub fn browse(
        &self,
        snapshot: &str,
        path: &[Vec<u8>],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<FolderPage> {
        let repository = self.repository()?;
        let folder = repository.node(&repository.find(snapshot)?, path)?;
        if EntryView::new(&folder).kind != EntryKind::Folder {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{} is not a folder; download it instead",
                    String::from_utf8_lossy(&folder.name)
                ),
            ));
        }
        // One more than wanted tells whether there are more.
        let nodes = repository.children_page(&folder, after, limit.saturating_add(1))?;
        let mut entries: Vec<EntryView> = nodes.iter().take(limit).map(EntryView::new).collect();
        let next = match nodes.len() > limit {
            true => entries.last().map(|entry| entry.raw_name.clone()),
            false => None,
        };
        if after.is_none() && next.is_none() {
            entries.sort_by_key(|entry| entry.kind != EntryKind::Folder);
        }
        Ok(FolderPage { entries, next })
    }
}

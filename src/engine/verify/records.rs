//! Reading the objects that are no segments: the header and the snapshot
//! records. They are few and small, and everything hangs on them.

use super::{Findings, about_data};
use crate::engine::Repository;
use crate::engine::error::Result;
use crate::engine::format::header::HeaderV1;
use crate::engine::format::snapshot::SnapshotV1;
use crate::engine::progress::Progress;
use crate::engine::storage::{Name, hex};

/// Reads the header and every record from the storage, although all of them are
/// in memory, and makes their redundancy whole.
pub(super) fn read_all(
    repository: &Repository,
    found: &mut Findings,
    progress: &Progress,
) -> Result<()> {
    let header = object(repository, &Name::Header, found).and_then(|bytes| {
        let header = HeaderV1::decode(&bytes)?;
        // A key change puts the header before the key becomes this one.
        match repository.keys.secrets() {
            keys if keys.len() == header.epoch as usize => {
                keys.last().map_or(Ok(()), |key| header.verify_key(key))
            }
            _ => Ok(()),
        }
    });
    match header {
        Err(e) if about_data(&e) => found.error(format!(
            "the header is lost: {e}; put it back from the replica"
        )),
        other => other?,
    }
    for (id, _) in repository.snapshots.all() {
        progress.check()?;
        let record = object(repository, &Name::Snapshot(id), found)
            .and_then(|bytes| SnapshotV1::open(&bytes, id, repository.header.id, &repository.keys));
        match record {
            Ok(_) => {}
            // Forgotten meanwhile.
            Err(_) if !repository.snapshots.stays(&id) => {}
            Err(e) if about_data(&e) => found.error(format!(
                "the record of snapshot {} is lost in the storage, and known only to this machine: {e}; put it back from the replica",
                hex(&id)
            )),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// One object, repaired if that was needed.
fn object(repository: &Repository, name: &Name, found: &mut Findings) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let health = repository.storage.check_and_get(name, true, &mut bytes)?;
    found.report.damaged_parts += u64::from(health.missing) + u64::from(health.corrupt);
    found.report.repaired_parts += u64::from(health.repaired);
    found.report.bytes += bytes.len() as u64;
    Ok(bytes)
}

//! The snapshot record (`docs/format.md` §5).

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::tree::EntryV1;
use crate::engine::crypt::{ObjectKey, TAG};
use crate::engine::error::{Error, Kind, Result};
use crate::engine::keys::{Keys, random};

const MAGIC: &[u8; 8] = b"COLCASNP";
const HEADER: usize = 72;

/// What is sealed in the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotV1 {
    pub version: u8,
    pub name: String,
    pub origin: String,
    pub writer: String,
    pub secs: i64,
    pub nanos: u32,
    pub files: u64,
    pub bytes: u64,
    pub new_bytes: u64,
    pub stored_bytes: u64,
    pub millis: u64,
    pub warnings: u64,
    pub full: bool,
    pub parent: Option<[u8; 16]>,
    pub root: EntryV1,
}

impl SnapshotV1 {
    /// The version this program writes.
    pub(crate) const VERSION: u8 = 1;

    /// The object's bytes.
    pub(crate) fn seal(
        &self,
        id: [u8; 16],
        repository: [u8; 16],
        epoch: u32,
        keys: &Keys,
    ) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&super::VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&repository);
        out.extend_from_slice(&epoch.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&id);
        out.extend_from_slice(&random::<16>()?);
        let mut out = postcard::to_extend(self, out)
            .map_err(|e| Error::with_source(Kind::Io, "a snapshot could not be encoded", e))?;
        let (header, body) = out.split_at_mut(HEADER);
        let tag = ObjectKey::new(keys.snapshot(epoch, header)?)?.seal(0, header, body)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens the object stored under `id`.
    pub(crate) fn open(
        bytes: &[u8],
        id: [u8; 16],
        repository: [u8; 16],
        keys: &Keys,
    ) -> Result<Self> {
        let mut c = Cursor::new(bytes, "the snapshot record");
        c.magic(MAGIC)?;
        c.version()?;
        c.zeros(2)?;
        c.no_flags()?;
        if c.array::<16>()? != repository {
            return Err(c.bad("it belongs to another repository"));
        }
        let epoch = c.u32()?;
        c.zeros(4)?;
        if c.array::<16>()? != id {
            return Err(c.bad("it is stored under another snapshot's name"));
        }
        c.take(16)?;
        if c.left() < TAG {
            return Err(c.bad("it is too short"));
        }
        let (header, sealed) = bytes.split_at(HEADER);
        let mut sealed = sealed.to_vec();
        let plain = ObjectKey::new(keys.snapshot(epoch, header)?)?
            .open(0, header, &mut sealed)
            .ok_or_else(|| c.bad("its content does not match its seal"))?;
        match plain.first() {
            Some(&Self::VERSION) => {}
            Some(newer) if *newer > Self::VERSION => {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "the snapshot record has version {newer}, which this program does not know; use a newer program"
                    ),
                ));
            }
            _ => return Err(c.bad("it has no version")),
        }
        let (record, left) = postcard::take_from_bytes::<Self>(plain).map_err(|e| c.bad(e))?;
        if !left.is_empty() || record.nanos >= 1_000_000_000 {
            return Err(c.bad("its content makes no sense"));
        }
        Ok(record)
    }
}

//! The pool's master key on the box.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{State, files};
use crate::engine::{Error, Kind, MasterKey, Result};

const KEY: usize = 32;

impl State {
    fn pool_key_path(&self, pool: &str) -> Result<PathBuf> {
        if pool.is_empty() || !pool.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::new(
                Kind::Refused,
                format!("{pool:?} is not the id of a pool"),
            ));
        }
        Ok(self.folder().join("pool").join(format!("{pool}.key")))
    }

    /// Keeps a master key of a pool before the keys it had; durable when it
    /// returns. None is ever taken away: after a power cut during a key change
    /// the older one may be the one that fits, and it opens nothing that the
    /// newest does not.
    pub fn save_pool_key(&self, pool: &str, key: &MasterKey) -> Result<()> {
        let path = self.pool_key_path(pool)?;
        files::private_folder(&self.folder().join("pool"))?;
        let older = files::read(&path)?.map(Zeroizing::new).unwrap_or_default();
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY + older.len()));
        bytes.extend_from_slice(&key.0);
        for old in older
            .as_chunks::<KEY>()
            .0
            .iter()
            .filter(|old| **old != key.0)
        {
            bytes.extend_from_slice(old);
        }
        files::write(&path, &bytes)
    }

    /// The master keys the box was given for a pool, the newest first.
    ///
    /// # Errors
    /// `Missing` if the box has none.
    pub fn pool_keys(&self, pool: &str) -> Result<Vec<MasterKey>> {
        let path = self.pool_key_path(pool)?;
        let bytes = files::read(&path)?.map(Zeroizing::new).ok_or_else(|| {
            Error::new(
                Kind::Missing,
                format!(
                    "the key of pool {pool} is not on this box ({}); it can be had again with the recovery words",
                    path.display()
                ),
            )
        })?;
        let (keys, rest) = bytes.as_chunks::<KEY>();
        if keys.is_empty() || !rest.is_empty() {
            return Err(Error::new(
                Kind::Corrupt,
                format!(
                    "{} has {} bytes, but keys have {KEY} each; bring it back from a copy of the box's state",
                    path.display(),
                    bytes.len()
                ),
            ));
        }
        Ok(keys.iter().map(|key| MasterKey(*key)).collect())
    }
}

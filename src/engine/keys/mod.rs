//! Keys: made, written down as words, wrapped in slots, changed, and derived
//! from one another.
//!
//! Every key epoch has a random 32-byte secret of its own; the newest is the
//! *master key*. It opens the header, and the header opens the older ones, so
//! that one key opens everything. What seals and names comes from these secrets
//! by BLAKE3's key derivation, with a context of its own for every use
//! (`docs/format.md` §2). Keys are zeroed when dropped and have no `Debug`.

mod change;
mod slots;
mod words;

use std::sync::{PoisonError, RwLock};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::error::{Error, Kind, Result};
use super::ids::Id;

pub use slots::{KeyOverview, KeySlot, NewSlot, OutsideKey, Passphrase, SlotKind, Unlock};
pub use words::RecoveryKey;

pub(crate) use slots::{Argon, MAX_LABEL, MAX_OUTSIDE, slot_key};

/// The master key: the secret of the newest key epoch, 32 bytes that open the
/// whole repository. Zeroed when dropped; never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey(pub [u8; 32]);

/// Fills an array from the system's random source.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    use rustix::rand::{GetRandomFlags, getrandom};
    let mut out = [0u8; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut out[filled..], GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => {
                return Err(Error::io(
                    "the system's random source gave nothing; no key can be made",
                    e.into(),
                ));
            }
        }
    }
    Ok(out)
}

impl MasterKey {
    /// A fresh key from the system's random source.
    pub fn generate() -> Result<Self> {
        Ok(Self(random()?))
    }
}

/// One epoch's secret and what is derived from it for every object.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Epoch {
    secret: MasterKey,
    segment: [u8; 32],
    snapshot: [u8; 32],
}

impl Epoch {
    fn new(secret: &MasterKey) -> Self {
        Self {
            secret: secret.clone(),
            segment: blake3::derive_key("colca v1 segment epoch", &secret.0),
            snapshot: blake3::derive_key("colca v1 snapshot epoch", &secret.0),
        }
    }
}

/// Every key that the engine keeps at hand. Chunk ids come from the first
/// epoch's secret for ever, so that a key change does not end deduplication.
pub(crate) struct Keys {
    data: [u8; 32],
    tree: [u8; 32],
    /// Epoch 1 first; never empty, only ever longer.
    epochs: RwLock<Vec<Epoch>>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.data.zeroize();
        self.tree.zeroize();
    }
}

impl Keys {
    /// From the secrets of all epochs, the first and `later` ones in order.
    pub(crate) fn new(first: &MasterKey, later: &[MasterKey]) -> Self {
        Self {
            data: blake3::derive_key("colca v1 chunk id data", &first.0),
            tree: blake3::derive_key("colca v1 chunk id tree", &first.0),
            epochs: RwLock::new(
                std::iter::once(first)
                    .chain(later)
                    .map(Epoch::new)
                    .collect(),
            ),
        }
    }

    /// Id of a chunk of content.
    pub(crate) fn data_id(&self, bytes: &[u8]) -> Id {
        Id(*blake3::keyed_hash(&self.data, bytes).as_bytes())
    }

    /// Id of a tree node.
    pub(crate) fn tree_id(&self, bytes: &[u8]) -> Id {
        Id(*blake3::keyed_hash(&self.tree, bytes).as_bytes())
    }

    /// The epoch under which new objects are sealed.
    pub(crate) fn epoch(&self) -> u32 {
        self.with(|epochs| u32::try_from(epochs.len()).unwrap_or(u32::MAX))
    }

    /// The sealing key of the segment with this header (its first 72 bytes).
    /// `Refused` if the header does not know the epoch.
    pub(crate) fn segment(&self, epoch: u32, header: &[u8]) -> Result<[u8; 32]> {
        self.object(epoch, header, |e| &e.segment)
    }

    /// The sealing key of the snapshot record with this header, likewise.
    pub(crate) fn snapshot(&self, epoch: u32, header: &[u8]) -> Result<[u8; 32]> {
        self.object(epoch, header, |e| &e.snapshot)
    }

    /// The sealing key of the history with this id in the catalogue, a cache
    /// and no part of the format. After a key change it is another one, and
    /// the history is built anew under it.
    pub(crate) fn catalogue(&self, id: &[u8; 16]) -> [u8; 32] {
        let mut all = blake3::derive_key("colca catalogue", &self.master().0);
        let key = *blake3::keyed_hash(&all, id).as_bytes();
        all.zeroize();
        key
    }

    /// The secrets of all epochs, the newest last.
    pub(crate) fn secrets(&self) -> Vec<MasterKey> {
        self.with(|epochs| epochs.iter().map(|e| e.secret.clone()).collect())
    }

    /// The newest epoch's secret.
    pub(crate) fn master(&self) -> MasterKey {
        self.with(|epochs| match epochs.last() {
            Some(epoch) => epoch.secret.clone(),
            // Never empty: made with a first one and only ever longer.
            None => unreachable!("keys without an epoch"),
        })
    }

    /// From now on objects are sealed under a new epoch.
    pub(crate) fn push(&self, secret: &MasterKey) {
        self.epochs
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Epoch::new(secret));
    }

    fn with<T>(&self, look: impl FnOnce(&[Epoch]) -> T) -> T {
        look(&self.epochs.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn object(
        &self,
        epoch: u32,
        header: &[u8],
        key: impl FnOnce(&Epoch) -> &[u8; 32],
    ) -> Result<[u8; 32]> {
        self.with(|epochs| {
            let known = usize::try_from(epoch)
                .ok()
                .and_then(|e| epochs.get(e.checked_sub(1)?));
            known
                .map(|e| *blake3::keyed_hash(key(e), header).as_bytes())
                .ok_or_else(|| {
                    Error::new(
                        Kind::Refused,
                        format!(
                            "it was sealed after a key change (epoch {epoch}) that the repository's header, at epoch {}, does not know; bring back the disk or replica with the newest header",
                            epochs.len()
                        ),
                    )
                })
        })
    }
}

/// What the header keeps to notice a wrong master key.
pub(crate) fn key_check(master: &MasterKey) -> [u8; 16] {
    let full = Zeroizing::new(blake3::derive_key("colca v1 key check", &master.0));
    let mut out = [0u8; 16];
    out.copy_from_slice(&full[..16]);
    out
}

/// Shows that who wrote these header bytes had the master key.
pub(crate) fn header_seal(master: &MasterKey, bytes: &[u8]) -> [u8; 32] {
    let key = Zeroizing::new(blake3::derive_key("colca v1 header", &master.0));
    *blake3::keyed_hash(&key, bytes).as_bytes()
}

/// The key that seals the older epochs' secrets in the header.
pub(crate) fn older_key(master: &MasterKey) -> [u8; 32] {
    blake3::derive_key("colca v1 older keys", &master.0)
}

//! The repository's header object (`docs/format.md` §3).

use zeroize::Zeroizing;

use super::cursor::Cursor;
use super::slot::SlotV1;
use crate::engine::crypt::{ObjectKey, TAG};
use crate::engine::error::{Error, Kind, Result};
use crate::engine::keys::{
    Keys, MasterKey, NewSlot, RecoveryKey, SlotKind, Unlock, header_seal, key_check, older_key,
    random,
};
use crate::engine::{Params, chunker};

const MAGIC: &[u8; 8] = b"COLCAHDR";
/// Seal and checksum at the end.
const END: usize = 64;
const NONCE: usize = 12;
/// Most key epochs, so that a header stays small.
const MAX_EPOCH: u32 = 4096;
/// Most key slots.
const MAX_SLOTS: usize = 64;

/// Features an old program may lack, by the operation that then is unsafe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub read: u64,
    pub write: u64,
    pub delete: u64,
    pub check: u64,
}

impl Features {
    /// `Refused` if `flags` holds a feature this program does not know; none exist yet.
    pub(crate) fn allow(flags: u64, operation: &str) -> Result<()> {
        if flags == 0 {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            format!(
                "this repository uses features {flags:#x} that this program does not know and without which it cannot {operation} safely; use a newer program"
            ),
        ))
    }
}

/// The decoded header.
#[derive(Clone, Debug)]
pub(crate) struct HeaderV1 {
    pub features: Features,
    pub id: [u8; 16],
    pub params: Params,
    pub chunker: chunker::Settings,
    pub epoch: u32,
    check: [u8; 16],
    /// Nonce, and the secrets of the older epochs sealed under the master key.
    older: Vec<u8>,
    slots: Vec<SlotV1>,
    seal: [u8; 32],
}

impl HeaderV1 {
    /// A new repository's header.
    pub(crate) fn create(
        master: &MasterKey,
        recovery: &RecoveryKey,
        params: &Params,
    ) -> Result<Self> {
        let mut header = Self {
            features: Features::default(),
            id: random()?,
            params: params.clone(),
            chunker: chunker::Settings::default(),
            epoch: 0,
            check: [0; 16],
            older: Vec::new(),
            slots: Vec::new(),
            seal: [0; 32],
        };
        header.next_epoch(&[], master, recovery)?;
        Ok(header)
    }

    /// Everything that precedes the seal.
    fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&super::VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        let f = &self.features;
        for flags in [f.read, f.write, f.delete, f.check] {
            out.extend_from_slice(&flags.to_le_bytes());
        }
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.params.segment_bytes.to_le_bytes());
        out.extend_from_slice(&self.params.zstd_level.to_le_bytes());
        out.extend_from_slice(&self.chunker.kind.to_le_bytes());
        out.extend_from_slice(&self.chunker.min.to_le_bytes());
        out.extend_from_slice(&self.chunker.max.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.check);
        // At most MAX_SLOTS.
        out.extend_from_slice(&(self.slots.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.older);
        for slot in &self.slots {
            slot.encode(&mut out);
        }
        out
    }

    /// The object's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.body();
        out.extend_from_slice(&self.seal);
        let sum = blake3::hash(&out);
        out.extend_from_slice(sum.as_bytes());
        out
    }

    /// Reads a header; `Corrupt`, or `Refused` when a newer program made it
    /// and this one cannot read what it describes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes, "the repository's header");
        c.magic(MAGIC)?;
        c.version()?;
        let end = bytes
            .len()
            .checked_sub(END)
            .ok_or_else(|| c.bad(format_args!("it ends at byte {}", bytes.len())))?;
        if blake3::hash(&bytes[..end + 32]).as_bytes() != &bytes[end + 32..] {
            return Err(c.bad("its checksum does not match"));
        }
        c.zeros(6)?;
        let features = Features {
            read: c.u64()?,
            write: c.u64()?,
            delete: c.u64()?,
            check: c.u64()?,
        };
        // What follows may look otherwise under such a feature.
        Features::allow(features.read, "read it")?;
        let id = c.array()?;
        let params = Params {
            segment_bytes: c.u32()?,
            zstd_level: i32::from_le_bytes(c.array()?),
        };
        let chunker = chunker::Settings {
            kind: c.u32()?,
            min: c.u32()?,
            max: c.u32()?,
        };
        let epoch = c.u32()?;
        let check = c.array()?;
        let count = usize::from(c.u16()?);
        c.zeros(2)?;
        if epoch == 0 || epoch > MAX_EPOCH || count > MAX_SLOTS {
            return Err(c.bad(format_args!("it claims {epoch} epochs and {count} slots")));
        }
        let older = c.take(NONCE + (epoch as usize - 1) * 32 + TAG)?.to_vec();
        let mut slots = Vec::new();
        for _ in 0..count {
            slots.push(SlotV1::decode(&mut c)?);
        }
        if c.left() != END {
            return Err(c.bad("it has not the length its slots say"));
        }
        let header = Self {
            features,
            id,
            params,
            chunker,
            epoch,
            check,
            older,
            slots,
            seal: c.array()?,
        };
        header.params.check()?;
        header.chunker.check()?;
        Ok(header)
    }

    /// The master key, if a slot opens. `Refused` when none does.
    pub(crate) fn unlock(&self, unlock: Unlock<'_>) -> Result<MasterKey> {
        for slot in &self.slots {
            if let Some(master) = slot.unwrap(unlock, &self.id, self.epoch)? {
                self.verify_key(&master)?;
                return Ok(master);
            }
        }
        Err(Error::new(
            Kind::Refused,
            match unlock {
                Unlock::Recovery(_) => {
                    "this recovery key does not open this repository; check that the page is the newest one of this box (after a key change older pages no longer open it)"
                }
                Unlock::Passphrase(_) => {
                    "no key slot opens with this passphrase; check it, or use the recovery words"
                }
                Unlock::Outside(_) | Unlock::Both(..) => {
                    "no key slot opens with this secret; use a passphrase or the recovery words"
                }
            },
        ))
    }

    /// `Refused` when `master` is another repository's key or an older epoch's,
    /// `Corrupt` when somebody without the key changed the header.
    pub(crate) fn verify_key(&self, master: &MasterKey) -> Result<()> {
        if key_check(master) != self.check {
            return Err(Error::new(
                Kind::Refused,
                "the master key does not belong to this repository, or is from before a key change; use the newest key, or open it with the recovery words",
            ));
        }
        if header_seal(master, &self.body()) != self.seal {
            return Err(Error::new(
                Kind::Corrupt,
                "the repository's header was changed by something that has not its key; bring back the header from a replica or another disk",
            ));
        }
        Ok(())
    }

    /// The keys of all epochs.
    pub(crate) fn keys(&self, master: &MasterKey) -> Result<Keys> {
        self.verify_key(master)?;
        let bad = || Error::new(Kind::Corrupt, "the older keys in the header do not open");
        let (nonce, sealed) = self.older.split_at(NONCE);
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| bad())?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let plain = ObjectKey::new(older_key(master))?
            .open_nonce(nonce, &self.bound(), &mut plain)
            .ok_or_else(bad)?;
        let mut secrets = Vec::with_capacity(self.epoch as usize);
        for secret in plain.chunks_exact(32) {
            let mut own = [0u8; 32];
            own.copy_from_slice(secret);
            secrets.push(MasterKey(own));
        }
        secrets.push(master.clone());
        Ok(Keys::new(&secrets[0], &secrets[1..]))
    }

    /// Begins a new epoch: `master` is its secret, the `older` ones in order
    /// lie sealed under it, and only these recovery words open the header.
    pub(crate) fn next_epoch(
        &mut self,
        older: &[MasterKey],
        master: &MasterKey,
        recovery: &RecoveryKey,
    ) -> Result<()> {
        if self.epoch >= MAX_EPOCH {
            return Err(Error::new(
                Kind::Refused,
                format!("the key was changed {MAX_EPOCH} times, which is all a repository holds"),
            ));
        }
        self.epoch += 1;
        self.check = key_check(master);
        let nonce = random::<NONCE>()?;
        let mut sealed = Vec::with_capacity(older.len() * 32 + TAG);
        for secret in older {
            sealed.extend_from_slice(&secret.0);
        }
        let tag =
            ObjectKey::new(older_key(master))?.seal_nonce(nonce, &self.bound(), &mut sealed)?;
        self.older = [&nonce[..], &sealed, &tag].concat();
        self.slots = vec![SlotV1::recovery(recovery, &self.id, self.epoch, master)?];
        self.reseal(master);
        Ok(())
    }

    /// Other recovery words for the same master key.
    pub(crate) fn renew_recovery(
        &mut self,
        master: &MasterKey,
        recovery: &RecoveryKey,
    ) -> Result<()> {
        let slot = SlotV1::recovery(recovery, &self.id, self.epoch, master)?;
        self.slots.retain(|s| s.kind() != SlotKind::Recovery);
        self.slots.insert(0, slot);
        self.reseal(master);
        Ok(())
    }

    /// Adds a slot; its number.
    pub(crate) fn add_slot(&mut self, master: &MasterKey, new: &NewSlot<'_>) -> Result<u32> {
        if matches!(new.unlock, Unlock::Recovery(_)) {
            return Err(Error::new(
                Kind::Refused,
                "a repository has one recovery key; renew it instead of adding another",
            ));
        }
        if self.slots.len() >= MAX_SLOTS {
            return Err(Error::new(
                Kind::Refused,
                format!("there are {MAX_SLOTS} key slots already; remove one first"),
            ));
        }
        if let Unlock::Passphrase(p) | Unlock::Both(p, _) = new.unlock {
            p.check_strength()?;
        }
        let last = self.slots.iter().map(|s| s.number).max().unwrap_or(0);
        let number = last
            .checked_add(1)
            .ok_or_else(|| Error::new(Kind::Refused, "the key slots have used up their numbers"))?;
        let slot = SlotV1::wrap(new, number, &self.id, self.epoch, master)?;
        self.slots.push(slot);
        self.reseal(master);
        Ok(number)
    }

    /// Removes a slot. `Missing`, or `Refused` for the recovery words.
    pub(crate) fn remove_slot(&mut self, master: &MasterKey, number: u32) -> Result<()> {
        let at = self
            .slots
            .iter()
            .position(|s| s.number == number)
            .ok_or_else(|| {
                Error::new(
                    Kind::Missing,
                    format!("there is no key slot {number}; list the slots to see which there are"),
                )
            })?;
        if self.slots[at].kind() == SlotKind::Recovery {
            return Err(Error::new(
                Kind::Refused,
                "the recovery words always stay; renew them instead, then the old ones open nothing",
            ));
        }
        self.slots.remove(at);
        self.reseal(master);
        Ok(())
    }

    pub(crate) fn slots(&self) -> &[SlotV1] {
        &self.slots
    }

    fn reseal(&mut self, master: &MasterKey) {
        self.seal = header_seal(master, &self.body());
    }

    /// What the older keys are bound to.
    fn bound(&self) -> [u8; 20] {
        let mut out = [0; 20];
        out[..16].copy_from_slice(&self.id);
        out[16..].copy_from_slice(&self.epoch.to_le_bytes());
        out
    }
}

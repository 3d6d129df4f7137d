//! A key slot of the header (`docs/format.md` §3): one way in which the
//! master key lies wrapped.

use zeroize::Zeroizing;

use super::cursor::Cursor;
use crate::engine::crypt::{ObjectKey, TAG};
use crate::engine::error::{Error, Kind, Result};
use crate::engine::keys::{
    Argon, KeySlot, MAX_LABEL, MAX_OUTSIDE, MasterKey, NewSlot, RecoveryKey, SlotKind, Unlock,
    random, slot_key,
};

/// Bytes before label and body.
const HEAD: usize = 8;
const NONCE: usize = 12;
const SEALED: usize = 32 + TAG;

/// A slot as it is stored. Those of kinds this program does not know are kept
/// byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotV1 {
    kind: u8,
    pub number: u32,
    label: String,
    body: Vec<u8>,
}

/// The body of a slot of a known kind.
struct Body {
    argon: Option<Argon>,
    /// Where the nonce begins: what precedes it is bound to the seal.
    nonce_at: usize,
    nonce: [u8; NONCE],
    sealed: [u8; SEALED],
    outside: Vec<u8>,
}

fn kind(code: u8) -> SlotKind {
    match code {
        1 => SlotKind::Recovery,
        2 => SlotKind::Passphrase,
        3 => SlotKind::Outside,
        4 => SlotKind::Both,
        _ => SlotKind::Unknown,
    }
}

fn code(kind: SlotKind) -> u8 {
    match kind {
        SlotKind::Recovery => 1,
        SlotKind::Passphrase => 2,
        SlotKind::Outside => 3,
        SlotKind::Both => 4,
        SlotKind::Unknown => 0,
    }
}

/// What a wrapped key is bound to, so that a slot opens only in its repository
/// and for its epoch: both, and the slot's bytes before the nonce.
fn bound(repository: &[u8; 16], epoch: u32, slot: &[u8]) -> Vec<u8> {
    [&repository[..], &epoch.to_le_bytes(), slot].concat()
}

impl SlotV1 {
    /// The slot that the recovery words open.
    pub(crate) fn recovery(
        recovery: &RecoveryKey,
        repository: &[u8; 16],
        epoch: u32,
        master: &MasterKey,
    ) -> Result<Self> {
        let new = NewSlot {
            label: &recovery.page_check(),
            unlock: Unlock::Recovery(recovery),
            sealed: &[],
        };
        Self::wrap(&new, 1, repository, epoch, master)
    }

    /// Wraps the master key in a slot. `Refused` if label or blob are not possible.
    pub(crate) fn wrap(
        new: &NewSlot<'_>,
        number: u32,
        repository: &[u8; 16],
        epoch: u32,
        master: &MasterKey,
    ) -> Result<Self> {
        let kind = new.unlock.kind();
        let outside = matches!(kind, SlotKind::Outside | SlotKind::Both);
        if new.label.len() > MAX_LABEL || new.label.chars().any(char::is_control) {
            return Err(Error::new(
                Kind::Refused,
                format!("a slot's label is one line of at most {MAX_LABEL} bytes"),
            ));
        }
        if new.sealed.is_empty() == outside || new.sealed.len() > MAX_OUTSIDE {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "a slot sealed outside needs its sealed form of at most {MAX_OUTSIDE} bytes, and no other has one; {} were given",
                    new.sealed.len()
                ),
            ));
        }
        let argon = match kind {
            SlotKind::Passphrase | SlotKind::Both => Some(Argon::generate()?),
            _ => None,
        };
        let mut body = Vec::new();
        if let Some(argon) = &argon {
            for number in [argon.kib, argon.passes, argon.lanes] {
                body.extend_from_slice(&number.to_le_bytes());
            }
            body.extend_from_slice(&argon.salt);
        }
        let nonce_at = body.len();
        let nonce = random::<NONCE>()?;
        body.extend_from_slice(&nonce);
        body.resize(body.len() + SEALED, 0);
        body.extend_from_slice(new.sealed);
        let mut slot = Self {
            kind: code(kind),
            number,
            label: new.label.to_owned(),
            body,
        };
        let aad = bound(repository, epoch, &slot.before(nonce_at));
        let mut sealed = Zeroizing::new(master.0);
        let key = ObjectKey::new(slot_key(new.unlock, argon.as_ref())?)?;
        let tag = key.seal_nonce(nonce, &aad, sealed.as_mut_slice())?;
        let at = nonce_at + NONCE;
        slot.body[at..at + 32].copy_from_slice(&*sealed);
        slot.body[at + 32..at + SEALED].copy_from_slice(&tag);
        Ok(slot)
    }

    /// The master key, if `unlock` fits; `None` if it is for another slot.
    pub(crate) fn unwrap(
        &self,
        unlock: Unlock<'_>,
        repository: &[u8; 16],
        epoch: u32,
    ) -> Result<Option<MasterKey>> {
        if self.kind() != unlock.kind() {
            return Ok(None);
        }
        let body = self.parse()?;
        let key = ObjectKey::new(slot_key(unlock, body.argon.as_ref())?)?;
        let aad = bound(repository, epoch, &self.before(body.nonce_at));
        let mut sealed = Zeroizing::new(body.sealed);
        let opened = key.open_nonce(body.nonce, &aad, sealed.as_mut_slice());
        Ok(opened.and_then(|plain| Some(MasterKey(<[u8; 32]>::try_from(&*plain).ok()?))))
    }

    pub(crate) fn kind(&self) -> SlotKind {
        kind(self.kind)
    }

    /// As it can be seen without any key.
    pub(crate) fn show(&self) -> KeySlot {
        KeySlot {
            number: self.number,
            kind: self.kind(),
            label: self.label.clone(),
            sealed: self.parse().map(|b| b.outside).unwrap_or_default(),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before(self.body.len()));
    }

    pub(crate) fn decode(c: &mut Cursor<'_>) -> Result<Self> {
        let (kind, label) = (c.u8()?, c.u8()?);
        let body = c.u16()?;
        let number = c.u32()?;
        if usize::from(label) > MAX_LABEL {
            return Err(c.bad("a key slot's label is too long"));
        }
        let label = c.take(usize::from(label))?;
        let label =
            std::str::from_utf8(label).map_err(|_| c.bad("a key slot's label is not text"))?;
        let slot = Self {
            kind,
            number,
            label: label.to_owned(),
            body: c.take(usize::from(body))?.to_vec(),
        };
        if slot.kind() != SlotKind::Unknown {
            slot.parse()?;
        }
        Ok(slot)
    }

    /// The slot's bytes up to `n` of its body.
    fn before(&self, n: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + self.label.len() + n);
        // Both lengths are bounded where slots are made and read.
        out.extend_from_slice(&[self.kind, self.label.len() as u8]);
        out.extend_from_slice(&(self.body.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(self.label.as_bytes());
        out.extend_from_slice(&self.body[..n]);
        out
    }

    fn parse(&self) -> Result<Body> {
        let mut c = Cursor::new(&self.body, "a key slot of the repository's header");
        let kind = self.kind();
        let argon = match kind {
            SlotKind::Passphrase | SlotKind::Both => Some(Argon {
                kib: c.u32()?,
                passes: c.u32()?,
                lanes: c.u32()?,
                salt: c.array()?,
            }),
            _ => None,
        };
        let nonce_at = c.at();
        let (nonce, sealed) = (c.array()?, c.array()?);
        let outside = c.take(c.left())?.to_vec();
        if outside.is_empty() == matches!(kind, SlotKind::Outside | SlotKind::Both)
            || outside.len() > MAX_OUTSIDE
        {
            return Err(c.bad("it has not the length of its kind"));
        }
        Ok(Body {
            argon,
            nonce_at,
            nonce,
            sealed,
            outside,
        })
    }
}

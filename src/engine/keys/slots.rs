//! Key slots: the ways in which the master key lies wrapped in the header.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{RecoveryKey, random};
use crate::engine::error::{Error, Kind, Result};

/// Longest label of a slot, in bytes.
pub(crate) const MAX_LABEL: usize = 64;
/// Longest blob of a slot whose key is sealed outside, in bytes.
pub(crate) const MAX_OUTSIDE: usize = 16 << 10;

/// Shortest passphrase accepted for a new slot, in characters.
const SHORTEST: usize = 12;
/// Longest passphrase, in characters.
const LONGEST: usize = 1024;

/// A passphrase in Unicode's composed form, so that the same words typed on
/// another keyboard are the same bytes. Zeroed when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(String);

impl Passphrase {
    /// Takes what was typed; the end of the line is not part of it.
    ///
    /// # Errors
    /// `Refused` if it is longer than 1024 characters.
    pub fn new(typed: &str) -> Result<Self> {
        let typed = typed.trim_end_matches(['\r', '\n']);
        if typed.chars().count() > LONGEST {
            return Err(Error::new(
                Kind::Refused,
                format!("a passphrase has at most {LONGEST} characters"),
            ));
        }
        // Composing never needs more bytes than three times the typed ones.
        let mut text = String::with_capacity(typed.len() * 3);
        text.extend(typed.nfc());
        Ok(Self(text))
    }

    /// `Refused` if it is too short to protect anything.
    pub(crate) fn check_strength(&self) -> Result<()> {
        match self.0.chars().count() {
            n if n < SHORTEST => Err(Error::new(
                Kind::Refused,
                format!(
                    "the passphrase has {n} characters; take at least {SHORTEST}, for instance four or five words"
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// A secret of 32 bytes that is kept sealed by something outside the engine,
/// for instance a TPM. Zeroed when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct OutsideKey(pub [u8; 32]);

impl OutsideKey {
    /// A fresh one from the system's random source.
    pub fn generate() -> Result<Self> {
        Ok(Self(random()?))
    }
}

/// What opens a slot.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// The recovery words.
    Recovery(&'a RecoveryKey),
    /// A passphrase.
    Passphrase(&'a Passphrase),
    /// A secret that something outside unsealed.
    Outside(&'a OutsideKey),
    /// A passphrase and a secret from outside, both needed.
    Both(&'a Passphrase, &'a OutsideKey),
}

impl Unlock<'_> {
    /// The kind of slot this opens.
    pub(crate) fn kind(&self) -> SlotKind {
        match self {
            Self::Recovery(_) => SlotKind::Recovery,
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::Outside(_) => SlotKind::Outside,
            Self::Both(..) => SlotKind::Both,
        }
    }
}

/// The kinds of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotKind {
    /// The 24 recovery words; always there, and once.
    Recovery,
    /// A passphrase, stretched by argon2id.
    Passphrase,
    /// A secret sealed outside the engine.
    Outside,
    /// A passphrase and a secret sealed outside, both needed.
    Both,
    /// Made by a newer program; kept as it is.
    Unknown,
}

/// A slot to be made.
pub struct NewSlot<'a> {
    /// What people call it, at most 64 bytes; readable without any key.
    pub label: &'a str,
    /// What is to open it; not recovery words, which have their own operation.
    pub unlock: Unlock<'a>,
    /// For secrets sealed outside: the sealed form, at most 16 KiB, kept in the
    /// header as it is; otherwise empty.
    pub sealed: &'a [u8],
}

/// What a header tells about its keys without any of them.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyOverview {
    /// The repository's id, 32 hex digits.
    pub repository: String,
    /// The key epoch; 1 until the first key change.
    pub epoch: u32,
    /// The ways in which the master key lies wrapped.
    pub slots: Vec<KeySlot>,
}

/// A slot as it can be seen without any key.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeySlot {
    /// Names it for removal.
    pub number: u32,
    /// What opens it.
    pub kind: SlotKind,
    /// What people call it; for recovery words, their page's check digits.
    pub label: String,
    /// The form sealed outside; empty for other kinds.
    #[serde(skip)]
    pub sealed: Vec<u8>,
}

/// argon2id's parameters as a slot holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Argon {
    pub kib: u32,
    pub passes: u32,
    pub lanes: u32,
    pub salt: [u8; 16],
}

impl Argon {
    /// The second of the settings that RFC 9106 §4 recommends: 64 MiB, 3
    /// passes, 4 lanes; a fresh salt.
    pub(crate) fn generate() -> Result<Self> {
        Ok(Self {
            kib: 64 << 10,
            passes: 3,
            lanes: 4,
            salt: random()?,
        })
    }

    /// A header from somebody else must not cost more than a box can give.
    fn stretch(&self, passphrase: &Passphrase) -> Result<Zeroizing<[u8; 32]>> {
        let refused = || {
            Error::new(
                Kind::Refused,
                format!(
                    "a passphrase slot asks for {} KiB, {} passes and {} lanes, more than this program allows; use the recovery words",
                    self.kib, self.passes, self.lanes
                ),
            )
        };
        if self.kib > 1 << 20 || self.passes > 64 || self.lanes > 64 {
            return Err(refused());
        }
        let params = argon2::Params::new(self.kib, self.passes, self.lanes, Some(32))
            .map_err(|_| refused())?;
        let mut out = Zeroizing::new([0u8; 32]);
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(passphrase.0.as_bytes(), &self.salt, out.as_mut_slice())
            .map_err(|e| {
                Error::new(
                    Kind::Io,
                    format!("the passphrase could not be stretched: {e}"),
                )
            })?;
        Ok(out)
    }
}

/// The key that wraps the master key in a slot; `argon` where a passphrase is part of it.
pub(crate) fn slot_key(unlock: Unlock<'_>, argon: Option<&Argon>) -> Result<[u8; 32]> {
    let stretch = |passphrase: &Passphrase| match argon {
        Some(argon) => argon.stretch(passphrase),
        None => Err(Error::new(
            Kind::Corrupt,
            "a passphrase slot of the header has no parameters",
        )),
    };
    Ok(match unlock {
        Unlock::Recovery(key) => blake3::derive_key("colca v1 recovery", &key.0),
        Unlock::Passphrase(p) => blake3::derive_key("colca v1 passphrase", &*stretch(p)?),
        Unlock::Outside(key) => blake3::derive_key("colca v1 outside", &key.0),
        Unlock::Both(p, key) => {
            let mut material = Zeroizing::new([0u8; 64]);
            material[..32].copy_from_slice(&*stretch(p)?);
            material[32..].copy_from_slice(&key.0);
            blake3::derive_key("colca v1 passphrase and outside", &*material)
        }
    })
}

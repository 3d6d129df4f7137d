//! Sealing and opening with AES-256-GCM under keys that are used for one
//! object only, so that a plain counter is a safe nonce.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use super::error::{Error, Kind, Result};

/// Bytes that sealing adds.
pub(crate) const TAG: usize = 16;

/// The sealing key of one object.
pub(crate) struct ObjectKey(LessSafeKey);

fn broken() -> Error {
    Error::new(Kind::Io, "the encryption library refused to work")
}

fn nonce(seq: u32) -> [u8; 12] {
    let mut nonce = [0u8; 12];
    nonce[..4].copy_from_slice(&seq.to_le_bytes());
    nonce
}

impl ObjectKey {
    /// Takes the key bytes, which are wiped.
    pub(crate) fn new(mut key: [u8; 32]) -> Result<Self> {
        let unbound = UnboundKey::new(&AES_256_GCM, &key);
        key.zeroize();
        Ok(Self(LessSafeKey::new(unbound.map_err(|_| broken())?)))
    }

    /// Encrypts `bytes` in place and returns the tag. No `seq` may be used
    /// twice with one key.
    pub(crate) fn seal(&self, seq: u32, aad: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG]> {
        self.seal_nonce(nonce(seq), aad, bytes)
    }

    pub(crate) fn seal_nonce(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG]> {
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), bytes)
            .map_err(|_| broken())?;
        let mut out = [0u8; TAG];
        out.copy_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Decrypts ciphertext and tag in place; the plaintext is the front part.
    /// `None` when they are not what was sealed.
    pub(crate) fn open<'a>(
        &self,
        seq: u32,
        aad: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        self.open_nonce(nonce(seq), aad, sealed)
    }

    pub(crate) fn open_nonce<'a>(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        self.0
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), sealed)
            .ok()
    }
}

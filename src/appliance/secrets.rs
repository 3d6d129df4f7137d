//! Secrets at rest: sealed with a key of the box before they go into the
//! settings, so that a copy of the settings (a support bundle, a
//! configuration backup) gives none away.

use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::files;
use crate::engine::storage::hex;
use crate::engine::{Error, Kind, Result};

/// A sealed secret: hexadecimal of nonce, ciphertext and tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// The key that seals, 32 random bytes made at first start.
pub struct BoxKey {
    key: RandomizedNonceKey,
}

impl BoxKey {
    /// Reads the key, or makes it if there is none. One that cannot be read is
    /// never replaced: everything sealed with it would be lost.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let bytes = match files::read_key(path)? {
            Some(bytes) => bytes,
            None => {
                let bytes = Zeroizing::new(files::random()?);
                files::write(path, bytes.as_slice())?;
                bytes
            }
        };
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes.as_slice())
            .map_err(|_| Error::new(Kind::Io, "the cryptographic library refused the box's key"))?;
        Ok(Self { key })
    }

    /// Seals `secret` for one place, e.g. `source/fs1`; it opens only there.
    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<Sealed> {
        let mut bytes = secret.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut bytes)
            .map_err(|_| {
                Error::new(Kind::Io, format!("a secret of {place} could not be sealed"))
            })?;
        Ok(Sealed(format!("{}{}", hex(nonce.as_ref()), hex(&bytes))))
    }

    /// Opens what was sealed for `place`.
    ///
    /// # Errors
    /// `Corrupt` if it was changed, or sealed by another box or for another place.
    pub fn open_sealed(&self, place: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        let bad = || {
            Error::new(
                Kind::Corrupt,
                format!(
                    "the secret of {place} cannot be opened with this box's key; enter it again"
                ),
            )
        };
        let bytes = bytes(&sealed.0).ok_or_else(bad)?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or_else(bad)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| bad())?;
        let mut secret = Zeroizing::new(rest.to_vec());
        let len = self
            .key
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut secret)
            .map_err(|_| bad())?
            .len();
        secret.truncate(len);
        Ok(secret)
    }

    /// [`BoxKey::open_sealed`] of text.
    pub fn open_text(&self, place: &str, sealed: &Sealed) -> Result<String> {
        let secret = self.open_sealed(place, sealed)?;
        String::from_utf8(secret.to_vec())
            .map_err(|_| Error::new(Kind::Corrupt, format!("the secret of {place} is not text")))
    }
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = hexadecimal.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_where_it_belongs_with_its_key_and_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let key = BoxKey::open(&folder.path().join("a")).unwrap();
        let other = BoxKey::open(&folder.path().join("b")).unwrap();
        let sealed = key.seal("source/fs1", "contraseña".as_bytes()).unwrap();
        assert_eq!(key.open_text("source/fs1", &sealed).unwrap(), "contraseña");
        assert_ne!(
            key.seal("source/fs1", "contraseña".as_bytes()).unwrap(),
            sealed
        );
        let mut changed = sealed.0.clone();
        changed.replace_range(30..31, if &changed[30..31] == "0" { "1" } else { "0" });
        for (key, place, sealed) in [
            (&key, "source/fs2", &sealed),
            (&other, "source/fs1", &sealed),
            (&key, "source/fs1", &Sealed(changed)),
            (&key, "source/fs1", &Sealed("ab".into())),
            (&key, "source/fs1", &Sealed("é".into())),
        ] {
            assert_eq!(
                key.open_text(place, sealed).unwrap_err().kind(),
                Kind::Corrupt
            );
        }
    }
}

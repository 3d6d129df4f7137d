//! The two files of a keyring, and their bytes.

use zeroize::Zeroizing;

use super::{Form, Keyring};
use crate::appliance::{files, tpm};
use crate::engine::storage::{hex, unhex};
use crate::engine::{Error, Kind, MasterKey, Result};

const KEY: usize = 32;
/// What a line of a sealed secret begins with, alone and with a passphrase.
const TPM: &str = "tpm";
const BOTH: &str = "tpm+passphrase";

/// A secret sealed by the machine's TPM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SealedSecret {
    pub with_passphrase: bool,
    pub blob: String,
}

impl Keyring<'_> {
    /// The master keys that lie here in plain, the newest first; `None` if
    /// there is no such file.
    pub(super) fn plain(&self) -> Result<Option<Vec<MasterKey>>> {
        let Some(bytes) = files::read(&self.plain)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        let keys: Option<Vec<MasterKey>> = match self.form {
            Form::Raw => {
                let (keys, rest) = bytes.as_chunks::<KEY>();
                rest.is_empty()
                    .then(|| keys.iter().map(|key| MasterKey(*key)).collect())
            }
            Form::Lines => std::str::from_utf8(&bytes).ok().and_then(|text| {
                text.lines()
                    .map(|line| unhex(line).map(MasterKey))
                    .collect()
            }),
        };
        keys.filter(|keys| !keys.is_empty())
            .map(Some)
            .ok_or_else(|| {
                Error::new(
                    Kind::Corrupt,
                    format!(
                        "the key file {} is damaged; open the pool anew with the recovery words (\"colca pool open\", on the box the panel), or bring the file back from a copy",
                        self.plain.display()
                    ),
                )
            })
    }

    /// Keeps a master key in plain, before those that are there; durable when
    /// it returns. None is taken away: after a power cut during a key change
    /// the older one may be the one that fits, and it opens nothing that the
    /// newest does not.
    pub(super) fn add_plain(&self, newest: &MasterKey, older: &[MasterKey]) -> Result<()> {
        let keys = std::iter::once(newest).chain(older.iter().filter(|old| old.0 != newest.0));
        // Growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity((older.len() + 1) * (2 * KEY + 1)));
        for key in keys {
            match self.form {
                Form::Raw => bytes.extend_from_slice(&key.0),
                Form::Lines => {
                    bytes.extend_from_slice(Zeroizing::new(hex(&key.0)).as_bytes());
                    bytes.push(b'\n');
                }
            }
        }
        if let Some(folder) = self.plain.parent() {
            files::private_folder(folder)?;
        }
        files::write(&self.plain, &bytes)
    }

    pub(super) fn erase_plain(&self) -> Result<()> {
        files::erase(&self.plain)
    }

    /// The secrets that lie here sealed, the newest first.
    pub(super) fn sealed(&self) -> Result<Vec<SealedSecret>> {
        let bytes = files::read(&self.sealed)?.unwrap_or_default();
        decode(&bytes).ok_or_else(|| {
            Error::new(
                Kind::Corrupt,
                format!(
                    "{} is damaged; open the pool with its recovery words or a passphrase, then seal its key with the TPM anew",
                    self.sealed.display()
                ),
            )
        })
    }

    pub(super) fn write_sealed(&self, secrets: &[SealedSecret]) -> Result<()> {
        if secrets.is_empty() {
            return files::remove(&self.sealed);
        }
        let lines: String = secrets
            .iter()
            .map(|s| {
                format!(
                    "{} {}\n",
                    if s.with_passphrase { BOTH } else { TPM },
                    s.blob
                )
            })
            .collect();
        files::write(&self.sealed, lines.as_bytes())
    }
}

fn decode(bytes: &[u8]) -> Option<Vec<SealedSecret>> {
    let line = |line: &str| {
        let (kind, blob) = line.split_once(' ')?;
        let with_passphrase = match kind {
            TPM => false,
            BOTH => true,
            _ => return None,
        };
        let fits = (1..=tpm::LONGEST).contains(&blob.len());
        (fits && blob.bytes().all(|b| b.is_ascii_graphic())).then(|| SealedSecret {
            with_passphrase,
            blob: blob.to_owned(),
        })
    };
    std::str::from_utf8(bytes).ok()?.lines().map(line).collect()
}

/// What it makes of any bytes, for `crate::hostile`.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(bytes: &[u8]) {
    for secret in decode(bytes).unwrap_or_default() {
        assert!(!secret.blob.is_empty());
    }
}

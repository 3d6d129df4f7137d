//! Reading fixed layouts without ever reaching past the end.

use crate::engine::error::{Error, Kind, Result};

/// A position in bytes that came from storage.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// `what` names the thing in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, at: 0, what }
    }

    /// An error about this thing.
    pub(crate) fn bad(&self, why: impl std::fmt::Display) -> Error {
        Error::new(Kind::Corrupt, format!("{} is damaged: {why}", self.what))
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(part) => {
                self.at += n;
                Ok(part)
            }
            None => Err(self.bad(format_args!("it ends at byte {}", self.bytes.len()))),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0u8; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }
    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn magic(&mut self, magic: &[u8]) -> Result<()> {
        if self.take(magic.len())? == magic {
            Ok(())
        } else {
            Err(self.bad("it does not begin with its magic number"))
        }
    }

    /// Reads the format version; a newer one is `Refused`.
    pub(crate) fn version(&mut self) -> Result<()> {
        match self.u16()? {
            super::VERSION => Ok(()),
            0 => Err(self.bad("its version is 0")),
            newer => Err(Error::new(
                Kind::Refused,
                format!(
                    "{} has format version {newer}, this program knows version {}; use a newer program",
                    self.what,
                    super::VERSION
                ),
            )),
        }
    }

    /// Reads flags of features needed to read; any set one is unknown and `Refused`.
    pub(crate) fn no_flags(&mut self) -> Result<()> {
        match self.u32()? {
            0 => Ok(()),
            flags => Err(Error::new(
                Kind::Refused,
                format!(
                    "{} needs features {flags:#x} that this program does not know; use a newer program",
                    self.what
                ),
            )),
        }
    }

    pub(crate) fn zeros(&mut self, n: usize) -> Result<()> {
        if self.take(n)?.iter().all(|b| *b == 0) {
            Ok(())
        } else {
            Err(self.bad("reserved bytes are not zero"))
        }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }
}

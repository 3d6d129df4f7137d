//! The repository's header object (`docs/format.md` §3).

use super::cursor::Cursor;
use crate::engine::crypt::ObjectKey;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::keys::{MasterKey, RecoveryKey, key_check, random, recovery_wrap};
use crate::engine::{Params, chunker};

const MAGIC: &[u8; 8] = b"COLCAHDR";
const LEN: usize = 196;

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
    pub check: [u8; 16],
    nonce: [u8; 12],
    wrapped: [u8; 48],
    aad: [u8; 104],
}

impl HeaderV1 {
    /// A new repository's header and its bytes.
    pub(crate) fn create(
        master: &MasterKey,
        recovery: &RecoveryKey,
        params: &Params,
    ) -> Result<Vec<u8>> {
        let chunker = chunker::Settings::default();
        let mut out = Vec::with_capacity(LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&super::VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&[0; 32]);
        out.extend_from_slice(&random::<16>()?);
        out.extend_from_slice(&params.segment_bytes.to_le_bytes());
        out.extend_from_slice(&params.zstd_level.to_le_bytes());
        out.extend_from_slice(&chunker.kind.to_le_bytes());
        out.extend_from_slice(&chunker.min.to_le_bytes());
        out.extend_from_slice(&chunker.max.to_le_bytes());
        out.extend_from_slice(&1u32.to_le_bytes());
        out.extend_from_slice(&key_check(master));
        let nonce = random::<12>()?;
        let mut sealed = master.0;
        let tag = ObjectKey::new(recovery_wrap(recovery))?.seal_nonce(nonce, &out, &mut sealed)?;
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out.extend_from_slice(&tag);
        let sum = blake3::hash(&out);
        out.extend_from_slice(sum.as_bytes());
        Ok(out)
    }

    /// Reads a header; `Corrupt`, or `Refused` when a newer program made it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Cursor::new(bytes, "the repository's header");
        c.magic(MAGIC)?;
        c.version()?;
        if bytes.len() != LEN {
            return Err(c.bad(format_args!("it is {} bytes long, not {LEN}", bytes.len())));
        }
        if blake3::hash(&bytes[..164]).as_bytes() != &bytes[164..] {
            return Err(c.bad("its checksum does not match"));
        }
        c.zeros(6)?;
        let features = Features {
            read: c.u64()?,
            write: c.u64()?,
            delete: c.u64()?,
            check: c.u64()?,
        };
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
        let mut aad = [0; 104];
        aad.copy_from_slice(&bytes[..104]);
        let header = Self {
            features,
            id,
            params,
            chunker,
            epoch,
            check,
            nonce: c.array()?,
            wrapped: c.array()?,
            aad,
        };
        header.params.check()?;
        header.chunker.check()?;
        Ok(header)
    }

    /// The master key, if the recovery key is right.
    pub(crate) fn unwrap(&self, recovery: &RecoveryKey) -> Result<MasterKey> {
        let wrong = || {
            Error::new(
                Kind::Refused,
                "this recovery key does not belong to this repository; check that the printed page is the one of this box",
            )
        };
        let mut sealed = self.wrapped;
        let opened = ObjectKey::new(recovery_wrap(recovery))?
            .open_nonce(self.nonce, &self.aad, &mut sealed)
            .ok_or_else(wrong)?;
        let master = MasterKey(<[u8; 32]>::try_from(&*opened).map_err(|_| wrong())?);
        zeroize::Zeroize::zeroize(&mut sealed);
        self.verify_key(&master)?;
        Ok(master)
    }

    /// `Refused` when `master` is another repository's key.
    pub(crate) fn verify_key(&self, master: &MasterKey) -> Result<()> {
        if key_check(master) == self.check {
            return Ok(());
        }
        Err(Error::new(
            Kind::Refused,
            "the master key does not belong to this repository; use the key made with it, or recover it with the recovery words",
        ))
    }
}

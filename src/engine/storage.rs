//! The engine's lower seam: where sealed objects go and come from.
//!
//! Implemented by the pool (erasure-coded shards over disks), by providers
//! (S3, a folder) and by the fakes of the tests. Objects are written once and
//! never changed; a name is either wholly there or not at all.

use std::fmt;

use super::error::{Error, Kind, Result};

/// The name of a stored object.
///
/// Rendered as a relative path by [`fmt::Display`] (`segments/ab/ab12…`,
/// `snapshots/9f3c…`, `header`, `manifest`); the rendering is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// Pool header: identity, format version, parameters, wrapped keys. Written
    /// at creation and replaced only by a key change.
    Header,
    /// A sealed segment, named by the BLAKE3 of its bytes.
    Segment([u8; 32]),
    /// A sealed snapshot record, named by its random id.
    Snapshot([u8; 16]),
    /// At a provider: the list of what a complete replica holds. Written last.
    Manifest,
}

/// The classes of names, for listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// All [`Name::Segment`].
    Segments,
    /// All [`Name::Snapshot`].
    Snapshots,
}

/// Bytes of room in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Object bytes that fit in all.
    pub total: u64,
    /// Object bytes that still fit.
    pub free: u64,
}

/// What a deep check of one object found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Parts (shards, copies) that are missing.
    pub missing: u32,
    /// Parts whose bytes are wrong.
    pub corrupt: u32,
    /// Parts that were written anew from the good ones.
    pub repaired: u32,
}

/// A store of immutable named objects.
///
/// All methods may be called from many threads. What callers may rely on, and
/// what they may not:
///
/// * **Whole or not there.** A name never stands for less than what was put
///   under it, neither now nor after a power cut. Where a write can be torn (a
///   file of which a prefix or single sectors reached the disk), the storage
///   keeps it away from the name until it is whole, or does not show it.
/// * **Seen at once.** What `put` and `delete` did is seen by every call after.
/// * **Durable only after [`Storage::sync`].** A power cut before leaves open
///   which of the changes survive. Of *different* names it may be any
///   selection, in no order: a later change may survive and an earlier one
///   not. Of *one* name it is the changes up to some point.
/// * **Redundancy may be torn.** An object that survives may have lost parts
///   (shards, copies), never so many that it cannot be read; `get` and `check`
///   make them anew.
/// * **An error says nothing.** After an error other than `Full` it is open
///   whether the change has happened or will after a power cut; the caller does
///   it again, or undoes it, and syncs. Changes may be repeated.
/// * **After a failed `sync`** nothing more is durable than before, until
///   another one succeeds: that one covers all changes made before it.
pub trait Storage: Send + Sync {
    /// Stores `bytes` under `name`. Storing the same name again with the same
    /// bytes is allowed and changes nothing; [`Name::Header`] and
    /// [`Name::Manifest`] are replaced atomically.
    ///
    /// # Errors
    /// `Full` when there is no room (nothing is left behind), `Transient` or `Io`.
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()>;

    /// [`Storage::put`] for what is stored in order to free room: may use what a
    /// storage keeps back for that from everything else.
    fn put_to_free(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.put(name, bytes)
    }

    /// The whole object, verified as far as the storage can, repaired on the
    /// way if a redundant part was bad.
    ///
    /// # Errors
    /// `Missing` when absent, `Corrupt` when too few good parts are left.
    fn get(&self, name: &Name) -> Result<Vec<u8>>;

    /// `len` bytes from `offset`. Asking past the end is `Corrupt`.
    fn get_range(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        let all = self.get(name)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        start
            .checked_add(len)
            .and_then(|end| all.get(start..end))
            .map(<[u8]>::to_vec)
            .ok_or_else(|| {
                Error::new(
                    Kind::Corrupt,
                    format!("{name} is {} bytes long, shorter than expected", all.len()),
                )
            })
    }

    /// [`Storage::get_range`] for a caller that tells right bytes from wrong by
    /// itself, by their seal, and asks for them again with `get_range` when they
    /// are wrong: they need not be verified, nor mended, which is cheaper.
    fn get_sealed(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.get_range(name, offset, len)
    }

    /// Every object of a class with its length in bytes, in no particular order.
    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>>;

    /// `Ok` when [`Storage::list`] is sure to name everything that is stored.
    /// A pool that has lost more members than parity makes up for is not:
    /// nothing may be concluded there from an object not being listed.
    ///
    /// # Errors
    /// `Missing`, naming what has to come back.
    fn complete(&self) -> Result<()> {
        Ok(())
    }

    /// Removes an object; an absent one is not an error.
    fn delete(&self, name: &Name) -> Result<()>;

    /// Returns when everything put, deleted or repaired before is durable.
    fn sync(&self) -> Result<()>;

    /// How much room there is.
    fn space(&self) -> Result<Space>;

    /// Reads every part of the object and, with `repair`, writes bad ones anew.
    /// The default can only tell whether the whole object can be read.
    fn check(&self, name: &Name, repair: bool) -> Result<Health> {
        let _ = repair;
        self.get(name).map(|_| Health::default())
    }

    /// [`Storage::check`] and [`Storage::get`] in one, for storages that can do
    /// with a single reading. A check that fails for what is stored (not for
    /// the moment) leaves the answer to the reading. `bytes` is replaced by the
    /// object; who reads many gives the same memory again.
    fn check_and_get(&self, name: &Name, repair: bool, bytes: &mut Vec<u8>) -> Result<Health> {
        let health = match self.check(name, repair) {
            Ok(health) => health,
            Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::Missing | Kind::Refused) => {
                Health::default()
            }
            Err(e) => return Err(e),
        };
        *bytes = self.get(name)?;
        Ok(health)
    }

    /// A few words that name this storage to people, e.g. `pool 5f3a… on 4 disks`.
    fn describe(&self) -> String;
}

/// Lower-case hexadecimal of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
            // Writing to a String cannot fail.
            let _ = write!(s, "{b:02x}");
            s
        })
}

/// Parses exactly `N` bytes of hexadecimal; `None` when the text is not that.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != N * 2 {
        return None;
    }
    let mut out = [0u8; N];
    for (i, o) in out.iter_mut().enumerate() {
        let hi = char::from(text[i * 2]).to_digit(16)?;
        let lo = char::from(text[i * 2 + 1]).to_digit(16)?;
        *o = u8::try_from(hi * 16 + lo).ok()?;
    }
    Some(out)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Header => f.write_str("header"),
            Name::Segment(id) => write!(f, "segments/{:02x}/{}", id[0], hex(id)),
            Name::Snapshot(id) => write!(f, "snapshots/{}", hex(id)),
            Name::Manifest => f.write_str("manifest"),
        }
    }
}

impl Name {
    /// The inverse of the rendering; `None` for anything that is not exactly a
    /// name, capital digits included: one object has one name.
    pub fn parse(path: &str) -> Option<Self> {
        let name = match path.split_once('/') {
            None if path == "header" => Name::Header,
            None if path == "manifest" => Name::Manifest,
            Some(("segments", rest)) => Name::Segment(unhex(rest.split_once('/')?.1)?),
            Some(("snapshots", id)) => Name::Snapshot(unhex(id)?),
            _ => return None,
        };
        (name.to_string() == path).then_some(name)
    }
}

//! Types that are written to storage, and nothing else: how each becomes
//! bytes and is read back with every length and reserved field checked, so
//! that arbitrary bytes give an error and never a panic. The layouts are
//! specified in `docs/format.md`.

pub(crate) mod cursor;
pub(crate) mod header;
pub(crate) mod segment;
pub(crate) mod slot;
pub(crate) mod snapshot;
pub(crate) mod tree;

#[cfg(test)]
mod tests;

/// The format version this program writes and the newest it reads.
pub(crate) const VERSION: u16 = 1;

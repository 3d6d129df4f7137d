//! The rules of Directiva 002-2023-MINCETUR/SG, as records and state machines.
//!
//! What the directive asks of people stands here and nowhere else: who may do
//! what, in which order, by when, and what is written down about it. Nothing
//! here looks at a clock, a disk, a network or a page: times are given in,
//! and a refusal is a reason that a machine can read; its words belong to the
//! panel. Which requirement stands where is the table in `docs/directive.md`.

pub mod document;
pub mod hold;
pub mod incident;
pub mod log;
pub mod register;
pub mod request;
pub mod restore_test;
pub mod retention;
pub mod roles;
pub mod schedule;
pub mod store;
pub mod test_plan;
pub mod verification;

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The hats of the directive, and the one of the box itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Operador de backup (6.1.i).
    Operator,
    /// Responsable del servicio de backup (6.1.j).
    ServiceManager,
    /// Responsable de infraestructura (6.1.n).
    Infrastructure,
    /// Oficial de Seguridad de la Información (7.2.1.c).
    SecurityOfficer,
    /// Director General de la Oficina de Informática (7.1, 7.2.1.a).
    Director,
    /// Mesa de ayuda (6.1.h).
    Helpdesk,
    /// Who keeps the box itself: disks, network, updates, users.
    Administrator,
}

impl Role {
    /// Every role, in the order of the permission matrix.
    pub const ALL: [Self; 7] = [
        Self::Operator,
        Self::ServiceManager,
        Self::Infrastructure,
        Self::SecurityOfficer,
        Self::Director,
        Self::Helpdesk,
        Self::Administrator,
    ];
}

/// A person under one hat. People may own several, but act under one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The account's name; one person has one account.
    pub person: String,
    /// The hat.
    pub role: Role,
}

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// A BLAKE3 hash, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first record of a chain names as the one before it.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The hash of a value's JSON; equal values have equal hashes.
    pub fn of_value(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(value).map(|bytes| Self::of(&bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Hash {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes()))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The time of Lima: UTC−5, without summer time since 1994. Fixed here, so
/// that dates do not depend on which time zone files a machine has.
pub fn lima() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(-5))
}

/// The day it is in Lima.
pub fn lima_date(at: Timestamp) -> Date {
    lima().to_datetime(at).date()
}

/// The moment of a wall clock in Lima; the last representable one if beyond.
pub fn lima_time(at: jiff::civil::DateTime) -> Timestamp {
    lima().to_timestamp(at).unwrap_or(Timestamp::MAX)
}

/// A moment some seconds later, or the last one that there is.
fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

/// Whether a text that must be filled in is empty.
fn blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lima_is_what_the_time_zone_database_says() {
        let zone = TimeZone::get("America/Lima").unwrap();
        let mut at: Timestamp = "1995-01-01T00:00:00Z".parse().unwrap();
        let end: Timestamp = "2060-01-01T00:00:00Z".parse().unwrap();
        while at < end {
            assert_eq!(zone.to_datetime(at), lima().to_datetime(at));
            at = after(at, 7 * 3600);
        }
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = Hash::of(b"colca");
        let text = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<Hash>(&text).unwrap(), hash);
        assert!(serde_json::from_str::<Hash>("\"00\"").is_err());
    }
}

//! What is measured, and how much faster than the fastest peer Colca is to be.

use crate::kit::data::Set;
use crate::kit::engines::Engine;
use crate::kit::measure::Cost;

/// One thing that engines are asked to do with a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    First,
    Second,
    Again,
    Full,
    Restore,
    Verify,
    Anew,
}

/// Every row, in the order in which a round does them.
pub const ALL: [Row; 7] = [
    Row::First,
    Row::Second,
    Row::Again,
    Row::Full,
    Row::Restore,
    Row::Verify,
    Row::Anew,
];

impl Row {
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Again => "again",
            Self::Full => "full",
            Self::Restore => "restore",
            Self::Verify => "verify",
            Self::Anew => "anew",
        }
    }

    pub fn describe(self) -> &'static str {
        match self {
            Self::First => "first backup",
            Self::Second => "second version",
            Self::Again => "unchanged again",
            Self::Full => "read everything again",
            Self::Restore => "restore",
            Self::Verify => "verify all data",
            Self::Anew => "second version, unpacked anew",
        }
    }

    /// Whether engines do it with this set.
    pub fn belongs_to(self, set: Set) -> bool {
        match set {
            Set::Kernel => true,
            Set::Random => matches!(
                self,
                Self::First | Self::Full | Self::Restore | Self::Verify
            ),
            Set::Image | Set::Dump => {
                matches!(self, Self::First | Self::Second | Self::Restore)
            }
            Set::Tiny => matches!(self, Self::First | Self::Again),
        }
    }

    /// How many times as fast as the fastest peer Colca is to be.
    pub fn goal(self, set: Set) -> Option<f64> {
        Some(match (set, self) {
            (Set::Kernel, Self::First | Self::Second | Self::Anew) => 4.0,
            (Set::Kernel, Self::Again) => 8.0,
            (Set::Kernel, Self::Full) => 5.0,
            (Set::Kernel, Self::Restore) => 4.0,
            (Set::Random, Self::First) => 4.0,
            (Set::Random, Self::Full) => 6.0,
            (Set::Random, Self::Restore) => 3.0,
            (Set::Kernel | Set::Random, Self::Verify) => 3.0,
            (Set::Tiny, Self::First) => 5.0,
            (Set::Tiny, Self::Again) => 10.0,
            _ => return None,
        })
    }
}

/// What Colca's stored bytes are to be at most, as a share of the smallest peer's.
/// Random bytes cannot be stored in less than they are, by anybody.
pub fn size_goal(set: Set) -> f64 {
    match set {
        Set::Random => 1.01,
        Set::Kernel | Set::Image | Set::Dump | Set::Tiny => 0.85,
    }
}

/// Colca's peak memory in bytes is never to be above this, nor above the leanest peer's.
pub const PEAK_LIMIT: u64 = 256 << 20;

/// One engine's one go at one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub set: Set,
    pub row: Row,
    pub round: u32,
    pub engine: Engine,
    pub cost: Cost,
    /// Bytes of the repository afterwards, after a backup.
    pub stored: Option<u64>,
}

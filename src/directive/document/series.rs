//! All versions of a document, of which at most one is in force.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Act, Content, Entry, Proof, Refusal, Stage, State, Version, drafter};
use crate::directive::{Stamp, blank};

/// All versions of a document, numbered from 1 without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    bound = "C: Content",
    try_from = "Vec<Version<C>>",
    into = "Vec<Version<C>>"
)]
pub struct Series<C: Content>(Vec<Version<C>>);

/// Records that cannot be the versions of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A number is missing or there twice.
    #[error("version {0} is missing or there twice")]
    Number(u32),
    /// More than one is in force, or one is superseded by none.
    #[error("version {0} cannot be in force beside another")]
    Force(u32),
    /// More than one is on its way.
    #[error("version {0} cannot be open beside another")]
    Open(u32),
}

impl<C: Content> Default for Series<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: Content> From<Series<C>> for Vec<Version<C>> {
    fn from(series: Series<C>) -> Self {
        series.0
    }
}

impl<C: Content> TryFrom<Vec<Version<C>>> for Series<C> {
    type Error = Broken;

    fn try_from(versions: Vec<Version<C>>) -> Result<Self, Broken> {
        let (mut force, mut open) = (false, false);
        for (expected, version) in (1..).zip(&versions) {
            if version.number != expected {
                return Err(Broken::Number(expected));
            }
            if version.stage() == Stage::InForce && std::mem::replace(&mut force, true) {
                return Err(Broken::Force(expected));
            }
            if version.open() && std::mem::replace(&mut open, true) {
                return Err(Broken::Open(expected));
            }
        }
        let once = versions.iter().find(|v| v.stage() == Stage::Superseded);
        match once {
            Some(version) if !force => Err(Broken::Force(version.number)),
            _ => Ok(Self(versions)),
        }
    }
}

impl<C: Content> Series<C> {
    /// Every version, oldest first.
    pub fn versions(&self) -> &[Version<C>] {
        &self.0
    }

    /// A version.
    pub fn get(&self, number: u32) -> Result<&Version<C>, Refusal> {
        self.0
            .iter()
            .find(|version| version.number == number)
            .ok_or(Refusal::NoVersion(number))
    }

    /// A version, to be worked on.
    pub fn get_mut(&mut self, number: u32) -> Result<&mut Version<C>, Refusal> {
        self.0
            .iter_mut()
            .find(|version| version.number == number)
            .ok_or(Refusal::NoVersion(number))
    }

    /// The version in force.
    pub fn in_force(&self) -> Option<&Version<C>> {
        self.0.iter().find(|v| v.stage() == Stage::InForce)
    }

    /// The version that was in force at a moment.
    pub fn in_force_at(&self, at: Timestamp) -> Option<&Version<C>> {
        self.0.iter().find(|version| match version.state() {
            State::InForce(approval) => approval.stamp.at <= at,
            State::Superseded {
                approval, until, ..
            } => approval.stamp.at <= at && at < *until,
            _ => false,
        })
    }

    /// Begins the next version with this content; says its number.
    pub fn begin(&mut self, content: C, why: &str, stamp: Stamp) -> Result<u32, Refusal> {
        self.add(content, None, why, stamp)
    }

    /// Clones a version into the next one, to be edited; says its number.
    pub fn clone_to_edit(&mut self, from: u32, why: &str, stamp: Stamp) -> Result<u32, Refusal> {
        let content = self.get(from)?.content.clone();
        self.add(content, Some(from), why, stamp)
    }

    fn add(
        &mut self,
        content: C,
        from: Option<u32>,
        why: &str,
        stamp: Stamp,
    ) -> Result<u32, Refusal> {
        drafter::<C>(&stamp)?;
        if blank(why) {
            return Err(Refusal::NoReason);
        }
        // Two drafts side by side would each take back what the other brings.
        if let Some(open) = self.0.iter().find(|version| version.open()) {
            return Err(Refusal::Open(open.number));
        }
        let number = self.0.last().map_or(1, |last| last.number + 1);
        self.0.push(Version {
            number,
            from,
            content,
            state: State::Draft(Vec::new()),
            history: vec![Entry {
                act: Act::Begin,
                stamp,
                why: why.to_owned(),
            }],
        });
        Ok(number)
    }

    /// Approves a version and supersedes the one that was in force; says the
    /// number of that. `in_panel` is whether the box takes approvals there.
    pub fn approve(
        &mut self,
        number: u32,
        proof: Proof,
        in_panel: bool,
        stamp: Stamp,
    ) -> Result<Option<u32>, Refusal> {
        let at = stamp.at;
        self.get_mut(number)?.approve(proof, in_panel, stamp)?;
        let before = self
            .0
            .iter_mut()
            .find(|v| v.number != number && v.stage() == Stage::InForce);
        Ok(before.map(|version| {
            if let State::InForce(approval) = &version.state {
                version.state = State::Superseded {
                    approval: approval.clone(),
                    until: at,
                    by: number,
                };
            }
            version.number
        }))
    }
}

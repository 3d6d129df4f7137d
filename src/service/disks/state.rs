//! From facts about a disk to a state that a person understands, with the
//! reason. The panel words the reason, and what to do, in the reader's language.

use serde::{Deserialize, Serialize};

use super::alarms::AlarmKind;

/// How a disk is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskState {
    /// Does its work.
    Healthy,
    /// Does its work, but warns: to be replaced soon.
    Worn,
    /// Does not do its work, or soon will not: to be replaced now.
    Failing,
    /// Belongs to the pool, and is not there.
    Missing,
    /// Holds something that is not this pool's.
    Foreign,
    /// Holds nothing; can be taken into the pool.
    New,
    /// Leaves the pool, or has left it.
    Retired,
}

/// Why a disk is in its state; says as well what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Nothing is wrong.
    Well,
    /// Nothing is known to be wrong; it has no SMART.
    WellUnknown,
    /// It sleeps, and was not woken.
    Asleep,
    /// A member that is not in the box.
    Away,
    /// A member's disk is there, but what the pool had on it is not.
    Emptied,
    /// The kernel has given it up.
    GivenUp,
    /// A member's disk is there, but the pool cannot use it.
    NoAnswer,
    /// It takes no writes.
    ReadOnly,
    /// The pool found damage on it.
    PoolErrors,
    /// What it says of itself.
    Alarm(AlarmKind),
    /// Its data are being moved to the others: not to be pulled yet.
    Retiring,
    /// It is empty and may be pulled.
    Retired,
    /// A member of another pool.
    OtherPool,
    /// Holds other data.
    OtherData,
    /// Blank.
    Blank,
    /// Prepared, and not in use yet.
    Prepared,
}

impl Reason {
    /// From its serialised form.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = [
            Self::Well,
            Self::WellUnknown,
            Self::Asleep,
            Self::Away,
            Self::Emptied,
            Self::GivenUp,
            Self::NoAnswer,
            Self::ReadOnly,
            Self::PoolErrors,
            Self::Retiring,
            Self::Retired,
            Self::OtherPool,
            Self::OtherData,
            Self::Blank,
            Self::Prepared,
        ];
        let alarms = AlarmKind::ALL.into_iter().map(Self::Alarm);
        plain.into_iter().chain(alarms).find(|r| r.as_str() == text)
    }

    /// As serialised, e.g. `no-answer`; names the texts in the panel.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::WellUnknown => "well-unknown",
            Self::Asleep => "asleep",
            Self::Away => "away",
            Self::Emptied => "emptied",
            Self::GivenUp => "given-up",
            Self::NoAnswer => "no-answer",
            Self::ReadOnly => "read-only",
            Self::PoolErrors => "pool-errors",
            Self::Alarm(kind) => kind.as_str(),
            Self::Retiring => "retiring",
            Self::Retired => "retired",
            Self::OtherPool => "other-pool",
            Self::OtherData => "other-data",
            Self::Blank => "blank",
            Self::Prepared => "prepared",
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// What a disk is to the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The box runs from it.
    System,
    /// Holds the pool's data.
    Member,
    /// Waits to take a member's place.
    Spare,
    /// A member whose data are being moved away.
    Retiring,
    /// Was a member; its data are elsewhere now.
    Retired,
    /// A member of another pool.
    OtherPool,
    /// Holds other data.
    OtherData,
    /// Holds nothing.
    Blank,
    /// Prepared as a member of no pool yet.
    Prepared,
}

impl Place {
    /// The pool counts on it.
    pub fn of_pool(self) -> bool {
        matches!(self, Self::Member | Self::Spare | Self::Retiring)
    }
}

/// What is known of a disk.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What it is to the box.
    pub place: Place,
    /// The kernel lists it.
    pub there: bool,
    /// The pool uses it. Of no meaning where the pool does not count on it.
    pub online: bool,
    /// Of a member that is there and not online: what the pool wrote is not on it.
    pub emptied: bool,
    /// The kernel has given it up.
    pub given_up: bool,
    /// It takes no writes.
    pub read_only: bool,
    /// The pool found damage on it lately.
    pub pool_errors: bool,
    /// It sleeps.
    pub asleep: bool,
    /// It speaks SMART.
    pub smart: bool,
    /// What it warns of.
    pub alarms: &'a [AlarmKind],
}

/// The state of a disk and why. What matters most to the data decides.
pub fn judge(facts: &Facts<'_>) -> (DiskState, Reason) {
    use DiskState as S;
    let worst = |failing: bool| {
        let of = facts.alarms.iter().filter(|a| a.failing() == failing);
        of.min().map(|a| Reason::Alarm(*a))
    };
    let counted = facts.place.of_pool();
    if counted && !facts.there {
        return (S::Missing, Reason::Away);
    }
    if counted && !facts.online && facts.emptied {
        return (S::Missing, Reason::Emptied);
    }
    if facts.given_up {
        return (S::Failing, Reason::GivenUp);
    }
    if counted && !facts.online {
        return (S::Failing, Reason::NoAnswer);
    }
    if let Some(reason) = worst(true) {
        return (S::Failing, reason);
    }
    if facts.read_only {
        return (S::Failing, Reason::ReadOnly);
    }
    if counted && facts.pool_errors {
        return (S::Failing, Reason::PoolErrors);
    }
    match facts.place {
        Place::Retiring => return (S::Retired, Reason::Retiring),
        Place::Retired => return (S::Retired, Reason::Retired),
        _ => {}
    }
    if let Some(reason) = worst(false) {
        return (S::Worn, reason);
    }
    match facts.place {
        Place::OtherPool => (S::Foreign, Reason::OtherPool),
        Place::OtherData => (S::Foreign, Reason::OtherData),
        Place::Blank => (S::New, Reason::Blank),
        Place::Prepared => (S::New, Reason::Prepared),
        _ if facts.asleep => (S::Healthy, Reason::Asleep),
        _ if !facts.smart => (S::Healthy, Reason::WellUnknown),
        _ => (S::Healthy, Reason::Well),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PLACES: [Place; 9] = [
        Place::System,
        Place::Member,
        Place::Spare,
        Place::Retiring,
        Place::Retired,
        Place::OtherPool,
        Place::OtherData,
        Place::Blank,
        Place::Prepared,
    ];

    /// Nothing is known against it.
    fn well(place: Place) -> Facts<'static> {
        Facts {
            place,
            there: true,
            online: true,
            emptied: false,
            given_up: false,
            read_only: false,
            pool_errors: false,
            asleep: false,
            smart: true,
            alarms: &[],
        }
    }

    #[test]
    fn a_disk_that_nothing_is_wrong_with_is_what_it_is_to_the_box() {
        let expected = [
            (DiskState::Healthy, Reason::Well),
            (DiskState::Healthy, Reason::Well),
            (DiskState::Healthy, Reason::Well),
            (DiskState::Retired, Reason::Retiring),
            (DiskState::Retired, Reason::Retired),
            (DiskState::Foreign, Reason::OtherPool),
            (DiskState::Foreign, Reason::OtherData),
            (DiskState::New, Reason::Blank),
            (DiskState::New, Reason::Prepared),
        ];
        for (place, expected) in PLACES.into_iter().zip(expected) {
            assert_eq!(judge(&well(place)), expected, "{place:?}");
        }
    }

    #[test]
    fn one_thing_wrong_with_a_member_is_the_reason() {
        let member = || well(Place::Member);
        let wear = [AlarmKind::Wear];
        let failing = [AlarmKind::SmartFailing];
        let cases = [
            (
                Facts {
                    there: false,
                    online: false,
                    ..member()
                },
                DiskState::Missing,
                Reason::Away,
            ),
            (
                Facts {
                    online: false,
                    emptied: true,
                    ..member()
                },
                DiskState::Missing,
                Reason::Emptied,
            ),
            (
                Facts {
                    online: false,
                    ..member()
                },
                DiskState::Failing,
                Reason::NoAnswer,
            ),
            (
                Facts {
                    given_up: true,
                    ..member()
                },
                DiskState::Failing,
                Reason::GivenUp,
            ),
            (
                Facts {
                    read_only: true,
                    ..member()
                },
                DiskState::Failing,
                Reason::ReadOnly,
            ),
            (
                Facts {
                    pool_errors: true,
                    ..member()
                },
                DiskState::Failing,
                Reason::PoolErrors,
            ),
            (
                Facts {
                    alarms: &failing,
                    ..member()
                },
                DiskState::Failing,
                Reason::Alarm(failing[0]),
            ),
            (
                Facts {
                    alarms: &wear,
                    ..member()
                },
                DiskState::Worn,
                Reason::Alarm(wear[0]),
            ),
            (
                Facts {
                    asleep: true,
                    smart: false,
                    ..member()
                },
                DiskState::Healthy,
                Reason::Asleep,
            ),
            (
                Facts {
                    smart: false,
                    ..member()
                },
                DiskState::Healthy,
                Reason::WellUnknown,
            ),
        ];
        for (facts, state, reason) in cases {
            assert_eq!(judge(&facts), (state, reason), "{facts:?}");
        }
    }

    /// Every combination of facts, half a million of them.
    #[test]
    fn whatever_is_known_the_graver_thing_decides() {
        let mut seen = BTreeSet::new();
        let all = AlarmKind::ALL;
        for place in PLACES {
            for bits in 0..1_u32 << 8 {
                for alarms in 0..1_u32 << all.len() {
                    let alarms: Vec<AlarmKind> = (0..all.len())
                        .filter(|i| alarms & (1 << i) != 0)
                        .map(|i| all[i])
                        .collect();
                    let bit = |i: u32| bits & (1 << i) != 0;
                    let facts = Facts {
                        place,
                        there: bit(0),
                        online: bit(1),
                        emptied: bit(2),
                        given_up: bit(3),
                        read_only: bit(4),
                        pool_errors: bit(5),
                        asleep: bit(6),
                        smart: bit(7),
                        alarms: &alarms,
                    };
                    let (state, reason) = judge(&facts);
                    seen.insert(reason);
                    let of_pool = place.of_pool();
                    let lost = of_pool && (!facts.there || (!facts.online && facts.emptied));
                    assert_eq!(state == DiskState::Missing, lost, "{facts:?}");
                    if lost {
                        continue;
                    }
                    let failing = facts.given_up
                        || facts.read_only
                        || alarms.iter().any(|a| a.failing())
                        || (of_pool && (!facts.online || facts.pool_errors));
                    assert_eq!(state == DiskState::Failing, failing, "{facts:?}");
                    // Only what can be used is offered, and nothing that holds data.
                    if state == DiskState::New {
                        assert!(matches!(place, Place::Blank | Place::Prepared));
                        assert!(alarms.is_empty());
                    }
                    if state == DiskState::Healthy {
                        assert!(alarms.is_empty());
                    }
                }
            }
        }
        // Every reason there is was met, and is found by its name.
        assert!(seen.iter().all(|r| Reason::parse(r.as_str()) == Some(*r)));
        assert_eq!(seen.len(), 15 + all.len());
    }
}

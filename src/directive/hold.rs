//! Legal hold: copies that stay, whatever the register says, until two people
//! lift it again.
//!
//! Set and lifted by the security officer and the director, one asking and the
//! other allowing (see [`super::roles`]); what was asked for is bound by its hash.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::retention::Snapshot;
use super::roles::{Answer, Function, TwoPersons};
use super::{Hash, Stamp, blank};

/// What is to be held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The hold's name.
    pub id: String,
    /// The register entry's code.
    pub code: String,
    /// Copies from this moment on; from the first if none.
    pub from: Option<Timestamp>,
    /// Copies up to this moment; also future ones if none.
    pub to: Option<Timestamp>,
    /// Why.
    pub why: String,
}

/// Why a hold is not set or lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Nobody allowed it, or it is a request for something else.
    #[error("two persons must agree to this")]
    NotAllowed,
    /// No reason is given.
    #[error("a reason is needed")]
    NoReason,
    /// It is lifted already.
    #[error("the hold is lifted already")]
    Lifted,
    /// It cannot be written as JSON.
    #[error("the order cannot be written down")]
    Unwritable,
}

/// The two who agreed: who asked, who allowed.
pub type Pair = (Stamp, Stamp);

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalHold {
    order: Order,
    set: Pair,
    lifted: Option<(Pair, String)>,
}

impl Order {
    /// What a request to set the hold is bound to.
    pub fn to_set(&self) -> Result<Hash, Refusal> {
        Hash::of_value(&("set", self)).map_err(|_| Refusal::Unwritable)
    }

    /// What a request to lift the hold, for a reason, is bound to.
    pub fn to_lift(&self, why: &str) -> Result<Hash, Refusal> {
        Hash::of_value(&("lift", self, why)).map_err(|_| Refusal::Unwritable)
    }
}

impl LegalHold {
    /// Sets the hold that two persons agreed to.
    pub fn set(order: Order, agreed: &TwoPersons) -> Result<Self, Refusal> {
        if blank(&order.why) {
            return Err(Refusal::NoReason);
        }
        let set = pair(agreed, order.to_set()?)?;
        Ok(Self {
            order,
            set,
            lifted: None,
        })
    }

    /// Lifts it, as two persons agreed.
    pub fn lift(&mut self, why: &str, agreed: &TwoPersons) -> Result<(), Refusal> {
        if self.lifted.is_some() {
            return Err(Refusal::Lifted);
        }
        if blank(why) {
            return Err(Refusal::NoReason);
        }
        let lifted = pair(agreed, self.order.to_lift(why)?)?;
        self.lifted = Some((lifted, why.to_owned()));
        Ok(())
    }

    /// What is held.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Who set it.
    pub fn set_by(&self) -> &Pair {
        &self.set
    }

    /// Who lifted it, and why.
    pub fn lifted(&self) -> Option<&(Pair, String)> {
        self.lifted.as_ref()
    }

    /// Whether it holds a copy of an entry taken at a time.
    pub fn holds(&self, code: &str, taken: Timestamp) -> bool {
        self.lifted.is_none()
            && self.order.code == code
            && self.order.from.is_none_or(|from| from <= taken)
            && self.order.to.is_none_or(|to| taken <= to)
    }
}

/// Marks the copies of an entry that some hold keeps, and no others.
pub fn mark(holds: &[LegalHold], code: &str, snapshots: &mut [Snapshot]) {
    for snapshot in snapshots {
        snapshot.held = holds.iter().any(|hold| hold.holds(code, snapshot.time));
    }
}

fn pair(agreed: &TwoPersons, content: Hash) -> Result<Pair, Refusal> {
    match &agreed.answer {
        Answer::Allowed(second)
            if agreed.function == Function::LegalHold && agreed.content == content =>
        {
            Ok((agreed.asked.clone(), second.clone()))
        }
        _ => Err(Refusal::NotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::retention::{Rule, decide};
    use crate::directive::{Actor, Role};

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn actor(person: &str, role: Role) -> Actor {
        Actor {
            person: person.into(),
            role,
        }
    }

    fn order() -> Order {
        Order {
            id: "H-1".into(),
            code: "BD-1".into(),
            from: Some(time(0)),
            to: Some(time(100)),
            why: "proceso 123".into(),
        }
    }

    fn agreed(content: Hash) -> TwoPersons {
        let osi = actor("osi", Role::SecurityOfficer);
        let function = Function::LegalHold;
        let mut it =
            TwoPersons::ask("1".into(), function, "H-1".into(), content, osi, time(0)).unwrap();
        it.allow(actor("dg", Role::Director), time(1), content)
            .unwrap();
        it
    }

    #[test]
    fn a_hold_needs_two_who_agreed_to_just_this() {
        let content = order().to_set().unwrap();
        let osi = actor("osi", Role::SecurityOfficer);
        let open = TwoPersons::ask(
            "1".into(),
            Function::LegalHold,
            "H-1".into(),
            content,
            osi,
            time(0),
        );
        let set = |order, agreed: &TwoPersons| LegalHold::set(order, agreed).map(drop);
        assert_eq!(set(order(), &open.unwrap()), Err(Refusal::NotAllowed));
        let wider = Order {
            from: None,
            ..order()
        };
        assert_eq!(set(wider, &agreed(content)), Err(Refusal::NotAllowed));
        let silent = Order {
            why: " ".into(),
            ..order()
        };
        assert_eq!(set(silent, &agreed(content)), Err(Refusal::NoReason));
        let other = TwoPersons {
            function: Function::Destroy,
            ..agreed(content)
        };
        assert_eq!(set(order(), &other), Err(Refusal::NotAllowed));

        let mut hold = LegalHold::set(order(), &agreed(content)).unwrap();
        assert_eq!(hold.set_by().1.by.person, "dg");
        assert_eq!(
            hold.lift("over", &agreed(content)),
            Err(Refusal::NotAllowed)
        );
        let lift = agreed(order().to_lift("over").unwrap());
        assert_eq!(hold.lift("else", &lift), Err(Refusal::NotAllowed));
        hold.lift("over", &lift).unwrap();
        assert_eq!(hold.lift("over", &lift), Err(Refusal::Lifted));
        let json = serde_json::to_string(&hold).unwrap();
        assert_eq!(serde_json::from_str::<LegalHold>(&json).unwrap(), hold);
    }

    #[test]
    fn what_is_held_stays_until_it_is_lifted() {
        let content = order().to_set().unwrap();
        let mut holds = vec![LegalHold::set(order(), &agreed(content)).unwrap()];
        let mut copies: Vec<Snapshot> = [-1, 0, 100, 101]
            .map(|seconds| Snapshot {
                id: seconds.to_string(),
                time: time(seconds),
                locked_until: None,
                held: true,
            })
            .into();
        let rule = Rule {
            yearly: 1,
            ..Rule::default()
        };
        let mut kept = |holds: &[LegalHold], code| {
            mark(holds, code, &mut copies);
            let all = decide(&copies, &rule, time(999));
            all.iter()
                .filter(|d| d.keeps())
                .map(|d| d.snapshot.id.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(kept(&holds, "BD-1"), ["0", "100", "101"]);
        assert_eq!(kept(&holds, "BD-2"), ["101"]);
        holds[0]
            .lift("over", &agreed(order().to_lift("over").unwrap()))
            .unwrap();
        assert_eq!(kept(&holds, "BD-1"), ["101"]);
    }
}

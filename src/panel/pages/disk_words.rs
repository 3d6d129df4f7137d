//! How a disk is, why, and what to do, in the visitor's language. The table of
//! disks, the page of a disk and the first page say it with the same words.

use crate::devices::Sign;
use crate::panel::texts::{Key, Language};
use crate::service::{AlarmKind, DiskState, DiskView, Place, Reason};

use super::parts::Level;

/// A disk's state in one word.
pub fn state(l: Language, state: DiskState) -> (Level, String) {
    let (level, word) = match state {
        DiskState::Healthy => (Level::Good, l.t("disk-healthy")),
        DiskState::Worn => (Level::Warn, l.t("disk-worn")),
        DiskState::Failing => (Level::Bad, l.t("disk-failing")),
        DiskState::Missing => (Level::Bad, l.t("disk-missing")),
        DiskState::Foreign => (Level::Warn, l.t("disk-foreign")),
        DiskState::New => (Level::Info, l.t("disk-new")),
        DiskState::Retired => (Level::Info, l.t("disk-retired")),
    };
    (level, word.into_owned())
}

/// What a disk is to the box, in a few words.
pub fn place(l: Language, place: Place) -> String {
    let word = match place {
        Place::System => l.t("contents-system"),
        Place::Member => l.t("place-member"),
        Place::Spare => l.t("place-spare"),
        Place::Retiring => l.t("place-retiring"),
        Place::Retired => l.t("place-retired"),
        Place::OtherPool => l.t("place-other-pool"),
        Place::OtherData => l.t("contents-other"),
        Place::Blank => l.t("contents-blank"),
        Place::Prepared => l.t("contents-prepared"),
    };
    word.into_owned()
}

/// Why, as a sentence. `value`: the figure of an alarm.
pub fn why(l: Language, reason: Reason, value: u64) -> String {
    let text = match reason {
        Reason::Well => l.t("why-well"),
        Reason::WellUnknown => l.t("why-well-unknown"),
        Reason::Asleep => l.t("why-asleep"),
        Reason::Away => l.t("why-away"),
        Reason::Emptied => l.t("why-emptied"),
        Reason::GivenUp => l.t("why-given-up"),
        Reason::NoAnswer => l.t("why-no-answer"),
        Reason::ReadOnly => l.t("why-read-only"),
        Reason::PoolErrors => l.t("why-pool-errors"),
        Reason::Retiring => l.t("why-retiring"),
        Reason::Retired => l.t("why-retired"),
        Reason::OtherPool => l.t("why-other-pool"),
        Reason::OtherData => l.t("why-other-data"),
        Reason::Blank => l.t("why-blank"),
        Reason::Prepared => l.t("why-prepared"),
        Reason::Alarm(kind) => alarm(l, kind, value).into(),
    };
    text.into_owned()
}

/// What a disk warns of, as a sentence.
pub fn alarm(l: Language, kind: AlarmKind, value: u64) -> String {
    let n = || value.into();
    let text = match kind {
        AlarmKind::SmartFailing => l.t("why-smart-failing"),
        AlarmKind::TestFailed => l.t("why-test-failed"),
        AlarmKind::Uncorrectable => l.f("why-uncorrectable", [("n", n())]),
        AlarmKind::Pending => l.f("why-pending", [("n", n())]),
        AlarmKind::MediaErrors => l.f("why-media-errors", [("n", n())]),
        AlarmKind::Reallocated => l.f("why-reallocated", [("n", n())]),
        AlarmKind::Wear => l.f("why-wear", [("n", n())]),
        AlarmKind::Hot => l.f("why-hot", [("n", n())]),
    };
    text.into_owned()
}

/// What to do; `None` if nothing is.
fn advice(reason: Reason) -> Option<Key> {
    Some(match reason {
        Reason::Well | Reason::WellUnknown | Reason::Asleep => return None,
        Reason::Away => Key("do-away"),
        Reason::Emptied | Reason::NoAnswer | Reason::GivenUp => Key("do-reseat"),
        Reason::ReadOnly | Reason::PoolErrors => Key("do-replace"),
        Reason::Retiring => Key("do-retiring"),
        Reason::Retired => Key("do-retired"),
        Reason::OtherPool => Key("do-other-pool"),
        Reason::OtherData => Key("do-foreign"),
        Reason::Blank | Reason::Prepared => Key("do-new"),
        Reason::Alarm(AlarmKind::Hot) => Key("do-hot"),
        Reason::Alarm(kind) if kind.failing() => Key("do-replace"),
        Reason::Alarm(_) => Key("do-replace-soon"),
    })
}

/// Why a disk is as it is, and what to do.
pub fn reason(l: Language, view: &DiskView) -> (String, Option<String>) {
    let value = match view.reason {
        Reason::Alarm(kind) => view.alarms.iter().find(|a| a.kind == kind),
        _ => None,
    };
    let value = value.map_or(0, |alarm| alarm.value);
    let ours = view.place.of_pool() || view.place == Place::System;
    let todo = match view.state {
        DiskState::Failing if !ours => Some(l.t("do-not-use").into_owned()),
        _ => what_to_do(l, view.reason),
    };
    (why(l, view.reason, value), todo)
}

/// What to do, as a sentence.
pub fn what_to_do(l: Language, reason: Reason) -> Option<String> {
    advice(reason).map(|key| l.t(key).into_owned())
}

/// How a disk shows itself, for whoever stands before the box.
pub fn sign(l: Language, sign: Sign) -> String {
    match sign {
        Sign::Light => l.t("identify-light"),
        Sign::Activity => l.t("identify-activity"),
    }
    .into_owned()
}

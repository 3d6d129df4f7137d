use proptest::prelude::*;

use super::*;
use crate::directive::Actor;

/// The smallest document: complete unless empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Text(String);

impl Content for Text {
    const DRAFTERS: &'static [Role] = &[Role::Infrastructure, Role::Operator];
    type Problem = ();

    fn problems(&self) -> Vec<()> {
        if self.0.is_empty() {
            vec![()]
        } else {
            Vec::new()
        }
    }
}

fn stamp(person: &str, role: Role, at: i64) -> Stamp {
    Stamp {
        by: Actor {
            person: person.into(),
            role,
        },
        at: Timestamp::from_second(1_800_000_000 + at).unwrap(),
    }
}

fn hash(text: &str) -> Hash {
    Hash::of_value(&Text(text.into())).unwrap()
}

const PDF: Hash = Hash([7; 32]);

fn signed(signature: Signature) -> Proof {
    Proof::Signed {
        file: Hash([8; 32]),
        pdf: PDF,
        signature,
    }
}

fn pressed(text: &str) -> Proof {
    Proof::InPanel {
        content: hash(text),
        second_factor: true,
    }
}

fn begun() -> Series<Text> {
    let mut series = Series::default();
    series
        .begin(
            Text("a".into()),
            "first",
            stamp("ri", Role::Infrastructure, 0),
        )
        .unwrap();
    series
}

fn reviewed() -> Series<Text> {
    let mut series = begun();
    let it = series.get_mut(1).unwrap();
    it.visto(hash("a"), stamp("ri", Role::Infrastructure, 1))
        .unwrap();
    assert_eq!(it.stage(), Stage::Draft);
    it.visto(hash("a"), stamp("ob", Role::Operator, 2)).unwrap();
    series
}

fn to_sign() -> Series<Text> {
    let mut series = reviewed();
    series
        .get_mut(1)
        .unwrap()
        .issue(PDF, stamp("ri", Role::Infrastructure, 3))
        .unwrap();
    series
}

fn approved() -> Series<Text> {
    let mut series = to_sign();
    series
        .approve(
            1,
            signed(Signature::Valid),
            false,
            stamp("dg", Role::Director, 4),
        )
        .unwrap();
    series
}

fn superseded() -> Series<Text> {
    let mut series = approved();
    series
        .clone_to_edit(1, "second", stamp("ob", Role::Operator, 5))
        .unwrap();
    let it = series.get_mut(2).unwrap();
    it.visto(hash("a"), stamp("ri", Role::Infrastructure, 6))
        .unwrap();
    it.visto(hash("a"), stamp("ob", Role::Operator, 7)).unwrap();
    let before = series.approve(2, pressed("a"), true, stamp("dg", Role::Director, 8));
    assert_eq!(before, Ok(Some(1)));
    series
}

fn returned() -> Series<Text> {
    let mut series = to_sign();
    series
        .get_mut(1)
        .unwrap()
        .send_back("why", stamp("dg", Role::Director, 4))
        .unwrap();
    series
}

fn annulled() -> Series<Text> {
    let mut series = begun();
    series
        .get_mut(1)
        .unwrap()
        .annul("why", stamp("ri", Role::Infrastructure, 1))
        .unwrap();
    series
}

/// Every act under every role in every state: what goes is in this table,
/// everything else is refused with the state or the role.
#[test]
fn every_role_act_and_state() {
    const ACTS: [&str; 7] = ["edit", "visto", "issue", "sign", "press", "return", "annul"];
    let allowed = |stage, act| match act {
        "edit" => matches!(stage, Stage::Draft | Stage::InReview),
        "visto" => stage == Stage::Draft,
        "issue" => stage == Stage::InReview,
        "sign" => stage == Stage::ToSign,
        "press" | "return" => matches!(stage, Stage::InReview | Stage::ToSign),
        _ => matches!(stage, Stage::Draft | Stage::InReview | Stage::ToSign),
    };
    let roles = |act| match act {
        "sign" | "press" | "return" => vec![Role::Director],
        _ => vec![Role::Operator, Role::Infrastructure],
    };
    let states = [
        begun(),
        reviewed(),
        to_sign(),
        approved(),
        superseded(),
        returned(),
        annulled(),
    ];
    let stages: Vec<Stage> = states.iter().map(|s| s.versions()[0].stage()).collect();
    assert_eq!(
        stages,
        [
            Stage::Draft,
            Stage::InReview,
            Stage::ToSign,
            Stage::InForce,
            Stage::Superseded,
            Stage::Returned,
            Stage::Annulled
        ]
    );
    for series in states {
        for act in ACTS {
            for role in Role::ALL {
                let mut after = series.clone();
                let by = stamp("x", role, 9);
                let done = match act {
                    "sign" => after
                        .approve(1, signed(Signature::Valid), true, by)
                        .map(drop),
                    "press" => after.approve(1, pressed("a"), true, by).map(drop),
                    _ => {
                        let it = after.get_mut(1).unwrap();
                        match act {
                            "edit" => it.edit(Text("b".into()), by),
                            "visto" => it.visto(hash("a"), by),
                            "issue" => it.issue(PDF, by),
                            "return" => it.send_back("why", by),
                            _ => it.annul("why", by),
                        }
                    }
                };
                let stage = series.versions()[0].stage();
                let good = allowed(stage, act) && roles(act).contains(&role);
                assert_eq!(done.is_ok(), good, "{stage:?} {act} {role:?}: {done:?}");
                if !good {
                    assert_eq!(after, series);
                    let state = Err(Refusal::State(stage));
                    assert!(
                        done == state
                            || (allowed(stage, act) && done == Err(Refusal::Role))
                            || (act == "sign" && done == Err(Refusal::Role)),
                        "{done:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_visto_falls_when_the_content_changes() {
    let mut series = reviewed();
    let it = series.get_mut(1).unwrap();
    it.edit(Text("a".into()), stamp("ob", Role::Operator, 3))
        .unwrap();
    assert_eq!(it.stage(), Stage::InReview);
    it.edit(Text("b".into()), stamp("ob", Role::Operator, 3))
        .unwrap();
    assert_eq!(it.state(), &State::Draft(Vec::new()));
    let old = it.visto(hash("a"), stamp("ob", Role::Operator, 4));
    assert_eq!(old, Err(Refusal::NotAsSeen));
    it.visto(hash("b"), stamp("ob", Role::Operator, 4)).unwrap();
    let twice = it.visto(hash("b"), stamp("ob", Role::Operator, 5));
    assert_eq!(twice, Err(Refusal::VistoGiven));
    it.edit(Text(String::new()), stamp("ob", Role::Operator, 6))
        .unwrap();
    let incomplete = it.visto(hash(""), stamp("ob", Role::Operator, 7));
    assert_eq!(incomplete, Err(Refusal::Incomplete));
}

#[test]
fn an_approval_rests_on_what_was_seen() {
    let director = || stamp("dg", Role::Director, 9);
    let sign = |proof| to_sign().approve(1, proof, false, director());
    assert_eq!(
        sign(signed(Signature::NotValid)),
        Err(Refusal::SignatureNotValid)
    );
    assert_eq!(
        sign(signed(Signature::Undetermined)),
        Err(Refusal::SignatureUndetermined)
    );
    let other = Proof::Signed {
        file: Hash([8; 32]),
        pdf: Hash([9; 32]),
        signature: Signature::Valid,
    };
    assert_eq!(sign(other), Err(Refusal::NotAsSeen));
    assert_eq!(sign(pressed("a")), Err(Refusal::NotInPanel));
    let press = |proof| to_sign().approve(1, proof, true, director());
    assert_eq!(press(pressed("b")), Err(Refusal::NotAsSeen));
    let alone = Proof::InPanel {
        content: hash("a"),
        second_factor: false,
    };
    assert_eq!(press(alone), Err(Refusal::SecondFactor));
    assert_eq!(press(pressed("a")), Ok(None));
}

/// One person with every hat cannot put a document in force; two can.
#[test]
fn vistos_and_approval_need_two_persons() {
    for (second, expected) in [("ana", Err(Refusal::OnePerson)), ("luis", Ok(None))] {
        let mut series = begun();
        let it = series.get_mut(1).unwrap();
        it.visto(hash("a"), stamp("ana", Role::Infrastructure, 1))
            .unwrap();
        it.visto(hash("a"), stamp(second, Role::Operator, 2))
            .unwrap();
        let done = series.approve(1, pressed("a"), true, stamp("ana", Role::Director, 3));
        assert_eq!(done, expected);
    }
}

#[test]
fn one_version_on_its_way_and_one_in_force() {
    let mut series = approved();
    let ob = || stamp("ob", Role::Operator, 20);
    assert_eq!(series.clone_to_edit(1, " ", ob()), Err(Refusal::NoReason));
    assert_eq!(
        series.clone_to_edit(7, "x", ob()),
        Err(Refusal::NoVersion(7))
    );
    assert_eq!(series.clone_to_edit(1, "x", ob()), Ok(2));
    assert_eq!(series.clone_to_edit(1, "x", ob()), Err(Refusal::Open(2)));
    assert_eq!(series.get(2).unwrap().cloned_from(), Some(1));
    let mut versions: Vec<_> = superseded().into();
    let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
    let number = |at| superseded().in_force_at(at).map(Version::number);
    assert_eq!(
        [number(at(3)), number(at(4)), number(at(7)), number(at(8))],
        [None, Some(1), Some(1), Some(2)]
    );
    versions.remove(0);
    assert_eq!(Series::try_from(versions.clone()), Err(Broken::Number(1)));
    versions[0].number = 1;
    let mut second = versions[0].clone();
    second.number = 2;
    versions.push(second);
    assert_eq!(Series::try_from(versions), Err(Broken::Force(2)));
    let lone = superseded().versions()[..1].to_vec();
    assert_eq!(Series::try_from(lone), Err(Broken::Force(1)));
    let mut open = begun().versions().to_vec();
    open.push(Version {
        number: 2,
        ..open[0].clone()
    });
    assert_eq!(Series::try_from(open), Err(Broken::Open(2)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever people do in whatever order: one in force once there was one,
    /// approved content never changes, and every version in force was seen
    /// and approved as it is, by two persons at least.
    #[test]
    fn any_history_leaves_one_in_force(
        steps in prop::collection::vec((0..8u8, 0..3usize, 0..7usize, 0..3u8, 1..4u32), 1..120)
    ) {
        let people = ["ana", "luis", "eva"];
        let mut series = Series::<Text>::default();
        let mut approved: Vec<(u32, Hash)> = Vec::new();
        for (at, (act, person, role, text, number)) in (0..).zip(steps) {
            let by = stamp(people[person], Role::ALL[role], at);
            let text = ["", "a", "b"][text as usize].to_owned();
            let newest = series.versions().len() as u32;
            let number = if number == 1 { newest } else { newest.saturating_sub(number) };
            let seen = series.get(number).ok().map(|v| v.hash().unwrap());
            let _ = match act {
                0 => series.begin(Text(text), "why", by).map(drop),
                1 => series.clone_to_edit(number, "why", by).map(drop),
                7 => series.approve(number, signed(Signature::Valid), true, by).map(drop),
                6 => {
                    let content = seen.unwrap_or(Hash::NONE);
                    series.approve(number, Proof::InPanel { content, second_factor: true }, true, by).map(drop)
                }
                act => match series.get_mut(number) {
                    Err(e) => Err(e),
                    Ok(it) => match act {
                        2 => it.edit(Text(text), by),
                        3 | 4 => it.visto(seen.unwrap_or(Hash::NONE), by),
                        _ => it.issue(PDF, by),
                    },
                },
            };
            for version in series.versions() {
                if let State::InForce(approval) = version.state() {
                    prop_assert_eq!(approval.content, version.hash().unwrap());
                    let people: std::collections::BTreeSet<_> = version
                        .history().iter()
                        .filter(|e| matches!(e.act, Act::Visto | Act::Approve))
                        .map(|e| &e.stamp.by.person).collect();
                    prop_assert!(people.len() >= 2);
                    if approved.last().is_none_or(|(n, _)| *n != version.number()) {
                        approved.push((version.number(), version.hash().unwrap()));
                    }
                }
            }
            let force = series.versions().iter().filter(|v| v.stage() == Stage::InForce).count();
            prop_assert_eq!(force, usize::from(!approved.is_empty()));
            for (number, hash) in &approved {
                prop_assert_eq!(series.get(*number).unwrap().hash().unwrap(), *hash);
            }
        }
        let json = serde_json::to_string(&series).unwrap();
        prop_assert_eq!(serde_json::from_str::<Series<Text>>(&json).unwrap(), series);
    }
}

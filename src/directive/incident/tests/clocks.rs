//! The service level's clock and the alerts in a storm.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn the_clock_warns_at_80_percent_and_breaks_at_100() {
    let mut clock = Clock::start(1000, time(0));
    assert_eq!(clock.reaches(Pace::AtRisk), Some(time(800)));
    assert_eq!(clock.reaches(Pace::Breached), Some(time(1000)));
    let pace = |clock: &Clock, at| clock.pace(time(at));
    assert_eq!(pace(&clock, 799), Pace::InTime);
    assert_eq!(pace(&clock, 800), Pace::AtRisk);
    assert_eq!(pace(&clock, 999), Pace::AtRisk);
    assert_eq!(pace(&clock, 1000), Pace::Breached);
    clock.pause(time(500));
    assert_eq!(
        (pace(&clock, 9000), clock.reaches(Pace::AtRisk)),
        (Pace::InTime, None)
    );
    clock.resume(time(10_000));
    clock.resume(time(10_100));
    assert_eq!(clock.reaches(Pace::Breached), Some(time(10_500)));
    assert_eq!(pace(&clock, 10_299), Pace::InTime);
    assert_eq!(pace(&clock, 10_300), Pace::AtRisk);
    assert_eq!(pace(&clock, 10_500), Pace::Breached);
}

#[test]
fn sending_back_lets_the_clock_go_on() {
    let level = Level {
        response: 100,
        solution: 1000,
    };
    let mut it = opened(Scope::External);
    let ob = || person("ob", Role::Operator);
    let rsb = || person("rsb", Role::ServiceManager);
    it.act(ob(), time(0), Act::Attend).unwrap();
    it.act(ob(), time(10), Act::Report(level)).unwrap();
    it.act(rsb(), time(60), Act::Acknowledge).unwrap();
    it.act(rsb(), time(510), Act::Answer(None)).unwrap();
    let clocks = *it.clocks().unwrap();
    assert_eq!(clocks.response.spent(time(9999)), 50);
    assert_eq!(clocks.solution.spent(time(9999)), 500);
    it.act(ob(), time(5000), Act::SendBack("no".into()))
        .unwrap();
    assert_eq!(it.clocks().unwrap().solution.pace(time(5299)), Pace::InTime);
    assert_eq!(
        it.clocks().unwrap().solution.pace(time(5500)),
        Pace::Breached
    );
    assert_eq!((it.stage(), it.sent_back()), (Stage::Working, 1));
}

#[test]
fn the_shipped_sheet_is_an_example_for_every_severity() {
    let sheet = Sheet::default();
    assert!(sheet.example);
    for severity in [
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ] {
        let level = sheet.level(severity).unwrap();
        assert_eq!((level.response, level.solution), (3600, 28_800));
    }
    let none = Sheet {
        example: false,
        levels: [].into(),
    };
    assert_eq!(none.level(Severity::Low), None);
}

#[test]
fn forty_failures_in_a_minute_are_two_mails() {
    let mut storm = Storm::new(60);
    let mut mails: Vec<Alert> = Vec::new();
    for n in 0..40 {
        mails.extend(storm.offer(format!("I-{n}"), time(n)));
    }
    assert_eq!(mails, [Alert::One("I-0".into())]);
    assert_eq!(storm.next(), Some(time(60)));
    assert_eq!(storm.due(time(59)), None);
    let Some(Alert::Digest(rest)) = storm.due(time(60)) else {
        panic!()
    };
    assert_eq!(rest.len(), 39);
    assert_eq!((storm.due(time(500)), storm.next()), (None, None));
    assert_eq!(
        storm.offer("I-9".into(), time(501)),
        Some(Alert::One("I-9".into()))
    );
}

proptest! {
    /// A clock counts the seconds that it ran, whatever the pauses.
    #[test]
    fn a_clock_counts_what_it_ran(spans in prop::collection::vec((0..90_000i64, any::<bool>()), 0..40)) {
        let mut clock = Clock::start(100_000, time(0));
        let (mut now, mut ran) = (0, 0);
        for (span, pause) in spans {
            ran += if clock.runs() { span } else { 0 };
            now += span;
            prop_assert_eq!(clock.spent(time(now)), ran);
            if pause { clock.pause(time(now)) } else { clock.resume(time(now)) }
            prop_assert_eq!(clock.spent(time(now)), ran);
            if let Some(breach) = clock.reaches(Pace::Breached) {
                prop_assert_eq!(clock.pace(breach), Pace::Breached);
                if breach > time(now) {
                    prop_assert!(clock.pace(crate::directive::after(breach, -1)) < Pace::Breached);
                }
            }
        }
    }

    /// Every alert is sent once, within the pause, and mails are never nearer
    /// than that.
    #[test]
    fn no_alert_is_lost_or_late(waits in prop::collection::vec(0..100i64, 1..100)) {
        let mut storm = Storm::new(60);
        let mut sent: Vec<(i64, Vec<String>)> = Vec::new();
        let mut asked: BTreeMap<String, i64> = BTreeMap::new();
        let mut now = 0;
        let mut take = |alert: Option<Alert>, at| match alert {
            None => {}
            Some(Alert::One(id)) => sent.push((at, vec![id])),
            Some(Alert::Digest(ids)) => sent.push((at, ids)),
        };
        for (n, wait) in waits.into_iter().enumerate() {
            for second in now..now + wait {
                take(storm.due(time(second)), second);
            }
            now += wait;
            asked.insert(format!("I-{n}"), now);
            take(storm.offer(format!("I-{n}"), time(now)), now);
        }
        for second in now..=now + 60 {
            take(storm.due(time(second)), second);
        }
        for (at, ids) in &sent {
            for id in ids {
                let asked = asked.remove(id);
                prop_assert!(asked.is_some_and(|asked| at - asked <= 60), "{} twice or late", id);
            }
        }
        prop_assert!(asked.is_empty());
        prop_assert!(sent.windows(2).all(|two| two[1].0 - two[0].0 >= 60));
    }
}

use proptest::prelude::*;

use super::*;
use crate::directive::lima_time;

fn noon(day: &str) -> Timestamp {
    lima_time(format!("{day}T12:00").parse().unwrap())
}

fn days_from(day: &str, count: i64) -> Vec<Timestamp> {
    (0..count).map(|n| after(noon(day), n * DAY)).collect()
}

fn bare(time: Timestamp) -> Snapshot {
    Snapshot {
        id: time.to_string(),
        time,
        locked_until: None,
        held: false,
    }
}

fn kept_days(decisions: &[Decision]) -> Vec<String> {
    decisions
        .iter()
        .filter(|decision| decision.keeps())
        .map(|decision| lima_date(decision.snapshot.time).to_string())
        .collect()
}

#[test]
fn days_weeks_months_and_years_over_a_leap_day() {
    let rule = Rule {
        daily: 3,
        weekly: 2,
        monthly: 3,
        yearly: 2,
        min_days: 0,
    };
    let snapshots: Vec<_> = days_from("2023-06-01", 275).into_iter().map(bare).collect();
    let decisions = decide(&snapshots, &rule, noon("2024-03-01"));
    assert_eq!(
        kept_days(&decisions),
        [
            "2023-12-31",
            "2024-01-31",
            "2024-02-25",
            "2024-02-28",
            "2024-02-29",
            "2024-03-01"
        ]
    );
    let why = |day: &str| {
        let found = decisions
            .iter()
            .find(|d| lima_date(d.snapshot.time).to_string() == day);
        found.unwrap().reasons.clone()
    };
    assert_eq!(why("2023-12-31"), [Reason::Yearly].into());
    assert_eq!(why("2024-02-29"), [Reason::Daily, Reason::Monthly].into());
    assert_eq!(why("2024-02-25"), [Reason::Weekly].into());
}

#[test]
fn days_begin_at_midnight_in_lima() {
    let late = lima_time("2026-01-01T23:59".parse().unwrap());
    let early = lima_time("2026-01-02T00:00".parse().unwrap());
    let rule = Rule {
        daily: 2,
        ..Rule::default()
    };
    let decisions = decide(&[bare(late), bare(early)], &rule, early);
    assert_eq!(kept_days(&decisions).len(), 2);
}

#[test]
fn minimum_days_pass_to_the_second() {
    let time = noon("2026-01-01");
    let newer = bare(noon("2026-06-01"));
    let rule = Rule::days(30);
    let until = after(time, 30 * DAY);
    let keeps = |now| decide(&[bare(time), newer.clone()], &rule, now)[0].keeps();
    assert!(keeps(after(until, -1)));
    assert!(!keeps(until));
}

#[test]
fn a_rule_that_keeps_nothing_or_for_ever_is_none() {
    assert_eq!(Rule::default().check(), Err(Invalid::Nothing));
    assert_eq!(Rule::days(MOST_DAYS + 1).check(), Err(Invalid::TooMuch));
    let yearly = |yearly| Rule {
        yearly,
        ..Rule::default()
    };
    assert_eq!(yearly(101).check(), Err(Invalid::TooMuch));
    assert_eq!(yearly(100).check(), Ok(()));
    assert_eq!(Rule::days(1).check(), Ok(()));
}

/// a new register with a shorter retention leaves what is locked alone.
#[test]
fn a_shorter_rule_does_not_shorten_a_lock() {
    let long = Rule::days(365);
    let short = Rule {
        daily: 1,
        ..Rule::default()
    };
    let time = noon("2026-01-01");
    let lock = long.lock(time, None);
    assert_eq!(short.lock(time, Some(lock)), lock);
    let snapshots = [
        Snapshot {
            locked_until: Some(lock),
            ..bare(time)
        },
        bare(noon("2026-02-01")),
    ];
    let decisions = decide(&snapshots, &short, noon("2026-02-02"));
    assert_eq!(decisions[0].reasons, [Reason::Locked(lock)].into());
    assert!(!decide(&snapshots, &short, lock)[0].keeps());
}

#[test]
fn the_simulator_shows_a_year_of_daily_runs() {
    let rule = Rule {
        daily: 7,
        weekly: 4,
        monthly: 12,
        yearly: 1,
        min_days: 7,
    };
    let shown = simulate(&[], &rule, days_from("2024-01-01", 366), noon("2024-12-31"));
    assert!(shown.iter().all(Decision::keeps));
    let days = kept_days(&shown);
    assert_eq!(&days[..2], ["2024-01-31", "2024-02-29"]);
    // 12 months (the last is also a day), 6 more days, Sundays 22, 15 and 8 December.
    assert_eq!(days.len(), 12 + 6 + 2, "{days:?}");
}

fn rule() -> impl Strategy<Value = Rule> {
    (0..10u32, 0..8u32, 0..14u32, 0..4u32, 0..40u32).prop_map(
        |(daily, weekly, monthly, yearly, min_days)| Rule {
            daily,
            weekly,
            monthly,
            yearly,
            min_days,
        },
    )
}

/// Runs over years: some days more than one, some not at all, long gaps.
fn runs() -> impl Strategy<Value = Vec<Timestamp>> {
    let gap = prop_oneof![6 => 3600..2 * DAY, 2 => DAY..20 * DAY, 1 => 20 * DAY..400 * DAY];
    prop::collection::vec(gap, 1..120).prop_map(|gaps| {
        let mut at = noon("2019-11-17");
        gaps.into_iter()
            .map(|gap| {
                at = after(at, gap);
                at
            })
            .collect()
    })
}

fn ids(decisions: &[Decision]) -> Vec<String> {
    let kept = decisions.iter().filter(|d| d.keeps());
    kept.map(|d| d.snapshot.id.clone()).collect()
}

proptest! {
    /// Removing as time goes leaves what removing once at the end leaves:
    /// nothing goes that a later decision would have kept.
    #[test]
    fn removing_daily_is_removing_once(rule in rule(), runs in runs(), later in 0..500 * DAY) {
        let until = after(*runs.last().unwrap(), later);
        let step_by_step = simulate(&[], &rule, runs.iter().copied(), until);
        let snapshots: Vec<_> = runs.iter().copied().map(bare).collect();
        prop_assert_eq!(ids(&step_by_step), ids(&decide(&snapshots, &rule, until)));
    }

    /// Locks and holds stand whatever the rule and its changes; a lock given
    /// under any rule never moves to an earlier time.
    #[test]
    fn no_change_of_rule_touches_what_is_locked(
        rules in prop::collection::vec(rule(), 1..6), runs in runs(), held in 0..120usize
    ) {
        let mut left: Vec<Snapshot> = Vec::new();
        let mut promised: BTreeMap<String, (Timestamp, bool)> = BTreeMap::new();
        for (n, time) in runs.iter().copied().enumerate() {
            let rule = rules[n * rules.len() / runs.len()];
            let snapshot = Snapshot {
                locked_until: Some(rule.lock(time, None)),
                held: n == held,
                ..bare(time)
            };
            promised.insert(snapshot.id.clone(), (snapshot.locked_until.unwrap(), snapshot.held));
            left.push(snapshot);
            for snapshot in &mut left {
                let before = snapshot.locked_until;
                snapshot.locked_until = Some(rule.lock(snapshot.time, before));
                prop_assert!(snapshot.locked_until >= before);
            }
            left = kept(decide(&left, &rule, time));
            for (id, (until, held)) in &promised {
                if time < *until || *held {
                    prop_assert!(left.iter().any(|s| s.id == *id), "{} went early", id);
                }
            }
        }
    }

    /// Nothing stays without a reason that its own rule gives, and no reason
    /// is given more often than the rule says.
    #[test]
    fn what_is_kept_is_counted(rule in rule(), runs in runs(), later in 0..500 * DAY) {
        let now = after(*runs.last().unwrap(), later);
        let snapshots: Vec<_> = runs.iter().copied().map(bare).collect();
        let decisions = decide(&snapshots, &rule, now);
        prop_assert_eq!(decisions.len(), snapshots.len());
        let count = |reason| decisions.iter().filter(|d| d.reasons.contains(&reason)).count() as u32;
        prop_assert!(count(Reason::Daily) <= rule.daily);
        prop_assert!(count(Reason::Weekly) <= rule.weekly);
        prop_assert!(count(Reason::Monthly) <= rule.monthly);
        prop_assert!(count(Reason::Yearly) <= rule.yearly);
        prop_assert_eq!(count(Reason::Newest), 1);
        for decision in &decisions {
            let young = now < after(decision.snapshot.time, i64::from(rule.min_days) * DAY);
            let min = decision.reasons.iter().any(|r| matches!(r, Reason::MinDays(_)));
            prop_assert_eq!(min, young);
        }
    }

    /// Asking for more keeps at least as much, in any order of the snapshots.
    #[test]
    fn a_larger_rule_keeps_more(a in rule(), b in rule(), runs in runs(), later in 0..100 * DAY) {
        let more = Rule {
            daily: a.daily.max(b.daily),
            weekly: a.weekly.max(b.weekly),
            monthly: a.monthly.max(b.monthly),
            yearly: a.yearly.max(b.yearly),
            min_days: a.min_days.max(b.min_days),
        };
        let now = after(*runs.last().unwrap(), later);
        let mut snapshots: Vec<_> = runs.iter().copied().map(bare).collect();
        let few = ids(&decide(&snapshots, &a, now));
        snapshots.reverse();
        let many = ids(&decide(&snapshots, &more, now));
        prop_assert!(few.iter().all(|id| many.contains(id)));
    }
}

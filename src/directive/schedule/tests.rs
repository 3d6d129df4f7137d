use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    lima_time(text.parse().unwrap())
}

fn daily(times: &[&str], window: u32) -> Schedule {
    Schedule {
        days: Days::Daily,
        times: times.iter().map(|t| t.parse().unwrap()).collect(),
        window,
    }
}

fn texts(runs: impl Iterator<Item = Timestamp>, count: usize) -> Vec<String> {
    runs.take(count)
        .map(|run| super::super::lima().to_datetime(run).to_string())
        .collect()
}

#[test]
fn runs_are_at_the_wall_clock_of_lima() {
    let plan = daily(&["23:30", "02:00"], 60);
    let runs = texts(plan.after(at("2024-02-28T02:00")), 4);
    assert_eq!(
        runs,
        [
            "2024-02-28T23:30:00",
            "2024-02-29T02:00:00",
            "2024-02-29T23:30:00",
            "2024-03-01T02:00:00"
        ]
    );
    let next = plan.next(at("2024-02-28T02:00")).unwrap();
    assert_eq!(next.to_string(), "2024-02-29T04:30:00Z");
}

#[test]
fn weeks_and_months() {
    let weekly = Schedule {
        days: Days::Weekly([7, 3].into()),
        ..daily(&["01:00"], 60)
    };
    let runs = texts(weekly.after(at("2026-01-01T00:00")), 3);
    assert_eq!(
        runs,
        [
            "2026-01-04T01:00:00",
            "2026-01-07T01:00:00",
            "2026-01-11T01:00:00"
        ]
    );
    let monthly = Schedule {
        days: Days::Monthly(31),
        ..daily(&["01:00"], 60)
    };
    let runs = texts(monthly.after(at("2024-01-31T01:00")), 3);
    assert_eq!(
        runs,
        [
            "2024-02-29T01:00:00",
            "2024-03-31T01:00:00",
            "2024-04-30T01:00:00"
        ]
    );
}

#[test]
fn what_is_no_plan_is_refused_and_never_runs() {
    let with = |days, times: &[&str], window| Schedule {
        days,
        ..daily(times, window)
    };
    for (plan, reason) in [
        (with(Days::Daily, &[], 60), Invalid::NoTime),
        (
            with(Days::Weekly([].into()), &["01:00"], 60),
            Invalid::NoDay,
        ),
        (with(Days::Weekly([0].into()), &["01:00"], 60), Invalid::Day),
        (with(Days::Weekly([8].into()), &["01:00"], 60), Invalid::Day),
        (with(Days::Monthly(0), &["01:00"], 60), Invalid::Day),
        (with(Days::Monthly(32), &["01:00"], 60), Invalid::Day),
        (with(Days::Daily, &["01:00"], 0), Invalid::Window),
        (with(Days::Daily, &["01:00"], 10_081), Invalid::Window),
    ] {
        assert_eq!(plan.check(), Err(reason));
        assert_eq!(plan.next(at("2026-01-01T00:00")), None);
        assert_eq!(plan.due(at("2026-01-01T00:00"), at("2026-02-01T00:00")), []);
    }
}

#[test]
fn runs_missed_while_the_box_was_off_are_named() {
    let plan = daily(&["22:00"], 120);
    let run = |day: &str| at(&format!("2026-01-{day}T22:00"));
    let done = run("01");
    assert_eq!(plan.due(done, at("2026-01-02T21:59")), []);
    assert_eq!(plan.due(done, run("02")), [Due::Run(run("02"))]);
    let off = [
        Due::Missed(run("02")),
        Due::Missed(run("03")),
        Due::Run(run("04")),
    ];
    assert_eq!(plan.due(done, at("2026-01-04T23:59")), off);
    let late = [
        Due::Missed(run("02")),
        Due::Missed(run("03")),
        Due::Missed(run("04")),
    ];
    assert_eq!(plan.due(done, at("2026-01-05T00:00")), late);
}

#[test]
fn verification_is_due_on_the_next_working_day() {
    let peru = Holidays::peru();
    let noon = "12:00".parse().unwrap();
    for (day, due) in [
        ("2026-01-05", "2026-01-06T12:00"),
        // Friday, then a weekend.
        ("2026-01-09", "2026-01-12T12:00"),
        // Holy Thursday to Easter Sunday.
        ("2026-04-01", "2026-04-06T12:00"),
        // Fiestas Patrias.
        ("2026-07-27", "2026-07-30T12:00"),
    ] {
        assert_eq!(
            verify_until(day.parse().unwrap(), noon, &peru),
            at(due),
            "{day}"
        );
    }
}

fn plan() -> impl Strategy<Value = Schedule> {
    let days = prop_oneof![
        Just(Days::Daily),
        prop::collection::btree_set(1..=7u8, 1..7).prop_map(Days::Weekly),
        (1..=31u8).prop_map(Days::Monthly),
    ];
    let time = (0..24i8, 0..60i8).prop_map(|(h, m)| Time::new(h, m, 0, 0).unwrap());
    (days, prop::collection::btree_set(time, 1..4), 1..2000u32).prop_map(|(days, times, window)| {
        Schedule {
            days,
            times,
            window,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A driven clock over years, with outages: whenever the box looks, every
    /// planned run is begun in its window or named as missed, once.
    #[test]
    fn every_planned_run_is_settled_once(
        plan in plan(), looks in prop::collection::vec(1..60 * 24 * 40i64, 1..60)
    ) {
        let start = at("2023-12-30T07:00");
        let (mut now, mut done) = (start, start);
        let mut settled = Vec::new();
        for minutes in looks {
            now = after(now, minutes * 60);
            for due in plan.due(done, now) {
                let (Due::Run(planned) | Due::Missed(planned)) = due;
                if due == Due::Run(planned) {
                    prop_assert!(now < after(planned, i64::from(plan.window) * 60));
                }
                done = planned;
                settled.push(planned);
            }
        }
        // Counted minute by minute, another way.
        let mut expected = Vec::new();
        let mut minute = start;
        while minute < now {
            minute = after(minute, 60);
            let wall = super::super::lima().to_datetime(minute);
            let day = match &plan.days {
                Days::Daily => true,
                Days::Weekly(days) => days.contains(&(wall.date().weekday().to_monday_one_offset() as u8)),
                Days::Monthly(day) => {
                    let last = wall.date().last_of_month().day();
                    wall.day() == *day as i8 || (wall.day() == last && *day as i8 > last)
                }
            };
            if day && plan.times.contains(&wall.time()) {
                expected.push(minute);
            }
        }
        prop_assert_eq!(settled, expected);
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), plan);
    }

    #[test]
    fn the_next_working_day_is_one_and_none_is_skipped(days in 0..20_000i32) {
        let peru = Holidays::peru();
        let date: Date = "2000-01-01".parse().unwrap();
        let date = date.checked_add(jiff::Span::new().days(days)).unwrap();
        let next = next_working(date, &peru);
        prop_assert!(working(next, &peru));
        let mut day = date.tomorrow().unwrap();
        while day < next {
            prop_assert!(!working(day, &peru));
            day = day.tomorrow().unwrap();
        }
    }
}

//! Unusual change, on histories made up to look like real sources.

use proptest::prelude::*;

use super::*;

/// An office's file server: a few per cent change on a working day, documents
/// that compress, the usual types.
fn office(day: u64) -> Observation {
    let weekend = day % 7 >= 5;
    let changed = if weekend { 40 } else { 3000 + day * 37 % 900 };
    Observation {
        before: 100_000 + day * 50,
        changed,
        deleted: changed / 10,
        added: changed / 5,
        bytes: changed * 200_000,
        random: changed * 200_000 * (200 + day * 13 % 90) / 1000,
        types: [
            ("docx", changed / 2),
            ("xlsx", changed / 3),
            ("pdf", changed / 6),
        ]
        .map(|(kind, files)| (kind.to_owned(), files))
        .into(),
    }
}

/// A database's dump: one file that is another each night.
fn dump(day: u64) -> Observation {
    Observation {
        before: 40,
        changed: 40,
        bytes: 50 << 30,
        random: (3 << 30) + (day << 20),
        types: [("sql".to_owned(), 40)].into(),
        ..Observation::default()
    }
}

/// An archive of photographs: random bytes are its habit.
fn photos(day: u64) -> Observation {
    let added = 200 + day * 31 % 100;
    Observation {
        before: 500_000,
        changed: 25,
        added,
        bytes: added * 4_000_000,
        random: added * 4_000_000 * (980 + day % 19) / 1000,
        types: [("jpg".to_owned(), added)].into(),
        ..Observation::default()
    }
}

fn history(of: fn(u64) -> Observation, days: u64) -> Vec<Observation> {
    (0..days).map(of).collect()
}

fn found(history: &[Observation], now: &Observation) -> Vec<Measure> {
    let found = unusual(history, now, &Limits::default());
    found.into_iter().map(|finding| finding.measure).collect()
}

#[test]
fn ordinary_years_raise_nothing() {
    for of in [office, dump, photos] {
        let all = history(of, 400);
        for day in 7..400 {
            let from = day.max(30) - 30;
            assert_eq!(found(&all[from..day], &all[day]), [], "day {day}");
        }
    }
}

#[test]
fn encryption_is_found_whatever_the_day() {
    for day in 7..60 {
        let past = history(office, day);
        let hit = Observation {
            changed: 60_000,
            bytes: 12 << 30,
            random: 12_800_000_000,
            types: [("locked".to_owned(), 60_000)].into(),
            ..office(day)
        };
        assert_eq!(
            found(&past, &hit),
            [Measure::Changed, Measure::Random, Measure::Types]
        );
    }
    // A dump that changes wholly every night still compresses every night.
    let hit = Observation {
        random: 50 << 30,
        ..dump(30)
    };
    assert_eq!(found(&history(dump, 30), &hit), [Measure::Random]);
    // Photographs renamed and encrypted: their type and their number tell.
    let hit = Observation {
        changed: 450_000,
        types: [("jpg.enc".to_owned(), 450_000)].into(),
        ..photos(30)
    };
    assert_eq!(
        found(&history(photos, 30), &hit),
        [Measure::Changed, Measure::Types]
    );
}

#[test]
fn deletion_is_found() {
    let hit = Observation {
        deleted: 50_000,
        ..office(30)
    };
    assert_eq!(found(&history(office, 30), &hit), [Measure::Deleted]);
}

/// Half of the days a quarter changes: a fifth more is usual for this source,
/// and almost everything never is.
#[test]
fn a_source_that_strays_has_wider_limits_but_not_endless_ones() {
    let wild = |day: u64| Observation {
        before: 1000,
        changed: 100 + day % 2 * 250,
        ..Observation::default()
    };
    let past = history(wild, 30);
    let of = |changed| found(&past, &Observation { changed, ..wild(0) });
    assert_eq!(of(540), []);
    assert_eq!(of(990), [Measure::Changed]);
}

#[test]
fn without_a_history_only_the_plain_is_unusual() {
    let past = history(office, 3);
    assert_eq!(
        found(
            &past,
            &Observation {
                changed: 50_000,
                ..office(3)
            }
        ),
        []
    );
    assert_eq!(
        found(
            &past,
            &Observation {
                changed: 70_000,
                deleted: 70_000,
                ..office(3)
            }
        ),
        [Measure::Changed, Measure::Deleted]
    );
    assert_eq!(found(&[], &office(0)), []);
}

#[test]
fn small_sources_are_left_alone() {
    let small = |_| Observation {
        before: 10,
        changed: 1,
        bytes: 1000,
        types: [("conf".to_owned(), 1)].into(),
        ..Observation::default()
    };
    let all = Observation {
        changed: 10,
        deleted: 10,
        random: 1000,
        types: [("new".to_owned(), 10)].into(),
        ..small(0)
    };
    assert_eq!(found(&history(small, 30), &all), []);
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let figures = prop::array::uniform6(any::<u64>().prop_map(|n| n >> 2));
    let types = prop::collection::btree_map("[a-c]", any::<u32>().prop_map(u64::from), 0..4);
    (figures, types).prop_map(
        |([before, changed, deleted, added, bytes, random], types)| Observation {
            before,
            changed,
            deleted,
            added,
            bytes,
            random,
            types,
        },
    )
}

proptest! {
    /// Any figures are judged without overflow, whatever their order, and a
    /// larger share of the same thing is never less unusual.
    #[test]
    fn any_figures(past in prop::collection::vec(any_observation(), 0..20), now in any_observation()) {
        let forward = unusual(&past, &now, &Limits::default());
        let mut backward = past.clone();
        backward.reverse();
        prop_assert_eq!(&unusual(&backward, &now, &Limits::default()), &forward);
        for finding in &forward {
            prop_assert!(finding.share >= finding.limit && finding.share > finding.usual);
        }
        let more = Observation { changed: now.changed.saturating_mul(2), ..now.clone() };
        let worse = unusual(&past, &more, &Limits::default());
        let changed = |found: &[Finding]| found.iter().any(|f| f.measure == Measure::Changed);
        prop_assert!(!changed(&forward) || changed(&worse));
    }
}

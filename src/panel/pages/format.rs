//! How quantities are written for people: sizes in binary units, times in
//! Lima, durations in words, numbers with the language's separators.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::panel::texts::Language;

/// Lima keeps UTC−5 all year; the time-zone data, where present, also know
/// the summers before 1995.
static LIMA: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZone::get("America/Lima").unwrap_or_else(|_| TimeZone::fixed(Offset::constant(-5)))
});

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A whole number with its thousands apart: `79 123` from five digits on in
/// Spanish (with a space that does not break), `79,123` in English.
pub fn count(language: Language, n: u64) -> String {
    let digits = n.to_string();
    let (separator, from) = match language {
        Language::Spanish => ('\u{a0}', 5),
        Language::English => (',', 4),
    };
    if digits.len() < from {
        return digits;
    }
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

/// Bytes in human units: `0 bytes`, `812 bytes`, `1,5 GiB`, `23,1 TiB`.
pub fn size(language: Language, bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        let word = if bytes == 1 { "byte" } else { "bytes" };
        return format!("{bytes}\u{a0}{word}");
    }
    let mut unit = 0;
    // Tenths of the unit, rounded to the nearest; u128 cannot overflow here.
    let tenths = |unit: usize| {
        let one = 1u128 << (10 * (unit + 1));
        (u128::from(bytes) * 10 + one / 2) / one
    };
    while unit + 1 < UNITS.len() && tenths(unit) >= 10_240 {
        unit += 1;
    }
    let tenths = tenths(unit);
    let point = match language {
        Language::Spanish => ',',
        Language::English => '.',
    };
    if tenths >= 1000 || tenths.is_multiple_of(10) {
        let whole = (tenths + 5) / 10;
        let whole = count(language, u64::try_from(whole).unwrap_or(u64::MAX));
        format!("{whole}\u{a0}{}", UNITS[unit])
    } else {
        format!("{}{point}{}\u{a0}{}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

/// A speed in bytes per second: `12,3 MiB/s`.
pub fn speed(language: Language, bytes_per_second: u64) -> String {
    format!("{}/s", size(language, bytes_per_second))
}

/// Day and time in Lima: `23/11/2026 11:04`, `23 Nov 2026, 11:04`.
pub fn time(language: Language, at: Timestamp) -> String {
    let z = at.to_zoned(LIMA.clone());
    let (d, t) = (z.date(), z.time());
    let clock = format!("{:02}:{:02}", t.hour(), t.minute());
    match language {
        Language::Spanish => format!("{:02}/{:02}/{} {clock}", d.day(), d.month(), d.year()),
        Language::English => {
            let month = usize::try_from(d.month() - 1).unwrap_or_default();
            format!("{} {} {}, {clock}", d.day(), MONTHS[month % 12], d.year())
        }
    }
}

/// Only the clock, with seconds: `11:04:09`.
pub fn clock(at: Timestamp) -> String {
    let t = at.to_zoned(LIMA.clone()).time();
    format!("{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second())
}

/// A duration in the two largest units: `2 h 05 min`, `3 min 20 s`, `7 s`,
/// `< 1 s`.
pub fn duration(seconds: u64) -> String {
    let (d, h, m, s) = (
        seconds / 86_400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    );
    if seconds == 0 {
        "<\u{a0}1\u{a0}s".to_owned()
    } else if d > 0 {
        format!("{d}\u{a0}d {h}\u{a0}h")
    } else if h > 0 {
        format!("{h}\u{a0}h {m:02}\u{a0}min")
    } else if m > 0 {
        format!("{m}\u{a0}min {s:02}\u{a0}s")
    } else {
        format!("{s}\u{a0}s")
    }
}

/// How long ago, in words: `hace 3 horas`, `3 hours ago`. The future (a clock
/// that was wrong) counts as now.
pub fn ago(language: Language, at: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(now.as_second() - at.as_second()).unwrap_or(0);
    let text = match seconds {
        0..60 => language.t("ago-now"),
        60..3600 => language.f("ago-minutes", [("n", (seconds / 60).into())]),
        3600..172_800 => language.f("ago-hours", [("n", (seconds / 3600).into())]),
        _ => language.f("ago-days", [("n", (seconds / 86_400).into())]),
    };
    text.into_owned()
}

/// Permission bits as `ls` writes them, without the type: `rwxr-x---`.
pub fn mode(bits: u32) -> String {
    let mut out = String::with_capacity(9);
    for (shift, special, on, off) in [
        (6, 0o4000, 's', 'S'),
        (3, 0o2000, 's', 'S'),
        (0, 0o1000, 't', 'T'),
    ] {
        let three = bits >> shift & 7;
        out.push(if three & 4 != 0 { 'r' } else { '-' });
        out.push(if three & 2 != 0 { 'w' } else { '-' });
        out.push(match (bits & special != 0, three & 1 != 0) {
            (true, true) => on,
            (true, false) => off,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ES: Language = Language::Spanish;
    const EN: Language = Language::English;

    #[test]
    fn sizes() {
        assert_eq!(size(ES, 0), "0\u{a0}bytes");
        assert_eq!(size(ES, 1), "1\u{a0}byte");
        assert_eq!(size(ES, 1023), "1023\u{a0}bytes");
        assert_eq!(size(ES, 1536), "1,5\u{a0}KiB");
        assert_eq!(size(EN, 1536), "1.5\u{a0}KiB");
        assert_eq!(size(ES, 1 << 20), "1\u{a0}MiB");
        assert_eq!(size(ES, (1 << 20) - 1), "1\u{a0}MiB");
        assert_eq!(size(ES, 500 << 30), "500\u{a0}GiB");
        assert_eq!(size(ES, u64::MAX), "16\u{a0}EiB");
    }

    #[test]
    fn times_are_in_lima() {
        let at: Timestamp = "2026-11-23T03:04:09Z".parse().unwrap();
        assert_eq!(time(ES, at), "22/11/2026 22:04");
        assert_eq!(time(EN, at), "22 Nov 2026, 22:04");
        assert_eq!(clock(at), "22:04:09");
    }

    #[test]
    fn durations_and_ages() {
        assert_eq!(duration(0), "<\u{a0}1\u{a0}s");
        assert_eq!(duration(7), "7\u{a0}s");
        assert_eq!(duration(200), "3\u{a0}min 20\u{a0}s");
        assert_eq!(duration(7500), "2\u{a0}h 05\u{a0}min");
        assert_eq!(duration(90_000), "1\u{a0}d 1\u{a0}h");
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let at = |s: &str| s.parse::<Timestamp>().unwrap();
        assert_eq!(ago(ES, at("2026-11-23T09:00:00Z"), now), "hace 3 horas");
        assert_eq!(ago(ES, at("2026-11-23T11:59:00Z"), now), "hace 1 minuto");
        assert_eq!(ago(EN, at("2026-11-20T09:00:00Z"), now), "3 days ago");
        assert_eq!(ago(ES, at("2026-11-24T09:00:00Z"), now), "hace un momento");
    }

    #[test]
    fn modes() {
        assert_eq!(mode(0o755), "rwxr-xr-x");
        assert_eq!(mode(0o4750), "rwsr-x---");
        assert_eq!(mode(0o1777), "rwxrwxrwt");
        assert_eq!(mode(0o2640), "rw-r-S---");
    }
}

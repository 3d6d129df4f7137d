//! Figures and names as people read them on a terminal.

use jiff::tz::TimeZone;

/// `1.5 GiB`: three significant digits at most, binary units.
pub(crate) fn bytes(n: u64) -> String {
    indicatif::HumanBytes(n).to_string()
}

/// A time in the machine's own time zone, to the second.
pub(crate) fn time(t: jiff::Timestamp) -> String {
    t.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// Bytes of a name as text that cannot disturb a terminal.
pub(crate) fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// `-rw-r--r--` for a type letter and permission bits.
pub(crate) fn mode(letter: char, mode: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push(letter);
    for (shift, special, with, without) in [
        (6, 0o4000, 's', 'S'),
        (3, 0o2000, 's', 'S'),
        (0, 0o1000, 't', 'T'),
    ] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => with,
            (false, true) => without,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A path of names as text that cannot disturb a terminal; the top is `.`.
pub(crate) fn path(names: &[Vec<u8>]) -> String {
    if names.is_empty() {
        return ".".into();
    }
    let names: Vec<_> = names.iter().map(|n| name(n)).collect();
    names.join("/")
}

/// Prints rows under a header, columns aligned; the columns listed in `right` to the right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> std::io::Result<()> {
    self::rows(header, rows, right, &mut Vec::new())
}

/// A part of a table that comes in parts: the header only with the first one.
/// `widths` keeps the columns' widths from part to part; they only grow.
pub(crate) fn rows(
    header: &[&str],
    rows: &[Vec<String>],
    right: &[usize],
    widths: &mut Vec<usize>,
) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut measure = |column: usize, cell: &str| {
        if column == widths.len() {
            widths.push(0);
        }
        widths[column] = widths[column].max(cell.chars().count());
    };
    for (column, cell) in header.iter().enumerate() {
        measure(column, cell);
    }
    for (column, cell) in rows.iter().flat_map(|row| row.iter().enumerate()) {
        measure(column, cell);
    }
    let mut out = std::io::stdout().lock();
    let mut line = |cells: &[&str]| {
        let mut text = String::new();
        for (column, (cell, width)) in cells.iter().zip(&*widths).enumerate() {
            if column > 0 {
                text.push_str("  ");
            }
            let pad = " ".repeat(width - cell.chars().count());
            if right.contains(&column) {
                text.push_str(&pad);
                text.push_str(cell);
            } else {
                text.push_str(cell);
                text.push_str(&pad);
            }
        }
        writeln!(out, "{}", text.trim_end())
    };
    if !header.is_empty() {
        line(header)?;
    }
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Prints a value as one JSON document.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    use std::io::Write as _;
    let text = serde_json::to_string_pretty(value)?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_shows_special_bits() {
        assert_eq!(mode('-', 0o644), "-rw-r--r--");
        assert_eq!(mode('d', 0o1777), "drwxrwxrwt");
        assert_eq!(mode('-', 0o6750), "-rwsr-s---");
        assert_eq!(mode('-', 0o4644), "-rwSr--r--");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(name(b"a\x1b[31m\nb\xff"), "a\u{fffd}[31m\u{fffd}b\u{fffd}");
    }
}

//! The names in a folder, packed.

use std::ops::Range;

/// What a folder's listing gives: names, each with a note of the source's own
/// that helps it examine the entry later. They lie together in a few buffers, so
/// that a folder of a million names costs its names' bytes and little more.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Buffers of records: length of the name and of the note in two bytes each,
    /// name, note.
    buffers: Vec<Vec<u8>>,
    /// The buffer of each record and its place in it.
    at: Vec<(u32, u32)>,
}

/// Bytes of a buffer. Several, because one that grows is copied, and is up to
/// twice as large as it needs to be.
const BUFFER: usize = 1 << 20;

impl Names {
    /// Adds a name and its note, each cut after 65,535 bytes. No file system has
    /// such names; the engine warns of them and saves nothing.
    pub fn push(&mut self, name: &[u8], note: &[u8]) {
        let fields = [name, note].map(|f| &f[..f.len().min(usize::from(u16::MAX))]);
        let room = 4 + fields[0].len() + fields[1].len();
        let full = |last: &Vec<u8>| last.len() + room > BUFFER;
        if self.buffers.last().is_none_or(full) {
            // The first one grows, as most folders are small.
            let begin = if self.buffers.is_empty() { 0 } else { BUFFER };
            self.buffers.push(Vec::with_capacity(begin));
        }
        let which = self.buffers.len() - 1;
        let buffer = &mut self.buffers[which];
        // Both are below 2^32: a buffer is a MiB, and 4 PiB of names do not fit in memory.
        self.at.push((which as u32, buffer.len() as u32));
        for field in fields {
            buffer.extend_from_slice(&(field.len() as u16).to_le_bytes());
        }
        for field in fields {
            buffer.extend_from_slice(field);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// The name in place `i`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn name(&self, i: usize) -> &[u8] {
        record(&self.buffers, self.at[i]).0
    }

    /// The note in place `i`.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn note(&self, i: usize) -> &[u8] {
        record(&self.buffers, self.at[i]).1
    }

    /// Names and notes of a range of places.
    pub fn range(&self, which: Range<usize>) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.at[which].iter().map(|&at| record(&self.buffers, at))
    }

    /// Brings the names into ascending order of their bytes; equal ones stay in theirs.
    pub fn sort(&mut self) {
        let buffers = &self.buffers;
        let name = |&at: &(u32, u32)| record(buffers, at).0;
        if !self.at.is_sorted_by_key(name) {
            // Records lie in the order they came.
            self.at
                .sort_unstable_by(|a, b| name(a).cmp(name(b)).then(a.cmp(b)));
        }
    }
}

fn record(buffers: &[Vec<u8>], (which, at): (u32, u32)) -> (&[u8], &[u8]) {
    let (bytes, at) = (&buffers[which as usize], at as usize);
    let length = |i: usize| usize::from(u16::from_le_bytes([bytes[i], bytes[i + 1]]));
    let name = at + 4;
    let note = name + length(at);
    (&bytes[name..note], &bytes[note..note + length(at + 2)])
}

impl<'n> FromIterator<&'n [u8]> for Names {
    /// Names without notes.
    fn from_iter<I: IntoIterator<Item = &'n [u8]>>(names: I) -> Self {
        let mut all = Self::default();
        for name in names {
            all.push(name, b"");
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_keep_their_notes() {
        let mut names = Names::default();
        for (name, note) in [
            ("b", "1"),
            ("", "2"),
            ("a\u{ff}", "3"),
            ("b", "4"),
            ("a", ""),
        ] {
            names.push(name.as_bytes(), note.as_bytes());
        }
        names.push(&[b'x'; 65536], b"");
        names.sort();
        assert_eq!(names.name(5), [b'x'; 65535], "cut");
        let all: Vec<_> = names.range(0..5).map(|(a, b)| (str(a), str(b))).collect();
        assert_eq!(
            all,
            [
                ("", "2"),
                ("a", ""),
                ("a\u{ff}", "3"),
                ("b", "1"),
                ("b", "4")
            ]
        );
        assert_eq!(
            (names.name(2), names.note(2)),
            ("a\u{ff}".as_bytes(), &b"3"[..])
        );
    }

    fn str(b: &[u8]) -> &str {
        std::str::from_utf8(b).unwrap()
    }
}

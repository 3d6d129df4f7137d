//! The checker: goes along the chain and says which record breaks it, and how.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use jiff::civil::Date;

use super::{END, Error, Head, LONGEST, MARK, Record};
use crate::directive::{Hash, lima_date};

/// The place where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Break {
    /// Counted from 1.
    pub line: u64,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The line does not end with a newline.
    #[error("the line has no end")]
    Unfinished,
    /// The line is longer than any that was written.
    #[error("the line is too long")]
    TooLong,
    /// It is not a record.
    #[error("not a record")]
    NotARecord,
    /// A later software wrote it.
    #[error("its form is of version {0}, unknown to this software")]
    Version(u32),
    /// Records are missing, doubled or exchanged before it.
    #[error("its number is {found}, but {expected} comes next")]
    Number {
        /// The number that comes next.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// It was made after another record than the one before it.
    #[error("it does not follow the record before it")]
    Previous,
    /// It is not what was written.
    #[error("its hash is not that of its content")]
    Hash,
    /// It is not the record that a head known from elsewhere names.
    #[error("it is not the record that the known head names")]
    Head,
    /// The chain ends before the record that a known head names.
    #[error("the chain ends before record {0}, which is known to have been written")]
    Missing(u64),
}

/// What a whole chain says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How many records.
    pub records: u64,
    /// The number of the first.
    pub first: u64,
    /// Its end; `None` if it is empty.
    pub head: Option<Head>,
    /// The end of each day, by the date in Lima on its records.
    pub days: BTreeMap<Date, Head>,
}

/// Goes along a chain, record by record.
#[derive(Clone, Debug)]
pub struct Checker {
    /// The next number and the hash it must name; `None` takes any.
    next: Option<(u64, Hash)>,
    lines: u64,
    first: u64,
    head: Option<Head>,
    days: BTreeMap<Date, Head>,
    known: BTreeMap<u64, Hash>,
}

impl Checker {
    /// For a chain from its very beginning.
    pub fn whole() -> Self {
        Self {
            next: Some((0, Hash::NONE)),
            ..Self::part()
        }
    }

    /// For an excerpt: the first record may be any.
    pub fn part() -> Self {
        Self {
            next: None,
            lines: 0,
            first: 0,
            head: None,
            days: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    }

    /// Also holds the chain against heads known from elsewhere: a mail, a
    /// printed report.
    #[must_use]
    pub fn knowing(mut self, heads: impl IntoIterator<Item = Head>) -> Self {
        self.known
            .extend(heads.into_iter().map(|head| (head.seq, head.hash)));
        self
    }

    /// Takes the next line, without its newline; a bad one is not taken.
    pub fn line(&mut self, line: &[u8]) -> Result<Record, Break> {
        let record = self.read(line).map_err(|reason| self.stop(reason))?;
        self.lines += 1;
        Ok(record)
    }

    fn read(&mut self, line: &[u8]) -> Result<Record, Reason> {
        let (record, hash, sound) = parse(line)?;
        if record.v != 1 {
            return Err(Reason::Version(record.v));
        }
        if !sound {
            return Err(Reason::Hash);
        }
        if let Some((expected, prev)) = self.next {
            if record.seq != expected {
                return Err(Reason::Number {
                    expected,
                    found: record.seq,
                });
            }
            if record.prev != prev {
                return Err(Reason::Previous);
            }
        }
        if self.known.get(&record.seq).is_some_and(|k| *k != hash) {
            return Err(Reason::Head);
        }
        let next = record.seq.checked_add(1).ok_or(Reason::NotARecord)?;
        if self.next.is_none() {
            self.first = record.seq;
        }
        let head = Head {
            seq: record.seq,
            hash,
        };
        self.next = Some((next, hash));
        self.head = Some(head);
        self.days.insert(lima_date(record.time), head);
        Ok(record)
    }

    /// Where the chain ends up to now.
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// The line after the last one.
    pub(super) fn stop(&self, reason: Reason) -> Break {
        Break {
            line: self.lines + 1,
            reason,
        }
    }

    /// The end: every known head must have been met.
    pub fn finish(self) -> Result<Checked, Break> {
        let missing = self
            .known
            .keys()
            .next_back()
            .copied()
            .filter(|seq| self.head.is_none_or(|head| head.seq < *seq));
        if let Some(seq) = missing {
            return Err(self.stop(Reason::Missing(seq)));
        }
        Ok(Checked {
            records: self.lines,
            first: self.first,
            head: self.head,
            days: self.days,
        })
    }
}

/// Checks an export. Every line must be whole, also the last.
pub fn check(from: impl BufRead, mut checker: Checker) -> Result<Checked, Error> {
    let mut lines = Lines::new(from);
    while let Some(line) = lines.next_line()? {
        match line {
            Line::Whole(bytes) => checker.line(bytes)?,
            Line::Unfinished => return Err(checker.stop(Reason::Unfinished).into()),
            Line::TooLong => return Err(checker.stop(Reason::TooLong).into()),
        };
    }
    Ok(checker.finish()?)
}

/// A record, the hash it carries, and whether that is the hash of its bytes.
fn parse(line: &[u8]) -> Result<(Record, Hash, bool), Reason> {
    let cut = MARK.len() + 64 + END.len();
    let at = line.len().checked_sub(cut).ok_or(Reason::NotARecord)?;
    let (body, tail) = line.split_at(at);
    let digits = tail
        .strip_prefix(MARK)
        .and_then(|tail| tail.strip_suffix(END))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .ok_or(Reason::NotARecord)?;
    let hash: Hash = digits.parse().map_err(|_| Reason::NotARecord)?;
    // One way to write a hash, so that a changed letter is a changed record.
    if hash.to_string() != digits {
        return Err(Reason::NotARecord);
    }
    let sound = Hash::of(body) == hash;
    let mut json = body.to_vec();
    json.push(b'}');
    match serde_json::from_slice(&json) {
        Ok(record) => Ok((record, hash, sound)),
        Err(_) if sound => Err(Reason::NotARecord),
        // Changed bytes, whatever they now mean.
        Err(_) => Err(Reason::Hash),
    }
}

pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    Unfinished,
    TooLong,
}

/// Lines of bounded length.
pub(super) struct Lines<R> {
    from: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            line: Vec::new(),
        }
    }

    pub fn next_line(&mut self) -> std::io::Result<Option<Line<'_>>> {
        self.line.clear();
        let read = (&mut self.from)
            .take(LONGEST as u64 + 1)
            .read_until(b'\n', &mut self.line)?;
        Ok(match self.line.strip_suffix(b"\n") {
            _ if read == 0 => None,
            _ if read > LONGEST => Some(Line::TooLong),
            Some(line) => Some(Line::Whole(line)),
            None => Some(Line::Unfinished),
        })
    }

    /// The bytes of the line read last, its newline included.
    pub fn last(&self) -> &[u8] {
        &self.line
    }
}

//! The log's file: opened whole and checked, then only ever appended to.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::check::{Line, Lines};
use super::{
    Break, Checked, Checker, END, Error, Event, FILE, Head, LONGEST, MARK, Reason, Record,
};
use crate::directive::Hash;

/// What was cut off the end when the log was opened. It never counted as
/// written; write down that it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes.
    pub bytes: u64,
    /// Their hash.
    pub hash: Hash,
}

/// A record made ready for the end of the log, not yet written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Where the chain will end once it is written.
    pub head: Head,
    /// Its line, the newline included.
    pub line: Vec<u8>,
}

/// The open log. One program at a time.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    /// Bytes of the file that are whole records.
    len: u64,
    head: Option<Head>,
    failed: bool,
}

impl Log {
    /// Opens the log in a folder, or begins one. The whole chain is checked,
    /// and held against the last head that the caller knows, if any.
    pub fn open(folder: &Path, known: Option<Head>) -> Result<(Self, Option<Cut>), Error> {
        let path = folder.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)?;
        file.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => Error::Busy,
            TryLockError::Error(e) => Error::Io(e),
        })?;
        File::open(folder)?.sync_all()?;
        let (checked, len, cut) = go_through(&file, Checker::whole().knowing(known))?;
        if cut.is_some() {
            file.set_len(len)?;
            file.sync_all()?;
        }
        let log = Self {
            path,
            file,
            len,
            head: checked.head,
            failed: false,
        };
        Ok((log, cut))
    }

    /// Where the chain ends; `None` if nothing was ever written.
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// Makes a record ready for the end of the log as it is now.
    pub fn prepare(&self, event: Event) -> Result<Pending, Error> {
        let (seq, prev) = match self.head {
            Some(head) => (head.seq + 1, head.hash),
            None => (0, Hash::NONE),
        };
        let record = Record {
            v: 1,
            seq,
            time: event.time,
            who: event.who,
            act: event.act,
            subject: event.subject,
            data: event.data,
            prev,
        };
        let mut line = serde_json::to_vec(&record)?;
        line.pop();
        let hash = Hash::of(&line);
        line.extend_from_slice(MARK);
        line.extend_from_slice(hash.to_string().as_bytes());
        line.extend_from_slice(END);
        line.push(b'\n');
        if line.len() > LONGEST {
            return Err(Error::TooLong(line.len()));
        }
        let head = Head { seq, hash };
        Ok(Pending { head, line })
    }

    /// Writes a record that was made ready; it is on the disk when this
    /// returns. One that is already there, byte for byte, at the end is fine.
    pub fn write(&mut self, pending: &Pending) -> Result<Head, Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        if self.head == Some(pending.head) {
            return Ok(pending.head);
        }
        let mut next = Checker::part();
        let line = pending.line.strip_suffix(b"\n").unwrap_or_default();
        let record = next.line(line).map_err(|_| Error::NotNext)?;
        let end = self.head.map(|head| (head.seq + 1, head.hash));
        if end.unwrap_or((0, Hash::NONE)) != (record.seq, record.prev)
            || next.head() != Some(pending.head)
        {
            return Err(Error::NotNext);
        }
        self.failed = true;
        if let Err(e) = self.file.write_all(&pending.line) {
            // Nothing was promised yet: what got through is taken back.
            self.file.set_len(self.len)?;
            self.file.sync_all()?;
            self.failed = false;
            return Err(e.into());
        }
        // After a failed sync nobody knows what is on the disk.
        self.file.sync_all()?;
        self.failed = false;
        self.len += pending.line.len() as u64;
        self.head = Some(pending.head);
        Ok(pending.head)
    }

    /// Writes an event down; it is on the disk when this returns.
    pub fn append(&mut self, event: Event) -> Result<Head, Error> {
        let pending = self.prepare(event)?;
        self.write(&pending)
    }

    /// The end of each day, by the date in Lima on its records.
    pub fn days(&self) -> Result<BTreeMap<Date, Head>, Error> {
        self.each(|_, _| Ok(())).map(|checked| checked.days)
    }

    /// Gives every record to `with`, oldest first, and its line with the
    /// newline. The chain is checked on the way.
    pub fn each(
        &self,
        mut with: impl FnMut(Record, &[u8]) -> std::io::Result<()>,
    ) -> Result<Checked, Error> {
        let file = File::open(&self.path)?;
        let mut lines = Lines::new(BufReader::new(file.take(self.len)));
        let mut checker = Checker::whole().knowing(self.head);
        while let Some(line) = lines.next_line()? {
            let record = match line {
                Line::Whole(bytes) => checker.line(bytes)?,
                Line::Unfinished => return Err(checker.stop(Reason::Unfinished).into()),
                Line::TooLong => return Err(checker.stop(Reason::TooLong).into()),
            };
            with(record, lines.last())?;
        }
        Ok(checker.finish()?)
    }

    /// Writes the lines from one number up to before another, as they stand.
    pub fn export(
        &self,
        numbers: std::ops::Range<u64>,
        mut to: impl Write,
    ) -> Result<Checked, Error> {
        self.each(|record, line| {
            if numbers.contains(&record.seq) {
                to.write_all(line)?;
            }
            Ok(())
        })
    }
}

/// Checks the file from its beginning; says where the whole records end, and
/// what hangs over.
fn go_through(mut file: &File, mut checker: Checker) -> Result<(Checked, u64, Option<Cut>), Error> {
    file.rewind()?;
    let size = file.metadata()?.len();
    let mut lines = Lines::new(BufReader::new(file));
    let mut len = 0;
    let mut cut = None;
    while let Some(line) = lines.next_line()? {
        let broken: Option<Break> = match line {
            Line::Whole(bytes) => checker.line(bytes).err(),
            Line::Unfinished => Some(checker.stop(Reason::Unfinished)),
            Line::TooLong => Some(checker.stop(Reason::TooLong)),
        };
        let here = lines.last().len() as u64;
        match broken {
            None => len += here,
            Some(_) if len + here == size && torn(lines.last(), &checker) => {
                cut = Some(Cut {
                    bytes: here,
                    hash: Hash::of(lines.last()),
                });
                break;
            }
            Some(broken) => return Err(broken.into()),
        }
    }
    Ok((checker.finish()?, len, cut))
}

/// Whether a power cut left the last line like this: its end is missing, or
/// blocks of it never reached the disk and read as zeros (JSON never holds a
/// zero byte). A whole record with something behind it is damage instead: it
/// may have been promised.
fn torn(line: &[u8], before: &Checker) -> bool {
    let unwritten = line.last() != Some(&b'\n') || line.contains(&0);
    let ends = line.windows(END.len()).enumerate();
    let mut ends = ends.filter(|(_, bytes)| *bytes == END);
    let record = ends.find_map(|(at, _)| {
        let (record, rest) = line.split_at(at + END.len());
        before.clone().line(record).is_ok().then_some(rest)
    });
    unwritten && record.is_none_or(|rest| rest.iter().all(|byte| *byte == 0))
}

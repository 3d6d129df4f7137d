//! A file on a file server, read ahead of its reader: requests for the next
//! few megabytes are always under way, and a file whose connection breaks is
//! opened again and read on, if it is still the same.

use std::collections::VecDeque;
use std::sync::Arc;

use super::meta;
use crate::engine::tree::{Input, Meta};
use crate::engine::{Error, Kind, Result};
use crate::sftp::client::{Client, Failed, InUse};
use crate::sftp::lane::Asked;
use crate::sftp::show;
use crate::sftp::wire::{Attrs, Fault, Frame, Packet, kind, open};

/// Bytes asked for ahead of the reader, for each open file.
const AHEAD: u64 = 4 << 20;
/// How often one file is opened again after its connection broke.
const REOPENINGS: u32 = 3;

/// Opens a file for reading from its beginning.
pub(super) fn open_input(client: &Arc<Client>, path: Vec<u8>) -> Result<SftpInput> {
    let (opened, first) = open_file(client, &path, 0)
        .map_err(|f| f.say(format!("opening {}:{}", client.name, show(&path))))?;
    let longest = opened.lane.offers.longest_read;
    Ok(SftpInput {
        client: client.clone(),
        path,
        opened,
        at: 0,
        have: None,
        asked: VecDeque::from([(longest, first)]),
        asked_to: u64::from(longest),
        reopened: 0,
    })
}

/// An open handle, closed when dropped, and the lane it is known on.
struct Opened {
    lane: InUse,
    handle: Vec<u8>,
    attrs: Attrs,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.lane.close(&self.handle);
    }
}

/// Opens a file and, without waiting for more answers than it must, asks for
/// the first piece from `at`.
fn open_file(client: &Client, path: &[u8], at: u64) -> Result<(Opened, Asked), Failed> {
    let mut broken = 0;
    loop {
        let lane = client.lane().map_err(Failed::Engine)?;
        match open_on(lane, path, at) {
            Err(Fault::Lost(_)) if broken < REOPENINGS => broken += 1,
            other => return other.map_err(Failed::Fault),
        }
    }
}

fn open_on(lane: InUse, path: &[u8], at: u64) -> Result<(Opened, Asked), Fault> {
    let request = Packet::new(kind::OPEN).bytes(path).u32(open::READ);
    let handle = lane.ask(request.attrs(&Attrs::default()))?.handle()?;
    let mut opened = Opened {
        lane,
        handle,
        attrs: Attrs::default(),
    };
    let examined = opened
        .lane
        .send(Packet::new(kind::FSTAT).bytes(&opened.handle))?;
    let first = opened.lane.send(
        Packet::new(kind::READ)
            .bytes(&opened.handle)
            .u64(at)
            .u32(opened.lane.offers.longest_read),
    )?;
    opened.attrs = examined.wait()?.attrs()?;
    Ok((opened, first))
}

/// An open file, read ahead of its reader.
pub(super) struct SftpInput {
    client: Arc<Client>,
    path: Vec<u8>,
    opened: Opened,
    /// Where the pieces received so far end.
    at: u64,
    /// The piece being handed out, and how much of it has been.
    have: Option<(Frame, usize)>,
    /// Requests under way, in the order of the file from `at` on, with the
    /// length asked for.
    asked: VecDeque<(u32, Asked)>,
    /// Where the next request begins.
    asked_to: u64,
    reopened: u32,
}

impl SftpInput {
    /// Keeps the line full of requests.
    fn ask_ahead(&mut self) -> Result<(), Fault> {
        let longest = self.opened.lane.offers.longest_read;
        if self.asked.is_empty() {
            self.asked_to = self.at;
        }
        // Beyond the size that the server gave, or where it gave none, one
        // request at a time finds the end.
        let end = self.opened.attrs.size.unwrap_or(0).min(self.at + AHEAD);
        while self.asked.is_empty() || self.asked_to < end {
            let request = Packet::new(kind::READ)
                .bytes(&self.opened.handle)
                .u64(self.asked_to)
                .u32(longest);
            self.asked
                .push_back((longest, self.opened.lane.send(request)?));
            self.asked_to += u64::from(longest);
        }
        Ok(())
    }

    /// The next piece of the file; `None` at the end.
    fn next(&mut self) -> Result<Option<Frame>, Fault> {
        if self.at > 0 && Some(self.at) == self.opened.attrs.size {
            // What was added since the file was opened belongs to the next backup.
            return Ok(None);
        }
        self.ask_ahead()?;
        let Some((wanted, asked)) = self.asked.pop_front() else {
            return Ok(None);
        };
        let frame = asked.wait()?;
        let got = frame.data()?.len();
        if got == 0 {
            return Ok(None);
        }
        if got as u64 != u64::from(wanted) {
            // Shorter than asked for: what follows was asked for at the wrong
            // place, unless this is the end.
            self.asked.clear();
        }
        self.at += got as u64;
        Ok(Some(frame))
    }

    /// Opens the file again after its connection broke, if it is still the same.
    fn reopen(&mut self) -> Result<(), Failed> {
        self.asked.clear();
        self.reopened += 1;
        let (opened, first) = open_file(&self.client, &self.path, self.at)?;
        let (old, new) = (&self.opened.attrs, &opened.attrs);
        if (old.size, old.times.map(|t| t.1)) != (new.size, new.times.map(|t| t.1)) {
            return Err(Failed::Engine(Error::new(
                Kind::Transient,
                "the connection broke and the file changed meanwhile; the next backup will save it",
            )));
        }
        let longest = opened.lane.offers.longest_read;
        self.asked.push_back((longest, first));
        self.asked_to = self.at + u64::from(longest);
        self.opened = opened;
        Ok(())
    }

    fn failed(&self, f: Failed) -> Error {
        f.say(format!("reading {}:{}", self.client.name, show(&self.path)))
    }
}

impl Input for SftpInput {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some((frame, given)) = &mut self.have {
                let data = frame.data().map_err(|f| Failed::Fault(f).say("reading"))?;
                let rest = data.get(*given..).unwrap_or_default();
                if !rest.is_empty() {
                    let n = rest.len().min(buf.len());
                    buf[..n].copy_from_slice(&rest[..n]);
                    *given += n;
                    return Ok(n);
                }
                self.have = None;
            }
            match self.next() {
                Ok(Some(frame)) => self.have = Some((frame, 0)),
                Ok(None) => return Ok(0),
                Err(Fault::Lost(_)) if self.reopened < REOPENINGS => {
                    self.reopen().map_err(|f| self.failed(f))?;
                }
                Err(fault) => return Err(self.failed(Failed::Fault(fault))),
            }
        }
    }

    fn meta_now(&mut self) -> Result<Option<Meta>> {
        let request = Packet::new(kind::FSTAT).bytes(&self.opened.handle);
        match self.opened.lane.ask(request).and_then(|f| f.attrs()) {
            Ok(attrs) => Ok(meta(&attrs).ok()),
            // The handle went with its connection; the path still tells.
            Err(Fault::Lost(_)) => match self.client.stat(&self.path, false) {
                Ok(attrs) => Ok(meta(&attrs).ok()),
                Err(f) => Err(self.failed(f)),
            },
            Err(fault) => Err(self.failed(Failed::Fault(fault))),
        }
    }
}

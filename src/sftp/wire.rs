//! The packets of SFTP version 3, the version every server speaks
//! (draft-ietf-secsh-filexfer-02, with OpenSSH's extensions).
//!
//! Written here rather than taken from a library because names are bytes: a
//! backup must give back exactly the name it saw, and libraries that hold
//! names as text replace the bytes they cannot read. Everything read comes
//! from outside and is checked for length; nothing here panics.

use crate::engine::{Error, Kind};

/// Longest packet accepted. OpenSSH's largest is 256 KiB.
pub(crate) const LONGEST: usize = 1 << 20;

/// Packet types.
pub(crate) mod kind {
    pub const INIT: u8 = 1;
    pub const VERSION: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const READ: u8 = 5;
    pub const WRITE: u8 = 6;
    pub const LSTAT: u8 = 7;
    pub const FSTAT: u8 = 8;
    pub const SETSTAT: u8 = 9;
    pub const FSETSTAT: u8 = 10;
    pub const OPENDIR: u8 = 11;
    pub const READDIR: u8 = 12;
    pub const REMOVE: u8 = 13;
    pub const MKDIR: u8 = 14;
    pub const RMDIR: u8 = 15;
    pub const STAT: u8 = 17;
    pub const RENAME: u8 = 18;
    pub const READLINK: u8 = 19;
    pub const SYMLINK: u8 = 20;
    pub const STATUS: u8 = 101;
    pub const HANDLE: u8 = 102;
    pub const DATA: u8 = 103;
    pub const NAME: u8 = 104;
    pub const ATTRS: u8 = 105;
    pub const EXTENDED: u8 = 200;
    pub const EXTENDED_REPLY: u8 = 201;
}

/// Status codes.
pub(crate) mod code {
    pub const OK: u32 = 0;
    pub const EOF: u32 = 1;
    pub const NO_SUCH_FILE: u32 = 2;
    pub const PERMISSION_DENIED: u32 = 3;
    pub const FAILURE: u32 = 4;
    pub const NO_CONNECTION: u32 = 6;
    pub const CONNECTION_LOST: u32 = 7;
    pub const OP_UNSUPPORTED: u32 = 8;
}

/// Flags of OPEN.
pub(crate) mod open {
    pub const READ: u32 = 1;
    pub const WRITE: u32 = 2;
    pub const CREATE: u32 = 8;
    pub const EXCLUSIVE: u32 = 32;
}

/// Why a request was not answered as hoped.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server answered: no.
    Status(Status),
    /// The connection is gone, silent, or speaks nonsense: another one may do better.
    Lost(String),
}

/// The server's answer to a request that gives nothing back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub code: u32,
    pub text: String,
}

impl Fault {
    fn nonsense(what: &str) -> Self {
        Fault::Lost(format!("the server sent {what}"))
    }

    /// True for an answer with this status code.
    pub fn is(&self, code: u32) -> bool {
        matches!(self, Fault::Status(s) if s.code == code)
    }

    /// The engine's error for what happened while doing `what` (names the path).
    pub fn into_error(self, what: impl std::fmt::Display) -> Error {
        match self {
            Fault::Status(s) => {
                let kind = match s.code {
                    code::NO_SUCH_FILE => Kind::Missing,
                    code::PERMISSION_DENIED | code::OP_UNSUPPORTED => Kind::Refused,
                    code::NO_CONNECTION | code::CONNECTION_LOST => Kind::Transient,
                    _ => Kind::Io,
                };
                Error::new(kind, format!("{what}: the server says: {}", s.text))
            }
            Fault::Lost(why) => Error::new(Kind::Transient, format!("{what}: {why}")),
        }
    }
}

/// A request under construction: length, type and id come first, filled in by [`Packet::seal`].
pub(crate) struct Packet(Vec<u8>);

impl Packet {
    pub fn new(kind: u8) -> Self {
        Self(vec![0, 0, 0, 0, kind, 0, 0, 0, 0])
    }

    /// INIT, which has the version where others have the id.
    pub fn init() -> Vec<u8> {
        vec![0, 0, 0, 5, kind::INIT, 0, 0, 0, 3]
    }

    /// An extended request.
    pub fn extended(name: &str) -> Self {
        Self::new(kind::EXTENDED).bytes(name.as_bytes())
    }

    pub fn u32(mut self, v: u32) -> Self {
        self.0.extend(v.to_be_bytes());
        self
    }

    pub fn u64(mut self, v: u64) -> Self {
        self.0.extend(v.to_be_bytes());
        self
    }

    /// A counted string. Callers keep them far below 4 GiB; longer ones would
    /// be cut, and the packet refused by the server.
    pub fn bytes(mut self, v: &[u8]) -> Self {
        self.0
            .extend(u32::try_from(v.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(v);
        self
    }

    pub fn attrs(self, a: &Attrs) -> Self {
        let flags = u32::from(a.size.is_some())
            | u32::from(a.owner.is_some()) << 1
            | u32::from(a.permissions.is_some()) << 2
            | u32::from(a.times.is_some()) << 3;
        let mut p = self.u32(flags);
        if let Some(size) = a.size {
            p = p.u64(size);
        }
        if let Some((uid, gid)) = a.owner {
            p = p.u32(uid).u32(gid);
        }
        if let Some(permissions) = a.permissions {
            p = p.u32(permissions);
        }
        if let Some((atime, mtime)) = a.times {
            p = p.u32(atime).u32(mtime);
        }
        p
    }

    /// The bytes to send.
    pub fn seal(mut self, id: u32) -> Vec<u8> {
        let len = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&len.to_be_bytes());
        self.0[5..9].copy_from_slice(&id.to_be_bytes());
        self.0
    }
}

/// Attributes as version 3 knows them; what the server left out is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attrs {
    pub size: Option<u64>,
    /// User and group number.
    pub owner: Option<(u32, u32)>,
    /// `st_mode` with its type bits.
    pub permissions: Option<u32>,
    /// Access and modification in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

impl Attrs {
    /// As bytes, in the form they have on the wire.
    pub fn note(&self) -> Vec<u8> {
        Packet(Vec::new()).attrs(self).0
    }

    /// From [`Attrs::note`].
    pub fn from_note(note: &[u8]) -> Result<Self, Fault> {
        Fields(note).attrs()
    }
}

/// Reads the fields of a packet one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self
            .0
            .split_at_checked(n)
            .ok_or_else(|| Fault::nonsense("a packet shorter than what it says to hold"))?;
        self.0 = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        let mut v = [0; 4];
        v.copy_from_slice(self.take(4)?);
        Ok(u32::from_be_bytes(v))
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        let mut v = [0; 8];
        v.copy_from_slice(self.take(8)?);
        Ok(u64::from_be_bytes(v))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.u32()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn attrs(&mut self) -> Result<Attrs, Fault> {
        let flags = self.u32()?;
        let mut a = Attrs::default();
        if flags & 1 != 0 {
            a.size = Some(self.u64()?);
        }
        if flags & 2 != 0 {
            a.owner = Some((self.u32()?, self.u32()?));
        }
        if flags & 4 != 0 {
            a.permissions = Some(self.u32()?);
        }
        if flags & 8 != 0 {
            a.times = Some((self.u32()?, self.u32()?));
        }
        if flags & 0x8000_0000 != 0 {
            for _ in 0..self.u32()? {
                self.bytes()?;
                self.bytes()?;
            }
        }
        Ok(a)
    }
}

/// One whole packet from the server, without its length: type, id, fields.
#[derive(Debug)]
pub(crate) struct Frame(Vec<u8>);

impl Frame {
    fn fields(&self) -> Fields<'_> {
        Fields(self.0.get(5..).unwrap_or_default())
    }

    /// The id of the request this answers; `None` if it is too short to have one.
    pub fn id(&self) -> Option<u32> {
        let id = self.0.get(1..5)?;
        Some(u32::from_be_bytes(id.try_into().ok()?))
    }

    /// The fields if the packet is of the expected type; a status is the fault.
    fn expect(&self, kind: u8) -> Result<Fields<'_>, Fault> {
        match self.0.first() {
            Some(k) if *k == kind => Ok(self.fields()),
            Some(&kind::STATUS) => Err(Fault::Status(self.read_status()?)),
            _ => Err(Fault::nonsense("another answer than was asked for")),
        }
    }

    fn read_status(&self) -> Result<Status, Fault> {
        let mut f = self.fields();
        let code = f.u32()?;
        // Some servers leave the text out.
        let text = f.bytes().unwrap_or_default();
        let text = if text.is_empty() {
            format!("error {code}")
        } else {
            printable(text)
        };
        Ok(Status { code, text })
    }

    /// `()` for "done".
    pub fn done(&self) -> Result<(), Fault> {
        if self.0.first() != Some(&kind::STATUS) {
            return Err(Fault::nonsense("something else than a status"));
        }
        match self.read_status()? {
            Status { code: code::OK, .. } => Ok(()),
            status => Err(Fault::Status(status)),
        }
    }

    /// The handle of an opened file or folder.
    pub fn handle(&self) -> Result<Vec<u8>, Fault> {
        Ok(self.expect(kind::HANDLE)?.bytes()?.to_vec())
    }

    /// Attributes.
    pub fn attrs(&self) -> Result<Attrs, Fault> {
        self.expect(kind::ATTRS)?.attrs()
    }

    /// The bytes read; empty at the end of the file.
    pub fn data(&self) -> Result<&[u8], Fault> {
        match self.expect(kind::DATA) {
            Ok(mut f) => f.bytes(),
            Err(fault) if fault.is(code::EOF) => Ok(&[]),
            Err(fault) => Err(fault),
        }
    }

    /// Names with attributes; `None` when the folder has no more.
    #[allow(clippy::type_complexity)]
    pub fn names(&self) -> Result<Option<Vec<(Vec<u8>, Attrs)>>, Fault> {
        let mut f = match self.expect(kind::NAME) {
            Ok(f) => f,
            Err(fault) if fault.is(code::EOF) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let count = f.u32()?;
        let mut names = Vec::new();
        for _ in 0..count {
            let name = f.bytes()?.to_vec();
            // The line `ls -l` would print.
            f.bytes()?;
            // READLINK may leave the attributes out.
            let attrs = if f.0.is_empty() && count == 1 {
                Attrs::default()
            } else {
                f.attrs()?
            };
            names.push((name, attrs));
        }
        Ok(Some(names))
    }

    /// Names and versions of the server's extensions.
    pub fn version(&self) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        // The version stands where others have the id.
        if self.0.first() != Some(&kind::VERSION) {
            return Err(Fault::nonsense("something else than its version"));
        }
        match self.id() {
            Some(3..) => {}
            _ => return Err(Fault::nonsense("an SFTP version below 3")),
        }
        let mut f = self.fields();
        let mut all = Vec::new();
        while !f.0.is_empty() {
            let name = String::from_utf8_lossy(f.bytes()?).into_owned();
            all.push((name, f.bytes()?.to_vec()));
        }
        Ok(all)
    }

    /// The numbers of an extended reply that holds nothing else.
    pub fn numbers<const N: usize>(&self) -> Result<[u64; N], Fault> {
        let mut f = self.expect(kind::EXTENDED_REPLY)?;
        let mut all = [0; N];
        for n in &mut all {
            *n = f.u64()?;
        }
        Ok(all)
    }
}

/// Text of the server for messages, without anything that would steer a terminal.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(500)
        .collect()
}

/// Cuts the byte stream into packets.
#[derive(Default)]
pub(crate) struct Cutter {
    head: Vec<u8>,
    body: Vec<u8>,
    want: usize,
}

impl Cutter {
    /// Takes in `bytes` and calls `give` with every packet that is whole.
    pub fn push(&mut self, mut bytes: &[u8], mut give: impl FnMut(Frame)) -> Result<(), Fault> {
        while !bytes.is_empty() {
            if self.want == 0 {
                let n = (4 - self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..n]);
                bytes = &bytes[n..];
                let Ok(head) = <[u8; 4]>::try_from(&self.head[..]) else {
                    continue;
                };
                self.head.clear();
                self.want = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
                if self.want < 5 || self.want > LONGEST {
                    return Err(Fault::nonsense(
                        "a packet of impossible length; is something printed at login, e.g. by .bashrc?",
                    ));
                }
                self.body = Vec::with_capacity(self.want);
            }
            let n = (self.want - self.body.len()).min(bytes.len());
            self.body.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.body.len() == self.want {
                self.want = 0;
                give(Frame(std::mem::take(&mut self.body)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

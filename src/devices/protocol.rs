//! What is said on the helper's socket: one JSON object a line, a request and
//! its answer in turn. The list of requests is closed; none of them names a
//! device path, a tool or an option.

use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::uevent::Uevents;
use super::{Changes, Devices, Disk, Sign};
use crate::engine::{Error, Kind, Result};
use crate::privileged::Helper;

/// Longest request in bytes; a serial number and its confirmation.
pub(super) const LONGEST_REQUEST: u64 = 4 << 10;
/// Longest answer in bytes; hundreds of disks.
const LONGEST_ANSWER: u64 = 4 << 20;
/// Longest time a request may take: formatting, with several tools each at its limit.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What may be asked of the helper.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Request {
    /// See [`Devices::disks`]. (Braces, because serde lets unknown fields pass
    /// in a variant that can have none.)
    List {},
    /// See [`Devices::prepare`].
    Prepare {
        serial: String,
        confirm: Option<String>,
    },
    /// See [`Devices::mount_members`].
    MountMembers {},
    /// See [`Devices::identify`].
    Identify { serial: String },
    /// See [`Devices::self_test`].
    SelfTest { serial: String, long: bool },
}

/// What the helper answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Disks(Vec<Disk>),
    Folder(PathBuf),
    Folders(Vec<PathBuf>),
    Sign(Sign),
    Begun {},
    Error { kind: Kind, message: String },
}

impl From<Error> for Answer {
    fn from(e: Error) -> Self {
        Answer::Error {
            kind: e.kind(),
            message: e.to_string(),
        }
    }
}

/// Does what was asked.
pub(super) fn answer(devices: &dyn Devices, request: Request) -> Answer {
    let done = match request {
        Request::List {} => devices.disks().map(Answer::Disks),
        Request::Prepare { serial, confirm } => devices
            .prepare(&serial, confirm.as_deref())
            .map(Answer::Folder),
        Request::MountMembers {} => devices.mount_members().map(Answer::Folders),
        Request::Identify { serial } => devices.identify(&serial).map(Answer::Sign),
        Request::SelfTest { serial, long } => {
            devices.self_test(&serial, long).map(|()| Answer::Begun {})
        }
    };
    done.unwrap_or_else(Into::into)
}

/// One line of at most `longest` bytes; `None` at the end of the stream.
pub(super) fn read_line<T: DeserializeOwned>(
    from: &mut impl BufRead,
    longest: u64,
) -> Result<Option<T>> {
    let mut line = Vec::new();
    from.take(longest)
        .read_until(b'\n', &mut line)
        .map_err(|e| Error::io("reading from the disk helper's socket", e))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "a message on the disk helper's socket is cut off or longer than {longest} bytes"
            ),
        ));
    }
    serde_json::from_slice(&line).map(Some).map_err(|e| {
        Error::with_source(
            Kind::Refused,
            format!("a message on the disk helper's socket is not understood: {e}"),
            e,
        )
    })
}

pub(super) fn write_line(to: &mut impl Write, message: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(message)
        .map_err(|e| Error::with_source(Kind::Io, format!("writing a message: {e}"), e))?;
    line.push(b'\n');
    to.write_all(&line)
        .map_err(|e| Error::io("writing to the disk helper's socket", e))
}

/// The helper as its clients see it: a connection for each request.
pub(super) struct Client(Helper);

impl Client {
    pub fn new(socket: &Path) -> Self {
        Self(Helper {
            name: "disk",
            unit: "colca-disk-helper.socket",
            socket: socket.into(),
            patience: PATIENCE,
        })
    }

    fn ask(&self, request: &Request) -> Result<Answer> {
        let mut stream = self.0.connect()?;
        write_line(&mut stream, request)?;
        let mut reader = std::io::BufReader::new(stream);
        match read_line(&mut reader, LONGEST_ANSWER)? {
            Some(Answer::Error { kind, message }) => Err(Error::new(kind, message)),
            Some(answer) => Ok(answer),
            None => Err(self.0.ended()),
        }
    }
}

impl Devices for Client {
    fn disks(&self) -> Result<Vec<Disk>> {
        match self.ask(&Request::List {})? {
            Answer::Disks(disks) => Ok(disks),
            _ => Err(self.0.unexpected()),
        }
    }

    fn prepare(&self, serial: &str, confirm: Option<&str>) -> Result<PathBuf> {
        let request = Request::Prepare {
            serial: serial.into(),
            confirm: confirm.map(Into::into),
        };
        match self.ask(&request)? {
            Answer::Folder(folder) => Ok(folder),
            _ => Err(self.0.unexpected()),
        }
    }

    fn identify(&self, serial: &str) -> Result<Sign> {
        let serial = serial.into();
        match self.ask(&Request::Identify { serial })? {
            Answer::Sign(sign) => Ok(sign),
            _ => Err(self.0.unexpected()),
        }
    }

    fn self_test(&self, serial: &str, long: bool) -> Result<()> {
        let serial = serial.into();
        match self.ask(&Request::SelfTest { serial, long })? {
            Answer::Begun {} => Ok(()),
            _ => Err(self.0.unexpected()),
        }
    }

    fn changes(&self) -> Result<Box<dyn Changes>> {
        // The kernel tells everybody; no helper is needed for it.
        Ok(Box::new(Uevents::open()?))
    }

    fn mount_members(&self) -> Result<Vec<PathBuf>> {
        match self.ask(&Request::MountMembers {})? {
            Answer::Folders(folders) => Ok(folders),
            _ => Err(self.0.unexpected()),
        }
    }
}

//! The hand inside the box. A unit that no image contains comes in by SMBIOS
//! strings as a systemd credential; it listens on a virtio-serial port and
//! runs what it is told. See `agent.sh` for its side of the conversation.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Name of the virtio-serial port inside the guest.
pub const PORT: &str = "colca.test.0";

/// Its side of the conversation.
pub const SCRIPT: &str = include_str!("agent.sh");

/// What a command inside the box did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit code; 0 is success.
    pub code: i32,
    /// Standard output and error, as they came.
    pub bytes: Vec<u8>,
}

impl Output {
    /// The output as text, without trailing white space.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim_end().to_owned()
    }
}

/// The SMBIOS strings (type 11) that bring the agent into a box which imports credentials.
pub fn smbios_strings() -> [String; 2] {
    // The script travels inside the unit: the root is read-only and verified.
    let unit = format!(
        "[Unit]\nDefaultDependencies=no\nAfter=sysinit.target\nConflicts=shutdown.target\nBefore=shutdown.target\n\
         StartLimitIntervalSec=0\n\
         [Service]\nExecStart=/bin/bash -c 'exec bash <(base64 -d <<< {})'\nRestart=always\nRestartSec=1\n",
        BASE64.encode(SCRIPT)
    );
    let wants = "[Unit]\nWants=colca-test-agent.service\n";
    [
        format!(
            "io.systemd.credential.binary:systemd.extra-unit.colca-test-agent.service={}",
            BASE64.encode(unit)
        ),
        format!(
            "io.systemd.credential.binary:systemd.unit-dropin.multi-user.target={}",
            BASE64.encode(wants)
        ),
    ]
}

/// A connection to the agent of one running machine.
pub struct Agent {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    partial: Vec<u8>,
    next: u64,
}

/// Why waiting for a line ended without one.
enum Silence {
    Time,
    Closed,
}

impl Agent {
    /// Takes the host's end of the virtio-serial port.
    pub fn new(writer: UnixStream) -> Result<Self> {
        Ok(Self {
            reader: BufReader::new(writer.try_clone()?),
            writer,
            partial: Vec::new(),
            next: 0,
        })
    }

    /// Whether the agent has reported for duty within `wait`. An error means that QEMU is gone.
    ///
    /// It is asked anew at every call: what is said before the guest opens its end may be lost.
    pub fn ready(&mut self, wait: Duration) -> Result<bool> {
        writeln!(self.writer, "boot {}", BASE64.encode("true"))
            .context("writing to the agent's port")?;
        let deadline = Instant::now() + wait;
        loop {
            match self.line(deadline)? {
                Ok(line) if line == "ready" || line.starts_with("boot ") => return Ok(true),
                Ok(_) => {}
                Err(Silence::Time) => return Ok(false),
                Err(Silence::Closed) => bail!("the machine ended before its agent reported"),
            }
        }
    }

    /// Runs `command` with bash as root and waits for its end.
    pub fn run(&mut self, command: &str, timeout: Duration) -> Result<Output> {
        self.next += 1;
        let id = self.next.to_string();
        writeln!(self.writer, "{id} {}", BASE64.encode(command))
            .with_context(|| format!("sending a command to the box: {command}"))?;
        let deadline = Instant::now() + timeout;
        loop {
            let line = match self.line(deadline)? {
                Ok(line) => line,
                Err(Silence::Time) => {
                    bail!("no answer from the box within {timeout:?} to: {command}")
                }
                Err(Silence::Closed) => bail!("the machine ended during: {command}"),
            };
            let mut words = line.split(' ');
            if words.next() != Some(&id) {
                continue;
            }
            let code = words
                .next()
                .and_then(|c| c.parse().ok())
                .context("the agent's answer has no exit code")?;
            let bytes = BASE64
                .decode(words.next().unwrap_or_default())
                .with_context(|| format!("the agent's answer to '{command}' is not base64"))?;
            return Ok(Output { code, bytes });
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<Result<String, Silence>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Err(Silence::Time));
            }
            self.reader.get_ref().set_read_timeout(Some(left))?;
            match self.reader.read_until(b'\n', &mut self.partial) {
                Ok(0) => return Ok(Err(Silence::Closed)),
                Ok(_) => {
                    let line = String::from_utf8_lossy(&self.partial).trim().to_owned();
                    self.partial.clear();
                    return Ok(Ok(line));
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => {
                    return Ok(Err(Silence::Closed));
                }
                Err(e) => return Err(e).context("reading the agent's port"),
            }
        }
    }
}

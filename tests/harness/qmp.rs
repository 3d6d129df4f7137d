//! QEMU's own control channel (QMP): one JSON object a line over a unix socket.
//! Everything a person would do to the machine's metal (pull a disk, press
//! reset, cut the power) goes through here. Small enough to own.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A conversation with one QEMU process.
pub struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    /// Events that came while something else was awaited, oldest first.
    events: VecDeque<Value>,
    /// Part of a line that a timed-out read left behind.
    partial: Vec<u8>,
}

impl Qmp {
    /// Connects to the socket QEMU listens on and leaves the negotiation mode.
    pub fn connect(socket: &Path) -> Result<Self> {
        let writer = UnixStream::connect(socket)
            .with_context(|| format!("connecting to QEMU's control socket {}", socket.display()))?;
        let mut qmp = Self {
            reader: BufReader::new(writer.try_clone()?),
            writer,
            events: VecDeque::new(),
            partial: Vec::new(),
        };
        let greeting = qmp.message(Instant::now() + Duration::from_secs(60))?;
        if greeting.get("QMP").is_none() {
            bail!("QEMU's control socket greeted with {greeting}");
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and returns what it returned.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut line = json!({"execute": command, "arguments": arguments}).to_string();
        line.push('\n');
        self.writer
            .write_all(line.as_bytes())
            .with_context(|| format!("sending '{command}' to QEMU"))?;
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let mut message = self
                .message(deadline)
                .with_context(|| format!("waiting for QEMU's answer to '{command}'"))?;
            if message.get("event").is_some() {
                self.events.push_back(message);
            } else if let Some(error) = message.get("error") {
                bail!("QEMU refused '{command}': {error}");
            } else {
                return Ok(message["return"].take());
            }
        }
    }

    /// Waits for the event `name` whose data satisfies `wanted`. Other events are kept.
    pub fn wait_event(
        &mut self,
        name: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let fits = |event: &Value| event["event"] == name && wanted(&event["data"]);
        if let Some(at) = self.events.iter().position(&fits) {
            return Ok(self.events.remove(at).unwrap_or_default());
        }
        let deadline = Instant::now() + timeout;
        loop {
            let message = self
                .message(deadline)
                .with_context(|| format!("waiting for QEMU's event {name}"))?;
            if fits(&message) {
                return Ok(message);
            }
            self.events.push_back(message);
        }
    }

    fn message(&mut self, deadline: Instant) -> Result<Value> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("QEMU said nothing in time");
            }
            self.reader.get_ref().set_read_timeout(Some(left))?;
            match self.reader.read_until(b'\n', &mut self.partial) {
                Ok(0) => bail!("QEMU closed its control socket"),
                Ok(_) => {
                    let line = std::mem::take(&mut self.partial);
                    return serde_json::from_slice(&line)
                        .context("QEMU sent a line that is not JSON");
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) => return Err(e).context("reading QEMU's control socket"),
            }
        }
    }
}

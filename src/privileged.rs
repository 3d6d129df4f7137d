//! What the privileged helpers have in common: how their clients reach them,
//! and how a program of the system is run for them.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::engine::{Error, Kind, Result};

/// Longest time to take in a request, which fits into a socket's buffer.
const SENDING: Duration = Duration::from_secs(30);
/// Longest complaint kept.
const COMPLAINT: u64 = 64 << 10;

/// A helper as its clients know it.
pub(crate) struct Helper {
    /// As people call it: `disk`, `TPM`.
    pub name: &'static str,
    /// The systemd unit that holds its socket.
    pub unit: &'static str,
    pub socket: PathBuf,
    /// Longest time until it answers.
    pub patience: Duration,
}

impl Helper {
    /// A connection for one request.
    pub fn connect(&self) -> Result<UnixStream> {
        let connecting = |e| {
            Error::io(
                format!(
                    "reaching the {} helper at {}; is {} running?",
                    self.name,
                    self.socket.display(),
                    self.unit
                ),
                e,
            )
        };
        let stream = UnixStream::connect(&self.socket).map_err(connecting)?;
        stream
            .set_read_timeout(Some(self.patience))
            .and_then(|()| stream.set_write_timeout(Some(SENDING)))
            .map_err(connecting)?;
        Ok(stream)
    }

    /// The connection ended before there was an answer.
    pub fn ended(&self) -> Error {
        Error::new(
            Kind::Transient,
            format!(
                "the {} helper ended without an answer; its log tells why, try again",
                self.name
            ),
        )
    }

    /// There was an answer, to another question.
    pub fn unexpected(&self) -> Error {
        Error::new(
            Kind::Io,
            format!(
                "the {} helper answered something else than was asked; are both of the same version?",
                self.name
            ),
        )
    }
}

/// What a program left behind.
pub(crate) struct Output<T> {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    pub stdout: T,
    /// What it complained about, without white space around it.
    pub stderr: String,
}

/// Runs a program until it ends, whatever its exit code. `collect` takes in
/// what it prints. `None`: it had not ended within `limit` and was stopped.
pub(crate) fn run<T: Default + Send>(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
    collect: impl FnOnce(ChildStdout) -> T + Send,
) -> io::Result<Option<Output<T>>> {
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A program that does not want its input says so by its exit code.
                let _ = stdin.write_all(input);
            }
        });
        let out = scope.spawn(move || stdout.map(collect).unwrap_or_default());
        let err = scope.spawn(move || {
            let mut all = Vec::new();
            // What was read until an error is what there is.
            let _ = stderr.map(|from| from.take(COMPLAINT).read_to_end(&mut all));
            String::from_utf8_lossy(&all).trim().to_owned()
        });
        let began = Instant::now();
        let status = loop {
            match child.try_wait()? {
                Some(status) => break status,
                None if began.elapsed() > limit => {
                    // Both fail only if it has ended just now.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Ok(None);
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        Ok(Some(Output {
            code: status.code().unwrap_or(-1),
            stdout: out.join().unwrap_or_default(),
            stderr: err.join().unwrap_or_default(),
        }))
    })
}

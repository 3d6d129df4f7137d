//! Running the system's own disk tools.
//!
//! Always a program and its arguments, never a shell; a fixed environment; a
//! time limit, because a dying disk can hold a tool for ever; and what the
//! tool complained about goes into the error.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::engine::{Error, Kind, Result};

/// Longest output kept. A listing of a hundred disks is some 200 KB.
const LONGEST: u64 = 4 << 20;

/// What a tool left behind.
pub(super) struct Output {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Runs a tool and waits for it, whatever its exit code.
pub(super) fn run(
    program: &str,
    arguments: &[&str],
    input: &str,
    limit: Duration,
) -> Result<Output> {
    let starting = |e| Error::io(format!("starting {program}, a part of this system"), e);
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(starting)?;
    let stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A tool that does not want its input says so by its exit code.
                let _ = stdin.write_all(input.as_bytes());
            }
        });
        let out = scope.spawn(move || collect(stdout));
        let err = scope.spawn(move || collect(stderr));
        let began = Instant::now();
        let status = loop {
            match child.try_wait().map_err(starting)? {
                Some(status) => break status,
                None if began.elapsed() > limit => {
                    // Both fail only if it has ended just now.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(Error::new(
                        Kind::Transient,
                        format!(
                            "{program} {} did not end within {} seconds and was stopped; the disk may be failing",
                            arguments.join(" "),
                            limit.as_secs()
                        ),
                    ));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        Ok(Output {
            code: status.code().unwrap_or(-1),
            stdout: out.join().unwrap_or_default(),
            stderr: String::from_utf8_lossy(&err.join().unwrap_or_default())
                .trim()
                .to_owned(),
        })
    })
}

fn collect(from: Option<impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(from) = from {
        // What was read until an error is what there is.
        let _ = from.take(LONGEST).read_to_end(&mut all);
    }
    all
}

/// Runs a tool that must succeed; gives what it printed.
pub(super) fn must(
    program: &str,
    arguments: &[&str],
    input: &str,
    limit: Duration,
) -> Result<Vec<u8>> {
    let output = run(program, arguments, input, limit)?;
    if output.code == 0 {
        return Ok(output.stdout);
    }
    Err(Error::new(
        Kind::Io,
        format!(
            "{program} {} failed (exit code {}): {}",
            arguments.join(" "),
            output.code,
            if output.stderr.is_empty() {
                "it gave no reason"
            } else {
                &output.stderr
            }
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_failure_carries_what_the_tool_said() {
        let e = must("ls", &["/does not exist; touch /tmp/x"], "", LIMIT).unwrap_err();
        let text = e.to_string();
        assert!(text.contains("exit code 2"), "{text}");
        assert!(text.contains("No such file"), "{text}");
        let e = run("no-such-program", &[], "", LIMIT).err().unwrap();
        assert_eq!(e.kind(), Kind::Missing);
        assert!(e.to_string().contains("no-such-program"));
    }

    #[test]
    fn input_and_output_of_any_size_pass() {
        let input = "x".repeat(1 << 20);
        assert_eq!(must("cat", &[], &input, LIMIT).unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_tool_that_hangs_is_stopped() {
        let began = Instant::now();
        let e = run("sleep", &["60"], "", Duration::from_millis(200))
            .err()
            .unwrap();
        assert_eq!(e.kind(), Kind::Transient);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

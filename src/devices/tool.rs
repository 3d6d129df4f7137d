//! Running the system's own disk tools.
//!
//! Always a program and its arguments, never a shell; a fixed environment; a
//! time limit, because a dying disk can hold a tool for ever; and what the
//! tool complained about goes into the error.

use std::io::Read;
use std::process::Command;
use std::time::Duration;

use crate::engine::{Error, Kind, Result};
use crate::privileged::{self, Output};

/// Longest output kept. A listing of a hundred disks is some 200 KB.
const LONGEST: u64 = 4 << 20;

/// Runs a tool and waits for it, whatever its exit code.
pub(super) fn run(
    program: &str,
    arguments: &[&str],
    input: &str,
    limit: Duration,
) -> Result<Output<Vec<u8>>> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    privileged::run(&mut command, input.as_bytes(), limit, |stdout| {
        let mut all = Vec::new();
        // What was read until an error is what there is.
        let _ = stdout.take(LONGEST).read_to_end(&mut all);
        all
    })
    .map_err(|e| Error::io(format!("starting {program}, a part of this system"), e))?
    .ok_or_else(|| {
        Error::new(
            Kind::Transient,
            format!(
                "{program} {} did not end within {} seconds and was stopped; the disk may be failing",
                arguments.join(" "),
                limit.as_secs()
            ),
        )
    })
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
    use std::time::Instant;

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

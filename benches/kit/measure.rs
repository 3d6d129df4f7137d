//! One command, measured. The bench starts itself anew as a small process that
//! starts the command, because the kernel keeps the peak memory of children
//! only as a maximum over all of them, and counts what the parent held too.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// The first argument of a bench that is only to measure a command.
pub const FLAG: &str = "--measure-one-command";

/// What one run of a command cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of processor time, user and system, of it and its children.
    pub cpu: f64,
    /// Bytes of memory that its largest process held at most.
    pub peak: u64,
    /// Seconds of processor time that all else on the machine used meanwhile.
    pub others: f64,
}

/// A command to run: program, arguments, environment, folder.
#[derive(Debug, Default)]
pub struct Call {
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
}

impl Call {
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            words: vec![program.into()],
            ..Self::default()
        }
    }

    #[must_use]
    pub fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.words.push(word.into());
        self
    }

    #[must_use]
    pub fn args<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The working folder.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        // Nothing of this terminal or user decides how a peer behaves.
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C.UTF-8")
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(std::process::Stdio::null());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Its standard output, unmeasured.
    pub fn output(&self) -> Result<String, String> {
        let out = self
            .command(&self.words[0])
            .args(&self.words[1..])
            .output()
            .map_err(|e| format!("{:?}: {e}", self.words[0]))?;
        if !out.status.success() {
            return Err(format!(
                "{:?}: {}: {}",
                self.words,
                out.status,
                String::from_utf8_lossy(&out.stderr).trim()
            ));
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    /// Runs it, with what it prints in `log`, and measures it. An error when it
    /// does not end with 0.
    pub fn measure(&self, log: &Path) -> Result<Cost, String> {
        let say = |e: std::io::Error| format!("{:?}: {e}", self.words[0]);
        let printed = File::create(log).map_err(say)?;
        // Not its path: a build meanwhile may have put another there.
        let out = self
            .command("/proc/self/exe")
            .arg(FLAG)
            .args(&self.words)
            .stderr(printed)
            .output()
            .map_err(say)?;
        if out.status.success()
            && let Ok(cost) = serde_json::from_slice(&out.stdout)
        {
            return Ok(cost);
        }
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(5).collect();
        Err(format!(
            "{:?}: {}: {}",
            self.words,
            out.status,
            tail.into_iter().rev().collect::<Vec<_>>().join(" | ")
        ))
    }
}

/// What the process started by [`Call::measure`] does: `words` is the command.
pub fn child(words: &[OsString]) -> ExitCode {
    let busy = machine_busy();
    let start = Instant::now();
    // The one pipe of this process is for its figures; what the command prints goes to the log.
    let status = Command::new(&words[0])
        .args(&words[1..])
        .stdout(std::io::stderr())
        .status();
    let wall = start.elapsed();
    match (status, getrusage(UsageWho::RUSAGE_CHILDREN)) {
        (Ok(status), Ok(usage)) if status.success() => {
            let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
            let others = (machine_busy().saturating_sub(busy)).as_secs_f64() - cpu;
            let cost = Cost {
                wall: wall.as_secs_f64(),
                cpu,
                peak: usage.max_rss().unsigned_abs() << 10,
                others: others.max(0.0),
            };
            println!("{}", serde_json::json!(cost));
            ExitCode::SUCCESS
        }
        (status, _) => {
            eprintln!("ended with {status:?}");
            ExitCode::FAILURE
        }
    }
}

fn seconds(time: nix::sys::time::TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// Processor time that the machine has spent on anything since it started,
/// that taken by its host included.
fn machine_busy() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: u64 = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .enumerate()
        // user nice system - - irq softirq steal; guest time is in user already.
        .filter(|(n, _)| matches!(n, 0..=2 | 5..=7))
        .filter_map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// The middle value; of an even number of values the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => f64::NAN,
        _ if n % 2 == 1 => values[n / 2],
        _ => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

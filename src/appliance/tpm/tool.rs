//! Running `systemd-creds`.
//!
//! The blob is bound to the TPM alone: to no measured state (`--tpm2-pcrs=`),
//! and not to the key that systemd keeps on the same disk as the blob.
//! `docs/image.md` says why.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{LONGEST, SECRET, Sealer, fits};
use crate::engine::{Error, Kind, Result};

const TOOL: &str = "systemd-creds";
/// Old chips take half a minute to make a key.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest complaint kept.
const COMPLAINT: u64 = 16 << 10;

/// The tool, run by this process.
pub(super) struct Direct;

impl Sealer for Direct {
    fn seal(&self, purpose: &str, secret: &[u8; SECRET]) -> Result<String> {
        let options = ["--with-key=tpm2", "--tpm2-pcrs="];
        let out = run("encrypt", &options, purpose, secret)?;
        let text: Option<String> = out
            .iter()
            .map(|b| char::from(*b))
            .filter(|c| !c.is_ascii_whitespace())
            .map(|c| c.is_ascii_graphic().then_some(c))
            .collect();
        text.filter(|text| (1..=LONGEST).contains(&text.len()))
            .ok_or_else(|| strange("sealed"))
    }

    fn unseal(&self, purpose: &str, sealed: &str) -> Result<Zeroizing<[u8; SECRET]>> {
        let out = run("decrypt", &[], purpose, sealed.as_bytes())?;
        let secret = <[u8; SECRET]>::try_from(out.as_slice()).map_err(|_| strange("opened"))?;
        Ok(Zeroizing::new(secret))
    }
}

fn strange(what: &str) -> Error {
    Error::new(
        Kind::Io,
        format!("{TOOL} {what} a secret into something else; is systemd 253 or newer installed?"),
    )
}

fn run(verb: &str, options: &[&str], purpose: &str, input: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    if !fits(purpose) {
        return Err(Error::new(
            Kind::Refused,
            format!("{purpose:?} is not a purpose to seal for"),
        ));
    }
    let starting = |e| Error::io(format!("starting {TOOL}, a part of systemd"), e);
    let mut child = Command::new(TOOL)
        .args(options)
        .arg(format!("--name={purpose}"))
        .args([verb, "-", "-"])
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
                let _ = stdin.write_all(input);
            }
        });
        let out = scope.spawn(move || collect(stdout, 2 * LONGEST));
        let err = scope.spawn(move || {
            let mut text = String::new();
            // What cannot be read is not shown.
            let _ = stderr.map(|from| from.take(COMPLAINT).read_to_string(&mut text));
            text
        });
        let began = Instant::now();
        let status = loop {
            match child.try_wait().map_err(starting)? {
                Some(status) => break status,
                None if began.elapsed() > PATIENCE => {
                    // Both fail only if it has ended just now.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(Error::new(
                        Kind::Transient,
                        format!(
                            "the TPM did not answer within {} seconds; try again, or restart the machine",
                            PATIENCE.as_secs()
                        ),
                    ));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let (out, err) = (
            out.join().unwrap_or_default(),
            err.join().unwrap_or_default(),
        );
        match status.success() {
            true => Ok(out),
            false => Err(complaint(&err)),
        }
    })
}

/// Everything there is to read, up to `longest` bytes, in a buffer that never moves.
fn collect(from: Option<impl Read>, longest: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; longest]);
    let mut len = 0;
    if let Some(mut from) = from {
        while len < longest {
            match from.read(&mut bytes[len..]) {
                Ok(0) | Err(_) => break,
                Ok(n) => len += n,
            }
        }
    }
    bytes.truncate(len);
    bytes
}

fn complaint(stderr: &str) -> Error {
    let last = stderr.lines().map(str::trim).rfind(|l| !l.is_empty());
    let said = last.unwrap_or("it gave no reason");
    tracing::warn!("{TOOL} failed: {}", stderr.trim());
    let what = match (has_tpm(), rustix::process::geteuid().is_root()) {
        (false, _) => "this machine shows no TPM 2.0 (it may be switched off in the firmware)",
        (true, false) => "only root may use this machine's TPM",
        (true, true) => "this machine's TPM refused",
    };
    Error::new(Kind::Refused, format!("{what}: {said}"))
}

fn has_tpm() -> bool {
    std::fs::read_dir(Path::new("/sys/class/tpmrm")).is_ok_and(|mut all| all.next().is_some())
}

//! Running `systemd-creds`.
//!
//! The blob is bound to the TPM alone: to no measured state (`--tpm2-pcrs=`),
//! and not to the key that systemd keeps on the same disk as the blob.
//! `docs/image.md` says why.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{LONGEST, SECRET, Sealer, fits, read_secret};
use crate::engine::{Error, Kind, Result};
use crate::privileged;

const TOOL: &str = "systemd-creds";
/// Old chips take half a minute to make a key.
const PATIENCE: Duration = Duration::from_secs(120);

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
    let mut command = Command::new(TOOL);
    command
        .args(options)
        .arg(format!("--name={purpose}"))
        .args([verb, "-", "-"]);
    let output = privileged::run(&mut command, input, PATIENCE, |stdout| {
        // What cannot be read is nothing that was sealed or opened.
        read_secret(stdout, 2 * LONGEST).unwrap_or_default()
    })
    .map_err(|e| Error::io(format!("starting {TOOL}, a part of systemd"), e))?
    .ok_or_else(|| {
        Error::new(
            Kind::Transient,
            format!(
                "the TPM did not answer within {} seconds; try again, or restart the machine",
                PATIENCE.as_secs()
            ),
        )
    })?;
    match output.code {
        0 => Ok(output.stdout),
        _ => Err(complaint(&output.stderr)),
    }
}

fn complaint(stderr: &str) -> Error {
    let last = stderr.lines().map(str::trim).rfind(|l| !l.is_empty());
    let said = last.unwrap_or("it gave no reason");
    tracing::warn!("{TOOL} failed: {stderr}");
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

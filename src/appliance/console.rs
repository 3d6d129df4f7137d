//! The box's own screen: `colca console` on its monitor or serial line.
//!
//! The daemon writes what is to be shown into a small file of its runtime
//! folder; this command only reads that file and prints. So the screen needs
//! no right to anything else, and works while the daemon is down. It clears
//! the screen where the terminal can, and prints line by line where not.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::files;
use crate::engine::{Error, Kind, Result};

const FILE: &str = "console.json";
/// How often the daemon writes the file again.
pub const REFRESH: Duration = Duration::from_secs(15);
/// How often the screen looks at the file.
const LOOK: Duration = Duration::from_secs(2);
/// A file older than this was left by a daemon that no longer answers, in seconds.
const STALE: i64 = 60;

/// What the console shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Firmware version.
    pub version: String,
    /// Host name.
    pub hostname: String,
    /// Where the box can be reached.
    pub addresses: Vec<IpAddr>,
    /// The panel's port.
    pub port: u16,
    /// SHA-256 of the panel's certificate.
    pub fingerprint: String,
    /// While nobody owns the box.
    pub claim_code: Option<String>,
    /// `none`, `ok`, `degraded` or `failed`.
    pub pool: String,
    /// Why the pool is not open.
    pub problem: Option<String>,
    /// When this was written.
    pub updated: Timestamp,
}

impl Status {
    /// Writes it into a folder, for the console to find.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|e| {
            Error::with_source(Kind::Io, format!("writing the console's status: {e}"), e)
        })?;
        files::write(&folder.join(FILE), &bytes)
    }

    /// `https://…` of each address; `https://localhost` if there is none.
    pub fn urls(&self) -> Vec<String> {
        let port = match self.port {
            443 => String::new(),
            port => format!(":{port}"),
        };
        let url = |ip: &IpAddr| match ip {
            IpAddr::V4(v4) => format!("https://{v4}{port}/"),
            IpAddr::V6(v6) => format!("https://[{v6}]{port}/"),
        };
        if self.addresses.is_empty() {
            return vec![format!("https://localhost{port}/")];
        }
        self.addresses.iter().map(url).collect()
    }

    /// The screen's text, Spanish first, in ASCII: a serial line may show nothing else.
    pub fn text(&self, now: Timestamp) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {label:<24} {value}");
        };
        line("Colca", &format!("{} ({})", self.version, self.hostname));
        for url in self.urls() {
            line("Panel", &url);
        }
        if self.addresses.is_empty() {
            line("Red / network", "sin direcciones / no addresses");
        }
        let (first, second) = self
            .fingerprint
            .split_at_checked(self.fingerprint.len().div_ceil(2))
            .unwrap_or((&self.fingerprint, ""));
        line("Certificado SHA-256", first);
        line("", second);
        if let Some(code) = &self.claim_code {
            line("Codigo / claim code", code);
        }
        let pool = match self.pool.as_str() {
            "none" => "sin crear / not created",
            "ok" => "bien / ok",
            "degraded" => "degradado / degraded",
            _ => "fallado / failed",
        };
        line("Pool", pool);
        if let Some(problem) = &self.problem {
            line("", problem);
        }
        if now.as_second() - self.updated.as_second() > STALE {
            line("!", "el servicio no responde / the service does not answer");
        }
        text
    }
}

/// The runtime folder systemd made for this service.
pub(super) fn runtime_folder() -> Option<PathBuf> {
    let folders = std::env::var("RUNTIME_DIRECTORY").ok()?;
    folders
        .split(':')
        .next()
        .filter(|f| !f.is_empty())
        .map(PathBuf::from)
}

/// Prints the box's status on standard output, again whenever it changes;
/// ends only when the output is closed.
pub fn run() -> Result<()> {
    let state = std::env::var_os("COLCA_STATE").map(PathBuf::from);
    let folders: Vec<PathBuf> = [runtime_folder(), Some("/run/colca".into()), state]
        .into_iter()
        .flatten()
        .collect();
    let mut out = std::io::stdout();
    let can_clear =
        out.is_terminal() && std::env::var("TERM").is_ok_and(|t| !t.is_empty() && t != "dumb");
    let mut shown = String::new();
    loop {
        let text = screen(&folders);
        if text != shown {
            let clear = if can_clear { "\x1b[2J\x1b[H" } else { "" };
            // Carriage returns: a raw serial line does not add them.
            let body = text.replace('\n', "\r\n");
            write!(out, "{clear}\r\n{body}\r\n")
                .and_then(|()| out.flush())
                .map_err(|e| Error::io("writing to the console", e))?;
            shown = text;
        }
        std::thread::sleep(LOOK);
    }
}

fn screen(folders: &[PathBuf]) -> String {
    let mut found = None;
    for folder in folders {
        match files::read(&folder.join(FILE)) {
            Ok(Some(bytes)) => {
                found = serde_json::from_slice::<Status>(&bytes).ok();
                break;
            }
            Ok(None) => {}
            Err(e) => return format!("  Colca\n  {e}\n"),
        }
    }
    match found {
        Some(status) => status.text(Timestamp::now()),
        None => "  Colca\n  El servicio esta iniciando / the service is starting\n".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_shows_what_the_daemon_wrote_and_tells_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_path_buf()];
        assert!(screen(&folders).contains("starting"));
        let mut status = Status {
            version: "1.2.3".into(),
            hostname: "colca".into(),
            addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            port: 443,
            fingerprint: "AB:CD:EF:01".into(),
            claim_code: Some("ABCD-EFGH".into()),
            pool: "none".into(),
            problem: None,
            updated: Timestamp::now(),
        };
        status.write(folder.path()).unwrap();
        let text = screen(&folders);
        for part in [
            "1.2.3",
            "https://192.0.2.7/",
            "https://[2001:db8::7]/",
            "AB:CD:",
            "ABCD-EFGH",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("does not answer"));
        status.updated = Timestamp::UNIX_EPOCH;
        status.claim_code = None;
        status.write(folder.path()).unwrap();
        let text = screen(&folders);
        assert!(
            text.contains("does not answer") && !text.contains("claim"),
            "{text}"
        );
    }
}

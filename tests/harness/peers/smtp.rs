//! A mail server that delivers to a folder.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

/// A mail server that takes every mail and keeps it as `1.eml`, `2.eml`, …
/// with its envelope in the first lines.
pub struct SmtpSink {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the mails are.
    pub folder: PathBuf,
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl SmtpSink {
    /// Starts it; mails go to `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let (stopping, to) = (Arc::clone(&stop), folder.to_owned());
        let listener = thread::spawn(move || {
            for stream in socket.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
                let (to, count) = (to.clone(), Arc::clone(&count));
                thread::spawn(move || {
                    // A client that breaks off has nothing to be told.
                    let _ = stream.map(|s| converse(s, &to, &count));
                });
            }
        });
        Ok(Self {
            address,
            folder: folder.to_owned(),
            stop,
            listener: Some(listener),
        })
    }

    /// The mails so far, oldest first.
    pub fn mails(&self) -> Result<Vec<String>> {
        let mut mails = Vec::new();
        for n in 1.. {
            match fs::read_to_string(self.folder.join(format!("{n}.eml"))) {
                Ok(mail) => mails.push(mail),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(mails)
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener so that it sees the wish.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// One session of RFC 5321.
fn converse(stream: TcpStream, folder: &Path, count: &AtomicU64) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let mut envelope = String::new();
    write!(out, "220 colca-lab ESMTP\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or("").to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => write!(
                out,
                "250-colca-lab\r\n250-8BITMIME\r\n250 SIZE 33554432\r\n"
            )?,
            "HELO" | "NOOP" => write!(out, "250 ok\r\n")?,
            "MAIL" | "RCPT" => {
                let who = line.split_once(':').map_or("", |(_, w)| w.trim());
                let what = if verb == "MAIL" { "From" } else { "To" };
                envelope.push_str(&format!("X-Envelope-{what}: {who}\r\n"));
                write!(out, "250 ok\r\n")?;
            }
            "RSET" => {
                envelope.clear();
                write!(out, "250 ok\r\n")?;
            }
            "DATA" => {
                write!(out, "354 end with .\r\n")?;
                let mut mail = std::mem::take(&mut envelope).into_bytes();
                loop {
                    let mut raw = Vec::new();
                    if input.read_until(b'\n', &mut raw)? == 0 {
                        return Ok(());
                    }
                    if raw == b".\r\n" || raw == b".\n" {
                        break;
                    }
                    mail.extend_from_slice(raw.strip_prefix(b".").unwrap_or(&raw));
                }
                let n = count.fetch_add(1, Ordering::Relaxed) + 1;
                let temp = folder.join(format!("{n}.part"));
                fs::write(&temp, mail)?;
                fs::rename(temp, folder.join(format!("{n}.eml")))?;
                write!(out, "250 kept as {n}\r\n")?;
            }
            "QUIT" => return write!(out, "221 bye\r\n"),
            _ => write!(out, "502 not known here\r\n")?,
        }
    }
}

//! The privileged side, `colca tpm-helper`, and its client.
//!
//! One request a connection. It is a line, `seal PURPOSE` or `unseal PURPOSE`,
//! and after it the bytes; the end of what is sent is the end of the request.
//! The answer is a line, `done` or `error KIND`, and after it bytes or text. What
//! can be asked is only this; neither a device, a tool nor an option is named.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{LONGEST, SECRET, Sealer, direct, read_secret};
use crate::engine::{Error, Kind, Result};
use crate::privileged::Helper;

/// Longest request or answer.
const MESSAGE: usize = LONGEST + 1024;
/// Longer than the tool's own patience.
const PATIENCE: Duration = Duration::from_secs(150);

/// Answers the one request that arrives on standard input, which is the
/// connection that systemd accepted.
pub fn run() -> Result<()> {
    use std::os::fd::AsFd;
    let own = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|e| Error::io("taking over the connection from systemd", e))?;
    let stream = UnixStream::from(own);
    if stream.local_addr().is_err() {
        return Err(Error::new(
            Kind::Refused,
            "the TPM helper is started by systemd through colca-tpm-helper.socket, not by hand",
        ));
    }
    converse(stream, &*direct())
}

fn converse(mut stream: UnixStream, sealer: &dyn Sealer) -> Result<()> {
    let request = read(&mut stream)?;
    let (head, body) = match answer(sealer, &request) {
        Ok(body) => ("done".to_owned(), body),
        Err(e) => {
            tracing::warn!("refused: {e}");
            let text = Zeroizing::new(e.to_string().into_bytes());
            (format!("error {}", name(e.kind())), text)
        }
    };
    write(&mut stream, &head, &body)
}

/// Does what a request asks.
fn answer(sealer: &dyn Sealer, request: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let bad = |what: &str| Error::new(Kind::Refused, format!("the TPM helper was asked {what}"));
    let (head, body) = split(request).ok_or_else(|| bad("nothing it understands"))?;
    match head.split_once(' ') {
        Some(("seal", purpose)) => {
            let secret = <&[u8; SECRET]>::try_from(body)
                .map_err(|_| bad("to seal something that is not 32 bytes"))?;
            let sealed = sealer.seal(purpose, secret)?;
            Ok(Zeroizing::new(sealed.into_bytes()))
        }
        Some(("unseal", purpose)) => {
            let text = std::str::from_utf8(body)
                .ok()
                .filter(|text| text.bytes().all(|b| b.is_ascii_graphic()))
                .ok_or_else(|| bad("to open something that it never sealed"))?;
            let secret = sealer.unseal(purpose, text)?;
            Ok(Zeroizing::new(secret.to_vec()))
        }
        _ => Err(bad("nothing it understands")),
    }
}

fn split(message: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr(b'\n', message)?;
    let head = std::str::from_utf8(&message[..end]).ok()?;
    Some((head, &message[end + 1..]))
}

/// A kind's name, as everywhere else.
fn name(kind: Kind) -> String {
    serde_json::to_value(kind)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn read(from: &mut UnixStream) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = read_secret(from, MESSAGE)
        .map_err(|e| Error::io("reading from the TPM helper's socket", e))?;
    if bytes.len() < MESSAGE {
        return Ok(bytes);
    }
    Err(Error::new(
        Kind::Refused,
        format!("a message on the TPM helper's socket is longer than {MESSAGE} bytes"),
    ))
}

fn write(to: &mut UnixStream, head: &str, body: &[u8]) -> Result<()> {
    to.write_all(head.as_bytes())
        .and_then(|()| to.write_all(b"\n"))
        .and_then(|()| to.write_all(body))
        .and_then(|()| to.shutdown(Shutdown::Write))
        .map_err(|e| Error::io("writing to the TPM helper's socket", e))
}

/// The helper as the daemon sees it.
pub(super) struct Client(Helper);

impl Client {
    pub fn new(socket: &Path) -> Self {
        Self(Helper {
            name: "TPM",
            unit: "colca-tpm-helper.socket",
            socket: socket.into(),
            patience: PATIENCE,
        })
    }

    fn ask(&self, verb: &str, purpose: &str, body: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut stream = self.0.connect()?;
        write(&mut stream, &format!("{verb} {purpose}"), body)?;
        let all = read(&mut stream)?;
        let (head, body) = split(&all).ok_or_else(|| self.0.ended())?;
        match head.split_once(' ') {
            None if head == "done" => Ok(Zeroizing::new(body.to_vec())),
            Some(("error", kind)) => {
                let kind = serde_json::from_value(kind.into()).unwrap_or(Kind::Io);
                Err(Error::new(kind, String::from_utf8_lossy(body)))
            }
            _ => Err(self.0.ended()),
        }
    }
}

impl Sealer for Client {
    fn seal(&self, purpose: &str, secret: &[u8; SECRET]) -> Result<String> {
        let sealed = self.ask("seal", purpose, secret)?;
        String::from_utf8(sealed.to_vec()).map_err(|_| self.0.unexpected())
    }

    fn unseal(&self, purpose: &str, sealed: &str) -> Result<Zeroizing<[u8; SECRET]>> {
        let secret = self.ask("unseal", purpose, sealed.as_bytes())?;
        let secret =
            <[u8; SECRET]>::try_from(secret.as_slice()).map_err(|_| self.0.unexpected())?;
        Ok(Zeroizing::new(secret))
    }
}

/// What the privileged side makes of any bytes, for `crate::hostile`.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(bytes: &[u8]) {
    struct Echo;
    impl Sealer for Echo {
        fn seal(&self, purpose: &str, _: &[u8; SECRET]) -> Result<String> {
            Ok(purpose.to_owned())
        }
        fn unseal(&self, _: &str, sealed: &str) -> Result<Zeroizing<[u8; SECRET]>> {
            assert!(sealed.bytes().all(|b| b.is_ascii_graphic()));
            Ok(Zeroizing::new([0; SECRET]))
        }
    }
    let _ = answer(&Echo, bytes);
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Opens what it sealed, and refuses one purpose.
    struct Picky;

    impl Sealer for Picky {
        fn seal(&self, purpose: &str, secret: &[u8; SECRET]) -> Result<String> {
            match purpose {
                "colca-no" => Err(Error::new(Kind::Refused, "no TPM, said the machine")),
                _ => Ok(format!("{purpose}:{}", crate::engine::storage::hex(secret))),
            }
        }

        fn unseal(&self, purpose: &str, sealed: &str) -> Result<Zeroizing<[u8; SECRET]>> {
            sealed
                .strip_prefix(&format!("{purpose}:"))
                .and_then(crate::engine::storage::unhex)
                .map(Zeroizing::new)
                .ok_or_else(|| Error::new(Kind::Refused, "sealed for something else"))
        }
    }

    #[test]
    fn the_client_gets_what_the_helper_did_or_why_it_did_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A message that is too long ends it early.
                let _ = converse(stream.unwrap(), &Picky);
            }
        });
        let client = Client::new(&socket);
        // With every byte a line of text could stumble over.
        let mut secret = [b'\n'; SECRET];
        secret[7] = 0;
        secret[8] = 255;
        let sealed = client.seal("colca-ab", &secret).unwrap();
        assert_eq!(*client.unseal("colca-ab", &sealed).unwrap(), secret);
        for refused in [
            client.unseal("colca-cd", &sealed).map(drop),
            client.unseal("colca-ab", "two words").map(drop),
            client.unseal("colca-ab", &"x".repeat(MESSAGE)).map(drop),
            client.ask("seal", "colca-ab", b"short").map(drop),
            client.ask("copy", "colca-ab", &secret).map(drop),
        ] {
            assert!(refused.is_err());
        }
        let e = client.seal("colca-no", &secret).unwrap_err();
        assert_eq!(e.kind(), Kind::Refused);
        assert_eq!(e.to_string(), "no TPM, said the machine");
        let nobody = Client::new(&folder.path().join("none"));
        let e = nobody.seal("colca-ab", &secret).unwrap_err();
        assert!(e.to_string().contains("colca-tpm-helper.socket"), "{e}");
    }
}

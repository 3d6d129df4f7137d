//! Reading secrets: recovery words and passphrases, from a file, from standard
//! input, or typed at a terminal without being shown. Buffers are wiped.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::engine::{Error, Kind, Passphrase, RecoveryKey, Result};

/// Far more than any secret needs; keeps a wrong file from filling the memory.
const LONGEST: usize = 64 << 10;

/// The recovery words from `file`, or from standard input; shown while typed,
/// because nobody types 24 words blindly.
pub(crate) fn words(file: Option<&Path>) -> Result<RecoveryKey> {
    let text = read(file, "The 24 recovery words, then Enter:", true)?;
    RecoveryKey::parse(&text)
}

/// A passphrase from `file`, or from standard input; not shown while typed.
pub(crate) fn passphrase(file: Option<&Path>) -> Result<Passphrase> {
    Passphrase::new(&read(file, "Passphrase:", false)?)
}

/// The same for a new one: typed twice at a terminal.
pub(crate) fn new_passphrase(file: Option<&Path>) -> Result<Passphrase> {
    let first = read(file, "New passphrase:", false)?;
    if file.is_none()
        && isatty(std::io::stdin())
        && *first != *read(None, "The same once more:", false)?
    {
        return Err(Error::new(
            Kind::Refused,
            "the two passphrases differ; nothing was changed",
        ));
    }
    Passphrase::new(&first)
}

fn read(file: Option<&Path>, prompt: &str, echo: bool) -> Result<Zeroizing<String>> {
    let (bytes, place) = match file {
        Some(path) => {
            let place = path.display().to_string();
            let file = File::open(path).map_err(|e| Error::io(&place, e))?;
            (all(file, false, &place)?, place)
        }
        None => (typed(prompt, echo)?, "standard input".to_owned()),
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Error::new(
            Kind::Refused,
            format!("{place} holds no text; give the words or the passphrase in UTF-8"),
        )),
    }
}

/// From standard input: to its end, or one line if a person sits there.
fn typed(prompt: &str, echo: bool) -> Result<Zeroizing<Vec<u8>>> {
    let place = "standard input";
    let stdin = std::io::stdin();
    let own = stdin
        .as_fd()
        .try_clone_to_owned()
        .map_err(|e| Error::io(place, e))?;
    // Not through the library's own buffer, which nobody wipes.
    let input = File::from(own);
    if !isatty(&stdin) {
        return all(input, false, place);
    }
    eprintln!("{prompt}");
    if echo {
        return all(input, true, place);
    }
    let fail = |e: rustix::io::Errno| Error::io("turning off the terminal's echo", e.into());
    let before = tcgetattr(&stdin).map_err(fail)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(fail)?;
    let line = all(input, true, place);
    tcsetattr(&stdin, OptionalActions::Now, &before).map_err(fail)?;
    line
}

/// Everything, or the first line, into a buffer that never moves.
fn all(mut from: impl Read, line: bool, place: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; LONGEST]);
    let mut len = 0;
    while len < LONGEST {
        let n = from
            .read(&mut bytes[len..])
            .map_err(|e| Error::io(format!("reading {place}"), e))?;
        len += n;
        if n == 0 || line && bytes[..len].contains(&b'\n') {
            bytes.truncate(len);
            return Ok(bytes);
        }
    }
    Err(Error::new(
        Kind::Refused,
        format!("{place} holds far more than a secret"),
    ))
}

//! Exit codes. A script can rely on them: a number never changes its meaning.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed in a way none of the others names |
//! | 2 | the command line is wrong |
//! | 3 | done, but some things could not be saved or restored; each is named |
//! | 4 | corrupt: bytes are not what was written |
//! | 5 | missing: the named thing is not there |
//! | 6 | a passing fault (network, busy device); try again |
//! | 7 | full: no room left, nothing lost |
//! | 8 | refused: wrong key, bad argument, no permission |
//! | 9 | busy: another operation holds the pool |
//! | 10 | stopped on request |

use std::process::ExitCode;

use super::Outcome;
use crate::engine::{Error, Kind};

fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Io => 1,
        Kind::Corrupt => 4,
        Kind::Missing => 5,
        Kind::Transient => 6,
        Kind::Full => 7,
        Kind::Refused => 8,
        Kind::Busy => 9,
        Kind::Cancelled => 10,
    }
}

/// Prints an error for people (and, with `json`, for programs) and gives the code.
pub(crate) fn code(result: anyhow::Result<Outcome>, json: bool) -> ExitCode {
    let error = match result {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Warnings) => return ExitCode::from(3),
        Err(error) => error,
    };
    // A reader that closed the pipe early (`colca ls … | head`) is no failure.
    if let Some(io) = error.downcast_ref::<std::io::Error>()
        && io.kind() == std::io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    let kind = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Error>())
        .map_or(Kind::Io, Error::kind);
    let message = format!("{error:#}");
    if json {
        eprintln!(
            "{}",
            serde_json::json!({ "error": { "kind": kind, "message": message } })
        );
    } else {
        eprintln!("colca: {message}");
    }
    ExitCode::from(number(kind))
}

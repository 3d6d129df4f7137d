//! What can go wrong in the engine, and what a caller may conclude from it.
//!
//! Policy: every error carries a [`Kind`], so that a caller can tell corrupt
//! from missing from transient from full from refused from busy without
//! reading text, and a message that says what happened, to which thing, and
//! what to do next. Storage and trees use the same type, so nothing is lost
//! on the way up. Library code never panics on bytes read from outside.

use std::fmt;

/// The class of a failure; decides what a caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Bytes are there but are not what was written. Repair, never retry.
    Corrupt,
    /// The named thing is not there.
    Missing,
    /// A passing fault (network, busy device). Trying again may help.
    Transient,
    /// No room left. Nothing was lost; free space, then try again.
    Full,
    /// Not allowed or not valid as asked (wrong key, bad argument, no permission).
    Refused,
    /// Another operation holds the thing. Try again when it has ended.
    Busy,
    /// The user asked to stop.
    Cancelled,
    /// The operating system failed in a way none of the above names.
    Io,
}

/// An engine failure: its kind, the thing it happened to, and a sentence for people.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result with the engine's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `kind` with a message that names the thing and the next step.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The same, keeping the underlying cause for the log.
    pub fn with_source(
        kind: Kind,
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            source: Some(Box::new(source)),
        }
    }

    /// An operating-system error met while doing `what` (a phrase that names
    /// the path), classified by its errno.
    pub fn io(what: impl fmt::Display, e: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let kind = match e.kind() {
            K::NotFound => Kind::Missing,
            K::PermissionDenied | K::InvalidInput | K::ReadOnlyFilesystem => Kind::Refused,
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Kind::Full,
            K::Interrupted
            | K::TimedOut
            | K::WouldBlock
            | K::ConnectionReset
            | K::ConnectionAborted
            | K::ConnectionRefused
            | K::BrokenPipe
            | K::HostUnreachable
            | K::NetworkUnreachable
            | K::NetworkDown => Kind::Transient,
            K::ResourceBusy => Kind::Busy,
            _ => Kind::Io,
        };
        let message = format!("{what}: {e}");
        Self {
            kind,
            message,
            source: Some(Box::new(e)),
        }
    }

    /// The class of the failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Puts a phrase before the message, e.g. the file being read.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|e| e as &(dyn std::error::Error + 'static))
    }
}

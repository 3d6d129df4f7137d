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

impl Kind {
    /// What an operating-system error means. A device that fails (`EIO`) is
    /// `Io`: it may be the disk, the cable or the controller, and neither
    /// trying again nor repairing the object is sure to help.
    fn of(e: &std::io::Error) -> Self {
        use rustix::io::Errno;
        use std::io::ErrorKind as K;
        match Errno::from_io_error(e) {
            // The file system found its own structures damaged.
            Some(Errno::UCLEAN | Errno::BADMSG) => return Kind::Corrupt,
            // The device or its medium was taken away.
            Some(Errno::NODEV | Errno::NXIO | Errno::NOMEDIUM) => return Kind::Missing,
            // Too many files are open; the kernel has no memory for this now.
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS) => return Kind::Transient,
            _ => {}
        }
        match e.kind() {
            K::NotFound => Kind::Missing,
            K::PermissionDenied
            | K::InvalidInput
            | K::ReadOnlyFilesystem
            | K::AlreadyExists
            | K::NotADirectory
            | K::IsADirectory
            | K::DirectoryNotEmpty
            | K::InvalidFilename
            | K::TooManyLinks
            | K::CrossesDevices
            | K::Unsupported => Kind::Refused,
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Kind::Full,
            K::Interrupted
            | K::TimedOut
            | K::WouldBlock
            | K::OutOfMemory
            | K::StaleNetworkFileHandle
            | K::NotConnected
            | K::ConnectionReset
            | K::ConnectionAborted
            | K::ConnectionRefused
            | K::BrokenPipe
            | K::HostUnreachable
            | K::NetworkUnreachable
            | K::NetworkDown => Kind::Transient,
            K::ResourceBusy | K::ExecutableFileBusy => Kind::Busy,
            _ => Kind::Io,
        }
    }
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
        let kind = Kind::of(&e);
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn what_the_system_says_is_told_apart() {
        for (kind, all) in [
            (Kind::Corrupt, &[Errno::UCLEAN, Errno::BADMSG][..]),
            (Kind::Missing, &[Errno::NOENT, Errno::NODEV, Errno::NXIO]),
            (Kind::Full, &[Errno::NOSPC, Errno::DQUOT, Errno::FBIG]),
            (
                Kind::Refused,
                &[
                    Errno::ACCESS,
                    Errno::PERM,
                    Errno::ROFS,
                    Errno::INVAL,
                    Errno::EXIST,
                    Errno::NOTDIR,
                    Errno::ISDIR,
                    Errno::NOTEMPTY,
                    Errno::NAMETOOLONG,
                    Errno::MLINK,
                    Errno::XDEV,
                    Errno::OPNOTSUPP,
                ],
            ),
            (
                Kind::Transient,
                &[
                    Errno::INTR,
                    Errno::AGAIN,
                    Errno::TIMEDOUT,
                    Errno::STALE,
                    Errno::MFILE,
                    Errno::NFILE,
                    Errno::NOMEM,
                    Errno::CONNRESET,
                    Errno::PIPE,
                    Errno::NETUNREACH,
                ],
            ),
            (Kind::Busy, &[Errno::BUSY, Errno::TXTBSY]),
            (Kind::Io, &[Errno::IO]),
        ] {
            for errno in all {
                let e = Error::io("reading /x", (*errno).into());
                assert_eq!(e.kind(), kind, "{errno:?}");
                assert!(e.to_string().starts_with("reading /x: "));
            }
        }
    }
}

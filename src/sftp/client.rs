//! A file server as the tree and the target see it: calls that block, over a
//! few connections that are made when needed and made again when they break.
//!
//! Several connections help because a server encrypts and reads for each in a
//! process of its own. A broken one is replaced a few times with growing
//! pauses; once that has failed, everything fails at once and for good, so
//! that a backup of a million files does not wait for each of them.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::SftpConfig;
use super::lane::Lane;
use super::ssh::Login;
use super::wire::{Attrs, Fault, Packet, code, kind};
use crate::engine::{Error, Kind, Result};

/// Connections at most; far below what servers allow (`MaxStartups` 10).
const LANES: usize = 4;
/// Users of a lane before another one is worth opening.
const CROWD: usize = 2;
/// Pauses in seconds before each attempt to connect again.
const PAUSES: [u64; 4] = [0, 1, 2, 4];

/// The server and our connections to it.
pub(crate) struct Client {
    login: Arc<Login>,
    /// Shut down without waiting when dropped, see [`Drop`].
    runtime: Option<tokio::runtime::Runtime>,
    lanes: Mutex<Lanes>,
    /// Set when connecting again has failed; checked before every call.
    down: AtomicBool,
    /// `user@host`, for messages.
    pub name: String,
}

struct Lanes {
    open: Vec<Arc<Lane>>,
    /// Fewer than [`LANES`] once the server has refused one more.
    most: usize,
    /// Whether there ever was a connection: only then is it worth insisting.
    had_one: bool,
    why_down: Option<(Kind, String)>,
}

/// A lane in use; counts as busy until dropped.
pub(crate) struct InUse(Arc<Lane>);

impl InUse {
    fn new(lane: &Arc<Lane>) -> Self {
        lane.busy.fetch_add(1, Ordering::Relaxed);
        Self(lane.clone())
    }
}

impl Deref for InUse {
    type Target = Lane;
    fn deref(&self) -> &Lane {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Client {
    /// Reads the keys and starts the runtime; nothing is connected yet.
    pub fn new(config: &SftpConfig) -> Result<Arc<Self>> {
        if !config.path.starts_with('/') || config.path.contains('\0') {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "the folder {:?} on {} is not absolute; give it from /",
                    config.path, config.host
                ),
            ));
        }
        Ok(Arc::new(Self {
            login: Arc::new(Login::new(config)?),
            runtime: Some(runtime()?),
            lanes: Mutex::new(Lanes {
                open: Vec::new(),
                most: LANES,
                had_one: false,
                why_down: None,
            }),
            down: AtomicBool::new(false),
            name: format!("{}@{}", config.user, config.host),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        // A panic elsewhere leaves at worst a lane too few.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> Result<Arc<Lane>> {
        let Some(runtime) = &self.runtime else {
            return Err(Error::new(Kind::Io, "the SFTP client is shut down"));
        };
        let login = self.login.clone();
        let opened = wait_for(runtime, async move { login.open().await })?;
        Lane::start(runtime.handle(), opened)
            .map(Arc::new)
            .map_err(|fault| fault.into_error(format!("starting SFTP with {}", self.name)))
    }

    /// The least busy lane; connects, again if need be.
    pub fn lane(&self) -> Result<InUse> {
        let mut lanes = self.lock();
        if self.down.load(Ordering::Relaxed)
            && let Some((kind, why)) = &lanes.why_down
        {
            return Err(Error::new(*kind, why.clone()));
        }
        lanes.open.retain(|lane| !lane.is_dead());
        let best = lanes
            .open
            .iter()
            .min_by_key(|lane| lane.busy.load(Ordering::Relaxed));
        if let Some(best) = best {
            let best = InUse::new(best);
            if best.busy.load(Ordering::Relaxed) <= CROWD || lanes.open.len() >= lanes.most {
                return Ok(best);
            }
            // Others need not wait while one more is connected.
            let most = lanes.most;
            lanes.most = lanes.open.len();
            drop(lanes);
            let one_more = self.connect();
            let mut lanes = self.lock();
            return Ok(match one_more {
                Ok(lane) => {
                    lanes.most = most;
                    lanes.open.push(lane.clone());
                    InUse::new(&lane)
                }
                // The server allows no more; what there is must do.
                Err(_) => best,
            });
        }
        let pauses = if lanes.had_one {
            &PAUSES[..]
        } else {
            &PAUSES[..1]
        };
        let mut last = None;
        for pause in pauses {
            std::thread::sleep(Duration::from_secs(*pause));
            match self.connect() {
                Ok(lane) => {
                    lanes.had_one = true;
                    lanes.open.push(lane.clone());
                    return Ok(InUse::new(&lane));
                }
                Err(e) if e.kind() == Kind::Transient => last = Some(e),
                Err(e) => {
                    last = Some(e);
                    break;
                }
            }
        }
        let e = last.unwrap_or_else(|| Error::new(Kind::Transient, "not connected"));
        if lanes.had_one {
            let why = format!("the connection to {} was lost: {e}", self.name);
            lanes.why_down = Some((e.kind(), why.clone()));
            self.down.store(true, Ordering::Relaxed);
            return Err(Error::with_source(e.kind(), why, e));
        }
        Err(e)
    }

    /// Does `work` on a lane, on another one if that lane breaks. For work
    /// that may be done twice.
    pub fn on_lane<T>(&self, work: impl Fn(&Lane) -> Result<T, Fault>) -> Result<T, Failed> {
        let mut broken = 0;
        loop {
            let lane = self.lane().map_err(Failed::Engine)?;
            match work(&lane) {
                Err(Fault::Lost(_)) if broken < PAUSES.len() => broken += 1,
                other => return other.map_err(Failed::Fault),
            }
        }
    }

    /// Attributes of a path; a link is examined itself unless `follow`.
    pub fn stat(&self, path: &[u8], follow: bool) -> Result<Attrs, Failed> {
        let kind = if follow { kind::STAT } else { kind::LSTAT };
        self.on_lane(|lane| lane.ask(Packet::new(kind).bytes(path))?.attrs())
    }

    /// A request on a path that gives nothing back.
    pub fn simple(&self, kind: u8, path: &[u8]) -> Result<(), Failed> {
        self.on_lane(|lane| lane.ask(Packet::new(kind).bytes(path))?.done())
    }

    /// Bytes of the file system of `path` in all and free for us; `None` where
    /// the server does not say.
    pub fn room(&self, path: &[u8]) -> Result<Option<(u64, u64)>, Failed> {
        Ok(self.statvfs(path)?.map(|seen| (seen.total, seen.free)))
    }

    fn statvfs(&self, path: &[u8]) -> Result<Option<Room>, Failed> {
        self.on_lane(|lane| {
            if !lane.offers.statvfs {
                return Ok(None);
            }
            // f_bsize, f_frsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree,
            // f_favail, f_fsid, f_flag, f_namemax
            let [bsize, frsize, blocks, _, available, files, _, free_files] = lane
                .ask(Packet::extended("statvfs@openssh.com").bytes(path))?
                .numbers()?;
            let unit = if frsize == 0 { bsize } else { frsize };
            Ok(Some(Room {
                total: blocks.saturating_mul(unit),
                free: available.saturating_mul(unit),
                no_names: files > 0 && free_files == 0,
            }))
        })
    }

    /// Whether the file system of `path` is known to have no room left.
    pub fn is_full(&self, path: &[u8]) -> bool {
        let seen = self.statvfs(path).ok().flatten();
        seen.is_some_and(|seen| seen.free < 1 << 20 || seen.no_names)
    }

    /// Whether connecting again has failed, after which every call fails.
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }
}

/// What a server's file system holds, in bytes.
struct Room {
    total: u64,
    free: u64,
    /// It has room for bytes, but not for another file.
    no_names: bool,
}

impl Drop for Client {
    fn drop(&mut self) {
        // Waiting here would panic inside another runtime, and there is nothing to wait for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why a call failed: the server said no, or the engine's own error.
#[derive(Debug)]
pub(crate) enum Failed {
    Fault(Fault),
    Engine(Error),
}

impl Failed {
    /// True for an answer with this status code.
    pub fn is(&self, code: u32) -> bool {
        matches!(self, Failed::Fault(f) if f.is(code))
    }

    /// True when the thing is not there.
    pub fn is_missing(&self) -> bool {
        self.is(code::NO_SUCH_FILE)
    }

    /// The engine's error for what happened while doing `what` (names the path).
    pub fn say(self, what: impl std::fmt::Display) -> Error {
        match self {
            Failed::Fault(fault) => fault.into_error(what),
            Failed::Engine(e) => e.context(what),
        }
    }
}

/// The runtime that carries the packets: two threads, one of which encrypts
/// while the other moves data.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("colca-sftp")
        .enable_io()
        .enable_time()
        .build()
        .map_err(|e| Error::io("starting threads for SFTP", e))
}

/// Runs `work` on the runtime and waits for it on this plain thread.
pub(crate) fn wait_for<T: Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (done, result) = std::sync::mpsc::sync_channel(1);
    runtime.spawn(async move {
        // The other end waits until this is sent or dropped.
        let _ = done.send(work.await);
    });
    result
        .recv()
        .unwrap_or_else(|_| Err(Error::new(Kind::Io, "the SFTP client stopped unexpectedly")))
}

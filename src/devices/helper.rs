//! The privileged process: `colca disk-helper`.
//!
//! systemd holds its socket and starts it when somebody connects; after a few
//! idle minutes it ends, so that nothing with root's rights runs while nothing
//! is asked of it. It obeys root and the user `colca`, nobody else, and does
//! one change at a time.

use std::io::{BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::{PeerCredentials, ReceiveTimeout};
use nix::sys::socket::{getsockopt, setsockopt};
use nix::sys::time::{TimeVal, TimeValLike};

pub use super::machine::Machine;
use super::protocol::{Answer, LONGEST_REQUEST, Request, answer, read_line, write_line};
use super::{Devices, MOUNTS, USER};
use crate::engine::{Error, Kind, Result};

/// Ends after so long without a connection.
const IDLE: Duration = Duration::from_secs(180);
/// How long a connection may take to say what it wants.
const HURRY: Duration = Duration::from_secs(10);
/// Connections at once.
const CROWD: usize = 16;

/// Serves the socket that systemd passed, until idle. The environment variable
/// `COLCA_TEST_LOOP` names loop devices that count as disks (`loop3,loop4`),
/// for tests.
pub fn run() -> Result<()> {
    let listener = listenfd::ListenFd::from_env()
        .take_unix_listener(0)
        .map_err(|e| Error::io("taking over the socket from systemd", e))?
        .ok_or_else(|| {
            Error::new(
                Kind::Refused,
                "the disk helper is started by systemd through colca-disk-helper.socket, not by hand",
            )
        })?;
    let user = nix::unistd::User::from_name(USER)
        .map_err(|e| Error::io(format!("looking up the user {USER}"), e.into()))?
        .ok_or_else(|| {
            Error::new(
                Kind::Missing,
                format!("there is no user {USER}; systemd-sysusers makes it"),
            )
        })?;
    let loops = std::env::var("COLCA_TEST_LOOP").unwrap_or_default();
    let loops: Vec<&str> = loops.split(',').collect();
    let owner = (user.uid.as_raw(), user.gid.as_raw());
    let machine = Machine::new(Path::new(MOUNTS), owner, &loops);
    machine.dark();
    serve(&listener, Arc::new(machine), &[0, owner.0], IDLE)
}

/// Answers requests on `listener` from users whose number is in `allowed`,
/// until there was no connection for `idle`.
pub fn serve(
    listener: &UnixListener,
    devices: Arc<dyn Devices>,
    allowed: &[u32],
    idle: Duration,
) -> Result<()> {
    // Wakes from waiting now and then to look at the clock.
    let wait = idle.clamp(Duration::from_millis(10), Duration::from_secs(1));
    let micros = i64::try_from(wait.as_micros()).unwrap_or(1_000_000);
    listener
        .set_nonblocking(false)
        .and_then(|()| {
            let timeout = TimeVal::microseconds(micros);
            Ok(setsockopt(listener, ReceiveTimeout, &timeout)?)
        })
        .map_err(|e| Error::io("preparing the disk helper's socket", e))?;
    let active = Arc::new(AtomicUsize::new(0));
    let mut last = Instant::now();
    loop {
        if active.load(Ordering::SeqCst) > 0 {
            last = Instant::now();
        } else if last.elapsed() >= idle {
            return Ok(());
        }
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            // It was gone again before it could be taken, or there are too
            // many open files; either passes.
            Err(e) => {
                tracing::debug!(error = %e, "a connection could not be accepted");
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
        };
        last = Instant::now();
        let guard = Active::new(&active);
        let (devices, allowed) = (devices.clone(), allowed.to_vec());
        std::thread::spawn(move || {
            let crowded = guard.0.load(Ordering::SeqCst) > CROWD;
            if let Err(e) = converse(stream, &*devices, &allowed, crowded) {
                tracing::debug!(error = %e, "a connection ended early");
            }
            drop(guard);
        });
    }
}

/// Counts a connection until dropped, also when its thread panics.
struct Active(Arc<AtomicUsize>);
impl Active {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}
impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers the requests of one connection.
fn converse(
    mut stream: UnixStream,
    devices: &dyn Devices,
    allowed: &[u32],
    crowded: bool,
) -> Result<()> {
    let setting = |e| Error::io("preparing a connection", e);
    stream.set_nonblocking(false).map_err(setting)?;
    stream.set_read_timeout(Some(HURRY)).map_err(setting)?;
    stream.set_write_timeout(Some(HURRY)).map_err(setting)?;
    let refuse = |stream: &mut UnixStream, kind, text: String| {
        let e = Error::new(kind, text);
        write_line(stream, &Answer::from(e))?;
        // Taking in what was asked lets the answer arrive before the end does.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = std::io::copy(&mut stream.take(LONGEST_REQUEST), &mut std::io::sink());
        Ok(())
    };
    let peer = getsockopt(&stream, PeerCredentials)
        .map_err(|e| Error::io("asking who is connected", e.into()))?;
    if !allowed.contains(&peer.uid()) {
        tracing::warn!(uid = peer.uid(), pid = peer.pid(), "refused a stranger");
        let text = format!(
            "user number {} may not use the disk helper; it serves {USER} only",
            peer.uid()
        );
        return refuse(&mut stream, Kind::Refused, text);
    }
    if crowded {
        let text = "too many connections to the disk helper at once; try again".to_owned();
        return refuse(&mut stream, Kind::Busy, text);
    }
    let mut reader = BufReader::new(stream.try_clone().map_err(setting)?);
    loop {
        match read_line::<Request>(&mut reader, LONGEST_REQUEST) {
            Ok(None) => return Ok(()),
            Ok(Some(request)) => {
                tracing::debug!(?request, "asked");
                write_line(&mut stream, &answer(devices, request))?;
            }
            // After nonsense it is not known where the next message begins.
            Err(e) if e.kind() == Kind::Refused => {
                return refuse(&mut stream, Kind::Refused, e.to_string());
            }
            Err(e) => return Err(e),
        }
    }
}

//! One SFTP channel, spoken to by many threads at once.
//!
//! Threads are plain ones that block; a task on the connection's runtime sends
//! what they hand over and gives each answer to the thread that asked. Any
//! number of requests may be under way, which is what makes SFTP fast.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use russh::ChannelMsg;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::ssh::Opened;
use super::wire::{Cutter, Fault, Frame, Packet, kind};

/// How long the server may say nothing at all, while a request is under way,
/// before the connection is given up. A slow line that still moves is waited for.
const SILENCE: Duration = Duration::from_secs(60);

/// An SFTP channel with its own connection.
pub(crate) struct Lane {
    outgoing: UnboundedSender<Vec<u8>>,
    waiting: Arc<Waiting>,
    next: AtomicU32,
    /// Files and calls that use this lane now.
    pub busy: AtomicUsize,
    /// What the server offers.
    pub offers: Offers,
}

/// Extensions of OpenSSH that are used where offered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offers {
    pub posix_rename: bool,
    pub hardlink: bool,
    pub lsetstat: bool,
    pub fsync: bool,
    pub statvfs: bool,
    /// Longest READ and WRITE in bytes.
    pub longest_read: u32,
    pub longest_write: u32,
}

/// Who waits for which answer; the reason instead, once the lane is dead.
type Waiters = Result<HashMap<u32, SyncSender<Frame>>, String>;

struct Waiting {
    waiters: Mutex<Waiters>,
    began: Instant,
    /// When the server was last heard, in milliseconds since `began`.
    heard: AtomicU64,
}

impl Waiting {
    fn new() -> Self {
        Self {
            waiters: Mutex::new(Ok(HashMap::new())),
            began: Instant::now(),
            heard: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long the server may still be silent.
    fn patience(&self) -> Duration {
        let silent = self
            .now()
            .saturating_sub(self.heard.load(Ordering::Relaxed));
        SILENCE.saturating_sub(Duration::from_millis(silent))
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        // Nothing that can panic is done under this lock.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody who waits; the first reason given stays.
    fn die(&self, why: String) {
        let mut state = self.lock();
        if state.is_ok() {
            *state = Err(why);
        }
    }

    fn answer(&self, frame: Frame) {
        let Some(id) = frame.id() else { return };
        let sender = match &mut *self.lock() {
            Ok(map) => map.remove(&id),
            Err(_) => None,
        };
        if let Some(sender) = sender {
            // One answer per request always fits; nobody may be there to take it any more.
            let _ = sender.try_send(frame);
        }
    }
}

/// A request under way.
pub(crate) struct Asked {
    answer: Receiver<Frame>,
    waiting: Arc<Waiting>,
}

impl Asked {
    /// Waits for the answer.
    pub fn wait(self) -> Result<Frame, Fault> {
        // Counted from the question: the server may have had nothing to say before.
        let mut patience = SILENCE;
        loop {
            match self.answer.recv_timeout(patience) {
                Ok(frame) => return Ok(frame),
                Err(RecvTimeoutError::Timeout) => {
                    patience = self.waiting.patience();
                    if patience.is_zero() {
                        self.waiting.die(format!(
                            "the server did not answer for {} seconds",
                            SILENCE.as_secs()
                        ));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let why = match &*self.waiting.lock() {
                        Err(why) => why.clone(),
                        Ok(_) => "the answer got lost".into(),
                    };
                    return Err(Fault::Lost(why));
                }
            }
        }
    }
}

impl Lane {
    /// Starts the tasks that carry packets, and asks the server what it can
    /// do. Call from a plain thread.
    pub fn start(runtime: &tokio::runtime::Handle, opened: Opened) -> Result<Self, Fault> {
        let (outgoing, to_send) = unbounded_channel();
        let waiting = Arc::new(Waiting::new());
        runtime.spawn(carry(opened, to_send, waiting.clone()));
        let mut lane = Self {
            outgoing,
            waiting,
            next: AtomicU32::new(4),
            busy: AtomicUsize::new(0),
            offers: Offers::default(),
        };
        // The answer to INIT has the version where others have the id: 3 to 6.
        let version = lane.register(3)?;
        lane.transmit(Packet::init())?;
        let extensions = version.wait()?.version()?;
        let has = |name: &str| extensions.iter().any(|(n, _)| n == name);
        lane.offers = Offers {
            posix_rename: has("posix-rename@openssh.com"),
            hardlink: has("hardlink@openssh.com"),
            lsetstat: has("lsetstat@openssh.com"),
            fsync: has("fsync@openssh.com"),
            statvfs: has("statvfs@openssh.com"),
            // What every server must accept.
            longest_read: 32 << 10,
            longest_write: 32 << 10,
        };
        if has("limits@openssh.com") {
            let [_, read, write, _] = lane
                .ask(Packet::extended("limits@openssh.com"))?
                .numbers()?;
            let clamp = |n: u64| u32::try_from(n.clamp(4 << 10, 255 << 10)).unwrap_or(32 << 10);
            lane.offers.longest_read = if read == 0 { 32 << 10 } else { clamp(read) };
            lane.offers.longest_write = if write == 0 { 32 << 10 } else { clamp(write) };
        }
        Ok(lane)
    }

    fn register(&self, id: u32) -> Result<Asked, Fault> {
        let (sender, answer) = sync_channel(1);
        match &mut *self.waiting.lock() {
            Ok(map) => map.insert(id, sender),
            Err(why) => return Err(Fault::Lost(why.clone())),
        };
        Ok(Asked {
            answer,
            waiting: self.waiting.clone(),
        })
    }

    fn transmit(&self, bytes: Vec<u8>) -> Result<(), Fault> {
        self.outgoing
            .send(bytes)
            .map_err(|_| Fault::Lost("the connection is closed".into()))
    }

    /// Sends a request without waiting for its answer.
    pub fn send(&self, packet: Packet) -> Result<Asked, Fault> {
        // Ids come round after four thousand million requests, long after their answers.
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let asked = self.register(id)?;
        self.transmit(packet.seal(id))?;
        Ok(asked)
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&self, packet: Packet) -> Result<Frame, Fault> {
        self.send(packet)?.wait()
    }

    /// Closes a handle; nobody needs to know when that is done.
    pub fn close(&self, handle: &[u8]) {
        // Fails only on a dead lane, which has no handles any more.
        let _ = self.send(Packet::new(kind::CLOSE).bytes(handle));
    }

    pub fn is_dead(&self) -> bool {
        self.waiting.lock().is_err()
    }
}

/// Carries packets both ways until either side ends.
async fn carry(opened: Opened, mut to_send: UnboundedReceiver<Vec<u8>>, waiting: Arc<Waiting>) {
    let Opened {
        channel,
        connection,
    } = opened;
    let (mut incoming, outgoing) = channel.split();
    let send = async {
        while let Some(bytes) = to_send.recv().await {
            if outgoing.data_bytes(bytes).await.is_err() {
                return "the connection was closed".to_owned();
            }
        }
        // The lane was dropped: nobody is waiting.
        "no longer needed".to_owned()
    };
    let receive = async {
        let mut cutter = Cutter::default();
        while let Some(message) = incoming.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    waiting.heard.store(waiting.now(), Ordering::Relaxed);
                    if let Err(Fault::Lost(why)) = cutter.push(&data, |f| waiting.answer(f)) {
                        return why;
                    }
                }
                ChannelMsg::Eof | ChannelMsg::Close => {
                    return "the server ended the SFTP session".to_owned();
                }
                _ => {}
            }
        }
        "the connection was closed".to_owned()
    };
    let why = tokio::select! {
        why = send => why,
        why = receive => why,
    };
    waiting.die(why);
    drop(connection);
}

//! A folder on an SFTP server as a storage: each object is one file under its
//! rendered name, as in a plain folder.
//!
//! A file is written under `tmp/`, made durable on the server and renamed, so
//! that a name never stands for less than the whole. Several connections carry
//! several objects at a time; what a broken one carried is done again.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{Access, too_short, verify};
use crate::engine::storage::{Class, Name, Space, Storage, hex};
use crate::engine::{Error, Kind, Result};
use crate::sftp::client::{Client, Failed};
use crate::sftp::files::{self, Read};
use crate::sftp::wire::{Packet, code, kind};
use crate::sftp::{SftpConfig, join, show, top};

/// Folders listed at a time.
const LISTERS: usize = 8;
/// How often an object is sent again after its connection broke.
const TRIES: u32 = 4;

/// A folder on an SFTP server as a [`Storage`]. One program at a time may write to it.
pub struct Sftp {
    config: SftpConfig,
    top: Vec<u8>,
    /// Replaced when it has given up, so that a server that was away for an
    /// hour is spoken to again.
    client: Mutex<Arc<Client>>,
    /// Folders known to be there.
    known: Mutex<HashSet<Vec<u8>>>,
    making: Mutex<()>,
    /// Folders whose names may not be durable yet.
    changed: Mutex<BTreeSet<Vec<u8>>>,
    access: Access,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic is done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sftp {
    /// Connects; makes the folder if it is not there, and removes what an
    /// interrupted write left behind. To read only, it must be there.
    ///
    /// # Errors
    /// `Refused` for another host key than the pinned one, a wrong key or
    /// password, and a folder that may not be written; `Transient` when nobody
    /// answers; `Missing` for a folder that is not there and may not be made.
    pub fn open(config: &SftpConfig, access: Access) -> Result<Self> {
        let sftp = Self {
            top: top(config),
            client: Mutex::new(Client::new(config)?),
            config: config.clone(),
            known: Mutex::default(),
            making: Mutex::default(),
            changed: Mutex::default(),
            access,
        };
        let client = sftp.client()?;
        if sftp.access.read_only {
            client
                .stat(&sftp.top, true)
                .map_err(|f| sftp.failed("opening the folder", &sftp.top, f))?;
            return Ok(sftp);
        }
        let temp = sftp.temp();
        files::make_all(&client, &temp).map_err(|e| sftp.advise(e))?;
        let leftovers = client
            .on_lane(|lane| files::list(lane, &temp))
            .map_err(|f| sftp.failed("listing", &temp, f))?;
        for (name, _) in leftovers {
            sftp.remove(&join(&temp, &name))?;
        }
        Ok(sftp)
    }

    fn client(&self) -> Result<Arc<Client>> {
        let mut client = lock(&self.client);
        if client.is_down() {
            *client = Client::new(&self.config)?;
        }
        Ok(client.clone())
    }

    fn temp(&self) -> Vec<u8> {
        join(&self.top, b"tmp")
    }

    fn path(&self, name: &Name) -> Vec<u8> {
        join(&self.top, name.to_string().as_bytes())
    }

    fn place(&self) -> String {
        format!(
            "{}@{}:{}{}",
            self.config.user,
            self.config.host,
            self.config.port,
            show(&self.top)
        )
    }

    /// Says what to do about it.
    fn advise(&self, e: Error) -> Error {
        let text = match e.kind() {
            Kind::Refused => format!(
                "{e}; check what user {} may do at the provider",
                self.config.user
            ),
            Kind::Missing => format!("{e}; check the folder {}", show(&self.top)),
            _ => return e,
        };
        Error::with_source(e.kind(), text, e)
    }

    fn failed(&self, what: &str, path: &[u8], f: Failed) -> Error {
        let missing = f.is_missing();
        let e = f.say(format!("{what} {}:{}", self.config.host, show(path)));
        if missing { e } else { self.advise(e) }
    }

    fn not_there(&self, name: &Name) -> Error {
        Error::new(Kind::Missing, format!("{name} is not at {}", self.place()))
    }

    fn remove(&self, path: &[u8]) -> Result<()> {
        match self.client()?.simple(kind::REMOVE, path) {
            Err(f) if !f.is_missing() => Err(self.failed("deleting", path, f)),
            _ => Ok(()),
        }
    }

    /// Makes the folder an object goes to.
    fn make_folder(&self, client: &Client, folder: &[u8]) -> Result<()> {
        if lock(&self.known).contains(folder) {
            return Ok(());
        }
        // One at a time: the folders above are the same for all, and version 3
        // cannot say that another one was faster.
        let _making = lock(&self.making);
        files::make_all(client, folder).map_err(|e| self.advise(e))?;
        let mut changed = lock(&self.changed);
        let mut above = folder;
        while above.len() > self.top.len() {
            above = parent(above);
            changed.insert(above.to_vec());
        }
        drop(changed);
        lock(&self.known).insert(folder.to_vec());
        Ok(())
    }

    fn write(&self, name: &Name, bytes: &[u8]) -> Result<(), Failed> {
        let path = self.path(name);
        let folder = parent(&path);
        let client = self.client().map_err(Failed::Engine)?;
        self.make_folder(&client, folder).map_err(Failed::Engine)?;
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Failed::Engine(Error::io("asking for a random number", e.into())))?;
        let temp = join(&self.temp(), hex(&random).as_bytes());
        self.access.pace.request().map_err(Failed::Engine)?;
        let lane = client.lane().map_err(Failed::Engine)?;
        let pace = |n| self.access.pace.bytes(n);
        let done = files::write_new(&lane, &temp, bytes, &pace)
            .and_then(|()| files::rename(&lane, &temp, &path).map_err(Failed::Fault));
        if done.is_err() {
            // On a broken lane it stays, for the next one who opens.
            let _ = lane.send(Packet::new(kind::REMOVE).bytes(&temp));
        } else {
            lock(&self.changed).insert(folder.to_vec());
        }
        done
    }

    fn read(&self, name: &Name, range: Option<(u64, usize)>) -> Result<Vec<u8>> {
        let path = self.path(name);
        self.access.pace.request()?;
        let client = self.client()?;
        match client.on_lane(|lane| files::read(lane, &path, range)) {
            Ok(Read::Bytes(bytes)) => Ok(bytes),
            Ok(Read::Short(size)) => Err(too_short(name, size)),
            Err(f) if f.is_missing() => Err(self.not_there(name)),
            Err(f) => Err(self.failed("reading", &path, f)),
        }
    }

    /// Whether the server's disk cannot hold so many bytes more.
    fn is_full(&self, len: usize) -> bool {
        let needed = len as u64 + len as u64 / 16 + (256 << 10);
        self.space().is_ok_and(|space| space.free < needed)
    }

    fn listed(&self, client: &Client, folder: &[u8]) -> Result<Vec<(String, Option<u64>)>> {
        self.access.pace.request()?;
        let found = client
            .on_lane(|lane| files::list(lane, folder))
            .map_err(|f| self.failed("listing", folder, f))?;
        Ok(found
            .into_iter()
            .filter_map(|(name, attrs)| Some((String::from_utf8(name).ok()?, attrs.size)))
            .collect())
    }

    /// Objects of one folder, below the rendered `prefix`.
    fn objects(&self, client: &Client, prefix: &str) -> Result<Vec<(Name, u64)>> {
        let found = self.listed(client, &join(&self.top, prefix.as_bytes()))?;
        Ok(found
            .into_iter()
            .filter_map(|(file, size)| Some((Name::parse(&format!("{prefix}/{file}"))?, size?)))
            .collect())
    }
}

fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    &path[..end.max(1)]
}

impl Storage for Sftp {
    fn put(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        self.access.check_write(&self.place())?;
        let mut tries = 1;
        loop {
            let failed = match self.write(name, bytes) {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let lost = matches!(&failed, Failed::Fault(crate::sftp::wire::Fault::Lost(_)));
            if lost && tries < TRIES {
                tries += 1;
                continue;
            }
            if failed.is_missing() {
                // A folder was removed under our feet.
                lock(&self.known).clear();
            }
            if failed.is(code::FAILURE) && self.is_full(bytes.len()) {
                return Err(Error::new(
                    Kind::Full,
                    format!(
                        "storing {name} at {}: the provider has no room left; enlarge it or forget snapshots",
                        self.place()
                    ),
                ));
            }
            return Err(self.failed("writing", &self.path(name), failed));
        }
    }

    fn get(&self, name: &Name) -> Result<Vec<u8>> {
        let bytes = self.read(name, None)?;
        verify(name, &bytes, &self.place())?;
        Ok(bytes)
    }

    fn get_range(&self, name: &Name, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.read(name, Some((offset, len)))
    }

    fn list(&self, class: Class) -> Result<Vec<(Name, u64)>> {
        let client = self.client()?;
        if class == Class::Snapshots {
            return self.objects(&client, "snapshots");
        }
        let folders = self.listed(&client, &join(&self.top, b"segments"))?;
        let next = AtomicUsize::new(0);
        let work = || {
            let mut found = Vec::new();
            while let Some((folder, _)) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Whatever else lies there is no folder of ours.
                if folder.len() == 2 {
                    found.extend(self.objects(&client, &format!("segments/{folder}"))?);
                }
            }
            Ok(found)
        };
        thread::scope(|scope| {
            let running: Vec<_> = (0..LISTERS.min(folders.len()))
                .map(|_| scope.spawn(work))
                .collect();
            let mut all = Vec::new();
            for worker in running {
                let part: Result<Vec<_>> = worker.join().unwrap_or_else(|_| {
                    Err(Error::new(
                        Kind::Io,
                        "a listing ended unexpectedly; please report this",
                    ))
                });
                all.extend(part?);
            }
            Ok(all)
        })
    }

    fn delete(&self, name: &Name) -> Result<()> {
        self.access.check_write(&self.place())?;
        self.access.pace.request()?;
        let path = self.path(name);
        self.remove(&path)?;
        lock(&self.changed).insert(parent(&path).to_vec());
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let changed = std::mem::take(&mut *lock(&self.changed));
        if changed.is_empty() {
            return Ok(());
        }
        let client = self.client()?;
        for folder in &changed {
            let synced = client.on_lane(|lane| files::sync_folder(lane, folder));
            match synced {
                Err(f) if !f.is_missing() => {
                    let e = self.failed("making durable", folder, f);
                    // They are as they were, until another try covers them.
                    lock(&self.changed).extend(changed);
                    return Err(e);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the server's file system says, if the server can say it.
    fn space(&self) -> Result<Space> {
        let room = self.client()?.room(&self.top);
        let room = room.map_err(|f| self.failed("asking for the room of", &self.top, f))?;
        let (total, free) = room.unwrap_or((u64::MAX, u64::MAX));
        Ok(Space { total, free })
    }

    fn describe(&self) -> String {
        format!("SFTP {}", self.place())
    }
}

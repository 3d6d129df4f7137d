//! Names on the file server below the restore's top: checked, made under a
//! temporary name, and put in place.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::input::open_input;
use super::output::SftpOutput;
use crate::engine::tree::{Input as _, Output as _};
use crate::engine::{Error, Kind, Result};
use crate::sftp::client::{Client, Failed};
use crate::sftp::files::rename;
use crate::sftp::lane::Lane;
use crate::sftp::wire::{Attrs, Fault, Packet, code, kind, open};
use crate::sftp::{S_IFDIR, S_IFMT, join, show};
use crate::sources::temporary_name;

/// The top of a restore and what is known of the folders below.
pub(super) struct Place {
    pub client: Arc<Client>,
    top: Vec<u8>,
    /// Folders known to be real ones, by their path on the server.
    known: Mutex<HashSet<Vec<u8>>>,
}

impl Place {
    /// Nothing but `top` is known to be a folder.
    pub fn new(client: Arc<Client>, top: Vec<u8>) -> Self {
        Self {
            client,
            known: Mutex::new(HashSet::from([top.clone()])),
            top,
        }
    }

    fn at(&self, path: &[Vec<u8>]) -> Vec<u8> {
        path.iter()
            .fold(self.top.clone(), |at, name| join(&at, name))
    }

    pub fn show(&self, path: &[u8]) -> String {
        format!("{}:{}", self.client.name, show(path))
    }

    fn knows(&self, folder: &[u8]) -> bool {
        // A panic elsewhere leaves at worst a folder unknown.
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(folder)
    }

    pub fn learn(&self, folder: Vec<u8>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(folder);
    }

    /// Where `path` is on the server, its folders checked to be folders.
    pub fn place(&self, path: &[Vec<u8>]) -> Result<Vec<u8>> {
        for name in path {
            if name.is_empty()
                || name == b"."
                || name == b".."
                || name.contains(&b'/')
                || name.contains(&0)
            {
                return Err(Error::new(
                    Kind::Refused,
                    format!("{} is not a name a file can have", name.escape_ascii()),
                ));
            }
        }
        for depth in 1..path.len() {
            let folder = self.at(&path[..depth]);
            if self.knows(&folder) {
                continue;
            }
            let attrs = self
                .client
                .stat(&folder, false)
                .map_err(|f| f.say(format!("examining {}", self.show(&folder))))?;
            if attrs.permissions.is_none_or(|p| p & S_IFMT != S_IFDIR) {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "{} is a link or a file that was put in the way; remove it, then restore again",
                        self.show(&folder)
                    ),
                ));
            }
            self.learn(folder);
        }
        Ok(self.at(path))
    }

    /// A new name beside `path`.
    fn beside(&self, path: &[u8]) -> Vec<u8> {
        let folder = path.rsplitn(2, |b| *b == b'/').nth(1).unwrap_or_default();
        join(folder, &temporary_name())
    }

    /// Gives what was made its final name. An empty folder in the way is
    /// removed; `temporary` is gone either way.
    pub fn put(&self, lane: &Lane, temporary: &[u8], path: &[u8]) -> Result<()> {
        let mut renamed = rename(lane, temporary, path);
        if let Err(Fault::Status(_)) = renamed {
            let removed = lane
                .ask(Packet::new(kind::RMDIR).bytes(path))
                .and_then(|f| f.done());
            if removed.is_ok() {
                renamed = rename(lane, temporary, path);
            }
        }
        let Err(fault) = renamed else { return Ok(()) };
        let _ = lane.send(Packet::new(kind::REMOVE).bytes(temporary));
        if let Ok(a) = self.client.stat(path, false)
            && a.permissions.is_some_and(|p| p & S_IFMT == S_IFDIR)
        {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{} is a folder with files in it; move it away, then restore again",
                    self.show(path)
                ),
            ));
        }
        Err(self.failed("putting in place", path, fault))
    }

    /// Makes something under a temporary name and puts it in place.
    pub fn make(
        &self,
        path: &[u8],
        make: impl Fn(&Lane, &[u8]) -> Result<(), Fault>,
    ) -> Result<()> {
        let lane = self.client.lane()?;
        let temporary = self.beside(path);
        make(&lane, &temporary).map_err(|f| self.failed("making", path, f))?;
        self.put(&lane, &temporary, path)
    }

    /// Names what failed; SFTP says only "failure" when a disk is full, so
    /// that is looked up.
    pub fn failed(&self, what: &str, path: &[u8], fault: Fault) -> Error {
        if fault.is(code::FAILURE) && self.client.is_full(&self.top) {
            return Error::new(
                Kind::Full,
                format!(
                    "{what} {}: the server's disk is full; make room, then restore again",
                    self.show(path)
                ),
            );
        }
        fault.into_error(format!("{what} {}", self.show(path)))
    }

    /// Begins a file; the caller has checked `path`.
    pub fn create(self: &Arc<Self>, path: Vec<u8>, size: u64) -> Result<SftpOutput> {
        let lane = self.client.lane()?;
        let temporary = self.beside(&path);
        let attrs = Attrs {
            permissions: Some(0o600),
            ..Attrs::default()
        };
        let request = Packet::new(kind::OPEN)
            .bytes(&temporary)
            .u32(open::WRITE | open::CREATE | open::EXCLUSIVE)
            .attrs(&attrs);
        let handle = lane
            .ask(request)
            .and_then(|f| f.handle())
            .map_err(|f| self.failed("making", &path, f))?;
        Ok(SftpOutput::new(
            self.clone(),
            lane,
            handle,
            temporary,
            path,
            size,
        ))
    }

    /// Another name where the server has no hard links: a copy with the same metadata.
    pub fn copy(self: &Arc<Self>, original: &[u8], path: Vec<u8>) -> Result<()> {
        let examining = |f: Failed| f.say(format!("examining {}", self.show(original)));
        let attrs = self.client.stat(original, false).map_err(examining)?;
        let mut input = open_input(&self.client, original.to_vec())?;
        let output = self.create(path.clone(), attrs.size.unwrap_or(0))?;
        let (mut buf, mut at) = (vec![0; 256 << 10], 0);
        loop {
            let n = input.read(&mut buf)?;
            if n == 0 {
                break;
            }
            output.write_at(at, &buf[..n])?;
            at += n as u64;
        }
        Box::new(output).close()?;
        let attrs = Attrs {
            size: None,
            owner: None,
            ..attrs
        };
        self.set(&path, false, &attrs)
            .map_err(|f| f.say(format!("setting mode and time of {}", self.show(&path))))
    }

    pub fn set(&self, path: &[u8], link: bool, attrs: &Attrs) -> Result<(), Failed> {
        self.client.on_lane(|lane| {
            let request = if link {
                if !lane.offers.lsetstat {
                    return Ok(());
                }
                Packet::extended("lsetstat@openssh.com")
            } else {
                Packet::new(kind::SETSTAT)
            };
            lane.ask(request.bytes(path).attrs(attrs))?.done()
        })
    }
}

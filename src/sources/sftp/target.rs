//! A folder on a file server as a [`Target`].
//!
//! SFTP has no directory handles, so links are kept out by looking: every
//! folder on the way was made or examined by this restore before something is
//! put into it. Files and links are made under a temporary name and renamed,
//! which never follows a link that stands under the final name.

mod output;
mod place;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::place::Place;
use super::tree::describe;
use super::{S_IFIFO, S_IFLNK, S_IFREG};
use crate::engine::tree::{FileType, Meta, Output, Target};
use crate::engine::{Error, Kind, Result};
use crate::sftp::client::{Client, Failed};
use crate::sftp::files::{make_all, make_folder};
use crate::sftp::wire::{Attrs, Fault, Packet, kind};
use crate::sftp::{S_IFDIR, S_IFMT, SftpConfig};

/// A folder on a file server that a restore fills.
pub(in crate::sources) struct SftpTarget {
    shared: Arc<Place>,
    said: Said,
    description: String,
}

/// What the server does not let us set holds for every file alike, so it is
/// said once for a restore, not a million times.
#[derive(Default)]
struct Said {
    owner: AtomicBool,
    setuid: AtomicBool,
    xattrs: AtomicBool,
    times: AtomicBool,
}

fn once(said: &AtomicBool, words: &mut Vec<String>, text: impl Into<String>) {
    if !said.swap(true, Ordering::Relaxed) {
        words.push(text.into());
    }
}

impl SftpTarget {
    /// Connects, and makes the folder and its parents if they are not there.
    pub fn new(config: &SftpConfig) -> Result<Self> {
        let client = Client::new(config)?;
        let top = crate::sftp::top(config);
        make_all(&client, &top)?;
        Ok(Self {
            description: describe(config),
            shared: Arc::new(Place::new(client, top)),
            said: Said::default(),
        })
    }
}

impl Target for SftpTarget {
    fn folder(&self, path: &[Vec<u8>]) -> Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let at = shared.place(path)?;
        let making = |f: Failed| f.say(format!("making the folder {}", shared.show(&at)));
        if let Err(first) = make_folder(&shared.client, &at, 0o700) {
            // Version 3 has no code for "exists".
            let there = match shared.client.stat(&at, false) {
                Ok(a) => a.permissions.unwrap_or(0),
                Err(_) => return Err(making(first)),
            };
            if there & S_IFMT != S_IFDIR {
                shared.client.simple(kind::REMOVE, &at).map_err(making)?;
                make_folder(&shared.client, &at, 0o700).map_err(making)?;
            } else if there & 0o700 != 0o700 {
                let attrs = Attrs {
                    permissions: Some(0o700),
                    ..Attrs::default()
                };
                // Somebody else's folder: whether we may work in it shows soon enough.
                let _ = shared.set(&at, false, &attrs);
            }
        }
        shared.learn(at);
        Ok(())
    }

    fn file(&self, path: &[Vec<u8>], size: u64) -> Result<Box<dyn Output>> {
        let at = self.shared.place(path)?;
        if path.is_empty() {
            return Err(Error::new(
                Kind::Refused,
                format!("{} is a folder and stays one", self.description),
            ));
        }
        Ok(Box::new(self.shared.create(at, size)?))
    }

    fn special(&self, path: &[Vec<u8>], meta: &Meta) -> Result<()> {
        let at = self.shared.place(path)?;
        let what = match &meta.kind {
            FileType::Symlink { target } => {
                return self.shared.make(&at, |lane, temporary| {
                    // OpenSSH takes the target first, against the draft, and
                    // everybody followed it.
                    let request = Packet::new(kind::SYMLINK).bytes(target).bytes(temporary);
                    lane.ask(request)?.done()
                });
            }
            // A socket's name means nothing without the process behind it.
            FileType::Socket => return Ok(()),
            FileType::Fifo => "a named pipe",
            FileType::CharDevice { .. } | FileType::BlockDevice { .. } => "a device",
            FileType::File { .. } | FileType::Folder => "neither a link nor a device",
        };
        Err(Error::new(
            Kind::Refused,
            format!(
                "{} is {what}, which cannot be made over SFTP; restore it to a local folder",
                self.shared.show(&at)
            ),
        ))
    }

    fn hard_link(&self, original: &[Vec<u8>], path: &[Vec<u8>]) -> Result<()> {
        let (from, to) = (self.shared.place(original)?, self.shared.place(path)?);
        if !self.shared.client.lane()?.offers.hardlink {
            return self.shared.copy(&from, to);
        }
        self.shared.make(&to, |lane, temporary| {
            lane.ask(
                Packet::extended("hardlink@openssh.com")
                    .bytes(&from)
                    .bytes(temporary),
            )?
            .done()?;
            // Renaming onto a name of the same inode does nothing, so the old
            // name goes first; that it is not there is the usual case.
            lane.ask(Packet::new(kind::REMOVE).bytes(&to)).map(|_| ())
        })
    }

    fn finish(&self, path: &[Vec<u8>], meta: &Meta) -> Result<Vec<String>> {
        let wanted = match meta.kind {
            FileType::File { .. } => S_IFREG,
            FileType::Folder => S_IFDIR,
            FileType::Symlink { .. } => S_IFLNK,
            FileType::Fifo => S_IFIFO,
            // These are not made, see `special`.
            FileType::Socket | FileType::CharDevice { .. } | FileType::BlockDevice { .. } => {
                return Ok(Vec::new());
            }
        };
        let shared = &self.shared;
        let at = shared.place(path)?;
        let setting = |f: Failed| f.say(format!("setting mode and time of {}", shared.show(&at)));
        let there = shared.client.stat(&at, path.is_empty()).map_err(setting)?;
        if there.permissions.is_none_or(|p| p & S_IFMT != wanted) {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{} became something else while the restore ran; its owner and mode were not set",
                    shared.show(&at)
                ),
            ));
        }
        let link = wanted == S_IFLNK;
        let mut words = Vec::new();
        let mut mode = meta.mode & 0o7777;

        // Owner first: changing it clears setuid bits. Once refused, always refused.
        let owner = (meta.uid, meta.gid);
        if there.owner != Some(owner) {
            let attrs = Attrs {
                owner: Some(owner),
                ..Attrs::default()
            };
            let tried = !self.said.owner.load(Ordering::Relaxed);
            let refused = match tried.then(|| shared.set(&at, link, &attrs)) {
                Some(Ok(())) => false,
                Some(Err(Failed::Fault(Fault::Status(_)))) | None => true,
                Some(Err(f)) => return Err(setting(f)),
            };
            if refused {
                once(
                    &self.said.owner,
                    &mut words,
                    format!(
                        "owner and group ({}:{}) were not set, because the server does not let this user; this holds for all files of this restore",
                        meta.uid, meta.gid
                    ),
                );
                if mode & 0o6000 != 0 {
                    // With another owner these bits would lend that owner's rights.
                    mode &= !0o6000;
                    once(
                        &self.said.setuid,
                        &mut words,
                        "its setuid and setgid bits were left out, because its owner could not be set; this holds for all such files of this restore",
                    );
                }
            }
        }
        let seconds = u32::try_from(meta.mtime.secs).unwrap_or_else(|_| {
            once(
                &self.said.times,
                &mut words,
                "its time is outside the years 1970 to 2106, which are all that SFTP knows; this holds for all such files of this restore",
            );
            if meta.mtime.secs < 0 { 0 } else { u32::MAX }
        });
        let attrs = Attrs {
            permissions: (!link).then_some(mode),
            times: Some((seconds, seconds)),
            ..Attrs::default()
        };
        shared.set(&at, link, &attrs).map_err(setting)?;
        if !meta.xattrs.is_empty() {
            once(
                &self.said.xattrs,
                &mut words,
                "its extended attributes and ACLs were not set, because SFTP has none; this holds for all files of this restore",
            );
        }
        Ok(words)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

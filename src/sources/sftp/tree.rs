//! A folder on a file server as a [`Tree`].

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::input::open_input;
use super::{S_IFLNK, meta};
use crate::engine::tree::{Entry, Examined, FileType, Folder, Input, Meta, Names, Tree};
use crate::engine::{Error, Kind, Result};
use crate::sftp::client::{Client, Failed};
use crate::sftp::lane::{Asked, Lane};
use crate::sftp::wire::{Attrs, Fault, Frame, Packet, code, kind};
use crate::sftp::{S_IFDIR, S_IFMT, SftpConfig, join, show};

/// Requests about single entries under way at once while a folder is listed.
const QUESTIONS: usize = 64;

/// A folder on a file server and all below it.
pub(in crate::sources) struct SftpTree {
    client: Arc<Client>,
    path: Vec<u8>,
    description: String,
}

/// `sftp://host[:port]/path`
pub(super) fn describe(config: &SftpConfig) -> String {
    let host = if config.host.contains(':') {
        format!("[{}]", config.host)
    } else {
        config.host.clone()
    };
    match config.port {
        22 => format!("sftp://{host}{}", config.path),
        port => format!("sftp://{host}:{port}{}", config.path),
    }
}

impl SftpTree {
    /// Reads the configuration; nothing is connected yet.
    pub fn new(config: &SftpConfig) -> Result<Self> {
        Ok(Self {
            client: Client::new(config)?,
            path: crate::sftp::top(config),
            description: describe(config),
        })
    }
}

/// Small files cost a round trip or three each, whatever the cores do meanwhile.
const FILES_AT_ONCE: usize = 16;

impl Tree for SftpTree {
    fn root(&self) -> Result<Box<dyn Folder>> {
        // The folder given may be a link; inside it none is followed.
        let attrs = self.client.stat(&self.path, true).map_err(|f| {
            if f.is_missing() {
                Error::new(
                    Kind::Missing,
                    format!(
                        "the folder {} is not there; was it moved or not mounted?",
                        self.description
                    ),
                )
            } else {
                f.say(format!("examining {}", self.description))
            }
        })?;
        if attrs.permissions.is_some_and(|p| p & S_IFMT != S_IFDIR) {
            return Err(Error::new(
                Kind::Refused,
                format!("{} is not a folder; give a folder", self.description),
            ));
        }
        Ok(Box::new(SftpFolder {
            client: self.client.clone(),
            path: self.path.clone(),
            follow: true,
        }))
    }

    fn parallel(&self) -> usize {
        FILES_AT_ONCE
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

struct SftpFolder {
    client: Arc<Client>,
    path: Vec<u8>,
    /// Only for the top, which may be a link.
    follow: bool,
}

impl SftpFolder {
    fn failed(&self, what: &str, path: &[u8]) -> impl FnOnce(Failed) -> Error + use<> {
        let what = format!("{what} {}:{}", self.client.name, show(path));
        |f| f.say(what)
    }

    /// Asks the same about many names with several requests under way.
    fn about(&self, lane: &Lane, request: u8, names: &[Vec<u8>]) -> Result<Vec<Frame>, Fault> {
        let (mut asked, mut answers) = (VecDeque::new(), Vec::with_capacity(names.len()));
        for name in names {
            if asked.len() >= QUESTIONS
                && let Some(first) = asked.pop_front()
            {
                answers.push(Asked::wait(first)?);
            }
            asked.push_back(lane.send(Packet::new(request).bytes(&join(&self.path, name)))?);
        }
        for rest in asked {
            answers.push(rest.wait()?);
        }
        Ok(answers)
    }

    fn list(&self, lane: &Lane) -> Result<Names, Fault> {
        let handle = lane
            .ask(Packet::new(kind::OPENDIR).bytes(&self.path))?
            .handle()?;
        let mut all = Names::default();
        let listed = loop {
            match lane
                .ask(Packet::new(kind::READDIR).bytes(&handle))
                .and_then(|f| f.names())
            {
                Ok(Some(names)) => {
                    for (name, attrs) in names {
                        if name != b"." && name != b".." {
                            all.push(&name, &attrs.note());
                        }
                    }
                }
                Ok(None) => break Ok(all),
                Err(fault) => break Err(fault),
            }
        };
        lane.close(&handle);
        listed
    }

    /// The entries, each with its attributes and, for a link, its target.
    fn read(
        &self,
        lane: &Lane,
        names: &Names,
        which: Range<usize>,
    ) -> Result<Vec<Examined>, Fault> {
        let mut found = Vec::with_capacity(which.len());
        for (name, note) in names.range(which) {
            found.push((name.to_vec(), Attrs::from_note(note)?));
        }
        // Most servers give the attributes with the names; the others are asked.
        let is_unknown = |a: &Attrs| a.permissions.is_none() || a.times.is_none();
        let unknown: Vec<_> = found
            .iter()
            .filter(|(_, a)| is_unknown(a))
            .map(|(n, _)| n.clone())
            .collect();
        let answers = self.about(lane, kind::LSTAT, &unknown)?;
        let mut errors = BTreeMap::new();
        for ((name, attrs), answer) in found.iter_mut().filter(|(_, a)| is_unknown(a)).zip(answers)
        {
            match answer.attrs() {
                Ok(a) => *attrs = a,
                Err(fault) => {
                    errors.insert(name.clone(), fault);
                }
            }
        }
        let links: Vec<_> = found
            .iter()
            .filter(|(_, a)| a.permissions.is_some_and(|p| p & S_IFMT == S_IFLNK))
            .map(|(n, _)| n.clone())
            .collect();
        let targets = self.about(lane, kind::READLINK, &links)?;
        let mut targets: BTreeMap<_, _> = links.into_iter().zip(targets).collect();
        Ok(found
            .into_iter()
            .filter_map(|(name, attrs)| {
                let said = match errors.remove(&name) {
                    Some(fault) => Err(fault),
                    None => match targets.remove(&name) {
                        None => Ok(None),
                        Some(answer) => answer.names().map(|names| names?.pop().map(|n| n.0)),
                    },
                };
                match said {
                    // Deleted since the folder was listed: it is simply no longer there.
                    Err(fault) if fault.is(code::NO_SUCH_FILE) => None,
                    Err(fault) => {
                        let e = self.failed("examining", &join(&self.path, &name))(Failed::Fault(
                            fault,
                        ));
                        Some(Err((name, e)))
                    }
                    Ok(target) => Some(self.entry(name, &attrs, target)),
                }
            })
            .collect())
    }

    fn entry(&self, name: Vec<u8>, attrs: &Attrs, target: Option<Vec<u8>>) -> Examined {
        match meta(attrs) {
            Ok(mut meta) => {
                if let (FileType::Symlink { target: t }, Some(target)) = (&mut meta.kind, target) {
                    *t = target;
                }
                Ok(Entry { name, meta })
            }
            Err(why) => {
                let path = show(&join(&self.path, &name));
                let e = Error::new(Kind::Refused, format!("{}:{path}: {why}", self.client.name));
                Err((name, e))
            }
        }
    }
}

impl Folder for SftpFolder {
    fn meta(&self) -> Result<Meta> {
        let attrs = self
            .client
            .stat(&self.path, self.follow)
            .map_err(self.failed("examining", &self.path))?;
        meta(&attrs).map_err(|why| {
            let path = show(&self.path);
            Error::new(Kind::Refused, format!("{}:{path}: {why}", self.client.name))
        })
    }

    fn names(&self) -> Result<Names> {
        self.client
            .on_lane(|lane| self.list(lane))
            .map_err(self.failed("listing", &self.path))
    }

    fn examine(&self, names: &Names, which: Range<usize>) -> Result<Vec<Examined>> {
        self.client
            .on_lane(|lane| self.read(lane, names, which.clone()))
            .map_err(self.failed("examining what is in", &self.path))
    }

    fn xattrs(&self, _: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        Ok(BTreeMap::new())
    }

    fn open(&self, name: &[u8]) -> Result<Box<dyn Input>> {
        let path = join(&self.path, name);
        Ok(Box::new(open_input(&self.client, path)?))
    }

    fn folder(&self, name: &[u8]) -> Result<Box<dyn Folder>> {
        Ok(Box::new(Self {
            client: self.client.clone(),
            path: join(&self.path, name),
            follow: false,
        }))
    }
}

//! Folders that stand for disks, for development and tests: `disk1`, `disk2`,
//! … below one folder, with serial numbers `DEV1`, `DEV2`, …
//!
//! `disk1` is the bay with its disk: prepared, it holds the file `prepared`
//! and the folder `content`, which is what gets "mounted". Renaming `disk1`
//! pulls it out; any other number is another bay, so to show a disk found
//! again in another slot its serial number stays in the file `prepared`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Change, Changes, Contents, Devices, Disk, Sign, Smart, smart};
use crate::engine::{Error, Kind, Result};

/// How often it is looked whether a folder came or went.
const LOOK: Duration = Duration::from_millis(250);
const MARK: &str = "prepared";
const CONTENT: &str = "content";
const SMART: &str = "smart";

/// See the module.
pub(super) struct Folders {
    root: PathBuf,
}

struct Bay {
    path: PathBuf,
    name: String,
    serial: String,
    /// Names in it, but for those of its own.
    strange: usize,
    prepared: bool,
}

impl Bay {
    fn content(&self) -> PathBuf {
        self.path.join(CONTENT)
    }

    /// What stands in the file `smart` beside, as smartctl would say it.
    fn smart(&self) -> Smart {
        let json = std::fs::read(self.path.join(SMART));
        json.map_or_else(|_| Smart::default(), |json| smart::parse(&json, 0))
    }

    fn contents(&self) -> Contents {
        if self.prepared {
            return Contents::Member {
                pool: None,
                mount: Some(self.content()),
            };
        }
        match self.strange {
            0 => Contents::Blank,
            n => Contents::Other {
                what: format!("{n} file{}", if n == 1 { "" } else { "s" }),
            },
        }
    }
}

fn reading(path: &Path) -> impl Fn(std::io::Error) -> Error + use<'_> {
    move |e| Error::io(format!("reading {}", path.display()), e)
}

impl Folders {
    pub fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    fn bays(&self) -> Result<Vec<Bay>> {
        let mut bays = Vec::new();
        for entry in std::fs::read_dir(&self.root).map_err(reading(&self.root))? {
            let path = entry.map_err(reading(&self.root))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(number) = name
                .strip_prefix("disk")
                .and_then(|n| n.parse::<u32>().ok())
                .filter(|n| name == format!("disk{n}"))
            else {
                continue;
            };
            if !path.is_dir() {
                continue;
            }
            let mark = std::fs::read_to_string(path.join(MARK)).ok();
            let names = std::fs::read_dir(&path).map_err(reading(&path))?;
            let strange = names
                .flatten()
                .filter(|n| {
                    [MARK, CONTENT, SMART]
                        .iter()
                        .all(|own| n.file_name() != *own)
                })
                .count();
            bays.push((
                number,
                Bay {
                    name: name.into_owned(),
                    serial: match &mark {
                        Some(serial) if !serial.trim().is_empty() => serial.trim().to_owned(),
                        _ => format!("DEV{number}"),
                    },
                    prepared: mark.is_some() && path.join(CONTENT).is_dir(),
                    strange,
                    path,
                },
            ));
        }
        bays.sort_by_key(|(number, _)| *number);
        Ok(bays.into_iter().map(|(_, bay)| bay).collect())
    }
}

/// The one bay whose disk is called `serial`.
fn find<'b>(bays: &'b [Bay], serial: &str) -> Result<&'b Bay> {
    let mut found = bays.iter().filter(|b| b.serial == serial);
    match (found.next(), found.next()) {
        (Some(bay), None) => Ok(bay),
        (Some(one), Some(other)) => Err(Error::new(
            Kind::Refused,
            format!(
                "{} and {} both call themselves {serial}; take one of them out",
                one.name, other.name
            ),
        )),
        (None, _) => Err(Error::new(
            Kind::Missing,
            format!("no disk has the serial number {serial:?}; look at the list of disks again"),
        )),
    }
}

impl Devices for Folders {
    fn disks(&self) -> Result<Vec<Disk>> {
        let bays = self.bays()?;
        let size = rustix::fs::statvfs(&self.root)
            .map(|s| s.f_blocks.saturating_mul(s.f_frsize))
            .map_err(|e| Error::io(format!("examining {}", self.root.display()), e.into()))?;
        Ok(bays
            .iter()
            .map(|bay| Disk {
                name: bay.name.clone(),
                model: "Folder".into(),
                serial: bay.serial.clone(),
                wwn: None,
                size,
                rotational: false,
                transport: "folder".into(),
                slot: Some(bay.name.trim_start_matches("disk").to_owned()),
                read_only: false,
                given_up: None,
                smart: bay.smart(),
                contents: bay.contents(),
            })
            .collect())
    }

    fn prepare(&self, serial: &str, confirm: Option<&str>) -> Result<PathBuf> {
        let bays = self.bays()?;
        let bay = find(&bays, serial)?;
        let content = bay.content();
        match bay.contents() {
            Contents::Member { .. } => {
                let mut names = std::fs::read_dir(&content).map_err(reading(&content))?;
                if names.next().is_none() {
                    return Ok(content);
                }
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "disk {} is a pool member in use; take it out of its pool first",
                        bay.name
                    ),
                ));
            }
            Contents::Other { what } if confirm != Some(serial) => {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "disk {} holds {what}. All of it would be lost: to go on, confirm with the serial number {serial}",
                        bay.name
                    ),
                ));
            }
            _ => {}
        }
        let preparing = |e| Error::io(format!("preparing {}", bay.path.display()), e);
        // What the disk says of itself is no data on it.
        let smart = std::fs::read(bay.path.join(SMART)).ok();
        std::fs::remove_dir_all(&bay.path).map_err(preparing)?;
        std::fs::create_dir_all(&content).map_err(preparing)?;
        if let Some(smart) = smart {
            std::fs::write(bay.path.join(SMART), smart).map_err(preparing)?;
        }
        std::fs::write(bay.path.join(MARK), serial).map_err(preparing)?;
        Ok(content)
    }

    fn identify(&self, serial: &str) -> Result<Sign> {
        let bays = self.bays()?;
        let bay = find(&bays, serial)?;
        // A folder has no light; whoever runs this sees the log.
        tracing::info!(folder = %bay.path.display(), "this is disk {serial}");
        Ok(Sign::Activity)
    }

    fn self_test(&self, serial: &str, _long: bool) -> Result<()> {
        let bays = self.bays()?;
        let bay = find(&bays, serial)?;
        Err(Error::new(
            Kind::Refused,
            format!("{} is a folder and cannot test itself", bay.name),
        ))
    }

    fn changes(&self) -> Result<Box<dyn Changes>> {
        Ok(Box::new(Bays {
            root: self.root.clone(),
            seen: names(&self.root),
        }))
    }

    fn mount_members(&self) -> Result<Vec<PathBuf>> {
        let bays = self.bays()?;
        Ok(bays
            .iter()
            .filter(|b| b.prepared)
            .map(Bay::content)
            .collect())
    }
}

/// Nobody tells when a folder is moved, so the bays are looked at.
struct Bays {
    root: PathBuf,
    seen: BTreeMap<std::ffi::OsString, u64>,
}

/// The folders, each with its inode, by which a disk exchanged for another is told.
fn names(root: &Path) -> BTreeMap<std::ffi::OsString, u64> {
    use std::os::unix::fs::DirEntryExt;
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|e| (e.file_name(), e.ino())).collect()
}

impl Changes for Bays {
    fn wait(&mut self, at_most: Duration) -> Result<Option<Change>> {
        let until = Instant::now() + at_most;
        loop {
            let now = names(&self.root);
            if now != self.seen {
                self.seen = now;
                return Ok(Some(Change::Disk));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

//! The disks chosen for a new pool: checked before the first is wiped, and
//! left empty if the pool does not come about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::devices::{Contents, Disk};
use crate::engine::{Error, Kind, Result};
use crate::pool::{NewMember, Redundancy};
use crate::service::NewPool;

/// Every disk named, with whether it is to be a spare.
pub(super) fn named(new: &NewPool) -> impl Iterator<Item = (&String, bool)> {
    let disks = new.disks.iter().map(|serial| (serial, false));
    disks.chain(new.spares.iter().map(|serial| (serial, true)))
}

pub(super) fn check_disks(new: &NewPool, redundancy: Redundancy, disks: &[Disk]) -> Result<()> {
    let refuse = |text: String| Err(Error::new(Kind::Refused, text));
    let needed = usize::from(redundancy.data) + usize::from(redundancy.parity);
    if new.disks.len() < needed {
        return refuse(format!(
            "redundancy {redundancy} needs {needed} disks besides spares; {} were chosen",
            new.disks.len()
        ));
    }
    let mut seen = BTreeSet::new();
    for (serial, _) in named(new) {
        if !seen.insert(serial) {
            return refuse(format!("disk {serial} is named twice"));
        }
        let disk = disks.iter().find(|disk| match disk.serial.is_empty() {
            true => disk.name == *serial,
            false => disk.serial == *serial,
        });
        let Some(disk) = disk else {
            return Err(Error::new(
                Kind::Missing,
                format!("there is no disk {serial}; look at the list of disks again"),
            ));
        };
        let confirmed = new.confirm.contains(serial);
        match &disk.contents {
            Contents::System => {
                return refuse(format!("the box itself runs from disk {serial}"));
            }
            Contents::Member { pool: Some(id), .. } if !confirmed => {
                return refuse(format!(
                    "disk {serial} is a member of pool {id}; confirm its serial number to erase it"
                ));
            }
            Contents::Other { what } if !confirmed => {
                return refuse(format!(
                    "disk {serial} holds data ({what}); confirm its serial number to erase it"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Empties the members again if the pool does not come about: what was begun
/// on them would keep the disks from being chosen once more.
pub(super) struct Cleanup(Vec<PathBuf>);

impl Cleanup {
    /// # Errors
    /// `Refused` if a folder is not empty; then nothing is ever removed from it.
    pub fn new(members: &[NewMember]) -> Result<Self> {
        for member in members {
            if let Some(found) = content(&member.path)?.first() {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "disk {} is not empty: it holds {}",
                        member.label,
                        found.display()
                    ),
                ));
            }
        }
        Ok(Self(members.iter().map(|m| m.path.clone()).collect()))
    }

    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        for folder in &self.0 {
            for path in content(folder).unwrap_or_default() {
                let removed = match path.is_dir() && !path.is_symlink() {
                    true => std::fs::remove_dir_all(&path),
                    false => std::fs::remove_file(&path),
                };
                if let Err(e) = removed {
                    tracing::warn!(
                        "left behind by a pool that did not come about: {}: {e}",
                        path.display()
                    );
                }
            }
        }
    }
}

/// What is in a member's folder, but for what a new file system brings along.
fn content(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e| Error::io(format_args!("reading {}", folder.display()), e);
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_name() != "lost+found" {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Smart;

    fn disk(serial: &str, contents: Contents) -> Disk {
        Disk {
            name: format!("vd{serial}"),
            model: String::new(),
            serial: serial.into(),
            wwn: None,
            size: 1 << 30,
            rotational: false,
            transport: "virtio".into(),
            slot: None,
            read_only: false,
            given_up: None,
            smart: Smart::default(),
            contents,
        }
    }

    #[test]
    fn every_disk_is_checked_before_the_first_is_wiped() {
        let data = Contents::Other {
            what: "ext4".into(),
        };
        let disks = [
            disk("a", Contents::Blank),
            disk("b", Contents::Blank),
            disk("c", data),
            disk("s", Contents::System),
        ];
        let new = |disks: &[&str], confirm: &[&str]| NewPool {
            redundancy: String::new(),
            disks: disks.iter().map(ToString::to_string).collect(),
            spares: Vec::new(),
            confirm: confirm.iter().map(ToString::to_string).collect(),
        };
        let check = |disks_named: &[&str], confirm: &[&str]| {
            let redundancy = Redundancy { data: 1, parity: 1 };
            check_disks(&new(disks_named, confirm), redundancy, &disks)
                .map_err(|e| (e.kind(), e.to_string()))
        };
        check(&["a", "b"], &[]).unwrap();
        check(&["a", "c"], &["c"]).unwrap();
        for (disks, kind, word) in [
            (&["a"][..], Kind::Refused, "needs 2"),
            (&["a", "a"], Kind::Refused, "twice"),
            (&["a", "x"], Kind::Missing, "no disk x"),
            (&["a", "c"], Kind::Refused, "ext4"),
            (&["a", "s"], Kind::Refused, "runs from"),
        ] {
            let (got, text) = check(disks, &["s"]).unwrap_err();
            assert!(got == kind && text.contains(word), "{disks:?}: {text}");
        }
    }
}

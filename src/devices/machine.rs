//! The disks of this machine, changed with root's rights. Runs inside the
//! helper only.
//!
//! A disk is named by its serial number, looked up anew for every request and
//! once more right before it is written to, while it is held open: a name like
//! `sda` cannot come to mean another disk as long as it is open.

use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::bay::Kernel;
use super::identify::{self, SHOWN, Signs};
use super::scan::{Node, contents_now, disks, partitions, scan};
use super::uevent::Uevents;
use super::{Changes, Contents, Devices, Disk, LABEL, MEMBER_TYPE, Sign, mount, smart, tool};
use crate::engine::{Error, Kind, Result};

const PATIENCE: Duration = Duration::from_secs(120);
/// Formatting writes little, but discarding a large flash disk takes a while.
const FORMATTING: Duration = Duration::from_secs(1200);

/// Block devices, tools and mounts.
pub struct Machine {
    /// Folder of the mounts, one folder for each member's partition UUID.
    mounts: PathBuf,
    /// User and group that own a member's files.
    owner: (u32, u32),
    /// Loop devices that count as disks (for tests).
    loops: Vec<String>,
    kernel: Kernel,
    /// Disks that show themselves now.
    signs: Signs,
    /// One change at a time.
    lock: Mutex<()>,
}

impl Machine {
    /// Members are mounted below `mounts` and owned by `owner` (user and group
    /// number). Of loop devices only those named in `loops` count as disks,
    /// for tests.
    pub fn new(mounts: impl Into<PathBuf>, owner: (u32, u32), loops: &[&str]) -> Self {
        Self {
            mounts: mounts.into(),
            owner,
            loops: loops.iter().map(|&l| l.to_owned()).collect(),
            kernel: Kernel::default(),
            signs: Signs::default(),
            lock: Mutex::new(()),
        }
    }

    /// Turns off the lights that a crash left on.
    pub(super) fn dark(&self) {
        identify::dark(&self.kernel);
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        // It guards an order, no data that a panic could leave half changed.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks everything that forbids wiping; `Some` is the folder of a disk
    /// that is prepared already and still empty.
    fn permit(&self, disk: &Node, confirm: Option<&str>) -> Result<Option<PathBuf>> {
        let name = describe(disk);
        let refuse = |why: String| Err(Error::new(Kind::Refused, why));
        if disk.read_only {
            return refuse(format!("{name} is read-only; check its write protection"));
        }
        let what = match contents_now(disk, &self.mounts) {
            Contents::System => {
                return refuse(format!(
                    "{name} is the disk this box runs from; choose another"
                ));
            }
            Contents::Member {
                mount: Some(mount), ..
            } => {
                if mount::is_empty(&mount)? {
                    return Ok(Some(mount));
                }
                return refuse(format!(
                    "{name} is a pool member in use, mounted at {}; take it out of its pool first",
                    mount.display()
                ));
            }
            Contents::Member { mount: None, .. } => "a pool member".to_owned(),
            Contents::Other { what } => what,
            Contents::Blank => String::new(),
        };
        let mounts = disk.mounts();
        if !mounts.is_empty() {
            return refuse(format!(
                "{name} is in use, mounted at {}; unmount it first",
                mounts.join(" and ")
            ));
        }
        if let Some(user) = disk.all().into_iter().skip(1).find(|n| n.kind != "part") {
            return refuse(format!(
                "{name} is in use by {} ({}); take that down first",
                user.name, user.kind
            ));
        }
        if !what.is_empty() && confirm != Some(disk.identity()) {
            return refuse(format!(
                "{name} holds {what}. All of it would be lost: to go on, confirm with the serial number {}",
                disk.identity()
            ));
        }
        Ok(None)
    }

    /// Writes partition table and file system; gives the partition. The disk
    /// is locked meanwhile, so udev's knowledge of it is old.
    fn format(&self, disk: &Node) -> Result<Node> {
        let path = disk.path.as_str();
        let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid")
            .map_err(|e| Error::io("asking the kernel for a random UUID", e))?;
        let uuid = uuid.trim();
        tool::must("wipefs", &["--all", "--quiet", path], "", PATIENCE)?;
        let table =
            format!("label: gpt\nstart=1MiB, type={MEMBER_TYPE}, uuid={uuid}, name=\"{LABEL}\"\n");
        let arguments = [
            "--quiet",
            "--wipe",
            "always",
            "--wipe-partitions",
            "always",
            path,
        ];
        tool::must("sfdisk", &arguments, &table, PATIENCE)?;
        // Some drivers do not read the table again by themselves.
        tool::must("partx", &["--update", path], "", PATIENCE)?;
        let part = self.partition(disk, uuid)?;
        let arguments = ["-q", "-f", "-L", LABEL, &part.path];
        tool::must("mkfs.xfs", &arguments, "", FORMATTING)?;
        Ok(part)
    }

    /// The partition just made; the kernel may need a moment.
    fn partition(&self, disk: &Node, uuid: &str) -> Result<Node> {
        for _ in 0..50 {
            let parts = partitions(&disk.number, &self.loops)?;
            if let [one] = &parts[..]
                && one.partuuid.eq_ignore_ascii_case(uuid)
            {
                return Ok(one.clone());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(Error::new(
            Kind::Io,
            "it was partitioned but its partition did not appear; restart the box, then prepare it again",
        ))
    }
}

/// Waits until udev has seen what changed, where there is udev. Nothing fails
/// without it; lists are only older for a moment.
fn settle() {
    if Path::new("/run/udev/control").exists()
        && let Err(e) = tool::must("udevadm", &["settle", "--timeout=30"], "", PATIENCE)
    {
        tracing::warn!(error = %e, "udev did not settle");
    }
}

/// `disk sda (ST8000NM000A, serial WSD0A1B2)`
fn describe(disk: &Node) -> String {
    let what: Vec<String> = [("", &disk.model), ("serial ", &disk.serial)]
        .into_iter()
        .filter(|(_, v)| !v.is_empty())
        .map(|(k, v)| format!("{k}{v}"))
        .collect();
    if what.is_empty() {
        format!("disk {}", disk.name)
    } else {
        format!("disk {} ({})", disk.name, what.join(", "))
    }
}

/// The one disk called `identity`.
pub(super) fn find(nodes: &[Node], identity: &str) -> Result<Node> {
    let mut found = nodes.iter().filter(|n| n.identity() == identity);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.clone()),
        (Some(one), Some(other)) => Err(Error::new(
            Kind::Refused,
            format!(
                "{} and {} both call themselves {identity}; take one of them out, because they cannot be told apart",
                describe(one),
                describe(other)
            ),
        )),
        (None, _) => Err(Error::new(
            Kind::Missing,
            format!("no disk has the serial number {identity:?}; look at the list of disks again"),
        )),
    }
}

impl Devices for Machine {
    fn disks(&self) -> Result<Vec<Disk>> {
        Ok(disks(&scan(&self.loops)?, &self.mounts, &self.kernel))
    }

    fn prepare(&self, serial: &str, confirm: Option<&str>) -> Result<PathBuf> {
        let _alone = self.alone();
        let first = find(&scan(&self.loops)?, serial)?;
        if let Some(mount) = self.permit(&first, confirm)? {
            return Ok(mount);
        }
        // Held open from here on, so that its name stays its own.
        let opening = |e| Error::io(format!("opening {}", describe(&first)), e);
        let held = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_CLOEXEC)
            .open(&first.path)
            .map_err(opening)?;
        let meta = held.metadata().map_err(opening)?;
        let number = format!(
            "{}:{}",
            rustix::fs::major(meta.rdev()),
            rustix::fs::minor(meta.rdev())
        );
        let disk = find(&scan(&self.loops)?, serial)?;
        if !meta.file_type().is_block_device() || disk.number != number || disk != first {
            return Err(Error::new(
                Kind::Busy,
                format!(
                    "{} changed while it was looked at; look at the list of disks and try again",
                    describe(&disk)
                ),
            ));
        }
        self.permit(&disk, confirm)?;
        // The kernel says whether anything mounted or built on it holds it.
        std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_EXCL | nix::libc::O_CLOEXEC)
            .open(&disk.path)
            .map_err(|e| {
                Error::io(
                    format!("{} is in use by something else", describe(&disk)),
                    e,
                )
            })?;
        // udev keeps its hands off a disk that somebody has locked.
        rustix::fs::flock(held.as_fd(), FlockOperation::NonBlockingLockExclusive)
            .map_err(|e| Error::io(format!("locking {}", describe(&disk)), e.into()))?;
        tracing::info!(disk = %describe(&disk), "preparing it as a pool member");
        let part = self.format(&disk).map_err(|e| e.context(describe(&disk)))?;
        drop(held);
        // What udev missed while the disk was locked.
        settle();
        mount::mount(&part, &self.mounts, Some(self.owner))
    }

    fn identify(&self, serial: &str) -> Result<Sign> {
        let disk = find(&scan(&self.loops)?, serial)?;
        self.signs
            .begin(&self.kernel, &disk.name, &disk.path, SHOWN)
            .map_err(|e| e.context(describe(&disk)))
    }

    fn self_test(&self, serial: &str, long: bool) -> Result<()> {
        let disk = find(&scan(&self.loops)?, serial)?;
        smart::test(&disk.path, long).map_err(|e| e.context(describe(&disk)))
    }

    fn changes(&self) -> Result<Box<dyn Changes>> {
        // The kernel tells everybody; no helper is needed for it.
        Ok(Box::new(Uevents::open()?))
    }

    fn mount_members(&self) -> Result<Vec<PathBuf>> {
        let _alone = self.alone();
        let nodes = scan(&self.loops)?;
        mount::unmount_gone(&self.mounts)?;
        let parts: Vec<&Node> = nodes.iter().flat_map(Node::members).collect();
        let mut folders = Vec::new();
        for part in &parts {
            let twins: Vec<&str> = parts
                .iter()
                .filter(|p| p.partuuid.eq_ignore_ascii_case(&part.partuuid))
                .map(|p| p.name.as_str())
                .collect();
            if twins.len() > 1 {
                // A copied disk: mounting either might be the wrong one.
                tracing::error!(
                    partitions = twins.join(" and "),
                    "two members have the same identity; one is a copy, take it out"
                );
                continue;
            }
            match mount::mount(part, &self.mounts, None) {
                Ok(folder) => folders.push(folder),
                // The others are mounted all the same; the list shows this one as not mounted.
                Err(e) => {
                    tracing::error!(partition = part.name, error = %e, "a pool member cannot be mounted");
                }
            }
        }
        folders.sort();
        Ok(folders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, serial: &str, wwn: &str) -> Node {
        Node {
            name: name.into(),
            path: format!("/dev/{name}"),
            serial: serial.into(),
            wwn: wwn.into(),
            ..Node::default()
        }
    }

    #[test]
    fn two_disks_of_one_name_are_both_named_and_refused() {
        let nodes = [
            node("sda", "S1", "w1"),
            node("sdb", "S1", "w2"),
            node("sdc", "", "w3"),
            node("sdd", "", ""),
        ];
        let e = find(&nodes, "S1").unwrap_err();
        assert_eq!(e.kind(), Kind::Refused);
        let text = e.to_string();
        assert!(text.contains("sda") && text.contains("sdb"), "{text}");
        assert_eq!(find(&nodes, "w3").unwrap().name, "sdc");
        assert_eq!(find(&nodes, "sdd").unwrap().name, "sdd");
        // A disk that has a serial number is not found by less than that.
        for absent in ["sda", "w1", ""] {
            assert_eq!(find(&nodes, absent).unwrap_err().kind(), Kind::Missing);
        }
    }

    #[test]
    fn what_must_not_be_wiped_is_not() {
        let machine = Machine::new("/run/colca/disks", (0, 0), &[]);
        let mut used = node("sda", "S1", "");
        used.pttype = "gpt".into();
        used.children.push(node("sda1", "", ""));
        used.children[0].kind = "part".into();
        let kind = |d: &Node, c: Option<&str>| machine.permit(d, c).map_err(|e| e.kind());
        // Data: only when confirmed with the serial itself.
        for confirm in [None, Some(""), Some("s1"), Some("sda"), Some("S1 ")] {
            assert_eq!(kind(&used, confirm), Err(Kind::Refused));
        }
        assert_eq!(kind(&used, Some("S1")), Ok(None));
        // Whatever is confirmed: mounted, the system's, part of something, read-only.
        let mut mounted = used.clone();
        mounted.children[0].mountpoints = vec![None, Some("/mnt/usb".into())];
        let mut system = used.clone();
        system.children[0].mountpoints = vec![Some("/".into())];
        let mut raid = used.clone();
        raid.children[0].children.push(node("md0", "", ""));
        raid.children[0].children[0].kind = "raid1".into();
        let mut read_only = node("sdb", "S2", "");
        read_only.read_only = true;
        for disk in [mounted, system, raid] {
            assert_eq!(kind(&disk, Some("S1")), Err(Kind::Refused));
        }
        assert_eq!(kind(&read_only, Some("S2")), Err(Kind::Refused));
        assert_eq!(kind(&node("sdc", "S3", ""), None), Ok(None));
    }
}

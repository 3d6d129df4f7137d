//! What disks there are and what is on them, as `lsblk` and `blkid` tell.
//!
//! `lsblk` knows names, hardware, mounts and, through udev, most contents. A
//! disk that it calls empty is looked at directly before it is believed: an
//! empty disk is one that may be wiped without asking.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::bay::Kernel;
use super::{Contents, Disk, MEMBER_TYPE, smart, tool};
use crate::engine::{Error, Kind, Result};

const COLUMNS: &str = "NAME,PATH,MAJ:MIN,TYPE,SIZE,RO,MODEL,SERIAL,WWN,ROTA,TRAN,PTTYPE,PARTTYPE,PARTUUID,FSTYPE,LABEL,MOUNTPOINTS";
const LIMIT: Duration = Duration::from_secs(30);

/// A block device as `lsblk` prints it, with what stands on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    #[serde(deserialize_with = "text")]
    pub name: String,
    #[serde(deserialize_with = "text")]
    pub path: String,
    /// `8:0`
    #[serde(rename = "maj:min", deserialize_with = "text")]
    pub number: String,
    #[serde(rename = "type", deserialize_with = "text")]
    pub kind: String,
    #[serde(deserialize_with = "number")]
    pub size: u64,
    #[serde(rename = "ro", deserialize_with = "flag")]
    pub read_only: bool,
    #[serde(deserialize_with = "text")]
    pub model: String,
    #[serde(deserialize_with = "text")]
    pub serial: String,
    #[serde(deserialize_with = "text")]
    pub wwn: String,
    #[serde(rename = "rota", deserialize_with = "flag")]
    pub rotational: bool,
    #[serde(rename = "tran", deserialize_with = "text")]
    pub transport: String,
    /// Partition table: `gpt`, `dos`.
    #[serde(deserialize_with = "text")]
    pub pttype: String,
    /// Partition type GUID, lower case.
    #[serde(deserialize_with = "text")]
    pub parttype: String,
    #[serde(deserialize_with = "text")]
    pub partuuid: String,
    #[serde(deserialize_with = "text")]
    pub fstype: String,
    #[serde(deserialize_with = "text")]
    pub label: String,
    pub mountpoints: Vec<Option<String>>,
    pub children: Vec<Node>,
}

/// Values are text, numbers or null, depending on the version.
fn text<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(d)? {
        serde_json::Value::String(s) => s.trim().to_owned(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    })
}
fn number<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Ok(text(d)?.parse().unwrap_or(0))
}
fn flag<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    Ok(matches!(text(d)?.as_str(), "true" | "1"))
}

#[derive(Deserialize)]
struct Listing {
    blockdevices: Vec<Node>,
}

impl Node {
    /// This device and everything that stands on it.
    pub fn all(&self) -> Vec<&Node> {
        let mut all = vec![self];
        for child in &self.children {
            all.extend(child.all());
        }
        all
    }

    /// Where this device and what stands on it is mounted; `[SWAP]` for swap.
    pub fn mounts(&self) -> Vec<&str> {
        self.all()
            .into_iter()
            .flat_map(|n| n.mountpoints.iter().flatten())
            .map(String::as_str)
            .collect()
    }

    /// The member partitions on this disk.
    pub fn members(&self) -> impl Iterator<Item = &Node> {
        self.children
            .iter()
            .filter(|c| c.parttype.eq_ignore_ascii_case(MEMBER_TYPE) && is_uuid(&c.partuuid))
    }

    /// What people call this disk: serial number, else world-wide name, else kernel name.
    pub fn identity(&self) -> &str {
        [&self.serial, &self.wwn]
            .into_iter()
            .find(|s| !s.is_empty())
            .unwrap_or(&self.name)
    }
}

/// The form of a partition's UUID, which becomes a folder's name.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Only device names that the kernel makes are handed to tools.
fn is_device_path(path: &str) -> bool {
    path.strip_prefix("/dev/").is_some_and(|name| {
        !name.is_empty()
            && !name.contains("..")
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_./!".contains(&b))
    })
}

/// Parses the listing and keeps whole disks, and the loop devices named, for tests.
pub(super) fn parse(json: &[u8], loops: &[String]) -> Result<Vec<Node>> {
    let listing: Listing = serde_json::from_slice(json).map_err(|e| {
        Error::with_source(
            Kind::Io,
            format!("the answer of lsblk cannot be read: {e}"),
            e,
        )
    })?;
    let not_disks = ["loop", "ram", "zram", "fd", "sr", "nbd", "md", "dm-"];
    Ok(listing
        .blockdevices
        .into_iter()
        .filter(|n| {
            let is_disk = n.kind == "disk" && !not_disks.iter().any(|p| n.name.starts_with(p));
            let is_loop = n.kind == "loop" && loops.contains(&n.name);
            (is_disk || is_loop) && n.size > 0 && is_device_path(&n.path)
        })
        .map(|mut n| {
            n.children.retain(|c| is_device_path(&c.path));
            n
        })
        .collect())
}

fn list(loops: &[String]) -> Result<Vec<Node>> {
    // With a tree, what stands on several disks is listed under each.
    let arguments = ["--json", "--bytes", "--tree", "--output", COLUMNS];
    parse(&tool::must("lsblk", &arguments, "", LIMIT)?, loops)
}

/// Every whole disk as it is now.
pub(super) fn scan(loops: &[String]) -> Result<Vec<Node>> {
    let mut disks = list(loops)?;
    disks.iter_mut().for_each(complete);
    Ok(disks)
}

/// The partitions of a disk as they are on the disk itself, for when udev is
/// kept from looking. `number` is the disk's.
pub(super) fn partitions(number: &str, loops: &[String]) -> Result<Vec<Node>> {
    let disk = list(loops)?.into_iter().find(|d| d.number == number);
    let mut parts = disk.map(|d| d.children).unwrap_or_default();
    for part in &mut parts {
        let found = probe(&part.path);
        *part = Node {
            name: std::mem::take(&mut part.name),
            path: std::mem::take(&mut part.path),
            number: std::mem::take(&mut part.number),
            size: part.size,
            ..Node::default()
        };
        part.take(&found);
    }
    Ok(parts)
}

/// Fills in what udev did not say.
fn complete(disk: &mut Node) {
    if disk.serial.is_empty() {
        // virtio keeps it where udev alone looks.
        let file = format!("/sys/block/{}/serial", disk.name);
        if let Ok(serial) = std::fs::read_to_string(file) {
            disk.serial = serial.trim().to_owned();
        }
    }
    if disk.transport.is_empty() && disk.name.starts_with("vd") {
        // Older versions of lsblk do not know this one.
        disk.transport = "virtio".into();
    }
    if disk.pttype.is_empty() && disk.fstype.is_empty() {
        let found = probe(&disk.path);
        disk.take(&found);
    }
    for part in &mut disk.children {
        if part.kind == "part" && (part.parttype.is_empty() || part.fstype.is_empty()) {
            let found = probe(&part.path);
            part.take(&found);
        }
    }
}

impl Node {
    fn take(&mut self, found: &BTreeMap<String, String>) {
        for (mine, key) in [
            (&mut self.pttype, "PTTYPE"),
            (&mut self.fstype, "TYPE"),
            (&mut self.label, "LABEL"),
            (&mut self.parttype, "PART_ENTRY_TYPE"),
            (&mut self.partuuid, "PART_ENTRY_UUID"),
        ] {
            if mine.is_empty()
                && let Some(value) = found.get(key)
            {
                mine.clone_from(value);
            }
        }
    }
}

/// Reads signatures from the device itself, past every cache. A device that
/// cannot be read is not an empty one.
fn probe(path: &str) -> BTreeMap<String, String> {
    let arguments = ["--probe", "--output", "export", path];
    let unreadable = match tool::run("blkid", &arguments, "", LIMIT) {
        Ok(o) if o.code == 0 => return parse_probe(&String::from_utf8_lossy(&o.stdout)),
        Ok(o) if o.code == 2 && o.stderr.is_empty() => return BTreeMap::new(),
        Ok(o) if o.code == 8 => "several formats at once".to_owned(),
        Ok(o) => format!("unreadable ({})", o.stderr),
        Err(e) => format!("unreadable ({e})"),
    };
    tracing::warn!(device = path, "{unreadable}");
    BTreeMap::from([("TYPE".into(), unreadable)])
}

pub(super) fn parse_probe(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(k, v)| (k.to_owned(), unescape(v)))
        .collect()
}

/// `blkid` puts a backslash before what a shell would not take as it is.
fn unescape(value: &str) -> String {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// The partition from which the boot loader started, if it says so.
fn booted_from() -> Option<String> {
    let variable =
        "/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let bytes = std::fs::read(variable).ok()?;
    // Four bytes of attributes, then UTF-16 with a zero at the end.
    let units: Vec<u16> = bytes
        .get(4..)?
        .chunks_exact(2)
        .map(|c| u16::from_le_bytes([c[0], c[1]]))
        .collect();
    Some(
        String::from_utf16_lossy(&units)
            .trim_end_matches('\0')
            .to_owned(),
    )
}

/// What a disk holds. Members are looked for under `mounts`.
pub(super) fn contents(disk: &Node, mounts: &Path, boot: Option<&str>) -> Contents {
    let elsewhere: Vec<&str> = disk
        .mounts()
        .into_iter()
        .filter(|m| !Path::new(m).starts_with(mounts))
        .collect();
    // Whatever the system itself is mounted from or swaps to.
    let of_system = |m: &&str| {
        *m == "/"
            || *m == "[SWAP]"
            || [
                "/usr", "/boot", "/efi", "/var", "/etc", "/home", "/opt", "/srv", "/sysroot",
            ]
            .iter()
            .any(|top| Path::new(m).starts_with(top))
    };
    let booted = boot.is_some_and(|boot| {
        disk.all()
            .iter()
            .any(|n| !n.partuuid.is_empty() && n.partuuid.eq_ignore_ascii_case(boot))
    });
    if booted || elsewhere.iter().any(of_system) {
        return Contents::System;
    }
    if let Some(member) = disk.members().next() {
        let mount = member
            .mountpoints
            .iter()
            .flatten()
            .find(|m| Path::new(m).starts_with(mounts));
        return Contents::Member {
            // The pool's own file tells; reading it is not this room's business.
            pool: None,
            mount: mount.map(Into::into),
        };
    }
    let mut what = Vec::new();
    if !disk.fstype.is_empty() {
        what.push(if disk.label.is_empty() {
            disk.fstype.clone()
        } else {
            format!("{} {:?}", disk.fstype, disk.label)
        });
    }
    if !disk.pttype.is_empty() || !disk.children.is_empty() {
        let count = disk.children.len();
        let table = if disk.pttype.is_empty() {
            "unknown"
        } else {
            &disk.pttype
        };
        what.push(format!(
            "partition table {table} with {count} partition{}",
            if count == 1 { "" } else { "s" }
        ));
        what.extend(
            disk.children
                .iter()
                .filter(|c| !c.fstype.is_empty())
                .map(|c| {
                    if c.label.is_empty() {
                        c.fstype.clone()
                    } else {
                        format!("{} {:?}", c.fstype, c.label)
                    }
                }),
        );
    }
    if !elsewhere.is_empty() {
        what.push(format!("mounted at {}", elsewhere.join(" and ")));
    }
    if what.is_empty() {
        Contents::Blank
    } else {
        Contents::Other {
            what: what.join(", "),
        }
    }
}

/// The disks as people see them, with SMART.
pub(super) fn disks(nodes: &[Node], mounts: &Path, kernel: &Kernel) -> Vec<Disk> {
    let boot = booted_from();
    // A sleeping or dying disk answers late; the others need not wait for it.
    std::thread::scope(|scope| {
        let asked: Vec<_> = nodes
            .iter()
            .map(|n| scope.spawn(|| smart::read(&n.path)))
            .collect();
        nodes
            .iter()
            .zip(asked)
            .map(|(n, smart)| Disk {
                name: n.name.clone(),
                model: n.model.clone(),
                serial: n.serial.clone(),
                wwn: Some(n.wwn.clone()).filter(|w| !w.is_empty()),
                size: n.size,
                rotational: n.rotational,
                transport: n.transport.clone(),
                slot: kernel.slot(&n.name),
                read_only: n.read_only,
                given_up: kernel.given_up(&n.name),
                smart: smart.join().unwrap_or_default(),
                contents: contents(n, mounts, boot.as_deref()),
            })
            .collect()
    })
}

/// What a disk holds, now.
pub(super) fn contents_now(disk: &Node, mounts: &Path) -> Contents {
    contents(disk, mounts, booted_from().as_deref())
}

#[cfg(test)]
mod tests;

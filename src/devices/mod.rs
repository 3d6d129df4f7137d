//! Real block devices: discovery, SMART, preparing a disk, mounting.
//!
//! Privileged work sits behind one small helper process, `colca disk-helper`,
//! socket-activated on `/run/colca/disk-helper.sock`, which answers a closed
//! list of typed requests (JSON lines) from the user `colca` only.

mod folders;
pub mod helper;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod machine;
mod mount;
mod protocol;
mod scan;
mod smart;
mod tool;
mod uevent;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Result;

/// GPT partition type of a pool member, Colca's own.
pub const MEMBER_TYPE: &str = "5cfbb69b-15f5-479a-a161-15eefbee87d5";
/// Name of a member's partition and label of its file system.
pub const LABEL: &str = "colca-member";
/// Where members are mounted, each in a folder named by its partition's UUID.
pub const MOUNTS: &str = "/run/colca/disks";
/// The user the daemon runs as, who owns what is on the members.
pub const USER: &str = "colca";

/// A whole disk as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Kernel name now, e.g. `sda`. Never identity: it changes.
    pub name: String,
    /// Maker's model name; empty if unknown.
    pub model: String,
    /// Serial number: the identity people use. Empty if the disk has none.
    pub serial: String,
    /// World-wide name, if any.
    pub wwn: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Spinning disk.
    pub rotational: bool,
    /// Connection: `sata`, `sas`, `nvme`, `virtio`, `usb`…
    pub transport: String,
    /// SMART verdict: `passed`, `failed`, or `unknown` where the disk has no SMART.
    pub smart: Smart,
    /// What is on it.
    pub contents: Contents,
}

/// SMART's overall verdict and a few figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smart {
    /// `Some(true)` passed, `Some(false)` failing, `None` unknown.
    pub passed: Option<bool>,
    /// Degrees Celsius.
    pub temperature: Option<i64>,
    /// Hours powered on.
    pub power_on_hours: Option<u64>,
}

/// What a disk holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Contents {
    /// Nothing recognisable.
    Blank,
    /// The box itself runs from it.
    System,
    /// A Colca pool member, mounted at `mount` if it could be.
    Member {
        /// 32 hex digits; `None` if prepared but not yet in a pool.
        pool: Option<String>,
        /// Where it is mounted.
        mount: Option<PathBuf>,
    },
    /// Something else, named in words (`ext4 "datos"`, `partition table gpt with 2 partitions`).
    Other {
        /// The words.
        what: String,
    },
}

/// Access to the box's disks; real or, in development, folders.
pub trait Devices: Send + Sync {
    /// Every whole disk, system disk included.
    fn disks(&self) -> Result<Vec<Disk>>;
    /// Wipes, partitions (GPT), formats (XFS) and mounts one blank disk given
    /// by serial (or by name where it has none). A disk that holds data needs
    /// `confirm` equal to its serial. The system disk and pool members in use
    /// are always `Refused`. Returns the mounted folder, owned by user `colca`.
    fn prepare(&self, serial: &str, confirm: Option<&str>) -> Result<PathBuf>;
    /// Mounts every Colca member disk that is not mounted, unmounts those whose
    /// disk is gone, and returns all mounted folders.
    fn mount_members(&self) -> Result<Vec<PathBuf>>;
    /// Begins to listen for disks that come, go or change.
    fn changes(&self) -> Result<Box<dyn Changes>>;
}

/// Tells when to look at the disks again.
pub trait Changes: Send {
    /// Waits until a disk came, went or changed, at most so long; says whether
    /// one did. Whatever happened since this began, or since the last call, is
    /// not missed.
    ///
    /// # Errors
    /// When changes cannot be told any more, only found by looking.
    fn wait(&mut self, at_most: Duration) -> Result<bool>;
}

/// The disks of this machine, by way of the privileged helper at `socket`.
pub fn helper_client(socket: &std::path::Path) -> Box<dyn Devices> {
    Box::new(protocol::Client::new(socket))
}
/// Folders under `root` that stand for disks (`disk1`, `disk2`, …), for development and tests.
pub fn folders(root: &std::path::Path) -> Box<dyn Devices> {
    Box::new(folders::Folders::new(root))
}

//! Real block devices: discovery, SMART, preparing a disk, mounting.
//!
//! Privileged work sits behind one small helper process, `colca disk-helper`,
//! socket-activated on `/run/colca/disk-helper.sock`, which answers a closed
//! list of typed requests (JSON lines) from the user `colca` only.

mod bay;
mod folders;
pub mod helper;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod identify;
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
    /// The bay it is in, as its enclosure or its PCIe slot calls it, else the
    /// port it hangs on; `None` if nothing is known of it.
    #[serde(default)]
    pub slot: Option<String>,
    /// It takes no writes.
    #[serde(default)]
    pub read_only: bool,
    /// The kernel's word for its state when it has given the disk up, e.g. `offline`.
    #[serde(default)]
    pub given_up: Option<String>,
    /// What it says of itself.
    pub smart: Smart,
    /// What is on it.
    pub contents: Contents,
}

/// What a disk says of itself: SMART's verdict and figures, each `None` where
/// it is not known or the disk does not count it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Smart {
    /// `Some(true)` passed, `Some(false)` failing, `None` unknown.
    pub passed: Option<bool>,
    /// Degrees Celsius.
    pub temperature: Option<i64>,
    /// Hours powered on.
    pub power_on_hours: Option<u64>,
    /// It sleeps and was not woken: nothing else is known now.
    pub asleep: bool,
    /// Sectors replaced by spare ones (ATA), grown defects (SAS).
    pub reallocated: Option<u64>,
    /// Sectors that could not be read and wait to be written again.
    pub pending: Option<u64>,
    /// Sectors that its own scan could not read.
    pub uncorrectable: Option<u64>,
    /// Reads and writes that it could not correct.
    pub media_errors: Option<u64>,
    /// Percent of its rated life that is used; may pass 100.
    pub wear: Option<u8>,
    /// Its self-tests; `None` if it has none.
    pub test: Option<SelfTest>,
}

/// Self-tests of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// Percent left of the test that runs now.
    pub remaining: Option<u8>,
    /// The newest that ended.
    pub last: Option<TestResult>,
}

/// How a self-test ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// It read the whole disk.
    pub long: bool,
    /// How it ended.
    pub outcome: TestOutcome,
    /// Hours powered on when it ran.
    pub hours: Option<u64>,
}

/// See [`TestResult`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestOutcome {
    /// Nothing found.
    Passed,
    /// The disk found a fault in itself.
    Failed,
    /// It did not come to its end.
    Aborted,
}

/// How a disk shows itself to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// The light of its bay.
    Light,
    /// Its activity light blinks evenly, because it is read from in bursts.
    Activity,
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
    /// Lets a disk (by serial, or by name where it has none) show itself to a
    /// person for a minute.
    fn identify(&self, serial: &str) -> Result<Sign>;
    /// Lets a disk begin to test itself: shortly, or all of it (`long`, hours).
    ///
    /// # Errors
    /// `Transient` while it sleeps, `Refused` if it cannot or already does.
    fn self_test(&self, serial: &str, long: bool) -> Result<()>;
    /// Begins to listen for disks that come, go or change.
    fn changes(&self) -> Result<Box<dyn Changes>>;
}

/// What came, went or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A whole disk.
    Disk,
    /// A partition of one.
    Partition,
}

/// Tells when to look at the disks again.
pub trait Changes: Send {
    /// Waits until something changed, at most so long; says what. Whatever happened since this began, or since the last call, is
    /// not missed.
    ///
    /// # Errors
    /// When changes cannot be told any more, only found by looking.
    fn wait(&mut self, at_most: Duration) -> Result<Option<Change>>;
}

/// The disks of this machine, by way of the privileged helper at `socket`.
pub fn helper_client(socket: &std::path::Path) -> Box<dyn Devices> {
    Box::new(protocol::Client::new(socket))
}
/// Folders under `root` that stand for disks (`disk1`, `disk2`, …), for development and tests.
pub fn folders(root: &std::path::Path) -> Box<dyn Devices> {
    Box::new(folders::Folders::new(root))
}

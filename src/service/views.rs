//! What the service shows to whoever asks (panel, API, console), and what it
//! is given: plain data without secrets on the way out, so that a page or a
//! JSON answer can never leak one by forgetting to leave it out.

mod findings;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::progress::View;
use crate::engine::tree::{FileType, Meta};
use crate::engine::{EntryKind, Hit, Kind, Node, Snapshot};
use crate::jobs;
use crate::pool::PoolStatus;
use crate::provider::{Evidence, Flavor, InspectReport, Limits, LockMode, Style};

pub use findings::{Finding, FindingCode, Overview, Severity};

/// The box in one line; the only thing shown to strangers.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Version of this firmware.
    pub version: &'static str,
    /// Whether the box has an owner.
    pub claimed: bool,
    /// `none`, `ok`, `degraded` or `failed`.
    pub pool: PoolSummary,
    /// Whether backups can run now: claimed, and the pool is open.
    pub ready: bool,
}

/// The pool in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolSummary {
    /// Not created yet.
    None,
    /// All members there.
    Ok,
    /// Everything can be read, with less redundancy than promised.
    Degraded,
    /// Cannot be opened, or cannot be read.
    Failed,
}

impl PoolSummary {
    /// As serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// The pool's status, also while it cannot be opened: then `state` is
/// `failed`, the members are those known from its creation, and `problem`
/// says what stands in the way.
#[derive(Clone, Debug, Serialize)]
pub struct PoolView {
    /// Health and members.
    #[serde(flatten)]
    pub status: PoolStatus,
    /// Why the pool or its repository is not open, in words.
    pub problem: Option<String>,
}

/// What a new pool is to be made of. Disks are named by serial number (or
/// kernel name where a disk has none).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPool {
    /// `K+M`, e.g. `2+1`.
    pub redundancy: String,
    /// The K+M (or more) disks that hold data.
    pub disks: Vec<String>,
    /// Disks held back until another is missing.
    #[serde(default)]
    pub spares: Vec<String>,
    /// Those of them that hold data which may be lost.
    #[serde(default)]
    pub confirm: Vec<String>,
}

/// A new pool and the only sight of its recovery words.
#[derive(Serialize)]
pub struct CreatedPool {
    /// The pool.
    pub pool: PoolView,
    /// 24 words that open the pool without this box; shown once, never stored.
    pub recovery_words: Vec<String>,
}

/// A server's host key, for a person to compare before it is pinned.
#[derive(Clone, Debug, Serialize)]
pub struct HostKey {
    /// OpenSSH one-line form, to be sent back in [`NewSource::Sftp`].
    pub host_key: String,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
}

/// A source to register.
#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NewSource {
    /// A folder on an SFTP server. Exactly one of password and key.
    Sftp {
        /// Letters, digits and `-`, at most 64.
        name: String,
        /// Name or address.
        host: String,
        /// Usually 22.
        #[serde(default = "ssh_port")]
        port: u16,
        /// Account.
        user: String,
        /// Its password.
        #[serde(default)]
        password: Option<String>,
        /// Or its private key in OpenSSH format, without passphrase.
        #[serde(default)]
        private_key: Option<String>,
        /// Absolute folder on the server.
        path: String,
        /// Pinned host key, from [`HostKey::host_key`].
        host_key: String,
    },
    /// A folder of the box itself.
    Local {
        /// Letters, digits and `-`, at most 64.
        name: String,
        /// Absolute folder.
        path: String,
    },
}

fn ssh_port() -> u16 {
    22
}

impl NewSource {
    /// The name it is to have.
    pub fn name(&self) -> &str {
        match self {
            Self::Sftp { name, .. } | Self::Local { name, .. } => name,
        }
    }
}

/// Kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// [`NewSource::Sftp`].
    Sftp,
    /// [`NewSource::Local`].
    Local,
}

/// A registered source, without its secrets.
#[derive(Clone, Debug, Serialize)]
pub struct SourceView {
    /// Its name, under which its snapshots are found.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// As snapshots call it, e.g. `sftp://fs1/srv/data`.
    pub origin: String,
    /// Its newest snapshot.
    pub last: Option<Snapshot>,
    /// The job that is backing it up now, or waits to.
    pub job: Option<jobs::Id>,
    /// Absolute folder at the source.
    pub path: String,
    /// Server, for SFTP.
    pub host: Option<String>,
    /// Its port, for SFTP.
    pub port: Option<u16>,
    /// Account, for SFTP.
    pub user: Option<String>,
    /// Pinned host key's fingerprint, for SFTP.
    pub fingerprint: Option<String>,
}

/// A job as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobView {
    /// Its number.
    pub id: jobs::Id,
    /// What it does.
    pub kind: JobKind,
    /// To what: a source's name, a snapshot, the provider.
    pub subject: String,
    /// Where it stands.
    pub state: jobs::JobState,
    /// When it was asked for.
    pub queued: Timestamp,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Live figures; of an ended job, the last ones.
    pub progress: View,
    /// What came out; its shape depends on `kind`, see [`JobKind`].
    pub result: Option<serde_json::Value>,
    /// Why it failed.
    pub error: Option<jobs::Failure>,
    /// What it said on the way, oldest first.
    pub log: Vec<jobs::LogLine>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Result: `{"snapshot": Snapshot, "warnings": [Warning]}`.
    Backup,
    /// Result: [`crate::engine::RestoreReport`] with `"target"`.
    Restore,
    /// Result: [`crate::provider::ReplicateReport`].
    Replicate,
    /// Result: [`crate::engine::VerifyReport`].
    Verify,
    /// The pool's data are brought to where they should be. Result:
    /// [`crate::pool::SettleReport`].
    Settle,
    /// What was not read for longest is verified. Result:
    /// [`crate::pool::ScrubReport`].
    Scrub,
}

impl JobKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Replicate => "replicate",
            Self::Verify => "verify",
            Self::Settle => "settle",
            Self::Scrub => "scrub",
        }
    }
}

/// A part of a folder.
#[derive(Clone, Debug)]
pub struct FolderPage {
    /// The entries.
    pub entries: Vec<EntryView>,
    /// The name after which the next part begins, if there is one.
    pub next: Option<Vec<u8>>,
}

/// What a search by name found.
#[derive(Clone, Debug, Serialize)]
pub struct FoundView {
    /// By snapshot name, then path.
    pub hits: Vec<HitView>,
    /// Whether there are more than these.
    pub more: bool,
    /// Snapshots not looked through, because they are still being read in or
    /// cannot be read.
    pub unread: u64,
}

/// A path that was found, and the snapshots of one name that have it.
#[derive(Clone, Debug, Serialize)]
pub struct HitView {
    /// The snapshots' name.
    pub name: String,
    /// The path, with `U+FFFD` where it is not UTF-8.
    pub path: String,
    /// The exact bytes of its names, to make addresses with.
    #[serde(skip)]
    pub raw_path: Vec<Vec<u8>>,
    /// What it is in the newest of these snapshots.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// Bytes of content there; 0 for all but files.
    pub size: u64,
    /// Last change of the content there, to the second.
    pub mtime: Timestamp,
    /// How many different ones these snapshots have.
    pub versions: u64,
    /// How many snapshots have it.
    pub snapshots: u64,
    /// The oldest of them.
    pub first: SnapshotRef,
    /// The newest of them.
    pub last: SnapshotRef,
}

/// Which snapshot is meant.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotRef {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub time: Timestamp,
}

impl HitView {
    /// From what the engine says.
    pub fn new(hit: &Hit) -> Self {
        let names = hit.path.iter().map(|name| String::from_utf8_lossy(name));
        let snapshot = |s: &Snapshot| SnapshotRef {
            id: s.id.clone(),
            time: s.time,
        };
        Self {
            name: hit.last.name.clone(),
            path: names.collect::<Vec<_>>().join("/"),
            raw_path: hit.path.clone(),
            kind: hit.kind,
            size: hit.size,
            mtime: hit.mtime,
            versions: hit.versions,
            snapshots: hit.snapshots,
            first: snapshot(&hit.first),
            last: snapshot(&hit.last),
        }
    }
}

/// A file, folder or other entry of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryView {
    /// Its name, with `U+FFFD` where it is not UTF-8; empty for the top.
    pub name: String,
    /// The exact bytes of the name, to make addresses with.
    #[serde(skip)]
    pub raw_name: Vec<u8>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// Bytes of content; 0 for all but files.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Where a symbolic link points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl EntryView {
    /// From what the engine says.
    pub fn new(node: &Node) -> Self {
        let Meta {
            kind, mode, mtime, ..
        } = &node.meta;
        let (entry_kind, size, target) = match kind {
            FileType::File { size } => (EntryKind::File, *size, None),
            FileType::Folder => (EntryKind::Folder, 0, None),
            FileType::Symlink { target } => (
                EntryKind::Symlink,
                0,
                Some(String::from_utf8_lossy(target).into_owned()),
            ),
            FileType::Fifo => (EntryKind::Fifo, 0, None),
            FileType::Socket => (EntryKind::Socket, 0, None),
            FileType::CharDevice { .. } => (EntryKind::CharDevice, 0, None),
            FileType::BlockDevice { .. } => (EntryKind::BlockDevice, 0, None),
        };
        Self {
            name: String::from_utf8_lossy(&node.name).into_owned(),
            raw_name: node.name.clone(),
            kind: entry_kind,
            size,
            mode: *mode,
            // A time outside the years -9999 to 9999 can only come from a
            // damaged source; it is shown as the epoch.
            mtime: Timestamp::new(mtime.secs, i32::try_from(mtime.nanos).unwrap_or(0))
                .unwrap_or(Timestamp::UNIX_EPOCH),
            target,
        }
    }
}

/// What is to be restored, and where to.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// Snapshot id or unambiguous prefix.
    pub snapshot: String,
    /// Entry within; empty for all.
    pub path: Vec<Vec<u8>>,
    /// The registered source whose server receives the files.
    pub source: String,
    /// Absolute folder there. `None`: beside the original, with the date.
    pub target: Option<String>,
}

/// The provider to replicate to.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProvider {
    /// `https://host[:port]`, or `http://…` in a lab.
    pub endpoint: String,
    /// Region name.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// Prefix within it.
    #[serde(default)]
    pub prefix: String,
    /// Access key id.
    pub access_key: String,
    /// Secret key; may be left out when one is stored already.
    #[serde(default)]
    pub secret_key: Option<String>,
    /// PEM of a private certificate authority.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// Everything else; stays as it is when it is left out.
    #[serde(default)]
    pub options: Option<ProviderOptions>,
}

/// What may be left as it is about a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderOptions {
    /// How addresses are written.
    pub style: Style,
    /// Which S3 it is, if that is known.
    pub flavor: Flavor,
    /// Storage class of new objects.
    pub storage_class: Option<String>,
    /// Lock everything that is replicated.
    pub lock: Option<LockMode>,
    /// For so many days at least; 0 for no lock.
    pub lock_days: u32,
    /// Bytes and requests a second, bytes a day.
    pub limits: Limits,
}

/// The provider as configured, without its secret, and how replication stands.
#[derive(Clone, Debug, Serialize)]
pub struct ProviderView {
    /// Whether one is configured; the other fields are empty if not.
    pub configured: bool,
    /// See [`NewProvider::endpoint`].
    pub endpoint: String,
    /// See [`NewProvider::region`].
    pub region: String,
    /// See [`NewProvider::bucket`].
    pub bucket: String,
    /// See [`NewProvider::prefix`].
    pub prefix: String,
    /// See [`NewProvider::access_key`].
    pub access_key: String,
    /// See [`NewProvider::ca_pem`].
    pub ca_pem: Option<String>,
    /// See [`NewProvider::options`].
    pub options: ProviderOptions,
    /// What the newest inspection found.
    pub inspection: Option<InspectReport>,
    /// What the newest probe of the lock found.
    pub probe: Option<Evidence>,
    /// The newest replication job that ended.
    pub last: Option<JobView>,
    /// The newest one that ended well.
    pub last_success: Option<Timestamp>,
    /// The one that runs or waits now.
    pub job: Option<jobs::Id>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserView {
    /// Login name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
}

/// The `kind` of a problem, as the API writes it.
pub fn kind_str(kind: Kind) -> &'static str {
    match kind {
        Kind::Corrupt => "corrupt",
        Kind::Missing => "missing",
        Kind::Transient => "transient",
        Kind::Full => "full",
        Kind::Refused => "refused",
        Kind::Busy => "busy",
        Kind::Cancelled => "cancelled",
        Kind::Io => "io",
    }
}

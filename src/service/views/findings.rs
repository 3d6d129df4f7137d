//! What the overview shows: findings in words of no language.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{JobView, PoolView, ProviderView, SourceView};

/// How grave a finding is; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Info,
    /// To be looked at soon.
    Warning,
    /// Data are not protected, or soon will not be.
    Critical,
}

/// One thing that is not well (or worth knowing). The panel words it in the
/// reader's language: `code` with `params`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How grave.
    pub severity: Severity,
    /// Which sentence.
    pub code: FindingCode,
    /// What the sentence needs, by name; listed at each [`FindingCode`].
    pub params: BTreeMap<&'static str, String>,
}

/// Everything the overview can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingCode {
    /// No pool was created yet. No parameters.
    PoolNone,
    /// `missing`: labels of the missing members.
    PoolDegraded,
    /// `problem`: why the pool is not open.
    PoolFailed,
    /// `free`, `total`: bytes; less than 10 % is free.
    PoolNearlyFull,
    /// `count`: damage found in the last month and healed.
    PoolHealed,
    /// `count`: objects of which too little is left on the disks.
    PoolLost,
    /// `job`, `count`, `message`: data that are not as safe as they should be,
    /// because disks are missing or full.
    PoolWaits,
    /// `serial`, `slot`, `reason`, `value`: the disk fails, or soon will.
    DiskFailing,
    /// The same: the disk works, but warns. One for each thing it warns of.
    DiskWorn,
    /// `serial`, `slot`: a disk that can be taken into the pool.
    DiskNew,
    /// No source is registered. No parameters.
    SourcesNone,
    /// `source`: never backed up.
    SourceNever,
    /// `source`, `hours`: last backup older than a day and a half.
    SourceOld,
    /// `source`, `job`, `kind`, `message`: its newest backup failed.
    SourceFailed,
    /// `source`, `job`, `count`: its newest backup left entries out.
    SourceWarnings,
    /// No provider is configured. No parameters.
    ProviderNone,
    /// A provider is configured, but nothing was replicated yet. No parameters.
    ReplicationNever,
    /// `hours`: last good replication older than a day and a half.
    ReplicationOld,
    /// `job`, `kind`, `message`: newest replication failed.
    ReplicationFailed,
    /// `job`, `count`: newest verification found damage.
    VerifyDamage,
    /// `job`, `kind`, `message`: newest verification failed.
    VerifyFailed,
}

impl FindingCode {
    /// As serialised, e.g. `pool-degraded`; names the text in the panel.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PoolNone => "pool-none",
            Self::PoolDegraded => "pool-degraded",
            Self::PoolFailed => "pool-failed",
            Self::PoolNearlyFull => "pool-nearly-full",
            Self::PoolHealed => "pool-healed",
            Self::PoolLost => "pool-lost",
            Self::PoolWaits => "pool-waits",
            Self::DiskFailing => "disk-failing",
            Self::DiskWorn => "disk-worn",
            Self::DiskNew => "disk-new",
            Self::SourcesNone => "sources-none",
            Self::SourceNever => "source-never",
            Self::SourceOld => "source-old",
            Self::SourceFailed => "source-failed",
            Self::SourceWarnings => "source-warnings",
            Self::ProviderNone => "provider-none",
            Self::ReplicationNever => "replication-never",
            Self::ReplicationOld => "replication-old",
            Self::ReplicationFailed => "replication-failed",
            Self::VerifyDamage => "verify-damage",
            Self::VerifyFailed => "verify-failed",
        }
    }
}

/// "Is everything well?"
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// Nothing graver than [`Severity::Info`] was found.
    pub well: bool,
    /// What was found, gravest first.
    pub findings: Vec<Finding>,
    /// The pool, if there is one.
    pub pool: Option<PoolView>,
    /// Every source with its newest snapshot.
    pub sources: Vec<SourceView>,
    /// Jobs that run or wait.
    pub active: Vec<JobView>,
    /// The newest jobs that ended, newest first, at most 10.
    pub recent: Vec<JobView>,
    /// The provider.
    pub provider: ProviderView,
}

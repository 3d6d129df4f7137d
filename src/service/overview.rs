//! "Is everything well?"

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    DiskState, DiskView, Finding, FindingCode, JobKind, JobView, Overview, Place, PoolView,
    ProviderView, Reason, Service, Severity, SourceView,
};
use crate::engine::Result;
use crate::jobs::JobState;
use crate::pool::{MemberState, PoolState, SettleReport};

/// Ended jobs shown.
const RECENT: usize = 10;
/// Backups and replications are daily; half a day late is worth saying.
const OLD_HOURS: i64 = 36;

impl Service {
    /// Looks at everything and says what is not well.
    pub fn overview(&self) -> Result<Overview> {
        let (pool, sources, provider) = (self.pool(), self.sources()?, self.provider()?);
        let mut findings = Vec::new();
        self.look_at_pool(pool.as_ref(), &mut findings);
        self.look_at_sources(&sources, &mut findings);
        look_at_provider(&provider, pool.is_some(), &mut findings);
        self.look_at_verification(&mut findings);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let (mut active, mut recent) = (Vec::new(), Vec::new());
        for head in self.jobs.heads() {
            let list = match head.state.ended() {
                true if recent.len() >= RECENT => continue,
                true => &mut recent,
                false => &mut active,
            };
            list.extend(self.job(head.id).ok());
        }
        Ok(Overview {
            well: findings.iter().all(|f| f.severity == Severity::Info),
            findings,
            pool,
            sources,
            active,
            recent,
            provider,
        })
    }

    fn look_at_pool(&self, pool: Option<&PoolView>, findings: &mut Vec<Finding>) {
        use FindingCode as Code;
        let Some(pool) = pool else {
            findings.push(finding(Severity::Warning, Code::PoolNone, []));
            return;
        };
        let status = &pool.status;
        match status.state {
            _ if pool.problem.is_some() => {
                let problem = pool.problem.clone().unwrap_or_default();
                findings.push(finding(
                    Severity::Critical,
                    Code::PoolFailed,
                    [("problem", problem)],
                ));
            }
            PoolState::Ok => {}
            state => {
                let missing = status
                    .members
                    .iter()
                    .filter(|member| member.state == MemberState::Missing)
                    .map(|member| member.label.as_str())
                    .collect::<Vec<_>>()
                    .join(", ");
                findings.push(match state {
                    PoolState::Degraded => finding(
                        Severity::Critical,
                        Code::PoolDegraded,
                        [("missing", missing)],
                    ),
                    _ => finding(Severity::Critical, Code::PoolFailed, [("problem", missing)]),
                });
            }
        }
        if pool.problem.is_none() && status.free < status.total / 10 {
            let params = [
                ("free", status.free.to_string()),
                ("total", status.total.to_string()),
            ];
            findings.push(finding(Severity::Warning, Code::PoolNearlyFull, params));
        }
        self.look_at_damage(findings);
        for view in self.view(self.recent_disks()) {
            look_at_disk(&view, findings);
        }
    }

    fn look_at_damage(&self, findings: &mut Vec<Finding>) {
        use FindingCode as Code;
        let (healed, lost) = super::pool::sum_up(&self.pool_damage());
        let count = |n: usize| [("count", n.to_string())];
        if lost > 0 {
            findings.push(finding(Severity::Critical, Code::PoolLost, count(lost)));
        }
        if healed > 0 {
            findings.push(finding(Severity::Info, Code::PoolHealed, count(healed)));
        }
        let settled = self.newest(JobKind::Settle, None);
        let Some(job) = settled.and_then(|head| self.job(head.id).ok()) else {
            return;
        };
        let report: SettleReport = job
            .result
            .as_ref()
            .and_then(|r| serde_json::from_value(r.clone()).ok())
            .unwrap_or_default();
        if report.waiting > 0 {
            let params = [
                ("job", job.id.to_string()),
                ("count", report.waiting.to_string()),
                ("message", report.why.unwrap_or_default()),
            ];
            findings.push(finding(Severity::Warning, Code::PoolWaits, params));
        }
    }

    fn look_at_sources(&self, sources: &[SourceView], findings: &mut Vec<Finding>) {
        use FindingCode as Code;
        if sources.is_empty() {
            findings.push(finding(Severity::Warning, Code::SourcesNone, []));
        }
        for source in sources {
            let name = || ("source", source.name.clone());
            let job = self
                .newest(JobKind::Backup, Some(&source.name))
                .and_then(|head| self.job(head.id).ok());
            match &job {
                Some(job) if job.state == JobState::Failed => {
                    let mut params = failure(job);
                    params.push(name());
                    findings.push(finding(Severity::Critical, Code::SourceFailed, params));
                }
                Some(job) if job.state == JobState::Warnings => {
                    let params = [
                        name(),
                        ("job", job.id.to_string()),
                        ("count", job.progress.warnings.to_string()),
                    ];
                    findings.push(finding(Severity::Warning, Code::SourceWarnings, params));
                }
                _ => {}
            }
            match &source.last {
                None => findings.push(finding(Severity::Warning, Code::SourceNever, [name()])),
                Some(last) => {
                    if let Some(hours) = old(last.time) {
                        let params = [name(), ("hours", hours)];
                        findings.push(finding(Severity::Warning, Code::SourceOld, params));
                    }
                }
            }
        }
    }

    fn look_at_verification(&self, findings: &mut Vec<Finding>) {
        // The pool's and the provider's, each by itself: that one is well says
        // nothing of the other.
        let newest = |subject| self.newest(JobKind::Verify, Some(subject));
        let pool = ["data", "index"].into_iter().filter_map(newest);
        let pool = pool.max_by_key(|head| head.id);
        for head in pool.into_iter().chain(newest("provider")) {
            if let Ok(job) = self.job(head.id) {
                self.look_at_one_verification(&job, findings);
            }
        }
    }

    fn look_at_one_verification(&self, job: &JobView, findings: &mut Vec<Finding>) {
        match (job.state, &job.result) {
            (JobState::Failed, Some(result)) => {
                let count = result["errors"].as_array().map_or(0, Vec::len);
                let params = [("job", job.id.to_string()), ("count", count.to_string())];
                findings.push(finding(
                    Severity::Critical,
                    FindingCode::VerifyDamage,
                    params,
                ));
            }
            (JobState::Failed, None) => {
                findings.push(finding(
                    Severity::Warning,
                    FindingCode::VerifyFailed,
                    failure(job),
                ));
            }
            _ => {}
        }
    }
}

/// One finding for each thing that is wrong with a disk.
fn look_at_disk(view: &DiskView, findings: &mut Vec<Finding>) {
    use FindingCode as Code;
    let params = |reason: &str, value: String| {
        let slot = view.disk.slot.clone().unwrap_or_default();
        [
            ("serial", view.called.clone()),
            ("slot", slot),
            ("reason", reason.to_owned()),
            ("value", value),
        ]
    };
    if view.state == DiskState::New {
        let new = params(view.reason.as_str(), String::new());
        findings.push(finding(Severity::Info, Code::DiskNew, new));
    }
    if !view.there || !(view.place.of_pool() || view.place == Place::System) {
        return;
    }
    if view.state == DiskState::Failing && !matches!(view.reason, Reason::Alarm(_)) {
        let failing = params(view.reason.as_str(), String::new());
        findings.push(finding(Severity::Critical, Code::DiskFailing, failing));
    }
    for alarm in &view.alarms {
        // Of a disk that fails, what else it warns of changes nothing.
        if view.state == DiskState::Failing && !alarm.kind.failing() {
            continue;
        }
        let (severity, code) = match alarm.kind.failing() {
            true => (Severity::Critical, Code::DiskFailing),
            false => (Severity::Warning, Code::DiskWorn),
        };
        let warns = params(alarm.kind.as_str(), alarm.value.to_string());
        findings.push(finding(severity, code, warns));
    }
}

fn look_at_provider(provider: &ProviderView, pool: bool, findings: &mut Vec<Finding>) {
    use FindingCode as Code;
    if !provider.configured {
        findings.push(finding(Severity::Info, Code::ProviderNone, []));
        return;
    }
    if let Some(job) = &provider.last
        && job.state == JobState::Failed
    {
        findings.push(finding(
            Severity::Critical,
            Code::ReplicationFailed,
            failure(job),
        ));
    }
    match provider.last_success {
        None if pool => findings.push(finding(Severity::Warning, Code::ReplicationNever, [])),
        None => {}
        Some(time) => {
            if let Some(hours) = old(time) {
                let params = [("hours", hours)];
                findings.push(finding(Severity::Warning, Code::ReplicationOld, params));
            }
        }
    }
}

fn finding(
    severity: Severity,
    code: FindingCode,
    params: impl IntoIterator<Item = (&'static str, String)>,
) -> Finding {
    Finding {
        severity,
        code,
        params: BTreeMap::from_iter(params),
    }
}

fn failure(job: &JobView) -> Vec<(&'static str, String)> {
    let error = job.error.clone();
    let (kind, message) = error.map(|e| (e.kind, e.message)).unwrap_or_default();
    vec![
        ("job", job.id.to_string()),
        ("kind", kind),
        ("message", message),
    ]
}

/// The age in hours, if it is too old.
fn old(time: Timestamp) -> Option<String> {
    let hours = (Timestamp::now().as_second() - time.as_second()) / 3600;
    (hours >= OLD_HOURS).then(|| hours.to_string())
}

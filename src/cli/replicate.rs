//! `colca replicate`: the same sealed objects, elsewhere.

use jiff::{SignedDuration, Timestamp};

use super::provider::{Place, memory, size};
use super::{Context, Outcome, meter, state, text};
use crate::provider::{Access, Limits, Memory, Pace, Provider, Replication, Schedule};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Lock everything for so many days at least; needs --lock-mode
    #[arg(long, value_name = "DAYS", requires = "lock_mode", value_parser = clap::value_parser!(u32).range(1..=36500))]
    lock_days: Option<u32>,
    /// Bytes a second by the hour in Lima, such as "08:00-18:00 2 MiB/s, else unlimited"
    #[arg(long, value_name = "SCHEDULE", default_value = "")]
    bandwidth: Schedule,
    /// Requests a second at most; 0 for any number
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_requests: u32,
    /// Bytes to send on one day at most, such as 20GiB; the rest follows another day
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = size)]
    bytes_a_day: u64,
}

pub(crate) fn run(context: &Context, arguments: Arguments) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let limits = Limits {
        bandwidth: arguments.bandwidth,
        requests: arguments.max_requests,
        bytes_a_day: arguments.bytes_a_day,
    };
    let pace = Pace::shared(&limits);
    let access = Access {
        pace: pace.clone(),
        read_only: false,
    };
    let provider = Provider::open(&arguments.place.config()?, access)?;
    let mut memory = Memory::open(&memory(context))?;
    let days = arguments.lock_days;
    let until = |now: Timestamp| {
        let term = SignedDuration::from_hours(24 * i64::from(days.unwrap_or(0)));
        now.checked_add(term).unwrap_or(now)
    };
    let snapshots = repository.snapshots()?;
    let report = meter::watch(context, "Replicating", |progress| {
        let sound = || Ok(repository.verify(false, progress)?.errors.is_empty());
        let replication = Replication {
            s3: provider.s3(),
            retain_until: days.is_some().then_some(&until),
            pace: Some(&pace),
            bytes_a_day: limits.bytes_a_day,
            newest_snapshot: snapshots.last().map(|s| s.time),
            sound: Some(&sound),
        };
        let pool = repository.storage().as_ref();
        replication.run(pool, provider.storage(), &mut memory, progress)
    })?;
    if context.json {
        text::json(&report)?;
    } else {
        println!(
            "{} objects copied ({}), {} there already, {} removed; {} is {}",
            report.copied,
            text::bytes(report.bytes),
            report.present,
            report.removed,
            provider.storage().describe(),
            match report.left {
                0 => "complete".to_owned(),
                n => format!(
                    "lacking {n} objects ({}), the day's bytes are used up",
                    text::bytes(report.left_bytes)
                ),
            },
        );
        if let Some(until) = report.locked_until {
            println!("Everything is locked until {until} at least.");
        }
        if report.postponed > 0 {
            println!(
                "{} objects are no longer needed and stay until their lock ends.",
                report.postponed
            );
        }
    }
    if report.not_extended > 0 {
        eprintln!(
            "warning: the locks of {} objects could not be extended; replicate again",
            report.not_extended
        );
    }
    if report.kept > 0 {
        eprintln!(
            "warning: the pool has lost something, so {} objects that it no longer lists are kept at the provider; run \"colca verify --data\" with COLCA_PROVIDER set",
            report.kept
        );
    }
    Ok(match (report.left, report.not_extended, report.kept) {
        (0, 0, 0) => Outcome::Done,
        _ => Outcome::Warnings,
    })
}

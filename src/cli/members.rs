//! `colca pool add`, `retire`, `remove`, `replace`, `set-redundancy`, `settle`
//! and `scrub`: the life of the members.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Outcome, meter, state, text};
use crate::engine::{Error, Kind};
use crate::pool::{
    Damage, Finding, NewMember, Pace, Pool, Redundancy, ScrubOptions, ScrubReport, SettleReport,
};

#[derive(Args)]
pub(crate) struct Add {
    /// Hold them back until another disk is missing
    #[arg(long)]
    spare: bool,
    /// Empty folders (mounted disks) that become members
    #[arg(required = true, value_name = "DISK")]
    disks: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Retire {
    /// Keep it after all
    #[arg(long)]
    undo: bool,
    /// Label, folder or id (or its beginning) of a member, see "pool status"
    member: String,
}

#[derive(Args)]
pub(crate) struct Remove {
    /// Also if it holds what no other disk has; that is lost then
    #[arg(long)]
    accept_loss: bool,
    /// Label, folder or id (or its beginning) of a member, see "pool status"
    member: String,
}

#[derive(Args)]
pub(crate) struct Replace {
    /// Label, folder or id (or its beginning) of a member, also a missing one
    old: String,
    /// Empty folder (mounted disk) that takes its place
    new: PathBuf,
}

#[derive(Args)]
pub(crate) struct SetRedundancy {
    /// Data and parity shards of each object, as K+M
    #[arg(value_name = "K+M")]
    redundancy: Redundancy,
}

#[derive(Args)]
pub(crate) struct Settle {
    /// Deal with at most so many MiB a second
    #[arg(long, value_name = "MIB")]
    max_rate: Option<u32>,
}

#[derive(Args)]
pub(crate) struct Scrub {
    /// Read at most so many MiB a second
    #[arg(long, value_name = "MIB")]
    max_rate: Option<u32>,
    /// Everything, also what was verified in the last 30 days
    #[arg(long)]
    all: bool,
}

fn rate(mib: Option<u32>) -> u64 {
    u64::from(mib.unwrap_or(0)) << 20
}

fn new_member(path: &Path, spare: bool) -> NewMember {
    NewMember {
        path: path.to_owned(),
        label: path.display().to_string(),
        spare,
    }
}

/// Says what was done; the members as they are now as JSON.
fn said(context: &Context, pool: &Pool, words: &str) -> anyhow::Result<Outcome> {
    match context.json {
        true => text::json(&pool.status())?,
        false => println!("{words}"),
    }
    Ok(Outcome::Done)
}

pub(crate) fn add(context: &Context, arguments: &Add) -> anyhow::Result<Outcome> {
    let pool = state::open_pool(context)?;
    // First, so that they are found again whatever happens.
    state::know(context, &arguments.disks)?;
    let member = |path: &PathBuf| new_member(path, arguments.spare);
    let members: Vec<NewMember> = arguments.disks.iter().map(member).collect();
    pool.add(&members)?;
    let words = match arguments.spare {
        true => "Added as spare.",
        false => "Added. \"colca pool settle\" spreads what is stored over all disks.",
    };
    said(context, &pool, words)
}

pub(crate) fn retire(context: &Context, arguments: &Retire) -> anyhow::Result<Outcome> {
    let pool = state::open_pool(context)?;
    if arguments.undo {
        pool.keep(&arguments.member)?;
        return said(context, &pool, "It stays.");
    }
    pool.retire(&arguments.member)?;
    let words =
        "Nothing new goes there. \"colca pool settle\" moves away what it holds; then remove it.";
    said(context, &pool, words)
}

pub(crate) fn remove(context: &Context, arguments: &Remove) -> anyhow::Result<Outcome> {
    let pool = state::open_pool(context)?;
    let lost = pool.remove(&arguments.member, arguments.accept_loss)?;
    for name in &lost {
        eprintln!("lost: {name}");
    }
    said(context, &pool, "Removed; the pool does not wait for it.")?;
    Ok(match lost.is_empty() {
        true => Outcome::Done,
        false => Outcome::Warnings,
    })
}

pub(crate) fn replace(context: &Context, arguments: &Replace) -> anyhow::Result<Outcome> {
    let pool = state::open_pool(context)?;
    // First, so that it is found again whatever happens.
    state::know(context, std::slice::from_ref(&arguments.new))?;
    pool.replace(&arguments.old, &new_member(&arguments.new, false))?;
    let words =
        "The new disk has its place. \"colca pool settle\" fills it and lets the old one go.";
    said(context, &pool, words)
}

pub(crate) fn set_redundancy(
    context: &Context,
    arguments: &SetRedundancy,
) -> anyhow::Result<Outcome> {
    let pool = state::open_pool(context)?;
    pool.set_redundancy(arguments.redundancy)?;
    let words = "Set for what is stored from now on. \"colca pool settle\" brings the rest to it.";
    said(context, &pool, words)
}

pub(crate) fn settle(context: &Context, arguments: &Settle) -> anyhow::Result<Outcome> {
    let pool = state::open_pool(context)?;
    let report = meter::watch(context, "Settling", |progress| {
        pool.settle(&Pace::new(progress, rate(arguments.max_rate)))
    })?;
    if context.json {
        text::json(&report)?;
    } else {
        print_settled(&report);
    }
    for name in &report.lost {
        eprintln!("cannot be read: {name}");
    }
    Ok(match report.waiting == 0 && report.lost.is_empty() {
        true => Outcome::Done,
        false => Outcome::Warnings,
    })
}

fn print_settled(report: &SettleReport) {
    println!(
        "{} objects put in order ({}): {} shards rebuilt, {} moved, {} removed; {} objects in another shape",
        report.objects,
        text::bytes(report.bytes),
        report.rebuilt,
        report.moved,
        report.removed,
        report.reshaped,
    );
    for label in &report.gone {
        println!("{label} was replaced and is not needed any more.");
    }
    if report.waiting > 0 {
        let why = report.why.as_deref().unwrap_or("members are missing");
        println!("{} objects wait: {why}", report.waiting);
    }
}

pub(crate) fn scrub(context: &Context, arguments: &Scrub) -> anyhow::Result<Outcome> {
    let pool = state::open_pool(context)?;
    let options = ScrubOptions {
        all: arguments.all,
        ..ScrubOptions::default()
    };
    let report = meter::watch(context, "Scrubbing", |progress| {
        pool.scrub(&options, &Pace::new(progress, rate(arguments.max_rate)))
    })?;
    if context.json {
        text::json(&report)?;
    } else {
        print_scrubbed(&report);
    }
    if !report.lost.is_empty() {
        for name in &report.lost {
            eprintln!("cannot be read: {name}");
        }
        return Err(Error::new(
            Kind::Corrupt,
            format!(
                "{} objects cannot be read from these disks; \"colca verify\" says what needs them",
                report.lost.len()
            ),
        )
        .into());
    }
    Ok(match report.damaged {
        0 => Outcome::Done,
        _ => Outcome::Warnings,
    })
}

fn print_scrubbed(report: &ScrubReport) {
    println!(
        "{} objects verified, {} read: {} damaged shards, {} healed",
        report.objects,
        text::bytes(report.bytes),
        report.damaged,
        report.healed
    );
    for Finding {
        object,
        member,
        damage,
        healed,
        ..
    } in &report.findings
    {
        let what = match damage {
            Damage::Corrupt => "corrupt",
            Damage::Missing => "missing",
            Damage::Lost => "lost",
        };
        let place = member.as_deref().map(|m| format!(" on {m}"));
        let done = if *healed { ", healed" } else { "" };
        println!("{object}: {what}{}{done}", place.unwrap_or_default());
    }
}

//! `colca verify`: can everything be restored?

use super::{Context, Outcome, meter, state, text};
use crate::engine::{Error, Kind};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also read, repair and decrypt every byte
    #[arg(long)]
    data: bool,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let repository = state::open_with_replica(context)?;
    let report = meter::watch(context, "Verifying", |progress| {
        repository.verify(arguments.data, progress)
    })?;
    if context.json {
        text::json(&report)?;
    } else {
        println!(
            "{} snapshots, {} segments, {} read",
            report.snapshots,
            report.segments,
            text::bytes(report.bytes)
        );
        if report.damaged_parts > 0 {
            println!(
                "{} damaged parts, {} repaired",
                report.damaged_parts, report.repaired_parts
            );
        }
    }
    for error in &report.errors {
        eprintln!("error: {}", text::name(error.as_bytes()));
    }
    if !report.errors.is_empty() {
        return Err(Error::new(
            Kind::Corrupt,
            format!(
                "{} errors found; what they name cannot be restored from this pool",
                report.errors.len()
            ),
        )
        .into());
    }
    // Damage that redundancy has mended, or could not yet write anew, is worth a script's attention.
    Ok(if report.damaged_parts == 0 {
        Outcome::Done
    } else {
        Outcome::Warnings
    })
}

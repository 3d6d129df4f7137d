//! `colca collect`: free what no snapshot needs.

use super::{Context, Outcome, meter, state, text};

pub(crate) fn run(context: &Context) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let report = meter::watch(context, "Collecting", |progress| {
        repository.collect(progress)
    })?;
    if context.json {
        text::json(&report)?;
    } else {
        println!(
            "{} segments deleted, {} rewritten, {} freed",
            report.segments_deleted,
            report.segments_rewritten,
            text::bytes(u64::try_from(report.bytes_freed).unwrap_or(0)),
        );
    }
    Ok(Outcome::Done)
}

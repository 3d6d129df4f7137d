//! `colca collect`: free what no snapshot needs.

use super::{Context, Outcome, meter, state, text};
use crate::engine::CollectOptions;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rewrite segments of which more than so many per cent are not needed any more
    #[arg(long, value_name = "PERCENT", default_value_t = CollectOptions::default().waste,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    waste: u8,
    /// Read and write at most so many MiB a second for rewriting
    #[arg(long, value_name = "MIB")]
    max_rate: Option<u32>,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let repository = state::open(context)?;
    let options = CollectOptions {
        waste: arguments.waste,
        max_rate: u64::from(arguments.max_rate.unwrap_or(0)) << 20,
    };
    let report = meter::watch(context, "Collecting", |progress| {
        repository.collect(&options, progress)
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

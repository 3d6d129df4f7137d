//! Where log lines go.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Lines of this level and above are written unless `COLCA_LOG` says otherwise.
const LEVEL: &str = "info";

/// Sends the log to systemd's journal with its fields if there is one and
/// nobody watches at a terminal, else to standard error. The first call in a
/// process counts.
pub fn init() {
    let filter = EnvFilter::try_from_env("COLCA_LOG").unwrap_or_else(|_| EnvFilter::new(LEVEL));
    let all = tracing_subscriber::registry().with(filter);
    let journal = match std::io::stderr().is_terminal() {
        true => None,
        false => tracing_journald::layer().ok(),
    };
    // An error means that somebody has set the log up already.
    let _ = match journal {
        Some(journal) => all.with(journal).try_init(),
        None => {
            let lines = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal());
            all.with(lines).try_init()
        }
    };
}

//! Live progress on a terminal, nothing where there is none; Ctrl-C asks the
//! operation to stop at a safe place.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::Context;
use crate::engine::Progress;

const REFRESH: Duration = Duration::from_millis(100);

/// Runs `work` with a progress that is drawn while it runs.
pub(crate) fn watch<T>(
    context: &Context,
    verb: &'static str,
    work: impl FnOnce(&Progress) -> T,
) -> T {
    let progress = Arc::new(Progress::default());
    stop_on_interrupt(Arc::clone(&progress));
    if context.json || !std::io::stderr().is_terminal() {
        return work(&progress);
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let drawer = scope.spawn(|| draw(verb, &progress, &ended));
        let result = work(&progress);
        ended.store(true, Ordering::Release);
        drawer.thread().unpark();
        result
    })
}

fn draw(verb: &'static str, progress: &Progress, ended: &AtomicBool) {
    let bar = ProgressBar::new(0);
    // The template is constant; should it ever be wrong, the plain bar remains.
    if let Ok(style) = ProgressStyle::with_template(
        "{prefix} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}\n{wide_msg}",
    ) {
        bar.set_style(style);
    }
    let spinner = ProgressStyle::with_template(
        "{spinner} {prefix} {bytes} {binary_bytes_per_sec} {elapsed}\n{wide_msg}",
    );
    let known = bar.style();
    bar.set_prefix(verb);
    while !ended.load(Ordering::Acquire) {
        let view = progress.view();
        match (&spinner, view.bytes_total) {
            (Ok(spinner), 0) => bar.set_style(spinner.clone()),
            _ => {
                bar.set_style(known.clone());
                bar.set_length(view.bytes_total);
            }
        }
        bar.set_position(view.bytes);
        bar.set_message(format!(
            "{} files, {} new, {} stored  {}",
            HumanCount(view.files),
            HumanBytes(view.new_bytes),
            HumanBytes(view.stored_bytes),
            super::text::name(view.current.as_bytes()),
        ));
        std::thread::park_timeout(REFRESH);
    }
    bar.finish_and_clear();
}

/// The first Ctrl-C asks the operation to stop; a second one ends the process
/// at once, which is safe too: whatever was not committed is collected later.
fn stop_on_interrupt(progress: Arc<Progress>) {
    let listen = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
        else {
            return;
        };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                progress.cancel();
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(130);
                }
            }
        });
    };
    // Without the thread Ctrl-C simply ends the process, which is safe as well.
    drop(
        std::thread::Builder::new()
            .name("interrupt".into())
            .spawn(listen),
    );
}

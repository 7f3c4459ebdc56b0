use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// A bar of bytes done, on standard error; `None` for a total that is not known. Hidden unless a person watches.
pub(crate) fn bytes(what: &'static str, total: Option<u64>, output: Output) -> ProgressBar {
    let template = match total {
        Some(_) => "{msg} [{bar:40}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        None => "{msg} {bytes}, {bytes_per_sec}",
    };
    let bar = ProgressBar::with_draw_target(total, target(output)).with_message(what);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn target(output: Output) -> ProgressDrawTarget {
    if output == Output::Table && io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

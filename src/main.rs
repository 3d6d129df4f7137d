//! The one binary. It only dispatches; see [`colca::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    colca::cli::main()
}

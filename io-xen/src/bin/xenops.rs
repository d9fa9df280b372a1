//! `xenops`: the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    xenops_io_xen::cli::main()
}

//! `xenopsd`: the daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    xenops_io_xen::daemon::main(std::env::args().skip(1))
}

//! `xenopsd`: the daemon.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    xenops_io_xen::daemon::main(std::env::args().skip(1))
}

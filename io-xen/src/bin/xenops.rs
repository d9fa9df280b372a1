//! `xenops`: the command line. Under the name `xenopsd` it is the daemon, so that `xenops demo` needs no second program.

use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let name = std::env::args_os().next();
    let is_daemon = name.as_deref().map(Path::new).and_then(Path::file_name).is_some_and(|name| name == "xenopsd");
    if is_daemon { xenops_io_xen::daemon::main(std::env::args().skip(1)) } else { xenops_io_xen::cli::main() }
}

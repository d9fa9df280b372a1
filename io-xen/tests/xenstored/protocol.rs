//! What the daemons make of requests as such: facts that the client relies on.

use crate::daemon::{self, Daemon, Kind};
use xenops_io_xen::xenstore::connection::Request;
use xenops_io_xen::xenstore::error::{Code, Error};
use xenops_io_xen::xenstore::wire::Op;

fn each(test: impl Fn(&Daemon)) {
    [Kind::C, Kind::Ocaml].into_iter().filter_map(daemon::start).for_each(|daemon| test(&daemon));
}

fn refused(code: Code) -> Result<(), Error> {
    Err(Error::Refused(code))
}

//! What the daemons make of requests as such: facts that the client relies on.

use crate::daemon::{self, Daemon, Kind};
use xenops_io_xen::xenstore::connection::Request;
use xenops_io_xen::xenstore::error::{Code, Error};
use xenops_io_xen::xenstore::wire::Op;

fn each(test: impl Fn(&Daemon)) {
    [Kind::C, Kind::Ocaml].into_iter().filter_map(daemon::start).for_each(|daemon| test(&daemon));
}

#[test]
fn errors_have_the_names_that_they_should() {
    each(|daemon| {
        let mut peer = daemon.connect();
        peer.write("/e/a", "1").unwrap();
        let transaction = peer.begin();
        let raw = |op, payload: &[u8]| Request { op, transaction: 0, payload: payload.to_vec() };
        for (what, request, expected) in [
            ("a node that is not there", raw(Op::Read, b"/e/b\0"), Code::Enoent),
            ("a path that cannot be", raw(Op::Read, b"/e//b\0"), Code::Einval),
            ("a path without its end", raw(Op::Read, b"/e/a"), Code::Einval),
            ("permissions that are none", raw(Op::SetPerms, b"/e/a\0x0\0"), Code::Einval),
            ("a watch that was not made", raw(Op::Unwatch, b"/e/a\0t\0"), Code::Enoent),
            ("the answer to nothing", raw(Op::Error, b"EIO\0"), Code::Enosys),
            ("an event", raw(Op::WatchEvent, b"/a\0t\0"), Code::Enosys),
            ("a transaction that is not open", raw(Op::TransactionEnd, b"T\0").within(transaction + 1), Code::Enoent),
            ("a transaction in another", raw(Op::TransactionStart, b"\0").within(transaction), Code::Ebusy),
        ] {
            let answer = peer.ask(request);
            println!("{:?}: {what}: {answer:?}", daemon.kind);
            let expected = match (daemon.kind, what) {
                (Kind::Ocaml, "a transaction that is not open") => Code::Eio,
                _ => expected,
            };
            assert_eq!(answer, Err(Error::Refused(expected)), "{:?}: {what}", daemon.kind);
        }
        peer.end(transaction, false).unwrap();
        peer.ask(Request::new(Op::Watch, &["/e/a", "t"])).unwrap();
        assert_eq!(peer.ask(Request::new(Op::Watch, &["/e/a", "t"])), Err(Error::Refused(Code::Eexist)));
    });
}

#[test]
fn many_requests_may_be_under_way() {
    each(|daemon| {
        let mut peer = daemon.connect();
        let writes = (0..500).map(|n| Request::with(Op::Write, &format!("/m/{n}"), b"v").unwrap()).collect();
        assert!(peer.ask_all(writes).iter().all(Result::is_ok));
        assert_eq!(peer.names("/m").unwrap().len(), 500);
    });
}

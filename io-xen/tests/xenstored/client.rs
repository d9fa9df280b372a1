//! The client on the real thing.

use crate::daemon::{self, Daemon, Kind, PATIENCE};
use smol::Timer;
use smol::stream::StreamExt;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use xenops_core::host::{Access, Batch, Change, Fault, Found, Guard, Outcome, Perms, Query, Reply, Token};
use xenops_io_xen::inbox::{Arrival, Inbox};
use xenops_io_xen::xenstore::Store;
use xenops_io_xen::xenstore::connection::Request;
use xenops_io_xen::xenstore::error::Error;
use xenops_io_xen::xenstore::wire::Op;
use xenstore_rs::{LocalAsyncWatch, LocalAsyncXs};

const DONE: Outcome = Outcome::Ok(Reply::Unit);
const GUARD_FAILED: Outcome = Outcome::Ok(Reply::GuardFailed);

/// Runs a test with a client of each kind of daemon.
fn each(test: impl AsyncFn(&mut Daemon, &Rc<Store>, &Inbox)) {
    for mut daemon in [Kind::C, Kind::Ocaml].into_iter().filter_map(daemon::start) {
        let inbox = Rc::new(Inbox::default());
        let store = Store::open(Some(&daemon.socket()), inbox.clone()).unwrap();
        run(&store, test(&mut daemon, &store, &inbox));
    }
}

/// While a client is tended to.
fn run<T>(store: &Store, test: impl Future<Output = T>) -> T {
    let tend = async { match store.tend().await {} };
    let late = async {
        Timer::after(PATIENCE).await;
        panic!("the test did not end")
    };
    smol::block_on(smol::future::or(smol::future::or(tend, late), test))
}

async fn found(store: &Store, queries: &[Query]) -> Vec<Found> {
    match store.find(queries).await {
        Outcome::Ok(Reply::Found(found)) => found,
        other => panic!("{other:?}"),
    }
}

async fn value(store: &Store, path: &str) -> Option<String> {
    let values = store.values(&[path]).await.unwrap();
    values.get(path).map(str::to_owned)
}

/// Waits until that came, and answers what came before it.
async fn heard(inbox: &Inbox, wanted: impl Fn(&Arrival) -> bool) -> Vec<Arrival> {
    let mut before = Vec::new();
    loop {
        while let Some(arrival) = inbox.pop() {
            if wanted(&arrival) {
                return before;
            }
            before.push(arrival);
        }
        inbox.bell().heard().await;
    }
}

async fn noticed(inbox: &Inbox, token: Token) {
    heard(inbox, |arrival| matches!(arrival, Arrival::Noticed(noticed) if *noticed == token)).await;
}

/// Nothing has been told that xenstored tells before it answers.
async fn silence(store: &Store, inbox: &Inbox) {
    store.domain_path(0).await.unwrap();
    assert!(inbox.is_empty(), "{:?}", inbox.pop());
}

fn write(path: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.write(path, value);
    batch
}

#[test]
fn batches_are_all_or_nothing() {
    each(async |_, store, _| {
        let mut batch = Batch::new();
        batch.mkdir("/x/home", Perms::readable(3, 4)).write("/x/home/a/b", "1").remove("/nowhere/at/all");
        assert_eq!(store.apply(&batch).await, DONE);
        assert_eq!(store.permissions("/x/home/a/b").await, Ok(Some(Perms::readable(3, 4))), "as its parents");
        assert_eq!(value(store, "/x/home/a").await.as_deref(), Some(""));
        let mut batch = Batch::new();
        batch.changes.push(Change::Mkdir("/x/home/a/b".to_owned()));
        batch.changes.push(Change::SetPerms("/x/missing".to_owned(), Perms::dom0()));
        assert_eq!(store.apply(&batch).await, DONE);
        assert_eq!(value(store, "/x/home/a/b").await.as_deref(), Some("1"), "mkdir keeps the value");
        let b = || "/x/home/a/b".to_owned();
        for (guard, holds) in [
            (Guard::Exists(b()), true),
            (Guard::Exists("/x/none".to_owned()), false),
            (Guard::Exists("/x//illegal".to_owned()), false),
            (Guard::Absent("/x/none".to_owned()), true),
            (Guard::Absent(b()), false),
            (Guard::Equals(b(), "1".to_owned()), true),
            (Guard::Equals(b(), "2".to_owned()), false),
            (Guard::Equals("/x/none".to_owned(), String::new()), false),
        ] {
            let mut batch = write("/x/out", "changed");
            batch.guard(guard.clone());
            assert_eq!(store.apply(&batch).await, if holds { DONE } else { GUARD_FAILED }, "{guard:?}");
            let mut only = Batch::new();
            only.guard(guard);
            assert_eq!(store.apply(&only).await, if holds { DONE } else { GUARD_FAILED });
            let changed = value(store, "/x/out").await.is_some();
            assert_eq!(changed, holds);
            assert_eq!(store.apply(Batch::new().remove("/x/out")).await, DONE);
        }
        assert_eq!(store.apply(&Batch::new()).await, DONE);
    });
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    each(async |daemon, store, _| {
        let mut batch = write("/y/a", "1");
        batch.write("/y/b", "x".repeat(4096));
        assert!(matches!(store.apply(&batch).await, Outcome::Refused(Fault::NoSpace(_))));
        let mut batch = write("/y/a", "1");
        batch.write("/y//b", "1");
        assert!(matches!(store.apply(&batch).await, Outcome::Refused(Fault::Other(text)) if text.contains("/y//b")));
        let mut batch = write("/y/a", "1");
        batch.remove("/");
        assert!(matches!(store.apply(&batch).await, Outcome::Refused(Fault::Other(text)) if text.contains(r#""/""#)));
        // Refused by the daemon in the midst of a transaction: this one's bound on values is for everybody.
        if daemon.kind == Kind::Ocaml {
            let mut batch = write("/y/a", "1");
            batch.write("/y/b", "x".repeat(3000));
            let refused = store.apply(&batch).await;
            assert!(matches!(&refused, Outcome::Refused(Fault::NoSpace(text)) if text.contains("/y/b")), "{refused:?}");
        }
        assert_eq!(value(store, "/y/a").await, None);
    });
}

#[test]
fn answers_are_of_one_moment_and_by_name() {
    each(async |daemon, store, _| {
        let mut batch = Batch::new();
        for path in ["b", "a/2", "a/10", "a/2/x", "a-1", "c"] {
            batch.write(format!("/f/{path}"), path);
        }
        assert_eq!(store.apply(&batch).await, DONE);
        daemon.connect().ask(Request::with(Op::Write, "/f/c", b"\xffraw\0").unwrap()).unwrap();
        let tree = |depth, limit| Query::Tree { path: "/f".to_owned(), depth, limit };
        let queries = [
            Query::Value("/f/b".to_owned()),
            Query::Value("/f/none".to_owned()),
            Query::Value("not a path".to_owned()),
            Query::Children("/f".to_owned()),
            Query::Children("/f/none".to_owned()),
            tree(9, 100),
            tree(2, 3),
            tree(0, 9),
            Query::Tree { path: "/f/none".to_owned(), depth: 1, limit: 9 },
            Query::Value("/f/c".to_owned()),
        ];
        let named = |pairs: &[(&str, &str)]| Found::Tree(pairs.iter().copied().collect());
        let expected = [
            Found::Value(Some("b".to_owned())),
            Found::Value(None),
            Found::Value(None),
            Found::Children(Some(["a", "a-1", "b", "c"].map(str::to_owned).to_vec())),
            Found::Children(None),
            named(&[
                ("a", ""),
                ("a/10", "a/10"),
                ("a/2", "a/2"),
                ("a/2/x", "a/2/x"),
                ("a-1", "a-1"),
                ("b", "b"),
                ("c", "\u{fffd}raw\0"),
            ]),
            named(&[("a", ""), ("a/10", "a/10"), ("a/2", "a/2")]),
            named(&[]),
            named(&[]),
            Found::Value(Some("\u{fffd}raw\0".to_owned())),
        ];
        assert_eq!(found(store, &queries).await, expected);
        for (query, expected) in queries.iter().zip(expected) {
            assert_eq!(found(store, std::slice::from_ref(query)).await, [expected], "{query:?}");
        }
        assert!(found(store, &[]).await.is_empty());
    });
}

#[test]
fn long_listings_are_whole() {
    each(async |_, store, _| {
        let names: Vec<String> = (0..2000).map(|n| format!("a-rather-long-name-of-a-node-{n:04}")).collect();
        for some in names.chunks(200) {
            let mut batch = Batch::new();
            for name in some {
                batch.write(format!("/long/{name}"), "v");
            }
            assert_eq!(store.apply(&batch).await, DONE);
        }
        let children = Query::Children("/long".to_owned());
        assert_eq!(found(store, std::slice::from_ref(&children)).await, [Found::Children(Some(names.clone()))]);
        let tree = Query::Tree { path: "/long".to_owned(), depth: 3, limit: 1500 };
        let all = found(store, &[children, tree]).await;
        assert!(matches!(&all[1], Found::Tree(nodes) if nodes.iter().map(|(name, _)| name).eq(&names[..1500])));
    });
}

/// Fails where a batch is applied although what its guard saw has changed.
#[test]
fn batches_of_two_clients_lose_nothing() {
    each(async |daemon, store, inbox| {
        let other = Store::open(Some(&daemon.socket()), Rc::new(Inbox::default())).unwrap();
        assert_eq!(store.apply(&write("/count", "0")).await, DONE);
        let count = async |store: &Store| {
            for _ in 0..40 {
                loop {
                    let now = value(store, "/count").await.unwrap();
                    let next: u32 = now.parse::<u32>().unwrap() + 1;
                    let mut batch = write("/count", &next.to_string());
                    batch.guard(Guard::Equals("/count".to_owned(), now));
                    match store.apply(&batch).await {
                        DONE => break,
                        GUARD_FAILED | Outcome::Refused(Fault::Conflict) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        };
        let tend = async { match other.tend().await {} };
        let both = smol::future::zip(smol::future::zip(count(store), count(store)), count(&other));
        let counted = async {
            both.await;
        };
        smol::future::or(counted, tend).await;
        assert_eq!(value(store, "/count").await.as_deref(), Some("120"));
        silence(store, inbox).await;
    });
}

/// Fails where the guard is only a read that found nothing: oxenstored does not remember it.
#[test]
fn only_one_makes_what_was_absent() {
    each(async |daemon, store, _| {
        let other = Store::open(Some(&daemon.socket()), Rc::new(Inbox::default())).unwrap();
        let tend = async { match other.tend().await {} };
        let race = async {
            for n in 0..60 {
                let batch = |who: &str| {
                    let mut batch = write(&format!("/race/{n}/owner"), who);
                    batch.guard(Guard::Absent(format!("/race/{n}/lock"))).write(format!("/race/{n}/lock"), who);
                    batch
                };
                let (one, two) = (batch("one"), batch("two"));
                let outcomes = smol::future::zip(store.apply(&one), other.apply(&two)).await;
                let done = [outcomes.0, outcomes.1].into_iter().filter(|outcome| *outcome == DONE).count();
                assert_eq!(done, 1, "round {n}");
            }
        };
        smol::future::or(race, tend).await;
    });
}

#[test]
fn a_batch_that_meets_others_too_often_gives_up_whole() {
    each(async |daemon, store, _| {
        assert_eq!(store.apply(&write("/busy", "0")).await, DONE);
        let stop = AtomicBool::new(false);
        let mut rival = daemon.connect();
        let mut ended = BTreeSet::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0.. {
                    rival.write("/busy", &n.to_string()).unwrap();
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            // Enough requests that a write of the rival's falls between the first and the commit, almost every time.
            let mut batch = Batch::new();
            batch.guard(Guard::Exists("/busy".to_owned()));
            for n in 0..150 {
                batch.write(format!("/made/{n}"), "");
            }
            let outcome = smol::block_on(smol::future::or(async { match store.tend().await {} }, store.apply(&batch)));
            stop.store(true, Ordering::Relaxed);
            match outcome {
                DONE => ended.insert(150),
                Outcome::Refused(Fault::Conflict) => ended.insert(0),
                other => panic!("{other:?}"),
            };
        });
        let made = match &found(store, &[Query::Children("/made".to_owned())]).await[0] {
            Found::Children(names) => names.as_ref().map_or(0, Vec::len),
            other => panic!("{other:?}"),
        };
        assert!(ended.contains(&made), "{made} of 150");
    });
}

#[test]
fn notices_are_the_machines_own_tokens() {
    each(async |daemon, store, inbox| {
        let mut guest = daemon.connect();
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert_eq!(store.watch(Token(7), &paths(&["/w/a", "/w/b", "/w/a", "no path"])).await, DONE);
        noticed(inbox, Token(7)).await;
        store.domain_path(0).await.unwrap();
        while inbox.pop().is_some() {}
        guest.write("/w/b/deep", "1").unwrap();
        noticed(inbox, Token(7)).await;
        guest.write("/w/c", "1").unwrap();
        silence(store, inbox).await;
        // The same again costs nothing and tells nothing; another path tells of its making, and what is left out is quiet.
        assert_eq!(store.watch(Token(7), &paths(&["/w/b", "/w/a"])).await, DONE);
        silence(store, inbox).await;
        assert_eq!(store.watch(Token(7), &paths(&["/w/c", "/w/a"])).await, DONE);
        noticed(inbox, Token(7)).await;
        guest.write("/w/b", "2").unwrap();
        silence(store, inbox).await;
        guest.remove("/w").unwrap();
        noticed(inbox, Token(7)).await;
        store.domain_path(0).await.unwrap();
        while inbox.pop().is_some() {}
        store.unwatch(Token(7));
        store.unwatch(Token(8));
        guest.write("/w/a", "3").unwrap();
        silence(store, inbox).await;
    });
}

#[test]
fn domains_come_and_go() {
    each(async |daemon, store, inbox| {
        assert_eq!(store.watch(Token::DOMAINS, &[]).await, DONE);
        store.domain_path(0).await.unwrap();
        while inbox.pop().is_some() {}
        assert_eq!(store.domain_path(5).await.as_deref(), Ok("/local/domain/5"));
        assert_eq!(store.is_domain_introduced(5).await, Outcome::Ok(Reply::Flag(false)));
        let refused = store.introduce(5, 1, 3).await;
        assert_eq!(
            refused,
            Outcome::Refused(Fault::Other("xenstore introduce 5: EINVAL".to_owned())),
            "it has no ring"
        );
        daemon.make_ring(5);
        assert_eq!(store.introduce(5, 0xfefff, 3).await, DONE);
        noticed(inbox, Token::DOMAINS).await;
        assert_eq!(store.is_domain_introduced(5).await, Outcome::Ok(Reply::Flag(true)));
        while inbox.pop().is_some() {}
        daemon.tear_down(5);
        noticed(inbox, Token::DOMAINS).await;
        assert_eq!(store.is_domain_introduced(5).await, Outcome::Ok(Reply::Flag(false)));
        daemon.make_ring(6);
        assert_eq!(store.introduce(6, 1, 3).await, DONE);
        assert_eq!(store.release(6).await, DONE);
        assert_eq!(store.is_domain_introduced(6).await, Outcome::Ok(Reply::Flag(false)));
        assert_eq!(store.release(6).await, DONE, "one that is not known is fine");
    });
}

#[test]
fn a_wait_misses_nothing() {
    each(async |daemon, store, _| {
        let mut guest = daemon.connect();
        let paths = ["/s/state", "/s/other"];
        let interest = store.interest(&paths);
        let mut wakes = 0;
        for state in 1..=20 {
            let wanted = state.to_string();
            let wait = async {
                loop {
                    interest.changed().await.unwrap();
                    wakes += 1;
                    if store.values(&paths).await.unwrap().get("/s/state") == Some(wanted.as_str()) {
                        return;
                    }
                }
            };
            let change = async {
                // Before the first look, while it is under way, and long after it.
                for _ in 0..state % 5 {
                    smol::future::yield_now().await;
                }
                guest.write("/s/state", &wanted).unwrap();
            };
            smol::future::zip(wait, change).await;
        }
        assert!(wakes <= 60, "{wakes} wakes for 20 changes are polling");
        let none = store.interest(&["not a path"]);
        assert_eq!(none.changed().await, Ok(()), "the first look is due at once");
    });
}

/// Fails where a lost daemon is not looked for, or not everything is watched again.
#[test]
fn a_daemon_that_comes_back_is_found_again() {
    each(async |daemon, store, inbox| {
        assert_eq!(store.watch(Token(7), &["/r/a".to_owned()]).await, DONE);
        let interest = store.interest(&["/r/b"]);
        interest.changed().await.unwrap();
        store.domain_path(0).await.unwrap();
        while inbox.pop().is_some() {}
        daemon.kill();
        let socket = daemon.socket().display().to_string();
        loop {
            match store.apply(&write("/r/x", "1")).await {
                // Until the end of the connection was seen.
                Outcome::Unknown(Fault::Lost(_)) => {}
                Outcome::Refused(Fault::Lost(text)) => break assert!(text.contains(&socket), "{text}"),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(store.find(&[Query::Value("/r".to_owned())]).await, Outcome::Refused(Fault::Lost(_))));
        assert!(matches!(store.watch(Token(9), &["/r/z".to_owned()]).await, Outcome::Refused(Fault::Lost(_))));
        assert!(matches!(store.values(&["/r"]).await, Err(Error::Down(_))));
        let late = store.interest(&["/r/c"]);
        store.unwatch(Token(9));
        daemon.restart();
        heard(inbox, |arrival| matches!(arrival, Arrival::Everything)).await;
        late.changed().await.unwrap();
        interest.changed().await.unwrap();
        noticed(inbox, Token(7)).await;
        store.domain_path(0).await.unwrap();
        while inbox.pop().is_some() {}
        let mut guest = daemon.connect();
        guest.write("/r/a", "1").unwrap();
        noticed(inbox, Token(7)).await;
        guest.write("/r/b", "1").unwrap();
        interest.changed().await.unwrap();
        assert_eq!(store.apply(&write("/r/x", "1")).await, DONE);
        silence(store, inbox).await;
    });
}

#[test]
fn it_has_the_traits_of_xenstore_rs() {
    each(async |daemon, store, _| {
        let mut guest = daemon.connect();
        LocalAsyncXs::write(&**store, "/q/a", "1").await.unwrap();
        LocalAsyncXs::write(&**store, "/q/b", "2").await.unwrap();
        assert_eq!(&*LocalAsyncXs::read(&**store, "/q/a").await.unwrap(), "1");
        assert_eq!(LocalAsyncXs::directory(&**store, "/q").await.unwrap(), ["a".into(), "b".into()]);
        LocalAsyncXs::rm(&**store, "/q/b").await.unwrap();
        let error = LocalAsyncXs::read(&**store, "/q/b").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.get_ref().unwrap().downcast_ref::<Error>().unwrap().is_missing());
        assert_eq!(LocalAsyncXs::rm(&**store, "q").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        let mut changes = LocalAsyncWatch::watch(&**store, "/q").await.unwrap();
        assert_eq!(changes.next().await.as_deref(), Some("/q"));
        guest.write("/q/c", "1").unwrap();
        assert_eq!(changes.next().await.as_deref(), Some("/q/c"));
    });
}

#[test]
fn guests_are_as_everybody_knows_them() {
    each(async |daemon, store, _| {
        // The home that a toolstack makes: a guest may write where it is allowed, and only there.
        let mut guest = daemon.introduce(8);
        let mut batch = Batch::new();
        batch.mkdir("/local/domain/8", Perms::readable(0, 8)).mkdir("/local/domain/8/data", Perms::owned(8));
        batch.changes.push(Change::Mkdir("/local/domain/8/open".to_owned()));
        let open = Perms { owner: 0, others: Access::None, acl: vec![(8, Access::Both)] };
        batch.changes.push(Change::SetPerms("/local/domain/8/open".to_owned(), open));
        assert_eq!(store.apply(&batch).await, DONE);
        let interest = store.interest(&["/local/domain/8/data/ready"]);
        interest.changed().await.unwrap();
        smol::unblock(move || {
            guest.write("/local/domain/8/data/ready", "1").unwrap();
            guest.write("/local/domain/8/open/x", "1").unwrap();
            assert!(guest.write("/local/domain/8/name", "1").is_err());
        })
        .await;
        interest.changed().await.unwrap();
        assert_eq!(value(store, "/local/domain/8/data/ready").await.as_deref(), Some("1"));
    });
}

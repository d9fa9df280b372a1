//! The client against a daemon that follows a script: what no real one can be made to do at the right moment.

use super::*;
use crate::scratch::Scratch;
use crate::xenstore::wire::{Decoder, Message};
use smol::Timer;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use xenops_core::host::{Fault, Guard};

/// What it does with a request.
enum Reaction {
    Answer(Op, &'static [u8]),
    Silence,
    Close,
}

struct Script {
    store: Rc<Store>,
    heard: Arc<Mutex<Vec<Message>>>,
    _scratch: Scratch,
}

/// A client of a daemon that reacts so, for one connection.
fn script(mut react: impl FnMut(&Message) -> Reaction + Send + 'static) -> Script {
    let scratch = Scratch::new("xenstore");
    let path = scratch.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut decoder, mut buffer) = (Decoder::default(), [0; 4096]);
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            decoder.push(&buffer[..length]);
            while let Some(message) = decoder.next_message().unwrap() {
                hears.lock().unwrap().push(message.clone());
                let (op, payload) = match react(&message) {
                    Reaction::Answer(op, payload) => (op, payload.to_vec()),
                    Reaction::Silence => continue,
                    Reaction::Close => return,
                };
                let mut bytes = Vec::new();
                Message { op, payload, ..message }.encode(&mut bytes).unwrap();
                let _ = stream.write_all(&bytes);
            }
        }
    });
    let store = Store::open(Some(&path), Rc::new(Inbox::default())).unwrap();
    Script { store, heard, _scratch: scratch }
}

/// Everything is well.
fn well(message: &Message) -> Reaction {
    match message.op {
        Op::TransactionStart => Reaction::Answer(Op::TransactionStart, b"7\0"),
        op => Reaction::Answer(op, b"OK\0"),
    }
}

impl Script {
    fn run<T>(&self, test: impl Future<Output = T>) -> T {
        let tend = async { match self.store.tend().await {} };
        let late = async {
            Timer::after(Duration::from_secs(20)).await;
            panic!("the test did not end")
        };
        smol::block_on(smol::future::or(smol::future::or(tend, late), test))
    }

    /// Waits until the daemon has heard so many requests; shows them as type, transaction and payload.
    async fn heard(&self, count: usize) -> Vec<(Op, u32, String)> {
        while self.heard.lock().unwrap().len() < count {
            Timer::after(Duration::from_millis(1)).await;
        }
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|m| (m.op, m.transaction, String::from_utf8(m.payload.clone()).unwrap())).collect()
    }
}

fn batch(guarded: bool) -> Batch {
    let mut batch = Batch::new();
    if guarded {
        batch.guard(Guard::Exists("/g".to_owned()));
    }
    batch.write("/a", "1");
    batch
}

/// Fails where what was lost is called unknown although it cannot have happened, or refused although it can.
#[test]
fn only_what_was_committed_is_unknown() {
    for (guarded, at, unknown) in [
        (true, Op::TransactionStart, false),
        (true, Op::Read, false),
        (true, Op::Write, false),
        (true, Op::TransactionEnd, true),
        (false, Op::Write, true),
    ] {
        let script = script(move |message| if message.op == at { Reaction::Close } else { well(message) });
        match script.run(script.store.apply(&batch(guarded))) {
            Outcome::Unknown(Fault::Lost(text)) => assert!(unknown && text.contains("socket"), "{at:?}: {text}"),
            Outcome::Refused(Fault::Lost(text)) => assert!(!unknown && text.contains("socket"), "{at:?}: {text}"),
            other => panic!("{at:?}: {other:?}"),
        }
    }
}

#[test]
fn an_illegal_answer_ends_the_connection_by_name() {
    let script = script(|message| match message.op {
        Op::TransactionStart => Reaction::Answer(Op::Read, b"7\0"),
        _ => well(message),
    });
    let outcome = script.run(script.store.apply(&batch(true)));
    assert!(matches!(&outcome, Outcome::Refused(Fault::Lost(text)) if text.contains("something else")), "{outcome:?}");
}

#[test]
fn conflicts_are_retried_and_bounded() {
    for (conflicts, expected) in [(3, Outcome::Ok(Reply::Unit)), (1000, Outcome::Refused(Fault::Conflict))] {
        let mut left = conflicts;
        let script = script(move |message| match message.op {
            Op::TransactionEnd if left > 0 => {
                left -= 1;
                Reaction::Answer(Op::Error, b"EAGAIN\0")
            }
            _ => well(message),
        });
        assert_eq!(script.run(script.store.apply(&batch(true))), expected);
    }
}

/// Fails where a transaction stays open because whoever began it went away: before its number was known, and after.
#[test]
fn a_dropped_batch_leaves_no_transaction() {
    for (heard_first, count) in [(Op::TransactionStart, 2), (Op::Read, 3)] {
        let script = script(move |message| match message.op {
            Op::Read => Reaction::Silence,
            _ => well(message),
        });
        let dropped = batch(true);
        script.run(async {
            let until = async {
                while !script.heard.lock().unwrap().iter().any(|message| message.op == heard_first) {
                    smol::future::yield_now().await;
                }
            };
            let apply = async { drop(script.store.apply(&dropped).await) };
            smol::future::or(until, apply).await;
            let heard = script.heard(count).await;
            assert_eq!(heard.last(), Some(&(Op::TransactionEnd, 7, "F\0".to_owned())), "{heard:?}");
        });
    }
}

#[test]
fn a_dropped_interest_leaves_no_watch() {
    let script = script(well);
    script.run(async {
        drop(script.store.interest(&["/a", "/b", "/a"]));
        let heard = script.heard(4).await;
        let of = |wanted| heard.iter().filter(move |(op, ..)| *op == wanted).map(|(_, _, text)| text);
        assert_eq!(of(Op::Watch).count(), 2);
        assert!(of(Op::Watch).eq(of(Op::Unwatch)), "{heard:?}");
    });
}

#[test]
fn a_refused_watch_is_told_and_forgotten() {
    let script = script(|message| match message.op {
        Op::Watch => Reaction::Answer(Op::Error, b"ENOSPC\0"),
        _ => well(message),
    });
    script.run(async {
        let refused = script.store.watch(Token(1), &["/a".to_owned()]).await;
        assert!(matches!(&refused, Outcome::Refused(Fault::NoSpace(_))), "{refused:?}");
        assert!(script.store.link.watched(Token(1)).is_empty());
        let interest = script.store.interest(&["/b"]);
        assert_eq!(interest.changed().await, Err(Error::Refused(Code::Enospc)));
        assert_eq!(interest.changed().await, Err(Error::Refused(Code::Enospc)), "and again");
    });
}

//! A connection against a daemon that is a table, or anything at all.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn message(op: Op, request: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Message { op, request, transaction: 0, payload: payload.to_vec() }.encode(&mut bytes).unwrap();
    bytes
}

/// What was asked since the last time.
fn asked(connection: &mut Connection) -> Vec<Message> {
    let mut decoder = Decoder::default();
    decoder.push(connection.outgoing());
    connection.sent(connection.outgoing().len());
    std::iter::from_fn(|| decoder.next_message().unwrap()).collect()
}

fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.event()).collect()
}

fn read(path: &str) -> Request {
    Request::at(Op::Read, path).unwrap()
}

/// Lets a daemon answer until nothing is asked any more.
fn serve(connection: &mut Connection, mut daemon: impl FnMut(&Message) -> (Op, Vec<u8>)) -> Vec<Event> {
    loop {
        let asked = asked(connection);
        if asked.is_empty() {
            return events(connection);
        }
        for request in asked {
            let (op, payload) = daemon(&request);
            let answer = Message { op, payload, ..request };
            let mut bytes = Vec::new();
            answer.encode(&mut bytes).unwrap();
            connection.receive(&bytes).unwrap();
        }
    }
}

#[test]
fn answers_find_their_requests_in_any_order() {
    let mut connection = Connection::new(8);
    for (ticket, path) in [(10, "/a"), (11, "/b"), (12, "/c")] {
        connection.submit(ticket, read(path)).unwrap();
    }
    let asked = asked(&mut connection);
    assert_eq!(asked.iter().map(|m| &m.payload[..]).collect::<Vec<_>>(), [b"/a\0", b"/b\0", b"/c\0"]);
    connection.receive(&message(Op::Read, asked[2].request, b"3\0raw")).unwrap();
    connection.receive(&message(Op::WatchEvent, 0, b"/w/x\0token\0")).unwrap();
    connection.receive(&message(Op::Error, asked[0].request, b"ENOENT\0")).unwrap();
    assert_eq!(
        events(&mut connection),
        [
            Event::Answered(12, Ok(b"3\0raw".to_vec())),
            Event::Changed { path: b"/w/x".to_vec(), token: b"token".to_vec() },
            Event::Answered(10, Err(Error::Refused(Code::Enoent))),
        ]
    );
    assert_eq!(connection.pending(), 1);
}

#[test]
fn what_no_daemon_says_is_named() {
    type Case = (&'static str, Vec<u8>, Violation);
    let cases: [Case; 8] = [
        ("an answer to nothing", message(Op::Read, 99, b""), Violation::Unmatched(99)),
        ("an error to nothing", message(Op::Error, 0, b"EIO\0"), Violation::Unmatched(0)),
        ("another type", message(Op::Write, 1, b"OK\0"), Violation::Mismatched(1)),
        ("an event without token", message(Op::WatchEvent, 0, b"/a\0"), Violation::Event),
        ("an event without path", message(Op::WatchEvent, 0, b"\0t\0"), Violation::Event),
        ("an event without anything", message(Op::WatchEvent, 0, b""), Violation::Event),
        ("an event without end", message(Op::WatchEvent, 0, b"/a\0t"), Violation::Event),
        ("a type that is none", message(Op::Read, 1, b"").iter().map(|b| b ^ 0x80).collect(), {
            Violation::UnknownType(u32::from_ne_bytes([2 ^ 0x80, 0x80, 0x80, 0x80]))
        }),
    ];
    for (what, bytes, expected) in cases {
        let mut connection = Connection::new(8);
        connection.submit(1, read("/a")).unwrap();
        assert_eq!(connection.receive(&bytes), Err(expected), "{what}");
    }
    let mut connection = Connection::new(8);
    connection.submit(1, read("/a").within(5)).unwrap();
    let other = message(Op::Read, 1, b"");
    assert_eq!(connection.receive(&other), Err(Violation::Mismatched(1)), "another transaction");
    let mut connection = Connection::new(8);
    connection.receive(&message(Op::WatchEvent, 0, b"/a\0t\0")[..17]).unwrap();
    assert_eq!(connection.end(), Err(Violation::Truncated));
}

#[test]
fn requests_that_cannot_be_are_not_sent() {
    assert_eq!(Request::at(Op::Read, "a"), Err(Error::Path("a".to_owned())));
    let fits = wire::MOST_SENT - "/a".len() - 1;
    assert!(Request::with(Op::Write, "/a", &vec![0; fits]).is_ok());
    assert_eq!(Request::with(Op::Write, "/a", &vec![0; fits + 1]), Err(Error::TooLong(wire::MOST_SENT + 1)));
    let mut connection = Connection::new(1);
    let long = Request { op: Op::Control, transaction: 0, payload: vec![0; wire::MOST_SENT + 1] };
    assert_eq!(connection.submit(1, long), Err(Error::TooLong(wire::MOST_SENT + 1)));
    assert!(connection.outgoing().is_empty());
}

#[test]
fn no_more_are_in_flight_than_may_be() {
    let mut connection = Connection::new(2);
    (0..MOST_WAITING as u64 + 2).for_each(|ticket| connection.submit(ticket, read("/a")).unwrap());
    assert_eq!(connection.submit(0, read("/a")), Err(Error::Busy));
    let first = asked(&mut connection);
    assert_eq!(first.len(), 2);
    connection.receive(&message(Op::Read, first[0].request, b"")).unwrap();
    assert_eq!(asked(&mut connection).len(), 1);
    assert_eq!(connection.submit(0, read("/a")), Ok(()));
}

#[test]
fn numbers_go_round_past_those_in_use() {
    let mut connection = Connection::new(8);
    connection.submit(1, read("/a")).unwrap();
    connection.number = u32::MAX;
    connection.submit(2, read("/b")).unwrap();
    let numbers: Vec<u32> = asked(&mut connection).iter().map(|message| message.request).collect();
    assert_eq!(numbers, [1, 2], "0 is never used, and 1 is in flight");
}

/// C xenstored's listing of many names, as it gives them in parts; its node changes `changes` times meanwhile.
fn parts(names: &[u8], room: usize, mut changes: u32) -> impl FnMut(&Message) -> (Op, Vec<u8>) {
    let mut generation = 7;
    move |request| {
        if request.op == Op::Directory {
            return (Op::Error, b"E2BIG\0".to_vec());
        }
        let texts: Vec<&[u8]> = wire::texts(&request.payload).collect();
        assert_eq!((request.op, texts[0]), (Op::DirectoryPart, &b"/big"[..]));
        let offset: usize = std::str::from_utf8(texts[1]).unwrap().parse().unwrap();
        if offset > 0 && changes > 0 {
            changes -= 1;
            generation += 1;
        }
        let mut payload = format!("{generation}\0").into_bytes();
        let rest = &names[offset..];
        // Whole names only; behind the last comes an empty one.
        let end = rest.len().min(room);
        let end = if end == rest.len() { end } else { rest[..end].iter().rposition(|b| *b == 0).unwrap() + 1 };
        payload.extend_from_slice(&rest[..end]);
        if end == rest.len() {
            payload.push(0);
        }
        (Op::DirectoryPart, payload)
    }
}

#[test]
fn a_long_listing_comes_in_parts() {
    let names: Vec<u8> = (0..1000).flat_map(|n| format!("name{n}\0").into_bytes()).collect();
    for (changes, whole) in [(0, true), (1, true), (MOST_LISTINGS - 1, true), (MOST_LISTINGS, false)] {
        let mut connection = Connection::new(8);
        connection.submit(1, Request::at(Op::Directory, "/big").unwrap()).unwrap();
        let events = serve(&mut connection, parts(&names, 2000, changes));
        let [Event::Answered(1, answer)] = &events[..] else { panic!("{events:?}") };
        match answer {
            Ok(listing) => assert!(whole && texts_of(listing) == texts_of(&names), "{changes}"),
            Err(error) => assert!(!whole && *error == Error::Refused(Code::E2big), "{changes}: {error}"),
        }
    }
}

fn texts_of(listing: &[u8]) -> Vec<&[u8]> {
    wire::texts(listing).collect()
}

#[test]
fn a_daemon_without_parts_is_believed_that_it_is_too_long() {
    for (part, expected) in [
        ((Op::Error, &b"ENOSYS\0"[..]), Err(Error::Refused(Code::E2big))),
        ((Op::Error, b"ENOENT\0"), Err(Error::Refused(Code::Enoent))),
        ((Op::DirectoryPart, b"no generation"), Err(Error::Answer("part of a listing"))),
        ((Op::DirectoryPart, b"1\0name without end"), Err(Error::Answer("part of a listing"))),
        ((Op::DirectoryPart, b"1\0\0"), Ok(b"\0".to_vec())),
        ((Op::DirectoryPart, b"1\0"), Ok(vec![])),
    ] {
        let mut connection = Connection::new(8);
        connection.submit(1, Request::at(Op::Directory, "/big").unwrap()).unwrap();
        let events = serve(&mut connection, |request| match request.op {
            Op::Directory => (Op::Error, b"E2BIG\0".to_vec()),
            _ => (part.0, part.1.to_vec()),
        });
        assert_eq!(events, [Event::Answered(1, expected)]);
    }
}

#[test]
fn a_listing_without_end_is_given_up() {
    let mut connection = Connection::new(8);
    connection.submit(1, Request::at(Op::Directory, "/big").unwrap()).unwrap();
    let events = serve(&mut connection, |request| match request.op {
        Op::Directory => (Op::Error, b"E2BIG\0".to_vec()),
        _ => (Op::DirectoryPart, [&b"1\0"[..], &b"x".repeat(4000), b"\0"].concat()),
    });
    assert_eq!(events, [Event::Answered(1, Err(Error::Answer("part of a listing")))]);
}

#[derive(Clone, Debug)]
enum Say {
    Answer(usize, bool, Vec<u8>),
    Event,
}

fn say() -> impl Strategy<Value = Say> {
    prop_oneof![
        4 => (any::<usize>(), any::<bool>(), vec(any::<u8>(), 0..40)).prop_map(|(n, ok, p)| Say::Answer(n, ok, p)),
        1 => Just(Say::Event),
    ]
}

proptest! {
    /// Fails where answers are matched by order, or where a split may fall on what it likes.
    #[test]
    fn each_request_is_answered_once_with_what_was_said(
        says in vec(say(), 1..60), requests in 1usize..40, cuts in vec(1usize..50, 1..20), flights in 1usize..9,
    ) {
        let mut connection = Connection::new(flights);
        for ticket in 0..requests {
            connection.submit(ticket as u64, read(&format!("/{ticket}"))).unwrap();
        }
        let (mut open, mut expected, mut stream) = (asked(&mut connection), Vec::new(), Vec::new());
        let mut cuts = cuts.into_iter().cycle();
        for say in says {
            match say {
                Say::Answer(n, ok, payload) if !open.is_empty() => {
                    let request = open.remove(n % open.len());
                    let ticket = std::str::from_utf8(&request.payload[1..request.payload.len() - 1]).unwrap();
                    let ticket = ticket.parse().unwrap();
                    stream.extend(message(if ok { Op::Read } else { Op::Error }, request.request, &payload));
                    let answer = if ok { Ok(payload) } else { Err(Error::Refused(Code::parse(&payload))) };
                    expected.push(Event::Answered(ticket, answer));
                }
                Say::Answer(..) => {}
                Say::Event => {
                    stream.extend(message(Op::WatchEvent, 0, b"/e\0t\0"));
                    expected.push(Event::Changed { path: b"/e".to_vec(), token: b"t".to_vec() });
                }
            }
            while !stream.is_empty() {
                let piece: Vec<u8> = stream.drain(..cuts.next().unwrap().min(stream.len())).collect();
                connection.receive(&piece).unwrap();
            }
            open.extend(asked(&mut connection));
            prop_assert!(open.len() <= flights);
        }
        prop_assert_eq!(events(&mut connection), expected);
        prop_assert_eq!(connection.end(), Ok(()));
    }

    /// Fails on any panic; what is wrong is an error, and what comes after it is not heard.
    #[test]
    fn anything_may_be_said(
        requests in 0usize..4, spoilt in vec((any::<usize>(), any::<u8>()), 0..6),
        payloads in vec(vec(any::<u8>(), 0..30), 0..6), numbers in vec(0u32..5, 6), ops in vec(0u32..24, 6),
    ) {
        let mut connection = Connection::new(8);
        for ticket in 0..requests {
            connection.submit(ticket as u64, Request::at(Op::Directory, "/a").unwrap()).unwrap();
        }
        let mut stream = Vec::new();
        for ((payload, number), op) in payloads.iter().zip(&numbers).zip(&ops) {
            [*op, *number, 0, payload.len() as u32].iter().for_each(|n| stream.extend(n.to_ne_bytes()));
            stream.extend(payload);
        }
        for (at, byte) in spoilt {
            if !stream.is_empty() {
                let at = at % stream.len();
                stream[at] = byte;
            }
        }
        let _ = connection.receive(&stream);
        let answered = events(&mut connection).iter().filter(|event| matches!(event, Event::Answered(..))).count();
        prop_assert!(answered + connection.pending() <= requests);
        let _ = connection.end();
    }
}

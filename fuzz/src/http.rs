//! Bytes on a connection: the serving side as the client's, the calling side as the server's.

use std::collections::VecDeque;
use std::fmt;
use xenops_core::interface::{Request, Value};
use xenops_core::wire::{Client, Connection, Encoding, Failure, Incoming, Limits, RequestId, Transport};

/// Bytes beyond which an input only repeats itself.
const LONGEST: usize = 16 << 10;

/// Small, so that small inputs meet them.
fn limits() -> Limits {
    Limits { head_bytes: 256, body_bytes: 512, pipelined: 3, backlog_bytes: 600, ..Limits::default() }
}

/// Any bytes: portions, the moment of an answer and the moment of sending make no difference; every request
/// is answered once, in order, by a well-formed reply; the connection comes to its end.
pub fn http(data: &[u8]) {
    if data.len() > LONGEST {
        return;
    }
    let whole = serve(vec![data], Owner::Prompt);
    assert_eq!(serve(data.chunks(1).collect(), Owner::Prompt), whole);
    assert_eq!(serve(data.chunks(7).collect(), Owner::Late), whole);
    check_replies(data, &whole);

    for binary in [false, true] {
        let whole = shown(&answers(transport(binary), [data]));
        assert_eq!(shown(&answers(transport(binary), data.chunks(1))), whole);
        assert_eq!(shown(&answers(transport(binary), data.chunks(7))), whole);
    }
}

/// When the owner of a connection answers and sends.
#[derive(Clone, Copy, PartialEq)]
enum Owner {
    /// As soon as there is something.
    Prompt,
    /// When nothing else is left to do: the last request first, a few bytes at a time.
    Late,
}

/// What came of a connection.
#[derive(Debug, PartialEq)]
struct Served {
    requests: Vec<Request>,
    ids: Vec<RequestId>,
    sent: Sent,
}

#[derive(PartialEq)]
struct Sent(Vec<u8>);

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

/// Runs a connection to its end.
fn serve(portions: Vec<&[u8]>, owner: Owner) -> Served {
    let mut connection = Connection::new(limits());
    let mut portions: VecDeque<_> = portions.into_iter().map(Some).chain([None]).collect();
    let (mut requests, mut ids, mut open, mut sent) = (vec![], vec![], vec![], vec![]);
    loop {
        while let Some(Incoming { id, request }) = connection.next() {
            requests.push(request);
            ids.push(id);
            open.push(id);
            if owner == Owner::Prompt {
                answer(&mut connection, &mut open);
            }
        }
        if connection.wants_close() {
            break;
        }
        let reads = connection.can_read() && !portions.is_empty();
        let most = match owner {
            Owner::Prompt => usize::MAX,
            Owner::Late if reads => 0,
            Owner::Late => 5,
        };
        let count = connection.outgoing().len().min(most);
        if count > 0 {
            sent.extend_from_slice(&connection.outgoing()[..count]);
            connection.advance(count);
        } else if reads {
            match portions.pop_front().flatten() {
                Some(bytes) => connection.receive(bytes),
                None => connection.end(),
            }
        } else {
            assert!(!open.is_empty(), "the connection waits for nothing: {:?}", connection.waiting());
            answer(&mut connection, &mut open);
        }
    }
    assert!(open.is_empty() && connection.patience_ns().is_some());
    Served { requests, ids, sent: Sent(sent) }
}

fn answer(connection: &mut Connection, open: &mut Vec<RequestId>) {
    while let Some(id) = open.pop() {
        assert!(connection.reply(id, Ok::<_, &()>(&id.0)), "a request was taken for answered");
        assert!(!connection.reply(id, Ok::<_, &()>(&id.0)), "a request was answered twice");
    }
}

/// What was sent is replies and nothing else: one for each request, and each as its framing and encoding have it.
fn check_replies(data: &[u8], served: &Served) {
    let binary = data.first().is_some_and(u8::is_ascii_digit);
    let (mut rest, mut replies, mut ids) = (served.sent.0.as_slice(), 0, served.ids.iter());
    while !rest.is_empty() {
        let (reply, interim) = first_reply(&mut rest, binary);
        if interim {
            assert!(!rest.is_empty(), "a reply follows '100 Continue'");
            continue;
        }
        replies += 1;
        match (answers(transport(binary), [reply]).swap_remove(0), binary) {
            (Ok(Ok(Value::Int(id))), _) => assert_eq!(Some(id as u64), ids.next().map(|id| id.0)),
            // XML carries integers as text.
            (Ok(Ok(Value::String(id))), _) => assert_eq!(Some(id), ids.next().map(|id| id.0.to_string())),
            (Ok(Err(_)), _) => {}
            (Err(Failure::Status(400..=599, why)), false) => assert!(rest.is_empty() || why.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ids.next(), None, "every request was answered");
    assert_eq!(replies == 0, data.iter().all(|byte| matches!(byte, b'\r' | b'\n')), "only silence gets silence");
    // Texts of errors quote what they are about, a few times over and escaped.
    assert!(served.sent.0.len() <= 256 + 32 * data.len(), "{} bytes for {}", served.sent.0.len(), data.len());
}

/// Takes the first reply from what was sent, and whether it is an interim one.
fn first_reply<'a>(sent: &mut &'a [u8], binary: bool) -> (&'a [u8], bool) {
    let number =
        |text: &[u8]| -> usize { str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("a length") };
    let (head, length, interim) = if binary {
        (16, number(&sent[..16]), false)
    } else {
        let head = sent.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head has an end") + 4;
        let mut lines = sent[..head].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let status = lines.next().expect("a head has a first line");
        assert!(status.starts_with(b"HTTP/1.1 "));
        let length = lines.find_map(|line| line.strip_prefix(b"content-length: "));
        (head, length.map_or(0, number), status.starts_with(b"HTTP/1.1 100 "))
    };
    let (reply, rest) = sent.split_at(head + length);
    *sent = rest;
    (reply, interim)
}

fn transport(binary: bool) -> Transport {
    match binary {
        true => Transport::Binary,
        false => Transport::Http { host: "localhost".to_owned(), path: "/".to_owned() },
    }
}

/// Not-a-number is no equal of itself, but its text is.
fn shown(answers: &[Answered]) -> String {
    format!("{answers:?}")
}

type Answered = Result<Result<Value, Value>, Failure>;

/// What two calls are answered by these bytes.
fn answers<'a>(transport: Transport, portions: impl IntoIterator<Item = &'a [u8]>) -> Vec<Answered> {
    let mut client = Client::new(transport, Encoding::Json, limits());
    for _ in 0..2 {
        client.call::<()>("query", &[]).expect("no parameter that has no form");
    }
    let mut answers = vec![];
    for portion in portions {
        client.receive(portion);
        answers.extend(std::iter::from_fn(|| client.next()));
    }
    client.end();
    answers.extend(std::iter::from_fn(|| client.next()));
    assert_eq!(answers.len(), 2, "a call is answered once");
    answers
}

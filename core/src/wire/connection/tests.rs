//! Every rule of the framings, by table; that no way of cutting the bytes matters is in `wire/properties.rs`.

use super::*;
use crate::interface::Value;

const QUERY: &str = r#"{"method":"query","params":[{"unit":null,"debug_info":"d"}],"id":1}"#;
const XML: &str = "<?xml version='1.0'?><methodCall><methodName>query</methodName><params><param><value><struct>\
    <member><name>unit</name><value><nil/></value></member><member><name>debug_info</name><value>d</value></member>\
    </struct></value></param></params></methodCall>";

fn limits() -> Limits {
    Limits { head_bytes: 400, body_bytes: 800, pipelined: 4, backlog_bytes: 500, ..Limits::default() }
}

/// What a connection made of its bytes: the methods called, each answered at once, and all that was sent.
fn serve(input: &[u8]) -> (Vec<String>, String, Connection) {
    let mut connection = Connection::new(limits());
    connection.receive(input);
    let (mut methods, mut sent) = (Vec::new(), Vec::new());
    while let Some(Incoming { id, request }) = connection.next() {
        methods.push(request.call.method().to_owned());
        assert!(connection.reply(id, Ok::<_, &()>(&"done")));
        drain(&mut connection, &mut sent);
    }
    drain(&mut connection, &mut sent);
    (methods, String::from_utf8(sent).unwrap(), connection)
}

fn drain(connection: &mut Connection, sent: &mut Vec<u8>) {
    let bytes = connection.outgoing().to_vec();
    connection.advance(bytes.len());
    sent.extend(bytes);
}

fn post(headers: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\n{headers}\r\n{body}")
}

fn query() -> String {
    post(&format!("Content-Length: {}\r\n", QUERY.len()), QUERY)
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// The status codes in what was sent.
fn statuses(sent: &str) -> Vec<u16> {
    sent.split("HTTP/1.1 ").skip(1).filter_map(|reply| reply.get(..3)?.parse().ok()).collect()
}

#[test]
fn http_requests_that_keep_the_connection() {
    let length = QUERY.len();
    let (a, b) = QUERY.split_at(9);
    let table: Vec<(&str, String, usize, Vec<u16>)> = vec![
        ("plain", query(), 1, vec![200]),
        ("two in a row", query() + &query(), 2, vec![200, 200]),
        ("blank lines between", format!("\r\n\n{}\r\n{}", query(), query()), 2, vec![200, 200]),
        ("line feeds alone", format!("POST / HTTP/1.1\ncontent-length:{length}\n\n{QUERY}"), 1, vec![200]),
        (
            "1.0 kept",
            format!("POST / HTTP/1.0\r\nconnection: x, Keep-Alive\r\ncontent-length: {length}\r\n\r\n{QUERY}"),
            1,
            vec![200],
        ),
        ("any path", query().replace("POST /", "POST /var/lib/xcp/xenopsd?a=b"), 1, vec![200]),
        ("chunks", chunked(&format!("9\r\n{a}\r\n{:X} ;x=\"y\"\r\n{b}\r\n000\r\n\r\n", b.len())), 1, vec![200]),
        (
            "trailers",
            chunked(&format!("{length:x}\r\n{QUERY}\r\n0\r\nA: b\r\nC: d\r\n\r\n")) + &query(),
            2,
            vec![200, 200],
        ),
        ("get", "GET / HTTP/1.1\r\n\r\n".to_owned() + &query(), 1, vec![404, 200]),
        ("put with a body", query().replace("POST", "PUT") + &query(), 1, vec![404, 200]),
        (
            "expectation met",
            query().replace("POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nExpect: 100-Continue\r\n"),
            1,
            vec![100, 200],
        ),
        (
            "no expectation in 1.0",
            format!(
                "POST / HTTP/1.0\r\nexpect: 100-continue\r\nconnection: keep-alive\r\ncontent-length: {length}\r\n\r\n{QUERY}"
            ),
            1,
            vec![200],
        ),
        ("malformed", post("content-length: 3\r\n", "{-}") + &query(), 1, vec![200, 200]),
        ("empty body", post("content-length: 0\r\n", "") + &query(), 1, vec![200, 200]),
    ];
    for (name, input, calls, expected) in table {
        let (methods, sent, connection) = serve(input.as_bytes());
        assert_eq!((methods.len(), statuses(&sent)), (calls, expected), "{name}: {sent}");
        assert!(connection.can_read() && !connection.wants_close(), "{name}");
        assert!(!sent.contains("connection: close"), "{name}");
    }
}

#[test]
fn http_requests_that_end_the_connection() {
    let long = "x".repeat(400);
    let many = "a:\r\n".repeat(65);
    let table: Vec<(&str, String, usize, Vec<u16>)> = vec![
        ("close", query().replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"), 1, vec![200]),
        ("1.0", query().replace("HTTP/1.1", "HTTP/1.0"), 1, vec![200]),
        ("no length", post("", ""), 0, vec![411]),
        ("length too large", post("content-length: 801\r\n", ""), 0, vec![413]),
        ("length overflows", post("content-length: 99999999999999999999999\r\n", ""), 0, vec![413]),
        ("length signed", post("content-length: +5\r\n", "12345"), 0, vec![400]),
        ("length empty", post("content-length:\r\n", ""), 0, vec![400]),
        ("length list", post("content-length: 5, 5\r\n", "12345"), 0, vec![400]),
        ("length twice", post("content-length: 5\r\ncontent-length: 5\r\n", "12345"), 0, vec![400]),
        ("length and chunks", post("content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"), 0, vec![400]),
        ("chunks and length", post("transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"), 0, vec![400]),
        ("chunks twice", post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", ""), 0, vec![400]),
        ("other coding", post("transfer-encoding: gzip, chunked\r\n", ""), 0, vec![501]),
        ("chunks in 1.0", chunked("0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"), 0, vec![400]),
        ("chunk without size", chunked("\r\n\r\n"), 0, vec![400]),
        ("chunk size signed", chunked("+1\r\na\r\n"), 0, vec![400]),
        ("chunk size prefixed", chunked("0x1\r\na\r\n"), 0, vec![400]),
        ("chunk size ends in a line feed", chunked("1\na\r\n"), 0, vec![400]),
        ("chunk longer than its size", chunked("1\r\nab\r\n"), 0, vec![400]),
        ("chunk size overflows", chunked("fffffffffffffffff\r\n"), 0, vec![400]),
        ("chunk too large", chunked("ffffffffffffffff\r\n"), 0, vec![413]),
        ("chunks too large", chunked(&format!("190\r\n{long}\r\n191\r\n")), 0, vec![413]),
        ("chunk line too long", chunked(&format!("1;{}", long.repeat(3))), 0, vec![400]),
        ("trailers too long", chunked(&format!("0\r\na: {long}")), 0, vec![431]),
        ("head too long", format!("POST /{long}"), 0, vec![431]),
        ("too many headers", post(&many, ""), 0, vec![431]),
        ("other version", query().replace("HTTP/1.1", "HTTP/2.0"), 0, vec![505]),
        ("not HTTP", "\x16\x03\x01\n\n".to_owned(), 0, vec![400]),
        ("space before colon", query().replace("Length:", "Length :"), 0, vec![400]),
        ("folded header", post("a: b\r\n c\r\ncontent-length: 0\r\n", ""), 0, vec![400]),
    ];
    for (name, input, calls, expected) in table {
        let (methods, sent, mut connection) = serve((input + &query()).as_bytes());
        assert_eq!((methods.len(), statuses(&sent)), (calls, expected), "{name}: {sent}");
        assert!(sent.contains("connection: close\r\n"), "{name}: {sent}");
        connection.receive(query().as_bytes());
        assert!(!connection.can_read() && connection.wants_close() && connection.next().is_none(), "{name}");
    }
}

#[test]
fn frames() {
    let frame = |body: &str| format!("{:016}{body}", body.len());
    let done = frame(r#"{"result":"done","error":null,"id":0}"#);
    let malformed = |why: &str| frame(&format!(r#"{{"result":null,"error":["Internal_error","{why}"],"id":0}}"#));
    let table = [
        ("one", frame(QUERY), done.clone(), false),
        ("two", frame(QUERY).repeat(2), done.repeat(2), false),
        ("empty", frame("") + &frame(QUERY), malformed("malformed request: body is empty") + &done, false),
        (
            "bad digit",
            format!("000000000000001x{QUERY}"),
            malformed("frame length has a byte that is no digit at 15"),
            true,
        ),
        (
            "bad second",
            frame(QUERY) + "POST",
            done.clone() + &malformed("frame length has a byte that is no digit at 0"),
            true,
        ),
        ("too large", "0000000000000801".to_owned(), malformed("body exceeds 800 bytes"), true),
        ("largest", "9999999999999999".to_owned(), malformed("body exceeds 800 bytes"), true),
    ];
    for (name, input, expected, closes) in table {
        let (_, sent, connection) = serve(input.as_bytes());
        assert_eq!((sent, connection.wants_close()), (expected, closes), "{name}");
    }
}

#[test]
fn a_reply_has_the_encoding_of_its_request() {
    let table = [
        (QUERY, "application/json", r#"{"result":"done","error":null,"id":0}"#),
        (
            r#"{"method":"a","params":[],"id":1}"#,
            "application/json",
            r#"{"result":null,"error":["Unimplemented","a"],"id":0}"#,
        ),
        (
            " \r\n{}",
            "application/json",
            r#"{"result":null,"error":["Internal_error","malformed request: field 'method' is missing"],"id":0}"#,
        ),
        (
            "[]",
            "application/json",
            r#"{"result":null,"error":["Internal_error","malformed request: message is not an object"],"id":0}"#,
        ),
        (
            "%",
            "application/json",
            r#"{"result":null,"error":["Internal_error","malformed request: body is neither JSON nor XML: it starts with '%'"],"id":0}"#,
        ),
        (
            XML,
            "text/xml",
            "<name>Status</name><value>Success</value></member><member><name>Value</name><value>done</value>",
        ),
        (
            "\u{feff} <a/>",
            "text/xml",
            "<value>Internal_error</value><value>malformed request: unknown element 'a' at byte 4</value>",
        ),
    ];
    for (body, kind, expected) in table {
        let (_, sent, _) = serve(post(&format!("content-length: {}\r\n", body.len()), body).as_bytes());
        assert!(sent.contains(&format!("content-type: {kind}\r\n")) && sent.contains(expected), "{body}: {sent}");
    }
}

#[test]
fn replies_keep_the_order_of_requests_and_bound_them() {
    let mut connection = Connection::new(limits());
    connection.receive(query().repeat(6).as_bytes());
    let ids: Vec<RequestId> = std::iter::from_fn(|| connection.next()).map(|incoming| incoming.id).collect();
    assert_eq!(ids.len(), 4);
    assert!(!connection.can_read(), "as many as may wait do");
    for (at, id) in ids.iter().enumerate().rev() {
        assert!(connection.outgoing().is_empty());
        assert!(connection.reply(*id, Ok::<_, &()>(&at)));
        assert!(!connection.reply(*id, Ok::<_, &()>(&at)), "answered once");
    }
    let sent = String::from_utf8(connection.outgoing().to_vec()).unwrap();
    let results: Vec<&str> = sent.split("\"result\":").skip(1).map(|reply| &reply[..1]).collect();
    assert_eq!(results, ["0", "1", "2", "3"]);
    assert!(connection.can_read());
    assert!(connection.next().is_some() && connection.next().is_some() && connection.next().is_none());
}

#[test]
fn a_client_that_leaves_its_replies_is_not_read() {
    let mut connection = Connection::new(limits());
    connection.receive(query().repeat(2).as_bytes());
    let id = connection.next().unwrap().id;
    connection.reply(id, Ok::<_, &()>(&Value::String("x".repeat(500))));
    assert!(!connection.can_read() && connection.next().is_none());
    assert_eq!(connection.waiting(), Waiting::Send(0));
    connection.advance(200);
    assert_eq!((connection.waiting(), connection.patience_ns()), (Waiting::Send(200), Some(limits().send_ns)));
    assert!(connection.can_read() && connection.next().is_some());
}

#[test]
fn a_wait_has_its_time_and_its_end() {
    let mut connection = Connection::new(limits());
    assert_eq!((connection.waiting(), connection.patience_ns()), (Waiting::Request(0), Some(limits().idle_ns)));
    connection.receive(&query().as_bytes()[..20]);
    assert!(connection.next().is_none());
    assert_eq!((connection.waiting(), connection.patience_ns()), (Waiting::Rest(0), Some(limits().request_ns)));
    connection.receive(&query().as_bytes()[20..]);
    let id = connection.next().unwrap().id;
    assert_eq!((connection.waiting(), connection.patience_ns()), (Waiting::Answer, None));
    connection.reply(id, Ok::<_, &()>(&()));
    connection.advance(connection.outgoing().len());
    assert_eq!(connection.waiting(), Waiting::Request(1));

    connection.receive(b"POST");
    connection.expire();
    assert!(connection.outgoing().starts_with(b"HTTP/1.1 408 ") && !connection.can_read());
    connection.advance(connection.outgoing().len());
    assert!(connection.wants_close());

    let mut idle = Connection::new(limits());
    idle.expire();
    assert!(idle.wants_close() && idle.outgoing().is_empty());
}

#[test]
fn what_was_asked_before_the_end_is_answered() {
    let mut connection = Connection::new(limits());
    connection.receive((query() + "POST /").as_bytes());
    connection.end();
    let id = connection.next().unwrap().id;
    assert!(connection.next().is_none() && !connection.wants_close());
    assert!(connection.outgoing().is_empty(), "the first answer comes first");
    connection.reply(id, Ok::<_, &()>(&()));
    let sent = String::from_utf8(connection.outgoing().to_vec()).unwrap();
    assert_eq!(statuses(&sent), [200, 400]);
    assert!(sent.ends_with("\r\n\r\nrequest is cut off\n"));

    let mut idle = Connection::new(limits());
    idle.end();
    assert!(idle.next().is_none() && idle.wants_close() && idle.outgoing().is_empty());
}

#[test]
fn continue_is_sent_before_the_body_comes() {
    let expecting = query().replace("POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nExpect: 100-continue\r\n");
    let (head, body) = expecting.split_at(expecting.len() - QUERY.len());
    let mut connection = Connection::new(limits());
    connection.receive((query() + head).as_bytes());
    let id = connection.next().unwrap().id;
    assert!(connection.next().is_none() && connection.outgoing().is_empty(), "not before the answer that is due first");
    connection.reply(id, Ok::<_, &()>(&()));
    assert!(connection.outgoing().ends_with(b"HTTP/1.1 100 Continue\r\n\r\n"));
    connection.receive(body.as_bytes());
    let id = connection.next().unwrap().id;
    connection.reply(id, Ok::<_, &()>(&()));
    assert_eq!(statuses(str::from_utf8(connection.outgoing()).unwrap()), [200, 100, 200]);
}

#[test]
fn an_answer_without_a_form_becomes_an_error() {
    let keys = std::collections::BTreeMap::from([(Some([1]), 2)]);
    for body in [QUERY, XML] {
        let mut connection = Connection::new(limits());
        connection.receive(post(&format!("content-length: {}\r\n", body.len()), body).as_bytes());
        let id = connection.next().unwrap().id;
        connection.reply(id, Ok::<_, &()>(&keys));
        let sent = String::from_utf8(connection.outgoing().to_vec()).unwrap();
        assert!(sent.contains("Internal_error") && sent.contains("answer has no form on the wire"), "{sent}");
    }
}

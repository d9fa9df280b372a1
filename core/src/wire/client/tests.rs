//! What a client sends, and what it makes of each kind of response.

use super::*;

const ANSWER: &str = r#"{"result":"a","error":null,"id":0}"#;

fn http() -> Transport {
    Transport::Http { host: "localhost".to_owned(), path: "/var/lib/xcp/xenopsd".to_owned() }
}

/// What one call gets of these bytes, and of the connection's end.
fn answer(transport: Transport, bytes: &[u8]) -> Result<Result<Value, Value>, Failure> {
    let limits = Limits { head_bytes: 200, body_bytes: 100, ..Limits::default() };
    let mut client = Client::new(transport, Encoding::Json, limits);
    client.call("m", &[Value::Null]).unwrap();
    client.receive(bytes);
    client.end();
    let answer = client.next().unwrap();
    assert_eq!(client.next(), None, "one answer for one call");
    answer
}

#[test]
fn what_is_sent() {
    let body = r#"{"method":"m","params":[],"id":1}"#;
    let xml = "<?xml version=\"1.0\"?><methodCall><methodName>m</methodName><params></params></methodCall>";
    let table = [
        (Transport::Binary, Encoding::Json, format!("{:016}{body}", body.len())),
        (
            http(),
            Encoding::Xml,
            format!(
                "POST /var/lib/xcp/xenopsd HTTP/1.1\r\nhost: localhost\r\nuser-agent: xenops\r\n\
                 content-type: text/xml\r\ncontent-length: {}\r\n\r\n{xml}",
                xml.len()
            ),
        ),
    ];
    for (transport, encoding, expected) in table {
        let mut client = Client::new(transport, encoding, Limits::default());
        client.call::<Value>("m", &[]).unwrap();
        assert_eq!(str::from_utf8(client.outgoing()), Ok(expected.as_str()));
        client.advance(expected.len());
        assert!(client.outgoing().is_empty() && client.next().is_none());
    }
}

#[test]
fn responses() {
    let done = || Ok(Ok(Value::String("a".to_owned())));
    let framing = |why: &str| Err(Failure::Framing(why.to_owned()));
    let length = ANSWER.len();
    let (a, b) = ANSWER.split_at(5);
    let table = [
        (format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{ANSWER}"), done()),
        (format!("HTTP/1.0 200\n\n{ANSWER}"), done()),
        (
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n",
                b.len()
            ),
            done(),
        ),
        (format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{ANSWER}"), done()),
        (
            "HTTP/1.1 200 OK\r\n\r\n<methodResponse><fault><value/></fault></methodResponse>".to_owned(),
            Ok(Err(Value::List(vec![Value::String("fault".to_owned())]))),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
            Err(Failure::Body(Malformed("field 'result' is missing".to_owned()))),
        ),
        ("HTTP/1.1 404 Not Found\r\n\r\n no\n".to_owned(), Err(Failure::Status(404, "no".to_owned()))),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), Err(Failure::Status(204, String::new()))),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{".to_owned(), Err(Failure::Ended)),
        (String::new(), Err(Failure::Ended)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n".to_owned(), framing("body exceeds 100 bytes")),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(101)), framing("body exceeds 100 bytes")),
        (format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(200)), framing("head exceeds 200 bytes")),
        ("SSH-2.0\r\n\r\n".to_owned(), framing("not HTTP/1.1 or HTTP/1.0")),
    ];
    for (bytes, expected) in table {
        assert_eq!(answer(http(), bytes.as_bytes()), expected, "{bytes}");
    }
    let frame = format!("{length:016}{ANSWER}");
    assert_eq!(answer(Transport::Binary, frame.as_bytes()), done());
    assert_eq!(answer(Transport::Binary, b"HTTP/1.1"), framing("frame length has a byte that is no digit at 0"));
}

#[test]
fn every_call_gets_one_answer() {
    let mut client = Client::new(http(), Encoding::Json, Limits::default());
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{ANSWER}", ANSWER.len());
    for _ in 0..3 {
        client.call::<Value>("m", &[]).unwrap();
    }
    client.receive(response.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes());
    client.receive(response.as_bytes());
    assert!(client.next().unwrap().is_ok());
    assert_eq!(client.next(), Some(Err(Failure::Ended)), "the server said that it closes");
    assert_eq!(client.next(), Some(Err(Failure::Ended)));
    assert_eq!(client.next(), None);
}

#[test]
fn what_was_not_asked_for_is_no_answer() {
    let mut client = Client::new(Transport::Binary, Encoding::Json, Limits::default());
    client.receive(format!("{:016}{ANSWER}", ANSWER.len()).as_bytes());
    assert_eq!(client.next(), None);
    client.call::<Value>("m", &[]).unwrap();
    assert_eq!(client.next(), Some(Err(Failure::Framing("bytes came that answer no call".to_owned()))));
}

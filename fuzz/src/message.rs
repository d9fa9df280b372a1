//! A text as the body of a call and of an answer, in either encoding.

use std::fmt::Debug;
use xenops_core::interface::{Answer, Call, Decode, Error, Kind, Request, Value};
use xenops_core::wire::{Client, Connection, Encoding, Failure, Limits, Transport};

/// Bytes beyond which an input only repeats itself.
const LONGEST: usize = 16 << 10;

/// JSON-RPC: any text.
pub fn json(data: &[u8]) {
    if !looks_like_xml(data) {
        message(data, Encoding::Json);
    }
}

/// XML-RPC: any text.
pub fn xml(data: &[u8]) {
    if looks_like_xml(data) {
        message(data, Encoding::Xml);
    }
}

fn looks_like_xml(data: &[u8]) -> bool {
    data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(data).trim_ascii_start().starts_with(b"<")
}

/// What can be read can be written in both encodings and is read again as the same; what cannot is answered
/// by an error.
fn message(body: &[u8], encoding: Encoding) {
    if body.len() > LONGEST {
        return;
    }
    if let Ok(request) = read_call(body, &limits(0)) {
        check_call(&request);
    }
    match read_answer(body, &limits(0)) {
        Ok(answer) => check_answer(answer, encoding),
        Err(Failure::Body(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// Of calls the small ones are enough; what is written again may nest deeper by its wrapping.
fn limits(more: usize) -> Limits {
    let Limits { depth, values, string_bytes, .. } = Limits::default();
    Limits { depth: depth + more, values: values + more, string_bytes: 8 * string_bytes, ..Limits::default() }
}

fn check_call(request: &Request) {
    let (method, named) = request.encode();
    for encoding in [Encoding::Json, Encoding::Xml] {
        let read = read_call(&write_call(encoding, method, &named), &limits(4));
        assert_eq!(read.as_ref(), Ok(&expected(request, encoding)), "{encoding:?}");
    }
}

/// A request as the encoding can say it.
fn expected(request: &Request, encoding: Encoding) -> Request {
    let (method, named) = request.encode();
    Request::decode(method, &[said(named, encoding)]).expect("dropping what XML cannot say leaves a request")
}

fn check_answer(answer: Result<Value, Value>, encoding: Encoding) {
    for encoding in [Encoding::Json, Encoding::Xml] {
        let seen = |value: &Value| said(value.clone(), encoding);
        // In JSON a null error is none.
        if encoding == Encoding::Json && answer.as_ref().is_err_and(|value| seen(value) == Value::Null) {
            continue;
        }
        let written = write_answer(encoding, answer.as_ref());
        let read = read_answer(&written, &limits(4)).expect("what was written can be read");
        assert_same(&read, &answer.as_ref().map(seen).map_err(seen));
    }
    match &answer {
        Ok(value) => Call::METHODS.iter().for_each(|(_, kind)| check_typed(*kind, value, encoding)),
        Err(value) => {
            if let Ok(error) = Error::decode(value) {
                assert_eq!(Error::decode(&value_of(&error)).as_ref(), Ok(&error));
            }
        }
    }
}

fn check_typed(kind: Kind, value: &Value, encoding: Encoding) {
    if let Ok(typed) = Answer::decode(kind, value) {
        let written = write_answer(encoding, Ok::<_, &()>(&typed));
        let read = read_answer(&written, &limits(4)).expect("what was written can be read").expect("no error");
        let again = Answer::decode(kind, &read).unwrap_or_else(|why| panic!("{kind:?}: {why}"));
        let said = Answer::decode(kind, &said(value_of(&typed), encoding)).expect("what XML drops leaves the type");
        assert_same(&again, &said);
    }
}

/// A value as an encoding gives it back. XML has integers as text and drops what it has no sign for; JSON has
/// no number that is none.
fn said(value: Value, encoding: Encoding) -> Value {
    let text = |text: String| match encoding {
        Encoding::Json => text,
        Encoding::Xml => text.replace(|c: char| c < ' ' && !"\t\n\r".contains(c) || "\u{fffe}\u{ffff}".contains(c), ""),
    };
    match value {
        Value::Int(int) if encoding == Encoding::Xml => Value::String(int.to_string()),
        Value::Float(float) if encoding == Encoding::Json && !float.is_finite() => Value::Null,
        Value::String(string) => Value::String(text(string)),
        Value::List(items) => Value::List(items.into_iter().map(|item| said(item, encoding)).collect()),
        Value::Dict(entries) => {
            Value::Dict(entries.into_iter().map(|(key, value)| (text(key), said(value, encoding))).collect())
        }
        other => other,
    }
}

/// Not-a-number is no equal of itself, but its text is.
#[track_caller]
fn assert_same(left: &impl Debug, right: &impl Debug) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
}

fn value_of(typed: &impl serde::Serialize) -> Value {
    let json = serde_json::to_string(typed).expect("a wire type has a JSON text");
    serde_json::from_str(&json).expect("and it can be read")
}

fn frame(body: &[u8]) -> Vec<u8> {
    [format!("{:016}", body.len()).as_bytes(), body].concat()
}

/// A body as a call; the reply that refuses it must be an error in the body's own encoding.
fn read_call(body: &[u8], limits: &Limits) -> Result<Request, Error> {
    let mut server = Connection::new(limits.clone());
    server.receive(&frame(body));
    if let Some(incoming) = server.next() {
        return Ok(incoming.request);
    }
    let reply = &server.outgoing()[16..];
    assert_eq!(looks_like_xml(reply), looks_like_xml(body));
    match read_answer(reply, &Limits::default()) {
        Ok(Err(error)) => Err(Error::decode(&error).expect("an error of the interface")),
        other => panic!("{other:?}"),
    }
}

fn read_answer(body: &[u8], limits: &Limits) -> Result<Result<Value, Value>, Failure> {
    let mut client = Client::new(Transport::Binary, Encoding::Json, limits.clone());
    client.call::<()>("query", &[]).expect("no parameter that has no form");
    client.receive(&frame(body));
    client.next().expect("a whole frame is an answer or none")
}

fn write_call(encoding: Encoding, method: &str, named: &Value) -> Vec<u8> {
    let mut client = Client::new(Transport::Binary, encoding, Limits::default());
    client.call(method, std::slice::from_ref(named)).expect("a request has a form in both encodings");
    client.outgoing()[16..].to_vec()
}

fn write_answer<T: serde::Serialize, E: serde::Serialize>(encoding: Encoding, answer: Result<&T, &E>) -> Vec<u8> {
    let call = match encoding {
        Encoding::Json => r#"{"method":"query","params":["d",null],"id":1}"#.as_bytes(),
        Encoding::Xml => b"<methodCall><methodName>HOST.stat</methodName><params><param><value><struct><member><name>debug_info</name><value>d</value></member></struct></value></param></params></methodCall>",
    };
    let mut server = Connection::new(Limits::default());
    server.receive(&frame(call));
    let id = server.next().expect("a call").id;
    server.reply(id, answer);
    server.outgoing()[16..].to_vec()
}

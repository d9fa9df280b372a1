//! What holds of any bytes and any values, in both framings and both encodings.

use super::{Client, Connection, Encoding, Incoming, Limits, Transport, json, xml, xml_writer};
use crate::interface::{Request, Value};
use proptest::collection::vec;
use proptest::prelude::*;

/// A value as XML gives it back: integers as text, and without what XML cannot say.
pub(super) fn as_xml(value: Value) -> Value {
    let said =
        |text: String| text.replace(|c: char| c < ' ' && !"\t\n\r".contains(c) || "\u{fffe}\u{ffff}".contains(c), "");
    match value {
        Value::Int(int) => Value::String(int.to_string()),
        Value::String(text) => Value::String(said(text)),
        Value::List(items) => Value::List(items.into_iter().map(as_xml).collect()),
        Value::Dict(entries) => {
            Value::Dict(entries.into_iter().map(|(key, value)| (said(key), as_xml(value))).collect())
        }
        other => other,
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("JSON has no infinities", |float| float.is_finite()).prop_map(Value::Float),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::List),
            vec((any::<String>(), inner), 0..5).prop_map(Value::Dict),
        ]
    })
}

/// Requests of every form, good and bad, as bytes of one connection.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let bodies = prop_oneof![
        Just(r#"{"method":"query","params":[{"unit":null,"debug_info":"d"}],"id":1}"#.to_owned()),
        Just(r#"{"method":"query","params":["d",null],"id":"x"}"#.to_owned()),
        Just("<methodCall><methodName>HOST.stat</methodName></methodCall>".to_owned()),
        Just("{".to_owned()),
        Just(String::new()),
    ];
    let wrapped = (bodies, 0..9usize).prop_map(|(body, form)| {
        let (length, half) = (body.len(), body.len() / 2);
        let chunks =
            format!("{half:x}\r\n{}\r\n{:x};e\r\n{}\r\n0\r\nT: r\r\n\r\n", &body[..half], length - half, &body[half..]);
        match form {
            0 | 1 => format!("{length:016}{body}"),
            2 => format!("POST / HTTP/1.0\r\ncontent-length: {length}\r\nconnection: keep-alive\r\n\r\n{body}"),
            3 if half > 0 => format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"),
            4 if half > 0 => {
                format!("POST / HTTP/1.1\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")
            }
            5 => format!("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n{body}"),
            6 => "\r\nGET /a HTTP/1.1\r\n\r\n".to_owned(),
            7 => format!("POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"),
            _ => format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}"),
        }
    });
    // Sometimes a byte is another one, sometimes the end is missing.
    let damage = proptest::option::weighted(0.4, (any::<prop::sample::Index>(), any::<u8>()));
    (vec(wrapped, 1..6), damage, proptest::option::weighted(0.3, any::<prop::sample::Index>())).prop_map(
        |(requests, damage, cut)| {
            let mut bytes = requests.concat().into_bytes();
            if let Some((at, byte)) = damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let end = cut.map_or(bytes.len(), |cut| cut.index(bytes.len() + 1));
            bytes.truncate(end);
            bytes
        },
    )
}

/// What a connection gives for its bytes in these portions, and for their end.
struct Served {
    requests: Vec<Request>,
    sent: Vec<u8>,
    closes: bool,
}

fn serve<'a>(portions: impl IntoIterator<Item = &'a [u8]>, at_once: bool) -> Served {
    let limits = Limits { head_bytes: 200, body_bytes: 200, ..Limits::default() };
    let mut connection = Connection::new(limits);
    let (mut served, mut open) = (Served { requests: vec![], sent: vec![], closes: false }, vec![]);
    let portions: Vec<Option<&[u8]>> = portions.into_iter().map(Some).chain([None]).collect();
    for portion in portions {
        match portion {
            Some(bytes) => connection.receive(bytes),
            None => connection.end(),
        }
        while let Some(Incoming { id, request }) = connection.next() {
            served.requests.push(request);
            open.push(id);
            if at_once {
                connection.reply(id, Ok::<_, &()>(&id.0));
            }
        }
    }
    for id in open.into_iter().rev().filter(|_| !at_once) {
        assert!(connection.reply(id, Ok::<_, &()>(&id.0)));
    }
    served.sent.extend(connection.outgoing());
    connection.advance(served.sent.len());
    served.closes = connection.wants_close();
    served
}

fn portions<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// How many replies there are in what was sent, all of it being replies.
fn replies(sent: &[u8], binary: bool) -> usize {
    let (mut rest, mut count) = (sent, 0);
    while !rest.is_empty() {
        let (head, length, interim) = if binary {
            (16, str::from_utf8(&rest[..16]).unwrap().parse().unwrap(), false)
        } else {
            let mut headers = [httparse::EMPTY_HEADER; 8];
            let mut response = httparse::Response::new(&mut headers);
            let head = response.parse(rest).unwrap().unwrap();
            let length = response.headers.iter().find(|header| header.name == "content-length");
            let length = length.map_or(0, |header| str::from_utf8(header.value).unwrap().parse().unwrap());
            (head, length, response.code == Some(100))
        };
        let body = &rest[head..head + length];
        match body.first() {
            Some(b'{') => drop(json::parse_answer(body, &Limits::default()).unwrap()),
            Some(b'<') => drop(xml::parse_answer(body, &Limits::default()).unwrap()),
            _ => assert!(!binary),
        }
        count += usize::from(!interim);
        rest = &rest[head + length..];
    }
    count
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_survives_both_encodings(value in values()) {
        let (mut call, mut answer) = (vec![], vec![]);
        json::write_call(&mut call, "m", std::slice::from_ref(&value)).unwrap();
        prop_assert_eq!(&json::parse_call(&call, &Limits::default()).unwrap().params[0], &value);
        json::write_answer(&mut answer, Ok::<_, &()>(&value)).unwrap();
        prop_assert_eq!(json::parse_answer(&answer, &Limits::default()).unwrap().unwrap(), value.clone());

        let expected = as_xml(value.clone());
        let (mut call, mut answer) = (vec![], vec![]);
        xml_writer::write_call(&mut call, "m", std::slice::from_ref(&value)).unwrap();
        prop_assert_eq!(&xml::parse_call(&call, &Limits::default()).unwrap().params[0], &expected);
        xml_writer::write_answer(&mut answer, Ok::<_, &()>(&value)).unwrap();
        prop_assert_eq!(xml::parse_answer(&answer, &Limits::default()).unwrap().unwrap(), expected);
    }

    #[test]
    fn portions_do_not_matter(bytes in requests(), cuts in vec(any::<prop::sample::Index>(), 0..20), at_once: bool) {
        let whole = serve([bytes.as_slice()], at_once);
        for cut in [portions(&bytes, &cuts), bytes.chunks(1).collect()] {
            let served = serve(cut, at_once);
            prop_assert_eq!(&served.requests, &whole.requests);
            prop_assert_eq!(served.sent.escape_ascii().to_string(), whole.sent.escape_ascii().to_string());
            prop_assert!(served.closes && whole.closes);
        }
        let binary = bytes.first().is_some_and(u8::is_ascii_digit);
        prop_assert!(replies(&whole.sent, binary) >= whole.requests.len());
    }

    #[test]
    fn any_bytes_get_replies_or_none(start in prop::sample::select(&["", "0000000000000009", "POST / HTTP/1.1\r\ncontent-length: 30\r\n\r\n", "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"][..]), rest in vec(any::<u8>(), 0..200)) {
        let bytes = [start.as_bytes(), &rest].concat();
        let served = serve([bytes.as_slice()], true);
        let binary = bytes.first().is_some_and(u8::is_ascii_digit);
        let blank = bytes.iter().all(|b| matches!(b, b'\r' | b'\n'));
        prop_assert!(served.closes);
        prop_assert_eq!(replies(&served.sent, binary) == 0, blank);
    }

    #[test]
    fn any_text_is_a_call_or_malformed(text in "[\\[\\]{}\",:0-9a-z. -]{0,60}|(<(/?(value|int|nil|array|data|struct|member|name|!--|!\\[CDATA\\[|!DOCTYPE|\\?)>?|>)|&|;|--|\\]\\]|\\?>|a){0,30}") {
        let limits = Limits::default();
        let _ = json::parse_call(text.as_bytes(), &limits);
        let _ = xml::parse_answer(text.as_bytes(), &limits);
        let _ = xml::parse_call(format!("<methodCall><methodName>{text}").as_bytes(), &limits);
        let _ = xml::parse_answer(format!("<methodResponse><params><param>{text}").as_bytes(), &limits);
    }

    #[test]
    fn a_client_understands_the_server(
        value in values(), binary: bool, xml: bool, fails: bool, cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let transport = match binary {
            true => Transport::Binary,
            false => Transport::Http { host: "localhost".to_owned(), path: "/".to_owned() },
        };
        let encoding = if xml { Encoding::Xml } else { Encoding::Json };
        let mut client = Client::new(transport, encoding, Limits::default());
        let named = Value::Dict(vec![("debug_info".to_owned(), Value::String("d".to_owned()))]);
        for _ in 0..2 {
            client.call("HOST.stat", std::slice::from_ref(&named)).unwrap();
        }
        let mut server = Connection::new(Limits::default());
        server.receive(client.outgoing());
        let ids: Vec<_> = std::iter::from_fn(|| server.next()).map(|incoming| incoming.id).collect();
        // A null error is no error, and a struct with a status is no plain result.
        let answer = if fails && value != Value::Null { Err(&value) } else { Ok(&value) };
        for id in &ids {
            server.reply(*id, answer);
        }
        let mut answers = vec![];
        for portion in portions(server.outgoing(), &cuts) {
            client.receive(portion);
            answers.extend(std::iter::from_fn(|| client.next()));
        }
        let seen = |value: &Value| if xml { as_xml(value.clone()) } else { value.clone() };
        let expected = answer.map(seen).map_err(seen);
        prop_assert_eq!(answers, [Ok(expected.clone()), Ok(expected)]);
    }
}

#[test]
fn samples_decode_and_encode_to_the_same_value() {
    let limits = Limits::default();
    let text = |line: &str, field: &str| {
        let Value::Dict(sample) = json::parse(line.as_bytes(), &limits).unwrap() else { panic!("{line}") };
        sample.into_iter().find(|(key, _)| key == field).map(|(_, value)| value).unwrap()
    };
    let json_lines = include_str!("../../tests/data/rpc-samples.jsonl").lines().map(|line| (line, false));
    let xml_lines = include_str!("../../tests/data/rpc-samples-xml.jsonl").lines().map(|line| (line, true));
    for (line, xml) in json_lines.chain(xml_lines) {
        let body = match text(line, "body") {
            Value::String(body) if xml => body.into_bytes(),
            body => serde_json::to_vec(&body).unwrap(),
        };
        let (encoding, body) = Encoding::of(&body).unwrap();
        assert_eq!(encoding == Encoding::Xml, xml);
        let mut out = vec![];
        if text(line, "direction") == Value::String("request".to_owned()) {
            let call = encoding.parse_call(body, &limits).unwrap();
            encoding.write_call(&mut out, &call.method, &call.params).unwrap();
            assert_eq!(encoding.parse_call(&out, &limits).as_ref(), Ok(&call));
        } else {
            let answer = encoding.parse_answer(body, &limits).unwrap();
            encoding.write_answer(&mut out, answer.as_ref());
            assert_eq!(encoding.parse_answer(&out, &limits), Ok(answer));
        }
        // But for the request's number, upstream's bytes are ours.
        if xml {
            assert_eq!(str::from_utf8(&out), str::from_utf8(body));
        }
    }
}

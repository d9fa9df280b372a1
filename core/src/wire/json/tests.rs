//! JSON-RPC by table: what is a call, an answer, a value within bounds, and what is written.

use super::*;

fn limits() -> Limits {
    Limits { depth: 3, string_bytes: 8, values: 12, ..Limits::default() }
}

fn dict(entries: &[(&str, Value)]) -> Value {
    Value::Dict(entries.iter().map(|(key, value)| (key.to_string(), value.clone())).collect())
}

#[test]
fn calls_of_both_versions() {
    let named = dict(&[("a", Value::Int(1))]);
    let table = [
        (r#"{"method":"m","params":[],"id":1}"#, vec![]),
        (r#" {"id":"x","params":[1, null],"method":"m"} "#, vec![Value::Int(1), Value::Null]),
        (r#"{"method":"m","params":[{"a":1}],"id":1,"more":{}}"#, vec![named.clone()]),
        (r#"{"method":"m","method":"n","params":[],"params":[1],"id":1,"id":null}"#, vec![]),
        (r#"{"jsonrpc":"2.0","method":"m","params":{"a":1},"id":1}"#, vec![named]),
        (r#"{"jsonrpc":"2.0","method":"m","params":[2],"id":1}"#, vec![Value::Int(2)]),
        (r#"{"jsonrpc":"2.0","method":"m","params":null,"id":1}"#, vec![]),
        (r#"{"jsonrpc":"2.0","method":"m","id":1}"#, vec![]),
    ];
    for (text, params) in table {
        let call = parse_call(text.as_bytes(), &limits()).unwrap();
        assert_eq!((call.method.as_str(), call.params), ("m", params), "{text}");
    }
}

#[test]
fn what_is_no_call() {
    let table = [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("[]", "message is not an object"),
        ("{}x", "trailing characters at line 1 column 3"),
        ("{}", "field 'method' is missing"),
        (r#"{"method":1}"#, "field 'method' is not a string"),
        (r#"{"method":"m","id":1}"#, "field 'params' is missing"),
        (r#"{"method":"m","params":{},"id":1}"#, "field 'params' is not an array"),
        (r#"{"method":"m","params":[]}"#, "field 'id' is missing"),
        (r#"{"method":"m","params":[],"id":null}"#, "field 'id' is not an integer or a string"),
        (r#"{"method":"m","params":[],"id":1.0}"#, "field 'id' is not an integer or a string"),
        (r#"{"jsonrpc":"1.0","method":"m","id":1}"#, "field 'jsonrpc' is not \"2.0\" or absent"),
        (r#"{"jsonrpc":"2.0","method":"m","params":1,"id":1}"#, "field 'params' is not an array or an object"),
    ];
    for (text, why) in table {
        assert_eq!(parse_call(text.as_bytes(), &limits()), Err(Malformed(why.to_owned())), "{text}");
    }
}

#[test]
fn values_within_their_bounds() {
    let table = [
        ("9223372036854775807", Ok(Value::Int(i64::MAX))),
        ("-9223372036854775808", Ok(Value::Int(i64::MIN))),
        ("9223372036854775808", Err("integer does not fit in 64 bits signed at line 1 column 19")),
        ("[\"\\\"1\",-9223372036854775809]", Err("integer at byte 7 does not fit in 64 bits signed")),
        ("18446744073709551616 ", Err("integer at byte 0 does not fit in 64 bits signed")),
        ("18446744073709551616.0", Ok(Value::Float(18446744073709551616.0))),
        ("{\"99999999999999999999\":1}", Err("string exceeds 8 bytes at line 1 column 23")),
        ("[1e30,\"-9\\\\\"]", Ok(Value::List(vec![Value::Float(1e30), Value::String("-9\\".to_owned())]))),
        ("1e3", Ok(Value::Float(1000.0))),
        ("1e999", Err("number out of range at line 1 column 5")),
        ("NaN", Err("expected value at line 1 column 1")),
        ("\"\\u00e9\\n\u{7f}\"", Ok(Value::String("é\n\u{7f}".to_owned()))),
        ("\"123456789\"", Err("string exceeds 8 bytes at line 1 column 11")),
        ("[[[]]]", Ok(Value::List(vec![Value::List(vec![Value::List(vec![])])]))),
        ("[[{\"\":[]}]]", Err("nested deeper than 3 at line 1 column 8")),
        ("[[[[[[[[[[", Err("nested deeper than 3 at line 1 column 4")),
        ("[1,2,3,4,5,6,7,8,9,10,11,12]", Err("more than 12 values at line 1 column 25")),
    ];
    for (text, expected) in table {
        let expected = expected.map_err(|why| Malformed(why.to_owned()));
        assert_eq!(parse(text.as_bytes(), &limits()), expected, "{text}");
    }
    assert!(parse(b"\"\xff\"", &limits()).is_err());
}

#[test]
fn answers() {
    let table = [
        (r#"{"result":"43","error":null,"id":0}"#, Ok(Ok(Value::String("43".to_owned())))),
        (r#"{"result":null,"error":null,"id":0}"#, Ok(Ok(Value::Null))),
        (r#"{"result":1}"#, Ok(Ok(Value::Int(1)))),
        (r#"{"result":null,"error":["E"],"id":0}"#, Ok(Err(Value::List(vec![Value::String("E".to_owned())])))),
        (r#"{"error":"E"}"#, Ok(Err(Value::String("E".to_owned())))),
        (r#"{"result":1,"error":"E","id":0}"#, Err(Malformed("response has both a result and an error".to_owned()))),
        (r#"{"error":null,"id":0}"#, Err(Malformed("field 'result' is missing".to_owned()))),
    ];
    for (text, expected) in table {
        assert_eq!(parse_answer(text.as_bytes(), &limits()), expected, "{text}");
    }
}

#[test]
fn writing() {
    let mut out = Vec::new();
    write_answer(&mut out, Ok::<_, &()>(&(1.0, f64::NAN, f64::INFINITY, "é\u{1}\"/\n"))).unwrap();
    assert_eq!(str::from_utf8(&out), Ok("{\"result\":[1.0,null,null,\"é\\u0001\\\"/\\n\"],\"error\":null,\"id\":0}"));
    out.clear();
    write_answer(&mut out, Err::<&(), _>(&("E", ["a"]))).unwrap();
    assert_eq!(str::from_utf8(&out), Ok(r#"{"result":null,"error":["E",["a"]],"id":0}"#));
    out.clear();
    write_call(&mut out, "VM.list", &[dict(&[("unit", Value::Null)])]).unwrap();
    assert_eq!(str::from_utf8(&out), Ok(r#"{"method":"VM.list","params":[{"unit":null}],"id":1}"#));
}

//! XML-RPC by table: every type of value, every way to be none, calls and answers.

use super::super::xml_writer;
use super::*;

fn limits() -> Limits {
    Limits { depth: 2, string_bytes: 22, values: 6, ..Limits::default() }
}

/// The one parameter of a call that holds `value`.
fn parse(value: &str) -> Result<Value, Malformed> {
    let text = format!("<methodCall><methodName>m</methodName><params><param>{value}</param></params></methodCall>");
    parse_call(text.as_bytes(), &limits()).map(|mut call| call.params.remove(0))
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn values_of_every_type() {
    let table = [
        ("<value>a</value>", text("a")),
        ("<value/>", text("")),
        ("<value></value>", text("")),
        ("<value>  \n</value>", text("  \n")),
        ("<value>5</value>", text("5")),
        ("<value><string> a </string></value>", text(" a ")),
        ("<value> <string/>\n</value>", text("")),
        ("<value>a&lt;&gt;&amp;&quot;&apos;&#x41;&#66;</value>", text("a<>&\"'AB")),
        ("<value>a<![CDATA[<&]]>b<!-- c --><?d?>e</value>", text("a<&be")),
        ("<value>a\r\nb\rc&#13;</value>", text("a\nb\nc\r")),
        ("<value><int> -3\n</int></value>", Value::Int(-3)),
        ("<value><i4>4</i4></value>", Value::Int(4)),
        ("<value><i8>9223372036854775807</i8></value>", Value::Int(i64::MAX)),
        ("<value><boolean>1</boolean></value>", Value::Bool(true)),
        ("<value><boolean>0</boolean></value>", Value::Bool(false)),
        ("<value><boolean>true</boolean></value>", Value::Bool(false)),
        ("<value><double>1.5e3</double></value>", Value::Float(1500.0)),
        ("<value><nil/></value>", Value::Null),
        ("<value><nil> </nil></value>", Value::Null),
        ("<value><base64>YQ==</base64></value>", text("YQ==")),
        ("<value><dateTime.iso8601>20260801</dateTime.iso8601></value>", text("20260801")),
        ("<value><array><data/></array></value>", Value::List(vec![])),
        (
            " <value a='b'> <array> <data> <!-- c --> <value>a</value> <value/> </data> </array> </value> ",
            Value::List(vec![text("a"), text("")]),
        ),
        ("<value><struct/></value>", Value::Dict(vec![])),
        (
            "<value><struct> <member> <name>a&lt;</name> <value><nil/></value> </member>\
             <member><name/><value>b</value></member></struct></value>",
            Value::Dict(vec![("a<".to_owned(), Value::Null), (String::new(), text("b"))]),
        ),
    ];
    for (xml, expected) in table {
        assert_eq!(parse(xml), Ok(expected), "{xml}");
    }
}

#[test]
fn values_that_are_none() {
    let array = |inner: &str| format!("<value><array><data>{inner}</data></array></value>");
    let table = [
        ("<value><int>x</int></value>".to_owned(), "text is no integer of 64 bits signed"),
        ("<value><i8>9223372036854775808</i8></value>".to_owned(), "text is no integer of 64 bits signed"),
        ("<value><double/></value>".to_owned(), "text is no number"),
        ("<value>a<nil/></value>".to_owned(), "text beside a type"),
        ("<value><nil/>a</value>".to_owned(), "text outside a value"),
        ("<value><nil>a</nil></value>".to_owned(), "text outside a value"),
        ("<value><nil/><nil/></value>".to_owned(), "unexpected element 'nil'"),
        ("<value><string><nil/></string></value>".to_owned(), "unexpected element 'nil'"),
        ("<value><param/></value>".to_owned(), "unexpected element 'param'"),
        ("<value><b/></value>".to_owned(), "unknown element 'b'"),
        ("<value><array/></value>".to_owned(), "element ends too early"),
        ("<value><struct><member><name>a</name></member></struct></value>".to_owned(), "element ends too early"),
        ("<value>&a;</value>".to_owned(), "unknown entity 'a'"),
        ("<value>&#0;</value>".to_owned(), "invalid character reference"),
        ("<value>&#xd800;</value>".to_owned(), "invalid character reference"),
        ("<value>&amp</value>".to_owned(), "entity or character reference not closed"),
        ("<value></int>".to_owned(), "expected `</value>`, but `</int>` was found"),
        ("<value><!DOCTYPE a></value>".to_owned(), "refused document type declaration"),
        ("<nil/>".to_owned(), "unexpected element 'nil'"),
        ("<value/><value/>".to_owned(), "unexpected element 'value'"),
        ("<value>12345678901234567890123</value>".to_owned(), "string exceeds 22 bytes"),
        ("<value>1234567890123456789012&lt;</value>".to_owned(), "string exceeds 22 bytes"),
        (array(&array(&array(""))), "nested deeper than 2"),
        (array(&"<value/>".repeat(6)), "more than 6 values"),
    ];
    for (xml, expected) in table {
        let Malformed(why) = parse(&xml).expect_err(&xml);
        assert!(why.contains(expected) && why.contains(" at byte "), "{xml}: {why}");
    }
}

#[test]
fn calls() {
    let table = [
        ("<methodCall><methodName> a.b </methodName></methodCall>", Ok(0)),
        ("<?xml version='1.0'?><!-- c -->\n<methodCall><methodName>a.b</methodName><params/></methodCall>\n", Ok(0)),
        (
            "<methodCall><methodName>a.b</methodName><params><param><value/></param><param><value/></param></params>\
             </methodCall>",
            Ok(2),
        ),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><methodCall/>", Err("refused document type declaration at byte 30")),
        ("<methodCall/>", Err("element ends too early at byte 13")),
        ("<methodResponse/>", Err("unexpected element 'methodResponse' at byte 17")),
        ("<methodCall><methodName>m</methodName></methodCall><nil/>", Err("unexpected element 'nil' at byte 57")),
        ("<methodCall><methodName>m</methodName></methodCall>a", Err("text outside a value at byte 52")),
        ("<methodCall><methodName>m</methodName>", Err("text ends too early at byte 38")),
        ("<methodCall><methodName>m</methodName><params>", Err("text ends too early at byte 46")),
    ];
    for (xml, expected) in table {
        let call = parse_call(xml.as_bytes(), &limits());
        let expected = expected.map_err(|why| Malformed(why.to_owned()));
        assert_eq!(call.as_ref().map(|call| call.params.len()), expected.as_ref().copied(), "{xml}");
        assert!(call.is_err() || call.is_ok_and(|call| call.method == "a.b"), "{xml}");
    }
    assert!(parse_call(b"<methodCall><methodName>\xff", &limits()).is_err());
}

#[test]
fn answers() {
    let fault = "<fault><value><struct><member><name>faultCode</name><value><int>4</int></value></member><member>\
        <name>faultString</name><value>why</value></member></struct></value></fault>";
    let bare = "<params><param><value>a</value></param></params>";
    let status = |members: &str| format!("<params><param><value><struct>{members}</struct></value></param></params>");
    let success = status("<member><name>Status</name><value>Success</value></member>");
    let table = [
        (fault, Ok(Err(Value::List(vec![text("fault"), Value::Int(4), text("why")])))),
        (bare, Ok(Ok(text("a")))),
        (&status(""), Ok(Ok(Value::Dict(vec![])))),
        (&success, Err(Malformed("response has no Value".to_owned()))),
    ];
    for (inner, expected) in table {
        let xml = format!("<methodResponse>{inner}</methodResponse>");
        assert_eq!(parse_answer(xml.as_bytes(), &limits()), expected, "{inner}");
    }
    for answer in [Ok(Value::Null), Err(text("why"))] {
        let mut out = Vec::new();
        xml_writer::write_answer(&mut out, answer.as_ref()).unwrap();
        assert_eq!(parse_answer(&out, &limits()), Ok(answer));
    }
}

//! XML-RPC as rpclib writes it, straight from types that serialise: integers and strings untyped.

use super::malformed::Malformed;
use serde::{Serialize, Serializer, ser};
use std::fmt::Display;
use std::io::Write;

const DECLARATION: &str = "<?xml version=\"1.0\"?>";

pub(super) fn write_call<P: Serialize>(out: &mut Vec<u8>, method: &str, params: &[P]) -> Result<(), Malformed> {
    put(out, DECLARATION);
    put(out, "<methodCall><methodName>");
    escape(out, method);
    put(out, "</methodName><params>");
    for param in params {
        put(out, "<param>");
        param.serialize(Xml::value(out))?;
        put(out, "</param>");
    }
    put(out, "</params></methodCall>");
    Ok(())
}

/// An answer in XenAPI's `Status` struct.
pub(super) fn write_answer<T, E>(out: &mut Vec<u8>, answer: Result<&T, &E>) -> Result<(), Malformed>
where
    T: Serialize + ?Sized,
    E: Serialize + ?Sized,
{
    put(out, DECLARATION);
    put(out, "<methodResponse><params><param><value><struct><member><name>Status</name><value>");
    match answer {
        Ok(value) => {
            put(out, "Success</value></member><member><name>Value</name>");
            value.serialize(Xml::value(out))?;
        }
        Err(error) => {
            put(out, "Failure</value></member><member><name>ErrorDescription</name>");
            error.serialize(Xml::value(out))?;
        }
    }
    put(out, "</member></struct></value></param></params></methodResponse>");
    Ok(())
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Writes text as content. What XML cannot say is dropped; a carriage return would be read as a line feed.
fn escape(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| matches!(b, 0..=0x1F | b'<' | b'>' | b'&' | b'"' | 0xEF)) {
        out.extend_from_slice(&rest[..at]);
        let (replacement, length) = match &rest[at..] {
            [b'<', ..] => ("&lt;", 1),
            [b'>', ..] => ("&gt;", 1),
            [b'&', ..] => ("&amp;", 1),
            [b'"', ..] => ("&quot;", 1),
            [b'\t', ..] => ("\t", 1),
            [b'\n', ..] => ("\n", 1),
            [b'\r', ..] => ("&#13;", 1),
            [0xEF, 0xBF, 0xBE | 0xBF, ..] => ("", 3),
            [0xEF, ..] => {
                out.push(0xEF);
                ("", 1)
            }
            _ => ("", 1),
        };
        put(out, replacement);
        rest = &rest[at + length..];
    }
    out.extend_from_slice(rest);
}

/// The shortest text that reads back as the same number.
fn double(out: &mut Vec<u8>, float: f64) {
    let plain = float == 0.0 || (1e-4..1e16).contains(&float.abs());
    match float {
        _ if float.is_nan() => put(out, "nan"),
        _ if float.is_infinite() => put(out, if float > 0.0 { "inf" } else { "-inf" }),
        _ if plain => write!(out, "{float}").expect("a vector takes any bytes"),
        _ => write!(out, "{float:e}").expect("a vector takes any bytes"),
    }
}

/// Writes one value, or the name of a struct's member.
struct Xml<'a> {
    out: &'a mut Vec<u8>,
    name: bool,
}

impl<'a> Xml<'a> {
    fn value(out: &'a mut Vec<u8>) -> Xml<'a> {
        Xml { out, name: false }
    }

    fn name(out: &'a mut Vec<u8>) -> Xml<'a> {
        Xml { out, name: true }
    }

    /// Text without a type.
    fn untyped(self, text: &str) {
        let (open, close) = if self.name { ("<name>", "</name>") } else { ("<value>", "</value>") };
        put(self.out, open);
        escape(self.out, text);
        put(self.out, close);
    }

    /// Where a value that is no text begins.
    fn typed(self, opening: &str) -> Result<&'a mut Vec<u8>, Malformed> {
        if self.name {
            return Err(Malformed("name of a member is no string".to_owned()));
        }
        put(self.out, opening);
        Ok(self.out)
    }

    fn array(self) -> Result<Compound<'a>, Malformed> {
        let out = self.typed("<value><array><data>")?;
        Ok(Compound { out, closing: "</data></array></value>" })
    }

    fn members(self) -> Result<Compound<'a>, Malformed> {
        let out = self.typed("<value><struct>")?;
        Ok(Compound { out, closing: "</struct></value>" })
    }

    /// A struct whose one member is named after a variant, as in JSON.
    fn variant(self, name: &str) -> Result<&'a mut Vec<u8>, Malformed> {
        let out = self.typed("<value><struct><member>")?;
        Xml::name(out).untyped(name);
        Ok(out)
    }
}

macro_rules! integers {
    ($($method:ident $type:ty)*) => {
        $(fn $method(self, int: $type) -> Result<(), Malformed> {
            self.untyped(itoa(&mut [0; 20], i128::from(int)));
            Ok(())
        })*
    };
}

/// The decimal text of an integer of at most 64 bits.
fn itoa(buffer: &mut [u8; 20], int: i128) -> &str {
    let mut rest = &mut buffer[..];
    write!(rest, "{int}").expect("20 bytes hold any integer of 64 bits");
    let length = 20 - rest.len();
    str::from_utf8(&buffer[..length]).expect("digits are text")
}

impl<'a> Serializer for Xml<'a> {
    type Ok = ();
    type Error = Malformed;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    integers! {
        serialize_i8 i8 serialize_i16 i16 serialize_i32 i32 serialize_i64 i64
        serialize_u8 u8 serialize_u16 u16 serialize_u32 u32 serialize_u64 u64
    }

    fn serialize_bool(self, bool: bool) -> Result<(), Malformed> {
        let text = if bool { "<value><boolean>1</boolean></value>" } else { "<value><boolean>0</boolean></value>" };
        self.typed(text).map(|_| ())
    }

    fn serialize_f32(self, float: f32) -> Result<(), Malformed> {
        self.serialize_f64(f64::from(float))
    }

    fn serialize_f64(self, float: f64) -> Result<(), Malformed> {
        let out = self.typed("<value><double>")?;
        double(out, float);
        put(out, "</double></value>");
        Ok(())
    }

    fn serialize_char(self, char: char) -> Result<(), Malformed> {
        self.serialize_str(char.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), Malformed> {
        self.untyped(text);
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Malformed> {
        self.collect_seq(bytes)
    }

    fn serialize_none(self) -> Result<(), Malformed> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Malformed> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Malformed> {
        self.typed("<value><nil/></value>").map(|_| ())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Malformed> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Malformed> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Malformed> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Malformed> {
        let out = self.variant(variant)?;
        value.serialize(Xml::value(out))?;
        put(out, "</member></struct></value>");
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, Malformed> {
        self.array()
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, Malformed> {
        self.array()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, Malformed> {
        self.array()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Malformed> {
        let inside = Xml::value(self.variant(variant)?).array()?;
        Ok(Compound { closing: "</data></array></value></member></struct></value>", ..inside })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, Malformed> {
        self.members()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, Malformed> {
        self.members()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Malformed> {
        let inside = Xml::value(self.variant(variant)?).members()?;
        Ok(Compound { closing: "</struct></value></member></struct></value>", ..inside })
    }
}

impl ser::Error for Malformed {
    fn custom<T: Display>(message: T) -> Malformed {
        Malformed(message.to_string())
    }
}

/// The inside of an array or a struct.
struct Compound<'a> {
    out: &'a mut Vec<u8>,
    closing: &'static str,
}

impl Compound<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Malformed> {
        value.serialize(Xml::value(self.out))
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Malformed> {
        put(self.out, "<member>");
        Xml::name(self.out).untyped(name);
        self.element(value)?;
        put(self.out, "</member>");
        Ok(())
    }

    fn close(self) -> Result<(), Malformed> {
        put(self.out, self.closing);
        Ok(())
    }
}

/// What serde asks for with one signature: elements, or members by their names.
macro_rules! insides {
    ($($trait:ident $method:ident($($name:ident)?) $via:ident)*) => {
        $(impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Malformed;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Result<(), Malformed> {
                self.$via($($name,)? value)
            }

            fn end(self) -> Result<(), Malformed> {
                self.close()
            }
        })*
    };
}

insides! {
    SerializeSeq serialize_element() element
    SerializeTuple serialize_element() element
    SerializeTupleStruct serialize_field() element
    SerializeTupleVariant serialize_field() element
    SerializeStruct serialize_field(name) member
    SerializeStructVariant serialize_field(name) member
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Malformed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Malformed> {
        put(self.out, "<member>");
        key.serialize(Xml::name(self.out))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Malformed> {
        self.element(value)?;
        put(self.out, "</member>");
        Ok(())
    }

    fn end(self) -> Result<(), Malformed> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, json, properties, xml};
    use super::*;
    use std::collections::BTreeMap;

    fn written<T: Serialize>(value: T) -> String {
        let mut out = Vec::new();
        value.serialize(Xml::value(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_and_numbers() {
        let table = [
            (written("a<>&\"'"), "<value>a&lt;&gt;&amp;&quot;'</value>"),
            (written("\0\u{1f}\u{7f}\t\n\r\u{fffe}\u{ffff}\u{fffd}é"), "<value>\u{7f}\t\n&#13;\u{fffd}é</value>"),
            (written('<'), "<value>&lt;</value>"),
            (written(-3), "<value>-3</value>"),
            (written(u64::MAX), "<value>18446744073709551615</value>"),
            (written(i64::MIN), "<value>-9223372036854775808</value>"),
            (written(true), "<value><boolean>1</boolean></value>"),
            (written(2.0), "<value><double>2</double></value>"),
            (written(0.1 + 0.2), "<value><double>0.30000000000000004</double></value>"),
            (written(1e300), "<value><double>1e300</double></value>"),
            (written(-1e-300), "<value><double>-1e-300</double></value>"),
            (written(f64::NEG_INFINITY), "<value><double>-inf</double></value>"),
            (written(f64::NAN), "<value><double>nan</double></value>"),
            (written(1.5f32), "<value><double>1.5</double></value>"),
            (written(None::<u8>), "<value><nil/></value>"),
            (written(Some(1)), "<value>1</value>"),
        ];
        for (written, expected) in table {
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn compounds_are_those_of_json() {
        #[derive(Serialize)]
        struct Unit;
        #[derive(Serialize)]
        struct Pair(u8, u8);
        #[derive(Serialize)]
        enum Variant {
            Bare,
            One(u8),
            Two(u8, u8),
            Named { a: u8 },
        }
        #[derive(Serialize)]
        struct Record<'a> {
            pair: Pair,
            unit: Unit,
            map: BTreeMap<&'a str, u8>,
            numbered: BTreeMap<u8, ()>,
            variants: Vec<Variant>,
        }
        let record = Record {
            pair: Pair(1, 2),
            unit: Unit,
            map: BTreeMap::from([("a&", 1)]),
            numbered: BTreeMap::from([(7, ())]),
            variants: vec![Variant::Bare, Variant::One(1), Variant::Two(1, 2), Variant::Named { a: 1 }],
        };
        let mut out = Vec::new();
        write_answer(&mut out, Ok::<_, &()>(&record)).unwrap();
        let xml = xml::parse_answer(&out, &Limits::default()).unwrap().unwrap();
        let json = json::parse(&serde_json::to_vec(&record).unwrap(), &Limits::default()).unwrap();
        assert_eq!(xml, properties::as_xml(json));
    }

    #[test]
    fn only_text_and_integers_are_names() {
        for fails in [
            BTreeMap::from([(Some([1]), 1)]).serialize(Xml::value(&mut Vec::new())),
            BTreeMap::from([(None::<u8>, 1)]).serialize(Xml::value(&mut Vec::new())),
        ] {
            assert_eq!(fails, Err(Malformed("name of a member is no string".to_owned())));
        }
    }
}

//! JSON-RPC: calls of both versions are read, version 1 is written.

use super::call::Call;
use super::limits::Limits;
use super::malformed::Malformed;
use crate::interface::Value;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

pub(super) fn parse_call(text: &[u8], limits: &Limits) -> Result<Call, Malformed> {
    let mut members = Members::parse(text, limits)?;
    let version_2 = match members.take("jsonrpc") {
        None => false,
        Some(Value::String(version)) if version == "2.0" => true,
        Some(_) => return Err(invalid("jsonrpc", "\"2.0\" or absent")),
    };
    let method = match members.take("method") {
        Some(Value::String(method)) => method,
        Some(_) => return Err(invalid("method", "a string")),
        None => return Err(missing("method")),
    };
    let params = match members.take("params") {
        Some(Value::List(params)) => params,
        Some(named @ Value::Dict(_)) if version_2 => vec![named],
        None | Some(Value::Null) if version_2 => Vec::new(),
        None => return Err(missing("params")),
        Some(_) if version_2 => return Err(invalid("params", "an array or an object")),
        Some(_) => return Err(invalid("params", "an array")),
    };
    match members.take("id") {
        Some(Value::Int(_) | Value::String(_)) => Ok(Call { method, params }),
        Some(_) => Err(invalid("id", "an integer or a string")),
        None => Err(missing("id")),
    }
}

/// The value or the error that a response carries.
pub(super) fn parse_answer(text: &[u8], limits: &Limits) -> Result<Result<Value, Value>, Malformed> {
    let mut members = Members::parse(text, limits)?;
    match (members.take("result"), members.take("error")) {
        (Some(result), None | Some(Value::Null)) => Ok(Ok(result)),
        (None | Some(Value::Null), Some(error)) if error != Value::Null => Ok(Err(error)),
        (Some(_), Some(_)) => Err(Malformed("response has both a result and an error".to_owned())),
        (None, _) => Err(missing("result")),
    }
}

pub(super) fn write_call<P: Serialize>(out: &mut Vec<u8>, method: &str, params: &[P]) -> Result<(), Malformed> {
    #[derive(Serialize)]
    struct Request<'a, P> {
        method: &'a str,
        params: &'a [P],
        id: u32,
    }
    write(out, &Request { method, params, id: 1 })
}

/// Upstream's answers carry `"id":0` whatever the request's.
pub(super) fn write_answer<T, E>(out: &mut Vec<u8>, answer: Result<&T, &E>) -> Result<(), Malformed>
where
    T: Serialize + ?Sized,
    E: Serialize + ?Sized,
{
    #[derive(Serialize)]
    struct Response<R, E> {
        result: R,
        error: E,
        id: u32,
    }
    match answer {
        Ok(result) => write(out, &Response { result, error: (), id: 0 }),
        Err(error) => write(out, &Response { result: (), error, id: 0 }),
    }
}

fn write(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Malformed> {
    let mut serializer = serde_json::Serializer::new(out);
    value.serialize(&mut serializer).map_err(|error| Malformed(error.to_string()))
}

fn missing(member: &str) -> Malformed {
    Malformed(format!("field '{member}' is missing"))
}

fn invalid(member: &str, expected: &str) -> Malformed {
    Malformed(format!("field '{member}' is not {expected}"))
}

/// The members of a message's object; of duplicates the first counts.
struct Members(Vec<(String, Value)>);

impl Members {
    fn parse(text: &[u8], limits: &Limits) -> Result<Members, Malformed> {
        match parse(text, limits)? {
            Value::Dict(members) => Ok(Members(members)),
            _ => Err(Malformed("message is not an object".to_owned())),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.iter_mut().find(|(key, _)| key == name).map(|(_, value)| std::mem::take(value))
    }
}

/// A value, bounded before it is built.
pub(super) fn parse(text: &[u8], limits: &Limits) -> Result<Value, Malformed> {
    let budget = Budget { limits, values: Cell::new(limits.values), large: Cell::new(false) };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Bounded { budget: &budget, depth: limits.depth }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| Malformed(error.to_string()))?;
    match budget.large.get().then(|| oversized_integer(text)).flatten() {
        Some(at) => Err(Malformed(format!("integer at byte {at} does not fit in 64 bits signed"))),
        None => Ok(value),
    }
}

struct Budget<'a> {
    limits: &'a Limits,
    /// Values that may yet be built.
    values: Cell<usize>,
    /// Whether a number came that may be an integer too large: the parser gives such as floats.
    large: Cell<bool>,
}

impl Budget<'_> {
    fn text<'t, E: Error>(&self, text: &'t str) -> Result<&'t str, E> {
        let limit = self.limits.string_bytes;
        if text.len() > limit { Err(E::custom(format_args!("string exceeds {limit} bytes"))) } else { Ok(text) }
    }
}

#[derive(Clone, Copy)]
struct Bounded<'a> {
    budget: &'a Budget<'a>,
    depth: usize,
}

impl Bounded<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Bounded { depth, ..self }),
            None => Err(E::custom(format_args!("nested deeper than {}", self.budget.limits.depth))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let values = &self.budget.values;
        match values.get().checked_sub(1) {
            Some(left) => values.set(left),
            None => {
                return Err(D::Error::custom(format_args!("more than {} values", self.budget.limits.values)));
            }
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
        Ok(Value::Int(int))
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<Value, E> {
        i64::try_from(int).map(Value::Int).map_err(|_| E::custom("integer does not fit in 64 bits signed"))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
        self.budget.large.set(self.budget.large.get() || float.abs() >= i64::MAX as f64);
        Ok(Value::Float(float))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(self.budget.text(text)?.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(Key(self.budget))? {
            entries.push((key, map.next_value_seed(inner)?));
        }
        Ok(Value::Dict(entries))
    }
}

struct Key<'a>(&'a Budget<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(self.0.text(text)?.to_owned())
    }
}

/// Where a number without fraction and exponent stands that does not fit, in text that is valid JSON.
fn oversized_integer(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at += string_length(&text[at..]),
            b'-' | b'0'..=b'9' => {
                let more = text[at..].iter().position(|b| !matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'));
                let number = &text[at..more.map_or(text.len(), |more| at + more)];
                let integer = number.iter().all(|b| matches!(b, b'-' | b'0'..=b'9'));
                if integer && str::from_utf8(number).is_ok_and(|number| number.parse::<i64>().is_err()) {
                    return Some(at);
                }
                at += number.len();
            }
            _ => at += 1,
        }
    }
    None
}

/// Bytes of the string literal that starts `text`, quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(offset) = text[at..].iter().position(|b| matches!(b, b'"' | b'\\')) {
        at += offset;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests;

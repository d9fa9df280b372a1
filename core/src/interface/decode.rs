//! From a value to a type, by the rules of upstream's decoder.

use super::malformed::Malformed;
use super::number;
use super::value::Value;
use crate::host::Uuid;
use crate::host::uuid::NotAUuid;
use std::sync::Arc;

/// What can be read from a value of the wire.
pub trait Decode: Sized {
    /// Reads it, or says in upstream's words why it cannot be read.
    fn decode(value: &Value) -> Result<Self, Malformed>;

    /// Whether it is written as null.
    fn is_null(&self) -> bool {
        false
    }
}

/// What can stand in a record or among named parameters, where an option is absent or bare.
pub trait Field: Sized {
    /// Reads it from what stands under its key.
    fn decode_present(value: &Value) -> Result<Self, Malformed>;
    /// What it is when its key is missing, if it may.
    fn absent() -> Option<Self>;
    /// Whether its key is left out.
    fn is_omitted(&self) -> bool;
}

impl<T: Decode> Field for T {
    fn decode_present(value: &Value) -> Result<T, Malformed> {
        T::decode(value)
    }

    fn absent() -> Option<T> {
        None
    }

    fn is_omitted(&self) -> bool {
        false
    }
}

impl<T: Decode> Field for Option<T> {
    fn decode_present(value: &Value) -> Result<Option<T>, Malformed> {
        T::decode(value).map(Some)
    }

    fn absent() -> Option<Option<T>> {
        Some(None)
    }

    fn is_omitted(&self) -> bool {
        self.is_none()
    }
}

/// A dictionary being read as a record. Keys match in either case; of equal keys the first counts.
pub struct Fields<'a> {
    entries: &'a [(String, Value)],
    record: &'static str,
}

impl<'a> Fields<'a> {
    /// The dictionary to read a record of that name from.
    pub fn of(value: &'a Value, record: &'static str) -> Result<Fields<'a>, Malformed> {
        match value {
            Value::Dict(entries) => Ok(Fields { entries, record }),
            _ => Err(Malformed(format!("Expecting Rpc.Dict when unmarshalling a '{record}'"))),
        }
    }

    /// A field without default: it must be there, unless it is an option, and decode.
    pub fn required<T: Field>(&self, key: &str) -> Result<T, Malformed> {
        match self.find(key) {
            Some(value) => T::decode_present(value),
            None => T::absent().ok_or_else(|| {
                let (key, record) = (key.to_ascii_lowercase(), self.record);
                Malformed(format!("No value found for key: '{key}' when unmarshalling '{record}'"))
            }),
        }
    }

    /// A field with a default, which it takes on any failure.
    pub fn defaulted<T: Field>(&self, key: &str, default: impl FnOnce() -> T) -> T {
        match self.find(key).map(T::decode_present) {
            Some(Ok(value)) => value,
            _ => default(),
        }
    }

    fn find(&self, key: &str) -> Option<&'a Value> {
        self.entries.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }
}

/// A variant's tag, as it came, and its payload: null where there is none.
pub fn tag_and_payload(value: &Value) -> Result<(&str, &Value), Malformed> {
    match value {
        Value::String(tag) => return Ok((tag, &Value::Null)),
        Value::List(items) => {
            if let [Value::String(tag), payload] = items.as_slice() {
                return Ok((tag, payload));
            }
        }
        _ => (),
    }
    Err(Malformed("Expecting String or Enum when unmarshalling a variant".into()))
}

impl Decode for Value {
    fn decode(value: &Value) -> Result<Value, Malformed> {
        Ok(value.clone())
    }

    fn is_null(&self) -> bool {
        *self == Value::Null
    }
}

impl Decode for () {
    fn decode(value: &Value) -> Result<(), Malformed> {
        match value {
            Value::Null => Ok(()),
            _ => Err(Malformed::expected("unit", value)),
        }
    }

    fn is_null(&self) -> bool {
        true
    }
}

impl Decode for bool {
    fn decode(value: &Value) -> Result<bool, Malformed> {
        match value {
            Value::Bool(b) => Ok(*b),
            _ => Err(Malformed::expected("bool", value)),
        }
    }
}

fn integer(what: &str, value: &Value) -> Result<i64, Malformed> {
    match value {
        Value::Int(i) => Some(*i),
        Value::String(text) => number::integer(text),
        _ => None,
    }
    .ok_or_else(|| Malformed::expected(what, value))
}

impl Decode for i64 {
    fn decode(value: &Value) -> Result<i64, Malformed> {
        integer("int", value)
    }
}

impl Decode for i32 {
    fn decode(value: &Value) -> Result<i32, Malformed> {
        i32::try_from(integer("int32", value)?).map_err(|_| Malformed::expected("int32", value))
    }
}

impl Decode for u32 {
    fn decode(value: &Value) -> Result<u32, Malformed> {
        u32::try_from(integer("int", value)?).map_err(|_| Malformed::expected("int", value))
    }
}

impl Decode for f64 {
    fn decode(value: &Value) -> Result<f64, Malformed> {
        match value {
            Value::Float(x) if x.is_finite() => Some(*x),
            Value::Int(i) => Some(*i as f64),
            Value::String(text) => number::float(text),
            _ => None,
        }
        .ok_or_else(|| Malformed::expected("float", value))
    }
}

impl Decode for String {
    fn decode(value: &Value) -> Result<String, Malformed> {
        match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(Malformed::expected("string", value)),
        }
    }
}

impl Decode for Uuid {
    fn decode(value: &Value) -> Result<Uuid, Malformed> {
        String::decode(value)?.parse().map_err(|why: NotAUuid| Malformed(why.to_string()))
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(value: &Value) -> Result<Vec<T>, Malformed> {
        match value {
            Value::List(items) => decode_all(items.len(), items.iter().map(|item| (item, T::decode(item)))),
            _ => Err(Malformed("Expecting array".into())),
        }
    }
}

/// Gathers decoded elements. Of several bad ones upstream reports the last.
pub(crate) fn decode_all<'a, T>(
    count: usize,
    elements: impl Iterator<Item = (&'a Value, Result<T, Malformed>)>,
) -> Result<Vec<T>, Malformed> {
    let mut decoded = Vec::with_capacity(count);
    let mut failed = None;
    for (value, element) in elements {
        match element {
            Ok(element) => decoded.push(element),
            Err(why) => failed = Some((why, value)),
        }
    }
    match failed {
        None => Ok(decoded),
        Some((why, value)) => Err(why.in_list(value)),
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(value: &Value) -> Result<Box<T>, Malformed> {
        T::decode(value).map(Box::new)
    }
}

impl<T: Decode> Decode for Arc<T> {
    fn decode(value: &Value) -> Result<Arc<T>, Malformed> {
        T::decode(value).map(Arc::new)
    }
}

impl<A: Decode, B: Decode> Decode for (A, B) {
    fn decode(value: &Value) -> Result<(A, B), Malformed> {
        match value {
            Value::List(items) => match items.as_slice() {
                [a, b] => Ok((A::decode(a)?, B::decode(b)?)),
                _ => Err(Malformed("Too many items in a tuple!".into())),
            },
            _ => Err(Malformed("Expecting Rpc.Enum when unmarshalling a tuple".into())),
        }
    }
}

impl<A: Decode, B: Decode, C: Decode> Decode for (A, B, C) {
    fn decode(value: &Value) -> Result<(A, B, C), Malformed> {
        match value {
            Value::List(items) => match items.as_slice() {
                [a, b, c] => Ok((A::decode(a)?, B::decode(b)?, C::decode(c)?)),
                _ => Err(Malformed("Expecting precisely 3 items when unmarshalling a Tuple3".into())),
            },
            _ => Err(Malformed("Expecting Rpc.Enum when unmarshalling a tuple3".into())),
        }
    }
}

impl<A: Decode, B: Decode, C: Decode, D: Decode> Decode for (A, B, C, D) {
    fn decode(value: &Value) -> Result<(A, B, C, D), Malformed> {
        match value {
            Value::List(items) => match items.as_slice() {
                [a, b, c, d] => Ok((A::decode(a)?, B::decode(b)?, C::decode(c)?, D::decode(d)?)),
                _ => Err(Malformed("Expecting precisely 4 items in an Enum when unmarshalling a Tuple4".into())),
            },
            _ => Err(Malformed("Expecting Rpc.Enum when unmarshalling a tuple4".into())),
        }
    }
}

#[cfg(test)]
mod tests;

//! UUIDs where the interface insists on one.

use super::decode::Decode;
use super::malformed::Malformed;
use super::value::Value;
use serde::{Serialize, Serializer};

/// A UUID as text: 8-4-4-4-12 hexadecimal digits, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(String);

impl Uuid {
    /// The UUID that a text spells, in either case.
    pub fn parse(text: &str) -> Option<Uuid> {
        let spelt = text.len() == 36
            && text.bytes().enumerate().all(|(i, byte)| match i {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        spelt.then(|| Uuid(text.to_ascii_lowercase()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Decode for Uuid {
    fn decode(value: &Value) -> Result<Uuid, Malformed> {
        let text = String::decode(value)?;
        Uuid::parse(&text).ok_or_else(|| Malformed(format!("not a valid UUID: {text}")))
    }
}

deserialize_by_decoding!(Uuid);

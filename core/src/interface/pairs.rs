//! Ordered maps from strings, and options where no key can be left out.

use super::decode::{Decode, decode_all};
use super::malformed::Malformed;
use super::value::Value;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::ops::Deref;

/// Upstream's `(string * X) list`: a dictionary on the wire, which keeps its order and its duplicates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pairs<T = String>(pub Vec<(String, T)>);

impl<T> Pairs<T> {
    /// The first value under that key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// Gives the first entry of that key a new value, or adds one at the end.
    pub fn set(&mut self, key: &str, value: T) {
        match self.0.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }
}

impl<T> Default for Pairs<T> {
    fn default() -> Pairs<T> {
        Pairs(Vec::new())
    }
}

impl<T> Deref for Pairs<T> {
    type Target = [(String, T)];

    fn deref(&self) -> &[(String, T)] {
        &self.0
    }
}

impl<K: Into<String>, V: Into<T>, T> FromIterator<(K, V)> for Pairs<T> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Pairs<T> {
        Pairs(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl<'a, T> IntoIterator for &'a Pairs<T> {
    type Item = &'a (String, T);
    type IntoIter = std::slice::Iter<'a, (String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Serialize> Serialize for Pairs<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<T: Decode> Decode for Pairs<T> {
    fn decode(value: &Value) -> Result<Pairs<T>, Malformed> {
        match value {
            Value::Dict(entries) => {
                let decode = |(key, value): &'_ (String, Value)| T::decode(value).map(|decoded| (key.clone(), decoded));
                decode_all(entries.len(), entries.iter().map(|entry| (&entry.1, decode(entry)))).map(Pairs)
            }
            _ => Err(Malformed("Unhandled".into())),
        }
    }
}

impl<'de, T: Decode> serde::Deserialize<'de> for Pairs<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Pairs<T>, D::Error> {
        Decode::decode(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An option that stands in a tuple, a list or a map: a sequence of none or one on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Maybe<T>(pub Option<T>);

impl<T: Serialize> Serialize for Maybe<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<T: Decode> Decode for Maybe<T> {
    fn decode(value: &Value) -> Result<Maybe<T>, Malformed> {
        match value {
            Value::List(items) if items.len() <= 1 => items.first().map(T::decode).transpose().map(Maybe),
            _ => Err(Malformed::no_option(value)),
        }
    }
}

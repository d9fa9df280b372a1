//! A VM's identity: the 16 bytes that Xen keeps as the domain handle.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A UUID; its text is lower case with dashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

const HEX: &[u8; 16] = b"0123456789abcdef";

impl Uuid {
    /// The text, without a formatter in between: this stands in every xenstore path of a VM.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(36);
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push(HEX[usize::from(byte >> 4)] as char);
            text.push(HEX[usize::from(byte & 15)] as char);
        }
        text
    }

    /// A domain being destroyed carries this handle, so that a look-up by VM no longer finds it.
    pub fn tombstone(domid: u32) -> Uuid {
        let mut bytes = [0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0];
        bytes[14..].copy_from_slice(&(domid as u16).to_be_bytes());
        Uuid(bytes)
    }

    /// Whether this is some domain's tombstone.
    pub fn is_tombstone(&self) -> bool {
        self.0[..12] == Uuid::tombstone(0).0[..12]
    }
}

/// A text that is no UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAUuid(pub String);

impl fmt::Display for NotAUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a uuid", self.0)
    }
}

impl FromStr for Uuid {
    type Err = NotAUuid;

    fn from_str(text: &str) -> Result<Uuid, NotAUuid> {
        let bytes = text.as_bytes();
        let refuse = || NotAUuid(text.chars().take(64).collect());
        if bytes.len() != 36 {
            return Err(refuse());
        }
        let mut uuid = [0; 16];
        let mut digits = 0;
        for (i, byte) in bytes.iter().enumerate() {
            if matches!(i, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return Err(refuse());
                }
                continue;
            }
            let digit = (*byte as char).to_digit(16).ok_or_else(refuse)? as u8;
            uuid[digits / 2] = uuid[digits / 2] << 4 | digit;
            digits += 1;
        }
        Ok(Uuid(uuid))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let text = "04efbb51-2bce-495f-9d86-75fc70ba01e0";
        assert_eq!(text.parse::<Uuid>().unwrap().text(), text);
        assert_eq!(text.to_uppercase().parse::<Uuid>().unwrap().text(), text);
        for bad in ["", "04efbb51", "04efbb51-2bce-495f-9d86-75fc70ba01eg", "04efbb51x2bce-495f-9d86-75fc70ba01e0"] {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
        assert_eq!(Uuid::tombstone(7).text(), "deadbeef-dead-beef-dead-beef00000007");
        assert!(Uuid::tombstone(300).is_tombstone() && !text.parse::<Uuid>().unwrap().is_tombstone());
    }
}

//! The two encodings of a body, told apart by its first byte.

use super::call::Call;
use super::limits::Limits;
use super::malformed::Malformed;
use super::{json, xml, xml_writer};
use crate::interface::{Error, Value};
use serde::Serialize;

/// How a body says what it says; a reply uses its request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON-RPC.
    Json,
    /// XML-RPC, answers wrapped in XenAPI's `Status` struct.
    Xml,
}

impl Encoding {
    /// The encoding of a body, and the body without what stands before its first sign.
    pub(super) fn of(body: &[u8]) -> Result<(Encoding, &[u8]), Malformed> {
        let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
        match text.first() {
            Some(b'{' | b'[') => Ok((Encoding::Json, text)),
            Some(b'<') => Ok((Encoding::Xml, text)),
            Some(other) => {
                Err(Malformed(format!("body is neither JSON nor XML: it starts with '{}'", other.escape_ascii())))
            }
            None => Err(Malformed("body is empty".to_owned())),
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Xml => "text/xml",
        }
    }

    pub(super) fn parse_call(self, text: &[u8], limits: &Limits) -> Result<Call, Malformed> {
        match self {
            Encoding::Json => json::parse_call(text, limits),
            Encoding::Xml => xml::parse_call(text, limits),
        }
    }

    pub(super) fn parse_answer(self, text: &[u8], limits: &Limits) -> Result<Result<Value, Value>, Malformed> {
        match self {
            Encoding::Json => json::parse_answer(text, limits),
            Encoding::Xml => xml::parse_answer(text, limits),
        }
    }

    pub(super) fn write_call<P: Serialize>(
        self,
        out: &mut Vec<u8>,
        method: &str,
        params: &[P],
    ) -> Result<(), Malformed> {
        match self {
            Encoding::Json => json::write_call(out, method, params),
            Encoding::Xml => xml_writer::write_call(out, method, params),
        }
    }

    /// Writes an answer in full; one that has no form on the wire becomes an error that says so.
    pub(super) fn write_answer<T, E>(self, out: &mut Vec<u8>, answer: Result<&T, &E>)
    where
        T: Serialize + ?Sized,
        E: Serialize + ?Sized,
    {
        let start = out.len();
        if let Err(Malformed(why)) = self.try_write_answer(out, answer) {
            out.truncate(start);
            let error = Error::InternalError(format!("answer has no form on the wire: {why}"));
            self.try_write_answer(out, Err::<&(), _>(&error)).expect("an error has a form in both encodings");
        }
    }

    fn try_write_answer<T, E>(self, out: &mut Vec<u8>, answer: Result<&T, &E>) -> Result<(), Malformed>
    where
        T: Serialize + ?Sized,
        E: Serialize + ?Sized,
    {
        match self {
            Encoding::Json => json::write_answer(out, answer),
            Encoding::Xml => xml_writer::write_answer(out, answer),
        }
    }
}

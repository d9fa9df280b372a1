//! The binary framing: sixteen decimal digits, then that many bytes.

use super::body::Body;
use super::fault::Fault;
use super::limits::Limits;
use std::io::Write;

/// Bytes of a frame's length.
pub(super) const DIGITS: usize = 16;

/// The body that `bytes` announce, once its length has come in whole.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<Body>, Fault> {
    let digits = &bytes[..bytes.len().min(DIGITS)];
    if let Some(at) = digits.iter().position(|b| !b.is_ascii_digit()) {
        return Err(Fault::bad(format!("frame length has a byte that is no digit at {at}")));
    }
    if digits.len() < DIGITS {
        return Ok(None);
    }
    let length = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Body::sized(length, limits).map(Some)
}

/// Writes `body` as a frame.
pub(super) fn write(out: &mut Vec<u8>, body: &[u8]) {
    write!(out, "{:016}", body.len()).expect("a vector takes any bytes");
    out.extend_from_slice(body);
}

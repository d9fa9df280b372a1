//! HTTP heads: what they say about the message that follows, and nothing else.

use super::body::Body;
use super::fault::{Fault, Status};
use super::limits::{HEADERS, Limits};
use httparse::{Header, Status as Parsed};

/// What a request's head says.
#[derive(Clone, Debug)]
pub(super) struct RequestHead {
    pub(super) post: bool,
    /// HTTP/1.0.
    pub(super) old: bool,
    pub(super) close: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects: bool,
    pub(super) body: Body,
}

/// What a response's head says.
#[derive(Clone, Debug)]
pub(super) struct ResponseHead {
    pub(super) status: u16,
    pub(super) close: bool,
    pub(super) body: Body,
}

/// The headers that frame a message.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects: bool,
}

/// The end of the head that starts `bytes`, if its empty line has come; the search starts at `from`.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(newline) = bytes[at..].iter().position(|b| *b == b'\n') {
        at += newline + 1;
        match &bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

pub(super) fn parse_request(head: &[u8], limits: &Limits) -> Result<RequestHead, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    whole(request.parse(head), head)?;
    let framing = Framing::read(request.headers)?;
    let old = request.version == Some(0);
    let post = request.method == Some("POST");
    let body = match framing.length {
        _ if framing.chunked && old => return Err(Fault::bad("chunked body in an HTTP/1.0 request")),
        _ if framing.chunked => Body::chunked(),
        Some(length) => Body::sized(length, limits)?,
        None if post => return Err(Fault::new(Status::LENGTH_REQUIRED, "request has no content-length")),
        None => Body::Sized(0),
    };
    let close = framing.close || (old && !framing.keep_alive);
    Ok(RequestHead { post, old, close, expects: framing.expects && !old, body })
}

pub(super) fn parse_response(head: &[u8], limits: &Limits) -> Result<ResponseHead, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    whole(response.parse(head), head)?;
    let framing = Framing::read(response.headers)?;
    let status = response.code.unwrap_or_default();
    let body = match framing.length {
        _ if status < 200 || matches!(status, 204 | 304) => Body::Sized(0),
        _ if framing.chunked => Body::chunked(),
        Some(length) => Body::sized(length, limits)?,
        None => Body::UntilEnd,
    };
    let old = response.version == Some(0);
    Ok(ResponseHead { status, close: framing.close || (old && !framing.keep_alive), body })
}

/// Holds the parser to the end of the head that we found ourselves.
fn whole(parsed: Result<Parsed<usize>, httparse::Error>, head: &[u8]) -> Result<(), Fault> {
    match parsed {
        Ok(Parsed::Complete(end)) if end == head.len() => Ok(()),
        Ok(_) => Err(Fault::bad("head ends in its middle")),
        Err(httparse::Error::TooManyHeaders) => {
            Err(Fault::new(Status::HEAD_TOO_LARGE, format!("head exceeds {HEADERS} header lines")))
        }
        Err(httparse::Error::Version) => Err(Fault::new(Status::VERSION_NOT_SUPPORTED, "not HTTP/1.1 or HTTP/1.0")),
        Err(error) => Err(Fault::bad(format!("malformed head: {error}"))),
    }
}

impl Framing {
    fn read(headers: &[Header<'_>]) -> Result<Framing, Fault> {
        let mut framing = Framing::default();
        for Header { name, value } in headers {
            if name.eq_ignore_ascii_case("content-length") {
                if framing.length.replace(length(value)?).is_some() {
                    return Err(Fault::bad("more than one content-length"));
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::new(Status::NOT_IMPLEMENTED, "transfer-encoding is not chunked alone"));
                }
                if std::mem::replace(&mut framing.chunked, true) {
                    return Err(Fault::bad("more than one transfer-encoding"));
                }
            } else if name.eq_ignore_ascii_case("connection") {
                for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    framing.close |= token.eq_ignore_ascii_case(b"close");
                    framing.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if name.eq_ignore_ascii_case("expect") {
                framing.expects |= value.eq_ignore_ascii_case(b"100-continue");
            }
        }
        // Two lengths for one body: what follows could be read as two different requests.
        if framing.chunked && framing.length.is_some() {
            return Err(Fault::bad("both content-length and transfer-encoding"));
        }
        Ok(framing)
    }
}

/// A content-length: digits and nothing else. One that overflows is larger than any limit.
fn length(value: &[u8]) -> Result<u64, Fault> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Fault::bad("content-length is no number"));
    }
    let digit = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Ok(value.iter().fold(0, digit))
}

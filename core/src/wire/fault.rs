//! A breach of framing: after it the next request's place is unknown, so it ends the connection.

use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) u16, pub(super) &'static str);

impl Status {
    pub(super) const OK: Status = Status(200, "OK");
    pub(super) const BAD_REQUEST: Status = Status(400, "Bad Request");
    pub(super) const NOT_FOUND: Status = Status(404, "Not Found");
    pub(super) const REQUEST_TIMEOUT: Status = Status(408, "Request Timeout");
    pub(super) const LENGTH_REQUIRED: Status = Status(411, "Length Required");
    pub(super) const CONTENT_TOO_LARGE: Status = Status(413, "Content Too Large");
    pub(super) const HEAD_TOO_LARGE: Status = Status(431, "Request Header Fields Too Large");
    pub(super) const NOT_IMPLEMENTED: Status = Status(501, "Not Implemented");
    pub(super) const VERSION_NOT_SUPPORTED: Status = Status(505, "HTTP Version Not Supported");
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: Status,
    pub(super) text: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(status: Status, text: impl Into<Cow<'static, str>>) -> Fault {
        Fault { status, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(Status::BAD_REQUEST, text)
    }

    pub(super) fn body_too_large(limit: usize) -> Fault {
        Fault::new(Status::CONTENT_TOO_LARGE, format!("body exceeds {limit} bytes"))
    }

    pub(super) fn head_too_large(limit: usize) -> Fault {
        Fault::new(Status::HEAD_TOO_LARGE, format!("head exceeds {limit} bytes"))
    }
}

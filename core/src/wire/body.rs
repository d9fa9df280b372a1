//! The body of a message, as its framing delimits it.

use super::buffer::Buffer;
use super::fault::{Fault, Status};
use super::limits::Limits;

/// Bytes of a chunk's size line, extensions included.
const CHUNK_LINE: usize = 1024;

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// So many bytes, which stay in the input until taken.
    Sized(usize),
    /// Chunks, joined as they come.
    Chunked { joined: Vec<u8>, part: Part },
    /// All bytes until the peer ends the connection.
    UntilEnd,
}

/// What comes next in a chunked body.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Size,
    Data(usize),
    DataEnd,
    Trailers(usize),
    Whole,
}

impl Body {
    pub(super) fn sized(length: u64, limits: &Limits) -> Result<Body, Fault> {
        match usize::try_from(length) {
            Ok(length) if length <= limits.body_bytes => Ok(Body::Sized(length)),
            _ => Err(Fault::body_too_large(limits.body_bytes)),
        }
    }

    pub(super) fn chunked() -> Body {
        Body::Chunked { joined: Vec::new(), part: Part::Size }
    }

    /// Whether the whole body has come, after taking in what `input` holds.
    pub(super) fn advance(&mut self, input: &mut Buffer, ended: bool, limits: &Limits) -> Result<bool, Fault> {
        match self {
            Body::Sized(length) => Ok(input.len() >= *length),
            Body::UntilEnd if input.len() > limits.body_bytes => Err(Fault::body_too_large(limits.body_bytes)),
            Body::UntilEnd => Ok(ended),
            Body::Chunked { joined, part } => loop {
                match part.advance(joined, input, limits)? {
                    Some(Part::Whole) => {
                        *part = Part::Whole;
                        return Ok(true);
                    }
                    Some(next) => *part = next,
                    None => return Ok(false),
                }
            },
        }
    }

    /// The bytes of a whole body.
    pub(super) fn bytes<'a>(&'a self, input: &'a Buffer) -> &'a [u8] {
        match self {
            Body::Sized(length) => &input.bytes()[..*length],
            Body::Chunked { joined, .. } => joined,
            Body::UntilEnd => input.bytes(),
        }
    }

    /// Takes a whole body out of the input.
    pub(super) fn consume(self, input: &mut Buffer) {
        match self {
            Body::Sized(length) => input.consume(length),
            Body::Chunked { .. } => {}
            Body::UntilEnd => input.clear(),
        }
    }
}

impl Part {
    /// The part that follows, or nothing while this one is incomplete.
    fn advance(&mut self, joined: &mut Vec<u8>, input: &mut Buffer, limits: &Limits) -> Result<Option<Part>, Fault> {
        match self {
            Part::Size => {
                let Some(line) = line(input, CHUNK_LINE) else {
                    return incomplete(input, CHUNK_LINE, || Fault::bad("chunk size line is too long"));
                };
                let size = chunk_size(&input.bytes()[..line])?;
                input.consume(line);
                let room = limits.body_bytes - joined.len();
                match usize::try_from(size) {
                    Ok(0) => Ok(Some(Part::Trailers(0))),
                    Ok(size) if size <= room => Ok(Some(Part::Data(size))),
                    _ => Err(Fault::body_too_large(limits.body_bytes)),
                }
            }
            Part::Data(left) => {
                let taken = input.len().min(*left);
                joined.extend_from_slice(&input.bytes()[..taken]);
                input.consume(taken);
                *left -= taken;
                Ok((*left == 0).then_some(Part::DataEnd))
            }
            Part::DataEnd => match input.bytes() {
                [] | [b'\r'] => Ok(None),
                [b'\r', b'\n', ..] => {
                    input.consume(2);
                    Ok(Some(Part::Size))
                }
                _ => Err(Fault::bad("chunk is longer than its size")),
            },
            Part::Trailers(seen) => {
                let room = limits.head_bytes - *seen;
                let too_large = || Fault::new(Status::HEAD_TOO_LARGE, "trailers are too long");
                let Some(line) = line(input, room) else { return incomplete(input, room, too_large) };
                let last = matches!(&input.bytes()[..line], b"\r\n" | b"\n");
                input.consume(line);
                Ok(Some(if last { Part::Whole } else { Part::Trailers(*seen + line) }))
            }
            Part::Whole => Ok(None),
        }
    }
}

/// The length of the first line, its end included, if it ends within `limit` bytes.
fn line(input: &Buffer, limit: usize) -> Option<usize> {
    input.bytes().iter().take(limit).position(|b| *b == b'\n').map(|at| at + 1)
}

fn incomplete(input: &Buffer, limit: usize, fault: impl Fn() -> Fault) -> Result<Option<Part>, Fault> {
    if input.len() >= limit { Err(fault()) } else { Ok(None) }
}

/// The size in a chunk's first line. Nothing but digits will do: two readings of one line are two requests.
fn chunk_size(line: &[u8]) -> Result<u64, Fault> {
    let bad = || Fault::bad("chunk size is no hexadecimal number");
    let line = line.strip_suffix(b"\r\n").ok_or_else(bad)?;
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(bad());
    }
    let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
    u64::from_str_radix(digits, 16).map_err(|_| bad())
}

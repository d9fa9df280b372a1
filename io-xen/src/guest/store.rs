//! A few values of xenstore, read before the work begins.
//!
//! One question after the other on a connection of its own: the helper has no other use for xenstore.

use crate::xenstore::wire::{Decoder, Message, Op, payload};
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// Where xenstored listens, and the device that leads to one in another domain.
const PLACES: [&str; 2] = ["/run/xenstored/socket", "/dev/xen/xenbus"];

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A connection.
pub struct Store {
    stream: Box<dyn Stream>,
    decoder: Decoder,
}

impl Store {
    fn new(stream: impl Stream + 'static) -> Store {
        Store { stream: Box::new(stream), decoder: Decoder::default() }
    }

    /// Connects to this host's xenstored.
    pub fn open() -> io::Result<Store> {
        let given = std::env::var("XENSTORED_PATH").ok();
        let socket = given.as_deref().unwrap_or(PLACES[0]);
        if let Ok(stream) = UnixStream::connect(socket) {
            return Ok(Store::new(stream));
        }
        OpenOptions::new().read(true).write(true).open(PLACES[1]).map(Store::new)
    }

    /// A node's value, if it exists.
    pub fn read(&mut self, path: &str) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        let request = Message { op: Op::Read, request: 0, transaction: 0, payload: payload(&[path]) };
        request.encode(&mut bytes).map_err(io::Error::other)?;
        self.stream.write_all(&bytes)?;
        let answer = self.answer()?;
        let text = String::from_utf8_lossy(&answer.payload);
        match (answer.op, text.trim_end_matches('\0')) {
            (Op::Read, _) => Ok(Some(text.into_owned())),
            (Op::Error, "ENOENT") => Ok(None),
            (Op::Error, code) => Err(io::Error::other(format!("xenstored: {code}"))),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "xenstored answered another question")),
        }
    }

    fn answer(&mut self) -> io::Result<Message> {
        let mut chunk = [0; 4096];
        loop {
            let invalid = |violation| io::Error::new(io::ErrorKind::InvalidData, format!("xenstored: {violation}"));
            if let Some(message) = self.decoder.next_message().map_err(invalid)? {
                return Ok(message);
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.decoder.push(&chunk[..length]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(op: Op, payload: &[u8]) -> (io::Result<Option<String>>, Vec<u8>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut bytes = Vec::new();
        let message = Message { op, request: 0, transaction: 0, payload: payload.to_vec() };
        message.encode(&mut bytes).unwrap();
        theirs.write_all(&bytes).unwrap();
        let found = Store::new(ours).read("/a");
        let mut asked = Vec::new();
        theirs.read_to_end(&mut asked).unwrap();
        (found, asked)
    }

    #[test]
    fn values_are_read() {
        let (found, asked) = answer(Op::Read, b"17");
        assert_eq!(found.unwrap().as_deref(), Some("17"));
        assert_eq!(asked, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, b'/', b'a', 0]);
        assert_eq!(answer(Op::Error, b"ENOENT\0").0.unwrap(), None);
        assert!(answer(Op::Error, b"EACCES\0").0.unwrap_err().to_string().contains("EACCES"));
        assert!(answer(Op::Directory, b"").0.is_err());
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[2, 0, 0, u32::MAX].map(u32::to_ne_bytes).concat()).unwrap();
        assert!(Store::new(ours).read("/a").is_err());
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(Store::new(ours).read("/a").is_err());
    }
}

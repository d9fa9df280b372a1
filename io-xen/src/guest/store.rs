//! A few values of xenstore, read before the work begins.
//!
//! One question after the other on a connection of its own: the helper has no other use for xenstore.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// Where xenstored listens, and the device that leads to one in another domain.
const PLACES: [&str; 2] = ["/run/xenstored/socket", "/dev/xen/xenbus"];

const READ: u32 = 2;
const ERROR: u32 = 16;
const MOST: u32 = 4096;

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A connection.
pub struct Store(Box<dyn Stream>);

impl Store {
    /// Connects to this host's xenstored.
    pub fn open() -> io::Result<Store> {
        let given = std::env::var("XENSTORED_PATH").ok();
        let socket = given.as_deref().unwrap_or(PLACES[0]);
        if let Ok(stream) = UnixStream::connect(socket) {
            return Ok(Store(Box::new(stream)));
        }
        let device = OpenOptions::new().read(true).write(true).open(PLACES[1]);
        device.map(|device| Store(Box::new(device)))
    }

    /// A node's value, if it exists.
    pub fn read(&mut self, path: &str) -> io::Result<Option<String>> {
        let mut request = Vec::new();
        for word in [READ, 0, 0, path.len() as u32 + 1] {
            request.extend_from_slice(&word.to_le_bytes());
        }
        request.extend_from_slice(path.as_bytes());
        request.push(0);
        self.0.write_all(&request)?;
        let mut header = [[0; 4]; 4];
        self.0.read_exact(header.as_flattened_mut())?;
        let [kind, _, _, length] = header.map(u32::from_le_bytes);
        if length > MOST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "xenstored's answer is too long"));
        }
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        match kind {
            READ => Ok(Some(text)),
            ERROR if text.trim_end_matches('\0') == "ENOENT" => Ok(None),
            ERROR => Err(io::Error::other(format!("xenstored: {}", text.trim_end_matches('\0')))),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "xenstored answered another question")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: u32, body: &[u8]) -> (io::Result<Option<String>>, Vec<u8>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        for word in [kind, 0, 0, body.len() as u32] {
            theirs.write_all(&word.to_le_bytes()).unwrap();
        }
        theirs.write_all(body).unwrap();
        let found = Store(Box::new(ours)).read("/a");
        let mut asked = Vec::new();
        theirs.read_to_end(&mut asked).unwrap();
        (found, asked)
    }

    #[test]
    fn values_are_read() {
        let (found, asked) = answer(READ, b"17");
        assert_eq!(found.unwrap().as_deref(), Some("17"));
        assert_eq!(asked, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, b'/', b'a', 0]);
        assert_eq!(answer(ERROR, b"ENOENT\0").0.unwrap(), None);
        assert!(answer(ERROR, b"EACCES\0").0.unwrap_err().to_string().contains("EACCES"));
        assert!(answer(99, b"").0.is_err());
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[READ, 0, 0, u32::MAX].map(u32::to_le_bytes).concat()).unwrap();
        assert!(Store(Box::new(ours)).read("/a").is_err());
    }
}

//! Where xenstored is reached, and the stream to it.

use crate::failure::{Failure, plain};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use smol::{Async, Timer};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where it is where nobody says otherwise, in the order in which they are tried. The socket is asked first: a
/// connection there has watches, transactions and answers of its own, while all openers of the device share the
/// kernel's one connection. The device is the only way where xenstored runs in a domain of its own.
const PLACES: [&str; 3] = ["/run/xenstored/socket", "/var/run/xenstored/socket", "/dev/xen/xenbus"];

/// Says where it is instead, as to Xen's own library.
const VARIABLE: &str = "XENSTORED_PATH";

/// Requests in flight: on a socket; on the device, whose ring is small and serves the whole kernel.
const IN_FLIGHT: (usize, usize) = (256, 16);

/// How long xenstored may take to see that somebody is at its door.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long until the device is tried again that did not take a write: it never says when it would.
const DEVICE_PAUSE: Duration = Duration::from_millis(2);

/// A place that has answered.
#[derive(Clone, Debug)]
pub struct Endpoint {
    path: PathBuf,
}

impl Endpoint {
    /// Connects to this place, or else to the first that answers of those where xenstored usually is.
    pub fn find(path: Option<&Path>) -> Result<(Endpoint, Stream), Failure> {
        let named = path.map(Path::to_owned).or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
        let places = named.map_or_else(|| PLACES.map(PathBuf::from).to_vec(), |path| vec![path]);
        let mut tried = Vec::new();
        let mut forbidden = false;
        for path in places {
            let endpoint = Endpoint { path };
            match endpoint.connect_patiently() {
                Ok(stream) => return Ok((endpoint, stream)),
                Err(error) => {
                    forbidden |= error.kind() == io::ErrorKind::PermissionDenied;
                    tried.push(format!("{} ({})", endpoint.path.display(), plain(&error)));
                }
            }
        }
        let remedy = if forbidden {
            "run as root".to_owned()
        } else {
            format!("start it (systemctl start xenstored), or name its socket with {VARIABLE}")
        };
        Err(Failure::new(format!("cannot reach xenstored: tried {}; {remedy}", tried.join(", "))))
    }

    /// Connects, and waits a little where others are before us: xenstored lets very few wait at its door.
    fn connect_patiently(&self) -> io::Result<Stream> {
        let began = Instant::now();
        loop {
            match self.connect() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                connected => return connected,
            }
        }
    }

    /// Connects, without waiting.
    pub fn connect(&self) -> io::Result<Stream> {
        if fs::metadata(&self.path)?.file_type().is_char_device() {
            let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
            return Ok(Stream::Device(Async::new(file)?));
        }
        // A connection to a Unix socket is there at once or not at all: nothing to wait for.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        net::connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
        Ok(Stream::Socket(Async::new_nonblocking(UnixStream::from(socket))?))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xenstored at {}", self.path.display())
    }
}

/// A connection's bytes; neither reading nor writing ever blocks.
#[derive(Debug)]
pub enum Stream {
    /// A connection of our own.
    Socket(Async<UnixStream>),
    /// The kernel's.
    Device(Async<File>),
}

impl Stream {
    /// Requests that may be in flight.
    pub fn most_in_flight(&self) -> usize {
        match self {
            Stream::Socket(_) => IN_FLIGHT.0,
            Stream::Device(_) => IN_FLIGHT.1,
        }
    }

    /// Reads what is there.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Socket(socket) => socket.get_ref().read(buffer),
            Stream::Device(file) => file.get_ref().read(buffer),
        }
    }

    /// Writes what is taken.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Socket(socket) => socket.get_ref().write(bytes),
            Stream::Device(file) => file.get_ref().write(bytes),
        }
    }

    /// Waits until there is something to read.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Stream::Socket(socket) => socket.readable().await,
            Stream::Device(file) => file.readable().await,
        }
    }

    /// Waits until writing may be tried again.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Stream::Socket(socket) => socket.writable().await,
            Stream::Device(_) => {
                Timer::after(DEVICE_PAUSE).await;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_reached_is_named_with_the_remedy() {
        let failure = Endpoint::find(Some(Path::new("/nonexistent/socket"))).expect_err("nothing is there");
        assert_eq!(
            failure.to_string(),
            "cannot reach xenstored: tried /nonexistent/socket (no such file or directory); \
             start it (systemctl start xenstored), or name its socket with XENSTORED_PATH"
        );
    }
}

//! Typed calls on a connection that is kept, to a daemon that may be killed meanwhile.

use super::Daemon;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use xenops_core::interface::{Answer, Call, DebugInfo, Decode, Error, Request};
use xenops_core::wire::{Client, Encoding, Limits, Transport};

/// The daemon has gone, and whether it had done what it was asked nobody knows.
#[derive(Debug)]
pub struct Gone;

/// Whether a call was answered, and how.
pub type Called = Result<Result<Answer, Error>, Gone>;

/// A connection.
pub struct Caller {
    stream: UnixStream,
    wire: Client,
}

impl Caller {
    pub fn new(daemon: &Daemon) -> Caller {
        let stream = UnixStream::connect(daemon.socket()).unwrap();
        stream.set_read_timeout(Some(super::PATIENCE * 3)).unwrap();
        let transport = Transport::Http { host: "localhost".to_owned(), path: "/".to_owned() };
        Caller { stream, wire: Client::new(transport, Encoding::Json, Limits::default()) }
    }

    /// Calls under this tag, and waits for the answer.
    pub fn call(&mut self, tag: &str, call: Call) -> Called {
        let kind = call.kind();
        let (method, params) = Request { debug_info: DebugInfo::from(tag), call }.encode();
        self.wire.call(method, &[params]).unwrap();
        let sent = self.stream.write_all(self.wire.outgoing());
        self.wire.advance(self.wire.outgoing().len());
        sent.map_err(|_| Gone)?;
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(answer) = self.wire.next() {
                return Ok(match answer.map_err(|_| Gone)? {
                    Ok(value) => Ok(Answer::decode(kind, &value).unwrap()),
                    Err(value) => Err(Error::decode(&value).unwrap()),
                });
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Gone),
                Ok(count) => self.wire.receive(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Err(Gone),
                Err(error) => panic!("{method} is not answered: {error}"),
            }
        }
    }
}

/// Takes an answer of the kind that its call has.
#[macro_export]
macro_rules! answer {
    ($called:expr, $answer:pat => $value:expr) => {
        match $called {
            Ok($answer) => $value,
            other => panic!("{other:?}"),
        }
    };
}

//! What daemon and host process say to each other: JSON in frames, each after its length.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};
use xenops_core::host::{HostFacts, Outcome, Request, Token};
use xenops_core::machine::EffectId;

/// Bytes of one frame at most.
const LARGEST: usize = 64 << 20;

/// From the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub enum Asked {
    /// Start this request.
    Start(EffectId, Request),
    /// Let it end soon.
    Abort(EffectId),
}

/// From the host.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told {
    /// What it is: first, and once.
    Facts(HostFacts),
    /// A request has ended.
    Done(EffectId, Outcome),
    /// Something that is watched has changed.
    Noticed(Token),
}

/// A stream that does not block, in frames.
#[derive(Debug)]
pub struct Frames<S> {
    stream: S,
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
    sent: usize,
}

impl<S: Read + Write> Frames<S> {
    /// Frames over this stream.
    pub fn new(stream: S) -> Frames<S> {
        Frames { stream, input: Vec::new(), taken: 0, output: Vec::new(), sent: 0 }
    }

    /// The stream, to be waited for.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Says something, as soon as the stream takes it.
    pub fn say(&mut self, message: &impl Serialize) {
        let start = self.output.len();
        self.output.extend([0; 4]);
        serde_json::to_writer(&mut self.output, message).expect("messages are JSON, and memory takes them");
        let length = (self.output.len() - start - 4) as u32;
        self.output[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Sends what the stream takes. Whether something is left.
    pub fn send(&mut self) -> io::Result<bool> {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(false)
    }

    /// Reads what has come; an error when the other side has gone.
    pub fn receive(&mut self) -> io::Result<()> {
        self.input.drain(..std::mem::take(&mut self.taken));
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.input.extend(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What was said, in order.
    pub fn hear<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let rest = &self.input[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > LARGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, "frame is too long"));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message = serde_json::from_slice(body)?;
        self.taken += 4 + length;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use xenops_core::host::Reply;

    #[test]
    fn what_is_said_is_heard_in_order() {
        let (here, there) = UnixStream::pair().unwrap();
        for socket in [&here, &there] {
            socket.set_nonblocking(true).unwrap();
        }
        let (mut here, mut there) = (Frames::new(here), Frames::new(there));
        let long = Outcome::Ok(Reply::Text("x".repeat(1 << 20)));
        for effect in 0..3 {
            here.say(&Told::Done(EffectId(effect), long.clone()));
        }
        let mut heard = Vec::new();
        while heard.len() < 3 {
            here.send().unwrap();
            there.receive().unwrap();
            while let Some(message) = there.hear().unwrap() {
                match message {
                    Told::Done(effect, outcome) if outcome == long => heard.push(effect.0),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(heard, [0, 1, 2]);
        drop(here);
        assert_eq!(there.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

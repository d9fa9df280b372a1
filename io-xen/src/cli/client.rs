//! Calls to the daemon over its Unix socket, one connection each: upstream's daemon keeps none open.

use super::failure::Failure;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xenops_core::interface::{Answer, Call, DebugInfo, Decode, Error, Request, Value};
use xenops_core::wire::{self, Encoding, Limits, Transport};

/// What names our calls in the daemon's log.
const TAG: &str = "xenops";
/// How often a call that waits for its answer lets its caller look about.
const TICK: Duration = Duration::from_millis(100);

/// A daemon, by its socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    trace: bool,
}

/// Makes a call and takes its answer apart.
macro_rules! ask {
    ($client:expr, $call:expr, $answer:pat => $value:expr) => {
        match $client.call($call)? {
            $answer => $value,
            other => return Err($crate::cli::failure::Failure::strange(&other)),
        }
    };
}
pub(super) use ask;

impl Client {
    /// The daemon behind a socket. With `trace` calls and answers are shown on standard error.
    pub fn new(socket: PathBuf, trace: bool) -> Client {
        Client { socket, trace }
    }

    /// The daemon's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes a call and waits for its answer.
    pub fn call(&self, call: Call) -> Result<Answer, Failure> {
        self.call_watching(call, &mut || Ok(()))
    }

    /// Makes a call; while the answer is awaited `tick` runs now and then, and may end the wait.
    pub fn call_watching(&self, call: Call, tick: &mut dyn FnMut() -> Result<(), Failure>) -> Result<Answer, Failure> {
        let kind = call.kind();
        let (method, params) = Request { debug_info: DebugInfo::from(TAG), call }.encode();
        let reply = self.exchange(method, &params, tick)?;
        match reply {
            Ok(value) => Answer::decode(kind, &value).map_err(|why| self.broken(why)),
            Err(value) => Err(Failure::refused(Error::decode(&value).unwrap_or(Error::UnknownError))),
        }
    }

    fn exchange(
        &self,
        method: &str,
        params: &Value,
        tick: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<Result<Value, Value>, Failure> {
        let mut stream = UnixStream::connect(&self.socket)
            .map_err(|error| Failure::Unreachable { socket: self.socket.clone(), error })?;
        stream.set_read_timeout(Some(TICK)).map_err(|error| self.broken(error))?;
        let transport = Transport::Http { host: "localhost".into(), path: "/".into() };
        let mut wire = wire::Client::new(transport, Encoding::Json, Limits::default());
        wire.call(method, &[params]).map_err(|why| Failure::Usage(why.to_string()))?;
        self.show(">", method, params);
        // A daemon that refuses a call may close before it has read all of it, and still say why.
        let sent = stream.write_all(wire.outgoing());
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some(answer) = wire.next() {
                let answer = answer.map_err(|why| match &sent {
                    Err(error) => self.broken(error),
                    Ok(()) => self.broken(why),
                })?;
                match &answer {
                    Ok(value) => self.show("<", method, value),
                    Err(value) => self.show("<!", method, value),
                }
                return Ok(answer);
            }
            match stream.read(&mut buffer) {
                Ok(0) => wire.end(),
                Ok(count) => wire.receive(&buffer[..count]),
                Err(error) if is_tick(&error) => tick()?,
                // The daemon was killed.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => wire.end(),
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    fn broken(&self, why: impl ToString) -> Failure {
        Failure::Broken { socket: self.socket.clone(), why: why.to_string() }
    }

    fn show(&self, direction: &str, method: &str, value: &Value) {
        if self.trace {
            let text = serde_json::to_string(value).unwrap_or_default();
            let mut line = String::new();
            let _ = writeln!(line, "{direction} {method} {text}");
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

fn is_tick(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

//! A real daemon with directories of its own, and a client to call it.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

#[cfg(feature = "simulated")]
pub mod auditor;
#[cfg(feature = "simulated")]
pub mod caller;
#[cfg(feature = "simulated")]
pub mod herd;

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Directories of a test; gone with it.
pub struct Place(PathBuf);

impl Place {
    pub fn new(name: &str) -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("xenopsd-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The command line of a daemon here, on a simulated host in its own process.
    pub fn command(&self) -> Command {
        self.command_on("simulated")
    }

    pub fn command_on(&self, host: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xenopsd"));
        command
            .arg(format!("--host={host}"))
            .arg(format!("--sockets-path={}", self.path("sockets").display()))
            .arg(format!("--database-path={}", self.path("database").display()))
            .args(["--config=/nonexistent", "--config-dir=/nonexistent", "--disable-logging-for=config"]);
        command
    }

    pub fn start(&self) -> Daemon {
        Daemon::start(self.command(), &self.path("sockets"))
    }

    /// Starts one that is to refuse, and answers its status and what it says.
    pub fn refused(mut command: Command) -> (i32, String) {
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Takes a simulated host's socket away, which ends the host; until then it may make new files.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Daemon {
    pub fn start(mut command: Command, sockets: &Path) -> Daemon {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut daemon = Daemon { child, socket: sockets.join("xenopsd"), log: Some(log) };
        eventually("the daemon listens", || {
            assert!(daemon.child.try_wait().unwrap().is_none(), "the daemon ended at once");
            UnixStream::connect(&daemon.socket).is_ok()
        });
        daemon
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> Connection {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection { reader: BufReader::new(stream) }
    }

    /// Calls on a connection of its own.
    pub fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        self.connect().call(method, params)
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Kills it as nothing else does.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.into_log()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut status = None;
        eventually("the daemon ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        (status.unwrap(), self.into_log())
    }

    fn into_log(mut self) -> String {
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client's connection.
pub struct Connection {
    reader: BufReader<UnixStream>,
}

impl Connection {
    pub fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Sends to a daemon that may have closed already.
    pub fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.reader.get_mut().write_all(bytes);
    }

    /// The bytes as they come.
    pub fn stream(&mut self) -> &mut impl Read {
        &mut self.reader
    }

    /// The same connection, for another thread to send on.
    pub fn try_clone(&self) -> Connection {
        Connection { reader: BufReader::new(self.reader.get_ref().try_clone().unwrap()) }
    }

    /// Status line and body of the next reply; nothing when the connection was closed.
    pub fn reply(&mut self) -> Option<(String, String)> {
        let mut status = String::new();
        self.reader.read_line(&mut status).unwrap();
        if status.is_empty() {
            return None;
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        Some((status.trim_end().to_owned(), String::from_utf8(body).unwrap()))
    }

    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.send(&post(&request(method, params)));
        let (_, body) = self.reply().unwrap();
        let mut reply: Value = serde_json::from_str(&body).unwrap();
        if reply["error"].is_null() { Ok(reply["result"].take()) } else { Err(reply["error"].take()) }
    }
}

/// A JSON call; the debug text is added.
pub fn request(method: &str, mut params: Value) -> String {
    params["debug_info"] = json!("test");
    json!({"method": method, "params": [params], "id": 0}).to_string()
}

/// An HTTP request with this body.
pub fn post(body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

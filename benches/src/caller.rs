//! A client of the real daemon: HTTP and JSON on a Unix socket, calls sent together where that is wanted.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Calls that are sent before their replies are read; the daemon takes no more of one connection.
const TOGETHER: usize = 64;

/// A connection that is kept.
pub struct Caller {
    stream: BufReader<UnixStream>,
    line: String,
    body: Vec<u8>,
}

/// An HTTP request with this body.
pub fn post(body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A call's bytes.
pub fn request(method: &str, mut params: Value) -> Vec<u8> {
    params["debug_info"] = json!("bench");
    post(&json!({"method": method, "params": [params], "id": 0}).to_string())
}

impl Caller {
    /// Connects to the daemon behind this socket.
    pub fn connect(socket: &Path) -> std::io::Result<Caller> {
        let stream = BufReader::with_capacity(256 << 10, UnixStream::connect(socket)?);
        Ok(Caller { stream, line: String::new(), body: Vec::new() })
    }

    /// Makes a call whose bytes are given; the reply's body.
    pub fn exchange(&mut self, request: &[u8]) -> &[u8] {
        self.send(request);
        self.reply()
    }

    /// Makes a call that succeeds.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(&request(method, params));
        self.result()
    }

    /// Makes many calls that succeed, one after the other and together.
    pub fn calls(&mut self, method: &str, params: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let requests: Vec<_> = params.into_iter().map(|params| request(method, params)).collect();
        let mut results = Vec::with_capacity(requests.len());
        for some in requests.chunks(TOGETHER) {
            self.send(&some.concat());
            results.extend((0..some.len()).map(|_| self.result()));
        }
        results
    }

    /// Makes one task of each of these and waits for their ends, as a client does that follows the updates.
    pub fn tasks(&mut self, method: &str, params: impl IntoIterator<Item = Value>) {
        let mut last = self.call("UPDATES.last_id", json!({}));
        let ids = self.calls(method, params);
        let mut pending: BTreeSet<String> = ids.iter().map(|id| text(id).to_owned()).collect();
        while !pending.is_empty() {
            let news = self.call("UPDATES.get", json!({"last_id": last, "timeout": 30}));
            last = news[2].clone();
            let tasks = news[1].as_array().expect("changed objects").iter().filter(|id| id[0] == "Task");
            let ours: Vec<_> = tasks.map(|id| text(&id[1])).filter(|id| pending.contains(*id)).collect();
            let states = self.calls("Task.stat", ours.iter().map(|id| json!({"id": id})));
            let mut ended = BTreeSet::new();
            for state in &states {
                match text(&state["state"][0]) {
                    "Pending" => continue,
                    "Completed" => {
                        ended.insert(text(&state["id"]).to_owned());
                    }
                    _ => panic!("{method} failed: {state}"),
                }
            }
            self.calls("Task.destroy", ended.iter().map(|id| json!({"id": id})));
            pending.retain(|id| !ended.contains(id));
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the daemon takes what it is sent");
    }

    fn result(&mut self) -> Value {
        let mut reply: Value = serde_json::from_slice(self.reply()).expect("a reply is JSON");
        assert!(reply["error"].is_null(), "{reply}");
        reply["result"].take()
    }

    fn reply(&mut self) -> &[u8] {
        let mut length = 0;
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line).expect("the daemon answers");
            let line = self.line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.parse().expect("a length is a number");
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).expect("the whole reply comes");
        &self.body
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

//! The real daemon's socket: both encodings, both framings, many clients, bad ones among them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Daemon, Place, eventually, post, request};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

fn query() -> String {
    request("query", json!({"unit": null}))
}

fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

#[test]
fn one_socket_takes_both_encodings_and_both_framings() {
    let place = Place::new("encodings");
    let daemon = place.start();
    let mut client = daemon.connect();
    client.send(&post(&query()));
    let (status, body) = client.reply().unwrap();
    let reply: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status.as_str(), &reply["id"], &reply["result"]["name"]),
        ("HTTP/1.1 200 OK", &json!(0), &json!("xenops"))
    );

    let xml = "<?xml version=\"1.0\"?><methodCall><methodName>query</methodName><params><param><value><struct>\
               <member><name>debug_info</name><value>d</value></member>\
               <member><name>unit</name><value><nil/></value></member></struct></value></param></params></methodCall>";
    client.send(&post(xml));
    let (status, body) = client.reply().unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.starts_with("<methodResponse>") || body.starts_with("<?xml"), "{body}");
    assert!(body.contains("instance_id"), "{body}");

    let mut client = daemon.connect();
    client.send(format!("{:016}{}", query().len(), query()).as_bytes());
    let mut framed = [0; 16];
    std::io::Read::read_exact(client.stream(), &mut framed).unwrap();
    let length: usize = std::str::from_utf8(&framed).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    std::io::Read::read_exact(client.stream(), &mut body).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["result"]["name"], json!("xenops"));
}

#[test]
fn many_requests_at_once_are_answered_in_order() {
    let place = Place::new("pipelined");
    let daemon = place.start();
    let mut client = daemon.connect();
    let mut sender = client.try_clone();
    let calls: Vec<String> = (0..2000)
        .map(|n| match n % 3 {
            0 => query(),
            1 => request("no.such.method", json!({})),
            _ => request("VM.exists", json!({"id": "04efbb51-2bce-495f-9d86-75fc70ba01e0"})),
        })
        .collect();
    let bytes: Vec<u8> = calls.iter().flat_map(|call| post(call)).collect();
    let sending = std::thread::spawn(move || sender.send(&bytes));
    for n in 0..calls.len() {
        let (_, body) = client.reply().unwrap();
        let reply: Value = serde_json::from_str(&body).unwrap();
        match n % 3 {
            0 => assert_eq!(reply["result"]["name"], json!("xenops"), "{n}"),
            1 => assert_eq!(reply["error"], json!(["Unimplemented", "no.such.method"]), "{n}"),
            _ => assert_eq!(reply["result"], json!(false), "{n}"),
        }
    }
    sending.join().unwrap();
}

#[test]
fn a_late_reply_keeps_its_place_and_does_not_hold_up_other_clients() {
    let place = Place::new("late");
    let daemon = place.start();
    let last = daemon.call("UPDATES.last_id", json!({})).unwrap();
    let mut client = daemon.connect();
    client.send(&post(&request("UPDATES.get", json!({"last_id": last, "timeout": 1}))));
    client.send(&post(&query()));
    assert!(daemon.call("query", json!({"unit": null})).is_ok());
    let (_, first) = client.reply().unwrap();
    let (_, second) = client.reply().unwrap();
    assert!(serde_json::from_str::<Value>(&first).unwrap()["result"].is_array(), "{first}");
    assert!(second.contains("instance_id"), "{second}");
}

#[test]
fn rubbish_is_answered_and_nothing_is_left_of_it() {
    let place = Place::new("rubbish");
    let daemon = place.start();
    for (bytes, status) in [
        (&b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n{\"met"[..], "HTTP/1.1 200"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404"),
        (b"\x00\x01\x02\x03\r\n\r\n", "HTTP/1.1 400"),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", "HTTP/1.1 413"),
    ] {
        let mut client = daemon.connect();
        client.send(bytes);
        let (line, _) = client.reply().unwrap();
        assert!(line.starts_with(status), "{line} for {bytes:?}");
    }
    let before = descriptors(&daemon);
    for _ in 0..50 {
        // Clients that wait for ever, and go.
        let mut client = daemon.connect();
        client.send(&post(&request("UPDATES.get", json!({"last_id": 0}))));
        client.send(b"POST / HTTP/1.1\r\ncontent-le");
    }
    eventually("their descriptors are closed", || descriptors(&daemon) <= before);
    assert!(daemon.call("query", json!({"unit": null})).is_ok());
}

#[test]
fn too_many_clients_are_told_so() {
    let place = Place::new("many");
    let program = place.command();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 80; exec \"$0\" \"$@\""]).arg(program.get_program()).args(program.get_args());
    let daemon = Daemon::start(command, &place.path("sockets"));
    let mut clients: Vec<_> = (0..40).map(|_| daemon.connect()).collect();
    let mut refused = 0;
    for client in &mut clients {
        client.try_send(&post(&query()));
        match client.reply().unwrap().0.as_str() {
            "HTTP/1.1 200 OK" => assert_eq!(refused, 0),
            "HTTP/1.1 503 Service Unavailable" => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!((20..40).contains(&refused), "{refused} refused");
    clients.truncate(1);
    eventually("there is room again", || {
        let mut client = daemon.connect();
        client.try_send(&post(&query()));
        client.reply().is_some_and(|(status, _)| status == "HTTP/1.1 200 OK")
    });
    assert!(daemon.kill().contains("further ones are refused"));
}

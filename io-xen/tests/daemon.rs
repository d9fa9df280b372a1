//! The real daemon: how it starts, is refused, is killed, ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Daemon, Place, eventually};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

/// A VM as clients add it.
fn vm(id: &str) -> Value {
    json!({
        "id": id, "name": "guest", "ssidref": 0, "xsdata": {}, "platformdata": {}, "bios_strings": {},
        "ty": ["PV", {"boot": ["Direct", {"kernel": "/boot/vmlinuz", "cmdline": ""}], "framebuffer": false,
                      "vncterm": true, "pci_passthrough": false}],
        "suppress_spurious_page_faults": false, "memory_static_max": 33554432, "memory_dynamic_max": 33554432,
        "memory_dynamic_min": 33554432, "vcpu_max": 1, "vcpus": 1,
        "scheduler_params": {"priority": [256, 0], "affinity": []}, "on_crash": ["Shutdown"],
        "on_shutdown": ["Shutdown"], "on_reboot": ["Start"], "on_softreboot": ["Softreboot"],
        "pci_msitranslate": true, "pci_power_mgmt": false, "has_vendor_device": false,
    })
}

const A: &str = "04efbb51-2bce-495f-9d86-75fc70ba01e0";
const B: &str = "6cdfeff6-9d9c-4a8f-9d3b-0a4dbd1cb8aa";

fn add(daemon: &Daemon, id: &str) {
    assert_eq!(daemon.call("VM.add", json!({"vm": vm(id)})), Ok(json!(id)));
}

fn ids(daemon: &Daemon) -> Vec<String> {
    let list = daemon.call("VM.list", json!({"unit": null})).unwrap();
    let mut ids: Vec<_> = list.as_array().unwrap().iter().map(|vm| vm[0]["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

// Waits for a task, and answers whether it was completed.
fn completes(daemon: &Daemon, method: &str, params: Value) -> bool {
    let task = daemon.call(method, params).unwrap();
    let mut state = Value::Null;
    eventually("a task ends", || {
        state = daemon.call("Task.stat", json!({"id": task})).unwrap()["state"][0].clone();
        state != json!("Pending")
    });
    state == json!("Completed")
}

fn state(daemon: &Daemon, id: &str) -> (Value, Value) {
    let stat = daemon.call("VM.stat", json!({"id": id})).unwrap();
    (stat[1]["power_state"].clone(), stat[1]["domids"].clone())
}

#[test]
fn what_is_asked_wrongly_is_refused_with_upstreams_status() {
    let place = Place::new("usage");
    for (arg, status, text) in [
        ("--nonsense=1", 123, "unknown option --nonsense"),
        ("--worker-pool-size=many", 123, "\"many\" is not a whole number"),
        ("--use-switch=true", 125, "message switch"),
        ("--host=xen", 1, "--host simulated"),
    ] {
        let mut command = place.command();
        command.arg(arg);
        let (refused, said) = Place::refused(command);
        assert_eq!(refused, status, "{arg}: {said}");
        assert!(said.contains(text) && said.lines().count() == 1, "{arg}: {said}");
    }
    assert!(!place.path("database").exists() && !place.path("sockets").exists());
    let output = Command::new(env!("CARGO_BIN_EXE_xenopsd")).arg("--version").output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(env!("CARGO_PKG_VERSION").as_bytes()));
}

#[test]
fn a_second_one_is_refused_by_the_directory_and_the_process_that_has_it() {
    let place = Place::new("second");
    let first = place.start();
    for (moved, kept) in [("sockets-path", "database"), ("database-path", "sockets")] {
        let mut command = place.command();
        command.arg(format!("--{moved}={}", place.path("elsewhere").display()));
        let (status, said) = Place::refused(command);
        let holder = format!("process {};", first.pid());
        let last = said.lines().last().unwrap();
        assert_eq!(status, 1, "{said}");
        assert!(last.contains(place.path(kept).to_str().unwrap()) && last.contains(&holder), "{said}");
    }
    assert!(first.call("query", json!({"unit": null})).is_ok());
}

#[test]
fn a_socket_is_replaced_when_nobody_answers_it_and_never_otherwise() {
    let place = Place::new("socket");
    let socket = place.path("sockets").join("xenopsd");
    place.start().kill();
    assert!(socket.exists(), "a killed daemon leaves its socket");
    let daemon = place.start();
    let file = fs::metadata(&socket).unwrap();
    assert_eq!((file.file_type().is_socket(), file.permissions().mode() & 0o777), (true, 0o600));
    daemon.kill();

    fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    let (status, said) = Place::refused(place.command());
    assert!(status == 1 && said.contains("another program listens on"), "{said}");
    drop(other);
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "precious").unwrap();
    let (status, said) = Place::refused(place.command());
    assert!(status == 1 && said.contains("not a socket"), "{said}");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
}

#[test]
fn what_was_answered_survives_a_kill() {
    let place = Place::new("kill");
    let daemon = place.start();
    add(&daemon, A);
    add(&daemon, B);
    assert_eq!(daemon.call("VM.remove", json!({"id": B})), Ok(Value::Null));
    daemon.kill();

    // And so does a journal whose last write was torn.
    let journal = place.path("database").join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    let torn = b"000001ff 8d2c99ab [{\"key\":\"VM/";
    bytes.extend(torn);
    fs::write(&journal, bytes).unwrap();
    let daemon = place.start();
    assert_eq!(ids(&daemon), [A]);
    assert!(daemon.kill().contains(&format!("torn tail of {} bytes was cut", torn.len())));
}

#[test]
fn sigterm_ends_it_cleanly_with_its_files_level() {
    let place = Place::new("term");
    let daemon = place.start();
    add(&daemon, A);
    let mut waiting = daemon.connect();
    waiting.send(&common::post(&common::request("UPDATES.get", json!({"last_id": 1_000_000}))));
    daemon.signal("TERM");
    let (status, log) = daemon.wait();
    assert!(status.success(), "{status}: {log}");
    assert!(!place.path("sockets").join("xenopsd").exists());
    let config = fs::read_to_string(place.path("database").join("VM").join(A).join("config")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&config).unwrap()["id"], json!(A));
    assert_eq!(fs::read_to_string(place.path("database").join("journal")).unwrap(), "xenops journal 1\n");

    // What others put there, in upstream's layout, is read; what is no record is named and left alone.
    let torn = place.path("database").join("VM").join(B);
    fs::create_dir_all(&torn).unwrap();
    fs::write(torn.join("config"), "{\"id\":").unwrap();
    let daemon = place.start();
    assert_eq!(ids(&daemon), [A]);
    let log = daemon.kill();
    assert!(log.contains(&format!("{B}/config is left alone: not JSON")), "{log}");
}

#[test]
fn debug_shutdown_ends_it_without_a_reply() {
    let place = Place::new("shutdown");
    let daemon = place.start();
    let mut client = daemon.connect();
    client.send(&common::post(&common::request("DEBUG.shutdown", json!({"unit": null}))));
    assert_eq!(client.reply(), None);
    assert!(daemon.wait().0.success());
}

#[test]
fn records_in_memory_end_with_it() {
    let place = Place::new("memory");
    let start = || {
        let mut command = place.command();
        command.arg("--persist=false");
        Daemon::start(command, &place.path("sockets"))
    };
    let daemon = start();
    add(&daemon, A);
    assert_eq!(ids(&daemon), [A]);
    daemon.kill();
    assert!(ids(&start()).is_empty() && !place.path("database").exists());
}

#[test]
fn h14_an_old_number_is_answered_at_once_after_a_restart() {
    // Fails when a number that this daemon never gave is waited for: an old client goes deaf.
    let place = Place::new("h14");
    let daemon = place.start();
    add(&daemon, A);
    let instance = daemon.call("query", json!({"unit": null})).unwrap()["instance_id"].clone();
    daemon.kill();
    let daemon = place.start();
    assert_ne!(daemon.call("query", json!({"unit": null})).unwrap()["instance_id"], instance);
    let updates = daemon.call("UPDATES.get", json!({"last_id": 1_000_000_000})).unwrap();
    assert!(updates[1].as_array().unwrap().contains(&json!(["Vm", A])), "{updates}");
}

#[test]
fn a_guest_outlives_the_daemon_on_a_host_of_its_own() {
    let place = Place::new("outlive");
    let host = format!("simulated:{}", place.path("host").display());
    let start = || Daemon::start(place.command_on(&host), &place.path("sockets"));
    let daemon = start();
    add(&daemon, A);
    assert!(completes(&daemon, "VM.start", json!({"id": A, "paused": false})));
    assert!(completes(&daemon, "VM.unpause", json!({"id": A})));
    let before = state(&daemon, A);
    assert_eq!(before.0, json!("Running"));
    daemon.kill();
    let daemon = start();
    assert_eq!(state(&daemon, A), before);
    assert!(completes(&daemon, "VM.shutdown", json!({"id": A})));
    assert_eq!(state(&daemon, A), (json!("Halted"), json!([])));

    // Two daemons cannot drive one host; and the daemon of a host that is gone goes as well.
    let pid = fs::read_to_string(place.path("host").join("host.pid")).unwrap();
    assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("the simulated host has gone"), "{log}");
}

#[test]
fn a_guest_is_talked_to_on_its_console() {
    let place = Place::new("console");
    for host in ["simulated".to_owned(), format!("simulated:{}", place.path("host").display())] {
        let daemon = Daemon::start(place.command_on(&host), &place.path("sockets"));
        if ids(&daemon).is_empty() {
            add(&daemon, A);
        }
        assert!(completes(&daemon, "VM.start", json!({"id": A, "paused": false})));
        assert!(completes(&daemon, "VM.unpause", json!({"id": A})));
        let mut path = String::new();
        eventually("the guest has a console", || {
            let stat = daemon.call("VM.stat", json!({"id": A})).unwrap();
            path = stat[1]["consoles"][0]["path"].as_str().unwrap_or_default().to_owned();
            !path.is_empty() && Path::new(&path).exists()
        });
        let mut console = UnixStream::connect(&path).unwrap();
        console.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let mut heard = String::new();
        let mut hear = |console: &mut UnixStream, what: &str| {
            while !heard.contains(what) {
                let mut bytes = [0; 4096];
                let read = console.read(&mut bytes).unwrap();
                assert!(read > 0, "closed before {what:?}: {heard}");
                heard.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
        };
        hear(&mut console, "Booting a simulated guest");
        eventually("the guest listens", || {
            console.write_all(b"echo hex\x7fllo\r").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(50));
            let mut bytes = [0; 4096];
            let read = console.read(&mut bytes).unwrap();
            std::str::from_utf8(&bytes[..read]).unwrap().contains("\r\nhello\r\n")
        });
        console.write_all(b"poweroff\r").unwrap();
        hear(&mut console, "Going down.");
        eventually("the VM is halted", || state(&daemon, A).0 == json!("Halted"));
        assert_eq!(console.read(&mut [0; 64]).unwrap(), 0);
        eventually("its console is gone", || !Path::new(&path).exists());
        daemon.kill();
    }
}

// In `Machine::check_begin`, drop the question for a foreigner; in `decide`, for what a restart does by itself.
#[test]
fn a_domain_of_another_instance_is_refused_by_that_name() {
    let place = Place::new("instances");
    let host = format!("simulated:{}", place.path("host").display());
    let named = |name: &str| {
        let mut command = place.command_on(&host);
        command.arg(format!("--queue={name}"));
        Daemon::start(command, &place.path("sockets"))
    };
    let one = named("org.xen.xapi.xenops.one");
    add(&one, A);
    assert!(completes(&one, "VM.start", json!({"id": A, "paused": false})));
    let started = state(&one, A);
    one.kill();

    let two = named("org.xen.xapi.xenops.two");
    for (method, params) in [
        ("VM.shutdown", json!({"id": A, "timeout": null})),
        ("VM.reboot", json!({"id": A, "timeout": null})),
        ("VM.unpause", json!({"id": A})),
    ] {
        let task = two.call(method, params).unwrap();
        let mut shown = Value::Null;
        eventually("a task ends", || {
            shown = two.call("Task.stat", json!({"id": task})).unwrap()["state"].clone();
            shown[0] != json!("Pending")
        });
        assert!(shown[0] == "Failed" && shown.to_string().contains("org.xen.xapi.xenops.one"), "{method}: {shown}");
    }
    assert_eq!(state(&two, A), started);
    two.kill();

    let one = named("org.xen.xapi.xenops.one");
    assert_eq!(state(&one, A), started);
    assert!(completes(&one, "VM.shutdown", json!({"id": A, "timeout": null})));
}

/// Another build may decide otherwise; this one decides again as it did.
#[cfg(feature = "simulated")]
#[test]
fn what_a_daemon_recorded_until_it_was_killed_can_be_lived_through_again() {
    use xenops_io_sim::relive::{build, relive};
    use xenops_io_sim::trace::Trace;
    let place = Place::new("record");
    let recording = place.path("recording");
    let start = || {
        let mut command = place.command_on(&format!("simulated:{}", place.path("host").display()));
        command.arg(format!("--record={}", recording.display()));
        Daemon::start(command, &place.path("sockets"))
    };
    let daemon = start();
    add(&daemon, A);
    assert!(completes(&daemon, "VM.start", json!({"id": A, "paused": false})));
    daemon.kill();
    let daemon = start();
    assert!(completes(&daemon, "VM.shutdown", json!({"id": A, "timeout": null})));
    daemon.kill();
    for (file, least) in [(recording.clone(), 10), (place.path("recording.1"), 40)] {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let relived = relive(&file, &mut Trace::default()).unwrap();
        assert_eq!((relived.differs, relived.ends, relived.build), (None, None, build()));
        assert!(relived.inputs >= least, "{} inputs", relived.inputs);
    }

    // An input is missing, a line is cut short, a line is none.
    let text = fs::read_to_string(place.path("recording.1")).unwrap();
    let other = place.path("other");
    let added = text.lines().position(|line| line.contains("VM.add")).unwrap();
    let rest: Vec<_> = text.lines().enumerate().filter(|(n, _)| *n != added).map(|(_, line)| line).collect();
    fs::write(&other, rest.join("\n")).unwrap();
    assert!(relive(&other, &mut Trace::default()).unwrap().differs.is_some());
    fs::write(&other, &text[..text.len() - 10]).unwrap();
    assert!(relive(&other, &mut Trace::default()).unwrap().differs.is_none());
    fs::write(&other, text.replacen(r#"{"Told""#, r#"{"Tolled""#, 1)).unwrap();
    assert!(relive(&other, &mut Trace::default()).unwrap_err().contains("line 2"));
}

/// A file that is full is gone on with in another, which can be lived through without it: operations are under way then.
#[cfg(feature = "simulated")]
#[test]
fn each_file_of_a_long_recording_can_be_lived_through_by_itself() {
    use xenops_io_sim::relive::relive;
    use xenops_io_sim::trace::Trace;
    let place = Place::new("rotation");
    let recording = place.path("recording");
    let mut command = place.command();
    command.arg(format!("--record={}", recording.display())).arg("--record-limit=1");
    let daemon = Daemon::start(command, &place.path("sockets"));
    add(&daemon, A);
    let nobody = "x".repeat(100_000);
    let (oldest, snapshot) = (place.path("recording.4"), b"{\"Snapshot\":");
    for _ in 0..200 {
        if fs::read(&oldest).is_ok_and(|text| text.starts_with(snapshot)) {
            break;
        }
        for (method, params) in
            [("VM.start", json!({"id": A, "paused": false})), ("VM.shutdown", json!({"id": A, "timeout": null}))]
        {
            let task = daemon.call(method, params).unwrap();
            let mut state = json!("Pending");
            while state == json!("Pending") {
                assert!(daemon.call("VM.stat", json!({"id": nobody})).is_err());
                state = daemon.call("Task.stat", json!({"id": task})).unwrap()["state"][0].clone();
            }
            assert_eq!(state, json!("Completed"), "{method}");
        }
    }
    daemon.kill();
    for name in ["recording", "recording.1", "recording.2", "recording.3", "recording.4"] {
        let file = place.path(name);
        let text = fs::read(&file).unwrap();
        assert!(text.starts_with(snapshot), "{name}");
        assert!(text.len() < (1 << 20) + 200_000, "{} bytes", text.len());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let relived = relive(&file, &mut Trace::default()).unwrap();
        assert_eq!((relived.differs, relived.ends.is_some()), (None, file != recording), "{name}");
    }
}

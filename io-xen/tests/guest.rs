//! The guest helper as a process, on a machine without Xen: what it says and how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

const BUILD: &str = "-mode linux_build -domid 3 -store_port 1 -store_domid 0 -console_port 2 -console_domid 0 \
                     -mem_max_mib 64 -mem_start_mib 64 -cmdline quiet -features pv -flags 0 -image";

fn helper(args: &str, image: Option<&str>, store: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xenops-guest"))
        .args(args.split_whitespace())
        .args(image)
        .env("XENSTORED_PATH", store)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Its one line; it failed, as the daemon expects of it after such a line.
fn error(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), output.status.code()), (1, Some(1)), "{output:?}");
    lines[0].strip_prefix("error:").expect("its last line is an error").to_owned()
}

#[test]
fn what_is_wrong_with_its_arguments_is_said() {
    let table = [
        ("", "arguments 22 -domid is missing"),
        ("-mode dance -domid 3", "arguments 22 mode dance is not known"),
        ("-mode save -domid 3 -fd 2", "xc_domain_save 22 cannot take the stream: descriptor 2 is a standard one"),
        ("-mode hvm_save -domid 3 -fd 77", "xc_domain_save 9 cannot take the stream: "),
    ];
    for (args, expected) in table {
        let said = error(&helper(args, None, "/nonexistent"));
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn without_xen_it_names_what_is_missing() {
    if PathBuf::from("/sys/hypervisor/version").exists() {
        println!("skipped: this machine runs on Xen");
        return;
    }
    let said = error(&helper(BUILD, Some("/nonexistent"), "/nonexistent"));
    assert!(said.starts_with("xc_dom_linux_build 22 cannot reach xenstored: "), "{said}");

    // A xenstored that has nothing.
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join(format!("xenstored-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut header = [0; 16];
            while stream.read_exact(&mut header).is_ok() {
                let length = u32::from_le_bytes(header[12..].try_into().unwrap());
                stream.read_exact(&mut vec![0; length as usize]).unwrap();
                let answer = [16u32, 0, 0, 7].map(u32::to_le_bytes).concat();
                stream.write_all(&[&answer, &b"ENOENT\0"[..]].concat()).unwrap();
            }
        }
    });
    let store = path.to_str().unwrap();
    let said = error(&helper(BUILD, Some("/nonexistent/kernel"), store));
    assert_eq!(said, "xc_dom_linux_build 2 cannot read /nonexistent/kernel: no such file or directory");
    // A file that is there: now the libraries or the hypervisor are missing, whichever comes first.
    let said = error(&helper(BUILD, Some(env!("CARGO_BIN_EXE_xenops-guest")), store));
    assert!(said.starts_with("xc_dom_linux_build 22 cannot ") && said.contains("--host simulated"), "{said}");
    std::fs::remove_file(path).unwrap();
}

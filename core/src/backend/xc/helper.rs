//! The guest helper: one process that builds, saves or restores one guest's memory, and what is said with it.
//!
//! The program is [`HostFacts::guest_helper`](crate::host::HostFacts). It is the field's `xenguest` and
//! `emu-manager` in one, so either can stand in for it behind a small wrapper. Its standard output is lines of
//! `prefix:body`; its standard input takes one word a line (`Request::Tell`). It writes nothing to xenstore, leaves
//! the domain paused, and ends by itself after its last line: status 0 after `result:`, 1 after `error:`. Ended
//! without either, or by a signal, it has failed. Killed at any point it leaves a domain that must be destroyed
//! (build, restore) or resumed (save).
//!
//! # Arguments
//!
//! Build, role `Builder`, no stream:
//!
//! ```text
//! -mode linux_build -domid D -store_port P -store_domid 0 -console_port Q -console_domid 0
//!     -mem_max_mib X -mem_start_mib Y [--force] -image KERNEL -cmdline TEXT -ramdisk FILE|"" -features "" -flags 0
//! -mode hvm_build   (same up to --force) -image HVMLOADER
//! -mode pvh_build   (same up to --force) -image KERNEL -cmdline TEXT -features "" -flags 0 {-module FILE [-cmdline TEXT]}
//! ```
//!
//! Save, role `Saver`: `-mode save|hvm_save -domid D -fd {stream} [-dm qemu]`; `hvm_save` for HVM and PVH.
//!
//! Restore, role `Restorer`: `-mode restore|hvm_restore -domid D -fd {stream} -store_port P -console_port Q [-dm qemu]`.
//!
//! `{stream}` is an argument of its own, which the host replaces by the descriptor's number.
//!
//! # Lines it says
//!
//! | line | when | we answer |
//! |---|---|---|
//! | `info:TEXT`, `stdout:TEXT`, `stderr:TEXT` | any time; `info:\b\b\b\b 42%` (backslashes and letters, not control bytes) is progress | |
//! | `prepare:xenguest` | save, first | append the `Libxc` record to the image, then `done` |
//! | `suspend:` | save, once, when the guest must stop | suspend the guest (and QEMU), then `done` |
//! | `result:STORE CONSOLE` | build, last | two decimal frame numbers |
//! | `result:` | save, last: the guest's memory is in the stream | |
//! | `result:xenguest STORE CONSOLE` | restore, last | two decimal frame numbers |
//! | `error:STEP ERRNO TEXT` | any time, last; any other prefix counts as this | |
//!
//! # Words it takes
//!
//! | word | meaning |
//! |---|---|
//! | `done` | what it asked for is done |
//! | `restore:xenguest` | restore: the image's `Libxc` record has been read, its data comes next in the stream |
//! | `abort` | stop: it says `error:` and ends |
//!
//! A restore says nothing before it was told `restore:xenguest`.

use crate::backend::{Failure, Host};
use crate::host::{DomId, Handle, Request, Role, Spawn};

/// The error number of "not enough memory".
pub(super) const ENOMEM: i32 = 12;

/// Error numbers of a disk that is broken or full.
pub(super) const DISK_ERRORS: [i32; 2] = [5, 28];

/// Start it on an image; what it says is waited for as it comes.
pub(super) async fn spawn(
    host: &Host,
    role: Role,
    domid: DomId,
    process: Handle,
    stream: Handle,
    args: Vec<String>,
) -> Result<(), Failure> {
    let program = host.context().facts.guest_helper.clone();
    let (domid, stream, env) = (Some(domid), Some(stream), Vec::new());
    let spawn = Spawn { process, role, domid, program, args, env, scratch: None, stream };
    host.act(Request::Spawn(Box::new(spawn))).await
}

/// A line that the helper says.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// For the log.
    Info,
    /// Per cent done.
    Progress(u32),
    /// The image's data for libxenguest comes next.
    Prepare,
    /// The guest must stop.
    Suspend,
    /// The end, well; what follows the colon.
    Result(&'a str),
    /// The end, not well.
    Error(&'a str),
}

/// What a line says.
pub(super) fn line(line: &str) -> Line<'_> {
    let (prefix, body) = line.split_once(':').unwrap_or(("", line));
    match prefix {
        "info" | "stdout" | "stderr" => progress(body).map_or(Line::Info, Line::Progress),
        "prepare" if body == "xenguest" => Line::Prepare,
        "suspend" => Line::Suspend,
        "result" => Line::Result(body),
        "error" => Line::Error(body),
        _ => Line::Error(line),
    }
}

/// The eight characters `\b\b\b\b`, then one number.
fn progress(body: &str) -> Option<u32> {
    let number = body.strip_prefix(r"\b\b\b\b")?.trim().trim_end_matches('%');
    number.parse().ok().filter(|percent| *percent <= 100)
}

/// The helper's last word among its lines: its result, or what went wrong.
pub(super) fn last_word(lines: &[String]) -> Result<&str, &str> {
    let last = lines.iter().find_map(|text| match line(text) {
        Line::Result(body) => Some(Ok(body)),
        Line::Error(body) => Some(Err(body)),
        _ => None,
    });
    last.unwrap_or(Err("ended without a word"))
}

/// Frames of store and console ring.
pub(super) fn rings(body: &str) -> Option<(u64, u64)> {
    let (store, console) = body.strip_prefix("xenguest ").unwrap_or(body).split_once(' ')?;
    Some((store.parse().ok()?, console.parse().ok()?))
}

/// The error number that an error line names.
pub(super) fn errno(body: &str) -> Option<i32> {
    body.split(' ').nth(1)?.parse().ok()
}

/// `-mode M -domid D`, with which every call begins.
pub(super) fn args(mode: &str, domid: DomId) -> Vec<String> {
    ["-mode", mode, "-domid", &domid.to_string()].map(str::to_owned).to_vec()
}

/// Append a flag and its value.
pub(super) fn push(args: &mut Vec<String>, flag: &str, value: impl Into<String>) {
    args.extend([flag.to_owned(), value.into()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_helper() {
        let table = [
            (r"info:\b\b\b\b 42%", Line::Progress(42)),
            (r"stderr:\b\b\b\b 7", Line::Progress(7)),
            ("info:\u{8}\u{8}\u{8}\u{8} 42%", Line::Info),
            (r"info:\b\b\b\b 420%", Line::Info),
            ("prepare:xenguest", Line::Prepare),
            ("prepare:vgpu", Line::Error("prepare:vgpu")),
            ("suspend:", Line::Suspend),
            ("result:7 8", Line::Result("7 8")),
            ("error:hvm_build_mem 12 Cannot allocate memory", Line::Error("hvm_build_mem 12 Cannot allocate memory")),
            ("Segmentation fault", Line::Error("Segmentation fault")),
        ];
        for (text, expected) in table {
            assert_eq!(line(text), expected, "{text}");
        }
        assert_eq!(
            (rings("7 8"), rings("xenguest 7 8"), rings("xenguest 7"), rings("")),
            (Some((7, 8)), Some((7, 8)), None, None)
        );
        assert_eq!((errno("save 28 No space"), errno("what?")), (Some(28), None));
    }
}

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

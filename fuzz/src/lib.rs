//! What every fuzz target runs, callable from a plain test that replays the corpora.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run http` fuzzes; `cargo run -p xenops-fuzz --bin http -- FILE...` runs a
//! target on files alone, without libFuzzer.

mod http;
mod journal;
mod message;
mod metadata;
mod xl;

pub use http::http;
pub use journal::journal;
pub use message::{json, xml};
pub use metadata::metadata;
pub use xl::xl;

/// What a target runs on an input. It panics where a property is broken.
pub type Target = fn(&[u8]);

/// Every target, by the name of its binary and of its corpus.
pub const TARGETS: &[(&str, Target)] =
    &[("http", http), ("journal", journal), ("json", json), ("metadata", metadata), ("xl", xl), ("xml", xml)];

/// Runs a target on each file that the command line names.
pub fn replay_arguments(target: Target) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        target(&std::fs::read(path)?);
    }
    Ok(())
}

/// Makes a binary of a target: libFuzzer's under `cargo fuzz`, one that takes files elsewhere.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay_arguments($crate::$name)
        }
    };
}

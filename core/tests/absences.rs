//! What core must not know, proved over its manifest and every line of its source.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn crate_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Lines of code, without comments and without a file's tests.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = product.lines().enumerate().map(|(n, line)| (n + 1, line.split("//").next().unwrap().to_owned()));
    lines.collect()
}

fn offences(words: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    sources(&crate_root().join("src"), &mut files);
    assert!(files.len() > 50, "the walk finds the source");
    let mut found = Vec::new();
    for path in files.iter().filter(|path| !path.ends_with("tests.rs") && !path.iter().any(|part| part == "tests")) {
        for (n, line) in code(path) {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{n}: {word}", path.display()));
            }
        }
    }
    found
}

fn none_of(words: &[&str]) {
    let found = offences(words);
    assert!(found.is_empty(), "core knows what it must not:\n{}", found.join("\n"));
}

#[test]
fn no_socket() {
    none_of(&["std::net", "std::os::unix", "UnixStream", "TcpStream", "TcpListener", "UnixListener"]);
}

#[test]
fn no_file() {
    none_of(&[
        "std::fs",
        "std::io::stdin",
        "std::io::stdout",
        "std::io::stderr",
        "println!",
        "eprintln!",
        "fs::File",
        "File::open",
        "File::create",
    ]);
}

#[test]
fn no_clock() {
    none_of(&["std::time", "Instant::now", "SystemTime"]);
}

#[test]
fn no_thread_and_no_process() {
    none_of(&["std::thread", "thread_local!", "std::process", "Command::new"]);
}

#[test]
fn no_source_of_random_numbers_but_the_seed() {
    none_of(&["thread_rng", "from_entropy", "from_os_rng", "OsRng", "RandomState", "HashMap", "HashSet", "getrandom"]);
}

// The choice of a mutant is the one global, and only a test build has it.
#[test]
fn no_state_but_a_machines() {
    let mut found = offences(&["OnceLock", "LazyLock", "OnceCell", "LazyCell", "sync::atomic", "static mut"]);
    found.retain(|offence| !offence.contains("src/mutant.rs"));
    assert!(found.is_empty(), "core keeps state outside of its machines:\n{}", found.join("\n"));
    let manifest = fs::read_to_string(crate_root().join("Cargo.toml")).unwrap();
    assert!(
        manifest.contains("\nmutants = []\n") && !manifest.contains("\ndefault ="),
        "mutants are asked for by name"
    );
}

#[test]
fn no_environment() {
    none_of(&["std::env", "env!(", "option_env!"]);
}

#[test]
fn no_unsafe_and_the_compiler_says_so() {
    none_of(&["unsafe "]);
    let manifest = fs::read_to_string(crate_root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
}

#[test]
fn no_dependency_that_could_do_anything() {
    let manifest = fs::read_to_string(crate_root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<_> =
        section.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|n| !n.is_empty()).collect();
    // Data in and out, two parsers without I/O, a seeded generator. Whoever adds one shows that it has no I/O either.
    let pure = ["serde", "serde_json", "httparse", "quick-xml", "rand_chacha"];
    for name in &names {
        assert!(pure.contains(name), "core depends on {name}");
    }
    assert!(!names.iter().any(|name| name.starts_with("xenops")), "core depends on none of our crates");
}

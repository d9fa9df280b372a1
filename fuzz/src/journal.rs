//! A journal, as a crash, a full disk or a bad one leaves it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use xenops_core::host::Entry;
use xenops_io_xen::database::frame;
use xenops_io_xen::database::journal::{Held, Journal, NAME};

/// Bytes beyond which an input only repeats itself.
const LONGEST: usize = 16 << 10;

/// A journal's bytes. Of a line that begins with `+` the rest is a frame's body, whose head is written here: no fuzzer
/// finds a checksum.
///
/// Whatever it holds, it opens or is left as it is; what cannot be read is cut or set aside, never part of it; what is
/// appended then is read after what was read before.
pub fn journal(data: &[u8]) {
    if data.len() > LONGEST {
        return;
    }
    let bytes = with_heads(data);
    let root = Root::new();
    let path = root.0.join(NAME);
    fs::write(&path, &bytes).expect("a temporary directory takes a file");
    let Ok((mut journal, held)) = Journal::open(&root.0) else {
        assert_eq!(fs::read(&path).expect("it stays"), bytes, "what is none of ours is left alone");
        return;
    };
    let aside = held.set_aside.as_ref().map_or(0, |path| size(path));
    if size(&path) + aside + held.cut as u64 != bytes.len() as u64 {
        assert!(held.entries.is_empty() && bytes.len() < 17, "only a title that was torn is written anew: {held:?}");
    }

    let new = Entry { key: "VM/new/config".to_owned(), value: Some("\"\n+\"".to_owned()) };
    let mut frames = Vec::new();
    frame::encode(&mut frames, std::slice::from_ref(&new));
    assert_eq!(frame::decode(&frames), Some((vec![new.clone()], frames.len())));
    journal.append(&frames).expect("a temporary directory takes a few bytes");
    drop(journal);
    let Ok((_, again)) = Journal::open(&root.0) else { panic!("what was opened opens again") };
    let Held { entries, cut: 0, set_aside: None } = again else { panic!("nothing was left to cut: {again:?}") };
    assert_eq!(entries, [held.entries, vec![new]].concat());

    let mut anew = Vec::new();
    frame::encode(&mut anew, &entries);
    assert_eq!(frame::decode(&anew), Some((entries, anew.len())), "what was read can be written");
}

fn with_heads(data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"+") {
            Some(body) => {
                let body = body.strip_suffix(b"\n").unwrap_or(body);
                bytes.extend(format!("{:08x} {:08x} ", body.len(), crc32fast::hash(body)).bytes());
                bytes.extend(body);
                bytes.push(b'\n');
            }
            None => bytes.extend(line),
        }
    }
    bytes
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).expect("a file that was just named").len()
}

/// A database root of one run; gone with it.
struct Root(PathBuf);

impl Root {
    fn new() -> Root {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Nothing here is to outlive a power cut, and a sync takes time elsewhere.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = base.join(format!("xenops-fuzz-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory can be made");
        Root(path)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! A frame of the journal: one line of length, checksum and entries, whole or not there.

use xenops_core::host::Entry;

/// Bytes before the entries: two numbers of eight hexadecimal digits, a blank after each.
const HEAD: usize = 18;

/// Appends a frame of these entries.
pub fn encode(out: &mut Vec<u8>, entries: &[Entry]) {
    let start = out.len();
    out.resize(start + HEAD, b' ');
    serde_json::to_writer(&mut *out, entries).expect("texts are JSON, and memory takes them");
    let body = &out[start + HEAD..];
    let head = format!("{:08x} {:08x} ", body.len(), crc32fast::hash(body));
    out[start..start + HEAD].copy_from_slice(head.as_bytes());
    out.push(b'\n');
}

/// Reads the frame that begins here: its entries and its length; nothing where no whole frame begins.
pub fn decode(bytes: &[u8]) -> Option<(Vec<Entry>, usize)> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = number(&head[..9])? as usize;
    let checksum = number(&head[9..])?;
    let body = rest.get(..length)?;
    if rest.get(length) != Some(&b'\n') || crc32fast::hash(body) != checksum {
        return None;
    }
    Some((serde_json::from_slice(body).ok()?, HEAD + length + 1))
}

fn number(digits_and_blank: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits_and_blank).ok()?.strip_suffix(' ')?;
    u32::from_str_radix(digits, 16).ok()
}

/// Whether a whole frame begins anywhere after the first byte: then what is before it is damage, not a torn tail.
/// Entries cannot hold a frame, for their line ends are escaped.
pub fn any_later(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|at| decode(&bytes[at..]).is_some())
}

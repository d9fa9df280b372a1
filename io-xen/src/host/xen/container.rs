//! The container of a suspend image: upstream's signature and records.

use std::io::{self, ErrorKind, Read, Write};
use xenops_core::host::ImageRecord;

/// How an image begins.
pub const SIGNATURE: &[u8; 15] = b"XenSavedDomv2-\n";

/// How one of an older format begins, which another program has to convert.
const LEGACY: &[u8; 15] = b"XenSavedDomain\n";

const XENOPS: u64 = 0x000f;
const LIBXC: u64 = 0x00f0;
const LIBXC_LEGACY: u64 = 0x00f2;
const QEMU_TRAD: u64 = 0x0f00;
const END_OF_IMAGE: u64 = 0xffff;

/// Bytes of who wrote it at most.
const LONGEST_TEXT: u64 = 4 << 20;

/// Bytes of QEMU's state at most.
const LARGEST_STATE: u64 = 64 << 20;

/// A record and the bytes that belong to it.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Which it is.
    pub kind: ImageRecord,
    /// QEMU's state.
    pub state: Vec<u8>,
}

fn header(kind: u64, length: usize) -> [u8; 16] {
    let mut header = [0; 16];
    header[..8].copy_from_slice(&kind.to_le_bytes());
    header[8..].copy_from_slice(&(length as u64).to_le_bytes());
    header
}

/// Writes a record; with QEMU's, its state.
pub fn write(to: &mut impl Write, kind: &ImageRecord, state: &[u8]) -> io::Result<()> {
    let (kind, body) = match kind {
        ImageRecord::Signature => return to.write_all(SIGNATURE),
        ImageRecord::Xenops(text) => (XENOPS, text.as_bytes()),
        ImageRecord::Libxc => (LIBXC, &[][..]),
        ImageRecord::QemuTrad => (QEMU_TRAD, state),
        ImageRecord::EndOfImage => (END_OF_IMAGE, &[][..]),
    };
    to.write_all(&header(kind, body.len()))?;
    to.write_all(body)
}

/// Reads the signature, where an image begins, or a record; none where there is nothing more. It takes not a byte
/// that belongs to what follows.
pub fn read(from: &mut impl Read, at_start: bool) -> io::Result<Option<Record>> {
    if at_start {
        let mut signature = [0; 15];
        if !fill(from, &mut signature)? {
            return Ok(None);
        }
        return match &signature {
            SIGNATURE => Ok(Some(Record { kind: ImageRecord::Signature, state: Vec::new() })),
            LEGACY => Err(malformed("it is of a format that only convert-legacy-stream reads")),
            _ => Err(malformed("it is no suspend image")),
        };
    }
    let mut header = [0; 16];
    if !fill(from, &mut header)? {
        return Ok(None);
    }
    let (kind, length) = header.split_at(8);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("a half of sixteen bytes"));
    let (kind, length) = (number(kind), number(length));
    let (kind, state) = match kind {
        XENOPS => {
            let text = body(from, length, LONGEST_TEXT)?;
            (ImageRecord::Xenops(String::from_utf8_lossy(&text).into_owned()), Vec::new())
        }
        LIBXC | LIBXC_LEGACY => (ImageRecord::Libxc, Vec::new()),
        QEMU_TRAD => (ImageRecord::QemuTrad, body(from, length, LARGEST_STATE)?),
        END_OF_IMAGE => (ImageRecord::EndOfImage, Vec::new()),
        other => return Err(malformed(format!("record {other:#06x} is not one that this daemon reads"))),
    };
    Ok(Some(Record { kind, state }))
}

fn malformed(text: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text.into())
}

fn body(from: &mut impl Read, length: u64, most: u64) -> io::Result<Vec<u8>> {
    if length > most {
        return Err(malformed(format!("a record of {length} bytes is too long")));
    }
    let mut body = Vec::new();
    from.take(length).read_to_end(&mut body)?;
    if body.len() as u64 != length {
        return Err(malformed("it ends within a record"));
    }
    Ok(body)
}

// Whether there was anything at all.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(malformed("it ends within a record")),
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let records = [
            ImageRecord::Signature,
            ImageRecord::Xenops("((time now))".to_owned()),
            ImageRecord::QemuTrad,
            ImageRecord::Libxc,
            ImageRecord::EndOfImage,
        ];
        let mut bytes = Vec::new();
        for record in &records {
            write(&mut bytes, record, b"state").unwrap();
        }
        assert_eq!(&bytes[..31], b"XenSavedDomv2-\n\x0f\0\0\0\0\0\0\0\x0c\0\0\0\0\0\0\0");
        let mut from = &bytes[..];
        for (at, kind) in records.into_iter().enumerate() {
            let state = if kind == ImageRecord::QemuTrad { b"state".to_vec() } else { Vec::new() };
            assert_eq!(read(&mut from, at == 0).unwrap(), Some(Record { kind, state }));
        }
        assert_eq!(read(&mut from, false).unwrap(), None);
        let ends = [0, 15, 15 + 16 + 12, 15 + 28 + 21, 15 + 28 + 21 + 16];
        for cut in 0..bytes.len() {
            let mut from = &bytes[..cut];
            let mut at_start = true;
            let end = loop {
                match read(&mut from, at_start) {
                    Ok(Some(_)) => at_start = false,
                    end => break end.is_ok(),
                }
            };
            assert_eq!(end, ends.contains(&cut), "cut after {cut}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused_without_reading_all_of_it() {
        let long = [&header(XENOPS, usize::MAX)[..], b"x"].concat();
        for (bytes, start) in
            [(&LEGACY[..], true), (b"no suspend image", true), (&header(0x0f11, 0), false), (&long, false)]
        {
            assert!(read(&mut &bytes[..], start).is_err());
        }
    }
}

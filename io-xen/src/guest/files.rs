//! Files that go into a guest.

use super::StepError;
use crate::failure::plain;
use std::fs::File;
use std::io::Read;

/// Bytes of one at most.
const MOST: u64 = 1 << 30;

/// Where distributions keep a BIOS that hvmloader starts.
const BIOS: [&str; 4] = [
    "/usr/share/seabios/bios-256k.bin",
    "/usr/share/seabios/bios.bin",
    "/usr/lib/xen/boot/seabios.bin",
    "/usr/share/qemu/bios-256k.bin",
];

/// Where distributions keep UEFI for Xen.
const UEFI: [&str; 4] =
    ["/usr/share/ovmf/OVMF.fd", "/usr/share/OVMF/OVMF.fd", "/usr/share/edk2/xen/OVMF.fd", "/usr/lib/xen/boot/ovmf.bin"];

/// Reads a file; `step` fails if it cannot be.
pub(super) fn read(step: &'static str, path: &str) -> Result<Vec<u8>, StepError> {
    let mut bytes = Vec::new();
    let failure = |error: std::io::Error| StepError {
        step,
        errno: error.raw_os_error().unwrap_or(0),
        text: format!("cannot read {path}: {}", plain(&error)),
    };
    let mut file = File::open(path).map_err(failure)?;
    file.by_ref().take(MOST + 1).read_to_end(&mut bytes).map_err(failure)?;
    match bytes.len() as u64 {
        0 => Err(StepError { step, errno: crate::xen::errno::EINVAL, text: format!("{path} is empty") }),
        length if length > MOST => {
            Err(StepError { step, errno: 27, text: format!("{path} has more than {} MiB", MOST >> 20) })
        }
        _ => Ok(bytes),
    }
}

/// Reads the firmware that hvmloader starts.
pub(super) fn firmware(step: &'static str, uefi: bool) -> Result<Vec<u8>, StepError> {
    let (places, package) = if uefi { (UEFI, "ovmf") } else { (BIOS, "seabios") };
    match places.into_iter().find(|path| std::fs::exists(path).unwrap_or(false)) {
        Some(path) => read(step, path),
        None => Err(StepError {
            step,
            errno: 2,
            text: format!("none of {} is there; install it (Debian: {package})", places.join(", ")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_cannot_be_read_is_named() {
        let scratch = Scratch::new("files");
        let path = scratch.path().join("kernel");
        let path = path.to_str().unwrap();
        let error = read("hvm_build", path).unwrap_err();
        assert_eq!(error.to_string(), format!("hvm_build 2 cannot read {path}: no such file or directory"));
        std::fs::write(path, "").unwrap();
        assert_eq!(read("hvm_build", path).unwrap_err().text, format!("{path} is empty"));
        std::fs::write(path, "x").unwrap();
        assert_eq!(read("hvm_build", path), Ok(b"x".to_vec()));
    }
}

//! What a helper does with the descriptors that it was started with.

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

unsafe extern "C" {
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
}

const F_GETFD: c_int = 1;

/// Takes the one descriptor that is meant for this process and closes all others but the standard three.
///
/// Only for the beginning of `main`, when the process has opened nothing itself.
pub fn inherit(meant: Option<RawFd>) -> io::Result<Option<OwnedFd>> {
    let close = |first: c_uint, last: c_uint| match first <= last {
        // SAFETY: nothing in this process has opened a descriptor yet, so none of these is somebody's.
        true if unsafe { close_range(first, last, 0) } < 0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    let Some(fd) = meant else { return close(3, c_uint::MAX).map(|()| None) };
    if fd < 3 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("descriptor {fd} is a standard one")));
    }
    // SAFETY: a question about a number.
    if unsafe { fcntl(fd, F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    close(3, fd as c_uint - 1)?;
    close(fd as c_uint + 1, c_uint::MAX)?;
    // SAFETY: it is open, it was left to us, and nobody else in this process has it.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

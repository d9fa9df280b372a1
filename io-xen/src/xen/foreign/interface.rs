//! An open interface to the hypervisor.

use super::super::errno::CallError;
use super::super::layout::{Layout, Physical};
use super::super::library::Version;
use super::functions::{Functions, Libraries, Xc};
use super::logger::{Listener, Logger};
use crate::failure::Failure;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;

/// One thread's way to the hypervisor: the library keeps the last error in it.
pub struct Interface {
    pub(super) functions: Functions,
    pub(super) layout: Layout,
    pub(super) handle: NonNull<Xc>,
    logger: *mut Logger,
}

// SAFETY: the library ties a handle to no thread, only to one at a time; the listener is Send.
unsafe impl Send for Interface {}

/// Calls a function with the handle and these arguments; a negative answer is an error.
macro_rules! call {
    ($interface:ident.$name:ident($($argument:expr),* $(,)?)) => {{
        super::interface::forget_error();
        // SAFETY: the handle is open until it is dropped, and ours alone as an interface is not Sync. The arguments
        // are numbers, or pointers to locals of the size that the function reads or writes.
        let answer = unsafe { ($interface.functions.$name)($interface.handle.as_ptr() $(, $argument)*) };
        if answer < 0 { Err(super::interface::last_error(stringify!($name))) } else { Ok(answer) }
    }};
}
pub(super) use call;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
    fn munmap(address: *mut c_void, length: usize) -> c_int;
}

/// The C library's error number.
pub(super) fn errno() -> c_int {
    // SAFETY: the C library's own variable of this thread.
    unsafe { *__errno_location() }
}

/// Sets it.
pub(super) fn set_errno(errno: c_int) {
    // SAFETY: as for reading it.
    unsafe { *__errno_location() = errno };
}

/// Not every failing function says why: what an earlier one said must not be taken for it.
pub(super) fn forget_error() {
    set_errno(0);
}

/// Why the call that just failed did.
pub(super) fn last_error(function: &'static str) -> CallError {
    CallError { function, errno: errno() }
}

impl Interface {
    /// Opens one.
    pub fn open(libraries: &Libraries, listener: Box<dyn Listener>) -> Result<Interface, CallError> {
        let functions = libraries.functions;
        let logger = Logger::leak(listener);
        forget_error();
        // SAFETY: the logger lives until the interface is closed; no flags are set.
        let handle = unsafe { (functions.xc_interface_open)(logger.cast(), logger.cast(), 0) };
        match NonNull::new(handle) {
            Some(handle) => Ok(Interface { functions, layout: libraries.layout, handle, logger }),
            None => {
                let error = last_error("xc_interface_open");
                // SAFETY: it is from `leak`, and the library that failed to open kept nothing.
                drop(unsafe { Box::from_raw(logger) });
                Err(error)
            }
        }
    }

    /// That these libraries are of the release that runs: their structures fit no other.
    pub fn check(libraries: &Libraries) -> Result<(), Failure> {
        let interface = Interface::open(libraries, Box::new(super::Quiet)).map_err(|error| {
            let remedy = "boot Xen, load the module xen-privcmd and run as root, or use --host simulated";
            Failure::new(format!("cannot reach the hypervisor: {error}; {remedy}"))
        })?;
        let running = interface.version().map_err(|error| Failure::new(format!("cannot ask Xen: {error}")))?;
        match running == libraries.version() {
            true => Ok(()),
            false => Err(Failure::new(format!(
                "libraries of Xen {} do not fit the Xen {running} that runs; install those of {running} (Debian: \
                 libxenmisc{running}) or boot Xen {}",
                libraries.version(),
                libraries.version()
            ))),
        }
    }

    /// The release that runs.
    pub fn version(&self) -> Result<Version, CallError> {
        call!(self.xc_version(0, std::ptr::null_mut())).map(|packed| Version::packed(packed as u32))
    }

    /// What follows the release's number, `.7` or `-rc1`.
    pub fn extra_version(&self) -> Result<String, CallError> {
        self.text(1, 16)
    }

    /// Kinds of guests that run here, with spaces between.
    pub fn capabilities(&self) -> Result<String, CallError> {
        self.text(3, 1024)
    }

    fn text(&self, command: c_int, size: usize) -> Result<String, CallError> {
        let mut bytes = vec![0u8; size];
        call!(self.xc_version(command, bytes.as_mut_ptr().cast()))?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(size);
        Ok(String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned())
    }

    /// The hardware.
    pub fn physical(&self) -> Result<Physical, CallError> {
        let mut bytes = vec![0; self.layout.physical_bytes];
        call!(self.xc_physinfo(bytes.as_mut_ptr()))?;
        Ok(Physical::read(self.layout, &bytes))
    }

    /// A feature set, by Xen's number for it: 1 hardware, 2 and 3 defaults of PV and HVM, 4 and 5 their most.
    pub fn features(&self, index: u32) -> Result<Vec<u32>, CallError> {
        // More words than any release has.
        let mut words = vec![0; 128];
        let mut count = words.len() as u32;
        call!(self.xc_get_cpu_featureset(index, &mut count, words.as_mut_ptr()))?;
        words.truncate(count as usize);
        Ok(words)
    }

    /// The console ring's text.
    pub fn console_ring(&self) -> Result<Vec<u8>, CallError> {
        const PART: usize = 32 << 10;
        const MOST: usize = 64 << 20;
        let (mut text, mut index) = (Vec::new(), 0);
        while text.len() < MOST {
            let mut part = vec![0u8; PART];
            let mut count = PART as c_uint;
            call!(self.xc_readconsolering(part.as_mut_ptr().cast::<c_char>(), &mut count, 0, 1, &mut index))?;
            if count == 0 {
                break;
            }
            text.extend_from_slice(&part[..PART.min(count as usize)]);
        }
        Ok(text)
    }

    /// Keys that have Xen write what it knows to its console.
    pub fn debug_keys(&self, keys: &CStr) -> Result<(), CallError> {
        call!(self.xc_send_debug_keys(keys.as_ptr())).map(drop)
    }

    /// Changes a page of a guest that does not run.
    pub fn edit_page(&self, domid: u32, frame: u64, edit: impl FnOnce(&mut [u8; PAGE])) -> Result<(), CallError> {
        const READ_WRITE: c_int = 3;
        forget_error();
        // SAFETY: the handle is open; Xen checks domain and frame.
        let page = unsafe {
            (self.functions.xc_map_foreign_range)(self.handle.as_ptr(), domid, PAGE as c_int, READ_WRITE, frame)
        };
        if page.is_null() {
            return Err(last_error("xc_map_foreign_range"));
        }
        let mut copy = [0; PAGE];
        // SAFETY: a page is mapped there. It is copied, as the guest has it too and no reference may point to it.
        unsafe { page.cast::<u8>().copy_to_nonoverlapping(copy.as_mut_ptr(), PAGE) };
        edit(&mut copy);
        // SAFETY: as above; afterwards nothing points to the page, which is unmapped as it was mapped.
        unsafe {
            page.cast::<u8>().copy_from_nonoverlapping(copy.as_ptr(), PAGE);
            munmap(page, PAGE);
        }
        Ok(())
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        // SAFETY: the handle is open and nobody uses it later; the logger is from `leak`, and its user has gone.
        unsafe {
            (self.functions.xc_interface_close)(self.handle.as_ptr());
            drop(Box::from_raw(self.logger));
        }
    }
}

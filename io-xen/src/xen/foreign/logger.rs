//! What the libraries say while they work: `xentoollog_logger`.

use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};

/// How grave a line is, as the libraries number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault in the library.
    Detail,
    /// Worth knowing.
    Notice,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
}

/// Who hears it.
pub trait Listener: Send {
    /// A line, without its end.
    fn message(&mut self, level: Level, text: &str);

    /// Per cent of the present part of the work.
    fn progress(&mut self, percent: u32);
}

/// Hears nothing: for calls whose error number says enough.
pub struct Quiet;

impl Listener for Quiet {
    fn message(&mut self, _: Level, _: &str) {}
    fn progress(&mut self, _: u32) {}
}

/// The part of a logger that the libraries know, first in ours.
#[repr(C)]
pub(super) struct Vtable {
    message: unsafe extern "C" fn(*mut Vtable, c_int, c_int, *const c_char, *const c_char, *mut c_void),
    progress: unsafe extern "C" fn(*mut Vtable, *const c_char, *const c_char, c_int, c_ulong, c_ulong),
    destroy: unsafe extern "C" fn(*mut Vtable),
}

/// A logger of ours.
#[repr(C)]
pub(super) struct Logger {
    vtable: Vtable,
    listener: Box<dyn Listener>,
}

unsafe extern "C" {
    // The last parameter is a `va_list`, which x86-64 passes as a pointer.
    fn vsnprintf(buffer: *mut c_char, size: usize, format: *const c_char, arguments: *mut c_void) -> c_int;
}

/// Bytes of a line that are kept.
const LINE: usize = 512;

impl Logger {
    /// Owned by whoever frees it again, as the libraries keep its address.
    pub(super) fn leak(listener: Box<dyn Listener>) -> *mut Logger {
        Box::into_raw(Box::new(Logger { vtable: Vtable { message, progress, destroy }, listener }))
    }
}

/// Runs what a callback does; the library's error number is afterwards what it was, as the call that failed will be
/// asked for it.
fn aside(work: impl FnOnce()) {
    let errno = super::interface::errno();
    work();
    super::interface::set_errno(errno);
}

/// # Safety
///
/// `logger` must be from [`Logger::leak`] and used by nobody else meanwhile.
unsafe fn listener<'a>(logger: *mut Vtable) -> &'a mut dyn Listener {
    // SAFETY: the table is a logger's first field, so its address is the logger's; it is alive, and the libraries
    // call one thing at a time.
    unsafe { (*logger.cast::<Logger>()).listener.as_mut() }
}

unsafe extern "C" fn message(
    logger: *mut Vtable,
    level: c_int,
    errno: c_int,
    context: *const c_char,
    format: *const c_char,
    arguments: *mut c_void,
) {
    let mut line = [0; LINE];
    // SAFETY: the format and its arguments are the library's; at most LINE bytes are written, the last of them 0.
    unsafe { vsnprintf(line.as_mut_ptr(), LINE, format, arguments) };
    // SAFETY: vsnprintf ended it with a 0, and if it failed, it is all 0.
    let text = unsafe { CStr::from_ptr(line.as_ptr()) }.to_string_lossy();
    let context = match context.is_null() {
        true => "xc".into(),
        // SAFETY: a text of the library's, alive during the call.
        false => unsafe { CStr::from_ptr(context) }.to_string_lossy(),
    };
    let why = if errno > 0 { format!(": {}", super::super::errno::meaning(errno)) } else { String::new() };
    let level = match level {
        ..=5 => Level::Detail,
        6 => Level::Notice,
        7 => Level::Warning,
        _ => Level::Error,
    };
    // SAFETY: the library gives back the logger that it was given.
    let listener = unsafe { listener(logger) };
    aside(|| listener.message(level, &format!("{context}: {}{why}", text.trim_end())));
}

unsafe extern "C" fn progress(
    logger: *mut Vtable,
    _context: *const c_char,
    _doing: *const c_char,
    percent: c_int,
    _done: c_ulong,
    _total: c_ulong,
) {
    // SAFETY: the library gives back the logger that it was given.
    let listener = unsafe { listener(logger) };
    aside(|| listener.progress(percent.clamp(0, 100) as u32));
}

// The library destroys only loggers that it made itself.
unsafe extern "C" fn destroy(_: *mut Vtable) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Listener for Heard {
        fn message(&mut self, level: Level, text: &str) {
            let _ = std::fs::metadata("/nonexistent");
            self.0.lock().unwrap().push(format!("{level:?} {text}"));
        }
        fn progress(&mut self, percent: u32) {
            self.0.lock().unwrap().push(format!("{percent}%"));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "calls vsnprintf")]
    fn the_libraries_lines_reach_the_listener() {
        let heard = Heard::default();
        let logger = Logger::leak(Box::new(heard.clone()));
        let vtable = logger.cast::<Vtable>();
        // A `va_list` that has nothing.
        let mut none = [0u64; 3];
        let none = (&raw mut none).cast::<c_void>();
        super::super::interface::set_errno(28);
        // SAFETY: what the libraries do; the formats take no arguments.
        unsafe {
            ((*vtable).message)(vtable, 8, 12, c"xc".as_ptr(), c"no pages\n".as_ptr(), none);
            ((*vtable).message)(vtable, 1, -1, std::ptr::null(), c"detail".as_ptr(), none);
            ((*vtable).progress)(vtable, std::ptr::null(), std::ptr::null(), 140, 0, 0);
            ((*vtable).destroy)(vtable);
            drop(Box::from_raw(logger));
        }
        assert_eq!(super::super::interface::errno(), 28, "a listener's own errors are not the library's");
        let expected = ["Error xc: no pages: not enough memory (ENOMEM)", "Detail xc: detail", "100%"];
        assert_eq!(*heard.0.lock().unwrap(), expected);
    }
}

//! A guest that is being built: `struct xc_dom_image`.

use super::super::errno::CallError;
use super::super::layout::image::{DEVICE_MODEL, Long, Module, P2M_SIZE, PV_P2M, Word};
use super::functions::Dom;
use super::interface::{Interface, forget_error, last_error};
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The image, which refers to bytes that live for `'a`.
pub struct DomainImage<'a> {
    interface: &'a Interface,
    dom: NonNull<Dom>,
    bytes: PhantomData<&'a [u8]>,
}

/// Calls a function with the image and these arguments; an answer other than 0 is an error.
macro_rules! step {
    ($image:ident.$name:ident($($argument:expr),*)) => {{
        forget_error();
        // SAFETY: the image is alive until it is dropped; pointers among the arguments live as long as it.
        let answer = unsafe { ($image.interface.functions.$name)($image.dom.as_ptr() $(, $argument)*) };
        if answer != 0 { Err(last_error(stringify!($name))) } else { Ok(()) }
    }};
}

impl<'a> DomainImage<'a> {
    /// An empty one.
    pub fn new(interface: &'a Interface, cmdline: &CStr, features: Option<&CStr>) -> Result<Self, CallError> {
        let functions = &interface.functions;
        let features = features.map_or(std::ptr::null(), CStr::as_ptr);
        forget_error();
        // SAFETY: the handle is open, the texts are copied.
        let dom = unsafe {
            (functions.xc_dom_loginit)(interface.handle.as_ptr());
            (functions.xc_dom_allocate)(interface.handle.as_ptr(), cmdline.as_ptr(), features)
        };
        let dom = NonNull::new(dom).ok_or_else(|| last_error("xc_dom_allocate"))?;
        Ok(DomainImage { interface, dom, bytes: PhantomData })
    }

    fn at<T>(&self, offset: usize) -> *mut T {
        // SAFETY: the table of offsets has none beyond the structure.
        unsafe { self.dom.as_ptr().byte_add(offset).cast() }
    }

    /// Sets a 32-bit field.
    pub fn set_word(&mut self, Word(offset): Word, value: u32) {
        // SAFETY: such a field stands there, aligned, in every release that is loaded.
        unsafe { self.at::<u32>(offset).write(value) };
    }

    /// Sets a 64-bit field.
    pub fn set_long(&mut self, Long(offset): Long, value: u64) {
        // SAFETY: as for a word.
        unsafe { self.at::<u64>(offset).write(value) };
    }

    /// Whether a device model will serve it.
    pub fn set_device_model(&mut self, served: bool) {
        // SAFETY: as for a word.
        unsafe { self.at::<bool>(DEVICE_MODEL).write(served) };
    }

    /// Bytes that are put into the guest: where `address` says, or if it is `None` where the library finds room.
    pub fn set_module(&mut self, module: Module, bytes: &'a [u8], address: Option<u64>) {
        self.set_long(module.data(), bytes.as_ptr() as u64);
        self.set_word(module.length(), bytes.len() as u32);
        if let Some(address) = address {
            self.set_long(module.address(), address);
        }
    }

    /// A 64-bit field.
    pub fn long(&self, Long(offset): Long) -> u64 {
        // SAFETY: as for setting it.
        unsafe { self.at::<u64>(offset).read() }
    }

    /// The memory map that the guest finds at its start; entries of 20 bytes.
    pub fn set_memory_map(&mut self, map: &'a [u8]) {
        use super::super::layout::image::{E820, E820_ENTRIES};
        self.set_long(E820, map.as_ptr() as u64);
        self.set_word(E820_ENTRIES, (map.len() / 20) as u32);
    }

    /// The kernel.
    pub fn kernel(&mut self, bytes: &'a [u8]) -> Result<(), CallError> {
        step!(self.xc_dom_kernel_mem(bytes.as_ptr().cast(), bytes.len()))
    }

    /// A module, the first of which is a Linux kernel's RAM disk.
    pub fn module(&mut self, bytes: &'a [u8], cmdline: Option<&CStr>) -> Result<(), CallError> {
        let cmdline = cmdline.map_or(std::ptr::null(), CStr::as_ptr);
        step!(self.xc_dom_module_mem(bytes.as_ptr().cast(), bytes.len(), cmdline))
    }

    /// Which domain it becomes.
    pub fn boot_xen_init(&mut self, domid: u32) -> Result<(), CallError> {
        step!(self.xc_dom_boot_xen_init(self.interface.handle.as_ptr(), domid))
    }

    /// Finds out what the kernel is.
    pub fn parse(&mut self) -> Result<(), CallError> {
        step!(self.xc_dom_parse_image())
    }

    /// Plans its memory, in MiB.
    pub fn mem_init(&mut self, mib: u32) -> Result<(), CallError> {
        step!(self.xc_dom_mem_init(mib))
    }

    /// Gives it its memory.
    pub fn boot_mem_init(&mut self) -> Result<(), CallError> {
        step!(self.xc_dom_boot_mem_init())
    }

    /// Puts the kernel into it.
    pub fn build(&mut self) -> Result<(), CallError> {
        step!(self.xc_dom_build_image())
    }

    /// Gives it its first state.
    pub fn boot(&mut self) -> Result<(), CallError> {
        step!(self.xc_dom_boot_image())
    }

    /// Names its rings in its grant table, where the store and the console look for them.
    pub fn gnttab_init(&mut self) -> Result<(), CallError> {
        step!(self.xc_dom_gnttab_init())
    }

    /// What Xen calls a frame that the guest calls this.
    pub fn machine_frame(&self, frame: u64) -> Option<u64> {
        // SAFETY: the image is alive.
        if unsafe { (self.interface.functions.xc_dom_translated)(self.dom.as_ptr()) } {
            return Some(frame);
        }
        let table = self.long(PV_P2M) as *const u64;
        if table.is_null() || frame >= self.long(P2M_SIZE) {
            return None;
        }
        // SAFETY: the library's table has that many entries.
        Some(unsafe { table.add(usize::try_from(frame).ok()?).read() })
    }
}

impl Drop for DomainImage<'_> {
    fn drop(&mut self) {
        // SAFETY: it is alive, and nobody has it later.
        unsafe { (self.interface.functions.xc_dom_release)(self.dom.as_ptr()) };
    }
}

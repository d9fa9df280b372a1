//! The functions by name and type, and the libraries that have them.

use super::super::layout::Layout;
use super::super::library::{Search, Version};
use super::logger::Vtable;
use crate::failure::Failure;
use libloading::Library;
use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

/// What `xc_interface_open` gives.
#[repr(C)]
pub(super) struct Xc {
    opaque: [u8; 0],
}

/// A guest that is being built.
#[repr(C)]
pub(super) struct Dom {
    opaque: [u8; 0],
}

/// `struct save_callbacks`.
#[repr(C)]
pub(super) struct SaveCallbacks {
    pub(super) suspend: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    pub(super) precopy_policy: *mut c_void,
    pub(super) postcopy: *mut c_void,
    pub(super) checkpoint: *mut c_void,
    pub(super) wait_checkpoint: *mut c_void,
    pub(super) switch_qemu_logdirty: Option<unsafe extern "C" fn(u32, c_uint, *mut c_void) -> c_int>,
    pub(super) data: *mut c_void,
}

/// `struct restore_callbacks`.
#[repr(C)]
pub(super) struct RestoreCallbacks {
    pub(super) static_data_done: Option<unsafe extern "C" fn(c_uint, *mut c_void) -> c_int>,
    pub(super) suspend: *mut c_void,
    pub(super) postcopy: *mut c_void,
    pub(super) checkpoint: *mut c_void,
    pub(super) wait_checkpoint: *mut c_void,
    pub(super) restore_results: *mut c_void,
    pub(super) data: *mut c_void,
}

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Functions of a library that stays loaded for ever.
        #[derive(Clone, Copy)]
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            fn find(libraries: &[&'static Library]) -> Result<Functions, String> {
                Ok(Functions {
                    // SAFETY: the type is the header's, which is the same in all releases that are loaded.
                    $($name: *unsafe { find(libraries, stringify!($name)) }?,)*
                })
            }
        }
    };
}

functions! {
    xc_interface_open(*mut Vtable, *mut Vtable, c_uint) -> *mut Xc;
    xc_interface_close(*mut Xc) -> c_int;
    xc_version(*mut Xc, c_int, *mut c_void) -> c_int;
    xc_physinfo(*mut Xc, *mut u8) -> c_int;
    xc_get_cpu_featureset(*mut Xc, u32, *mut u32, *mut u32) -> c_int;
    xc_sched_id(*mut Xc, *mut c_int) -> c_int;
    xc_readconsolering(*mut Xc, *mut c_char, *mut c_uint, c_int, c_int, *mut u32) -> c_int;
    xc_send_debug_keys(*mut Xc, *const c_char) -> c_int;

    xc_domain_create(*mut Xc, *mut u32, *mut u8) -> c_int;
    xc_domain_getinfolist(*mut Xc, u32, c_uint, *mut u8) -> c_int;
    xc_domain_pause(*mut Xc, u32) -> c_int;
    xc_domain_unpause(*mut Xc, u32) -> c_int;
    xc_domain_destroy(*mut Xc, u32) -> c_int;
    xc_domain_shutdown(*mut Xc, u32, c_int) -> c_int;
    xc_domain_resume(*mut Xc, u32, c_int) -> c_int;
    xc_domain_soft_reset(*mut Xc, u32) -> c_int;
    xc_domain_sethandle(*mut Xc, u32, *mut u8) -> c_int;
    xc_domain_setmaxmem(*mut Xc, u32, u64) -> c_int;
    xc_domain_max_vcpus(*mut Xc, u32, c_uint) -> c_int;
    xc_domain_set_memmap_limit(*mut Xc, u32, c_ulong) -> c_int;
    xc_shadow_control(*mut Xc, u32, c_uint, *mut c_uint, c_uint) -> c_int;
    xc_vcpu_setaffinity(*mut Xc, u32, c_int, *mut u8, *mut u8, u32) -> c_int;
    xc_sched_credit_domain_set(*mut Xc, u32, *mut [u16; 2]) -> c_int;
    xc_sched_credit2_domain_set(*mut Xc, u32, *mut [u16; 2]) -> c_int;
    xc_hvm_param_set(*mut Xc, u32, u32, u64) -> c_int;
    xc_hvm_param_get(*mut Xc, u32, u32, *mut u64) -> c_int;
    xc_evtchn_alloc_unbound(*mut Xc, u32, u32) -> c_int;

    xc_domain_set_time_offset(*mut Xc, u32, i32) -> c_int;
    xc_domain_set_tsc_info(*mut Xc, u32, u32, u64, u32, u32) -> c_int;
    xc_domain_set_memory_map(*mut Xc, u32, *mut u8, u32) -> c_int;
    xc_cpuid_apply_policy(
        *mut Xc, u32, bool, *const u32, c_uint, bool, bool, bool, *const c_void, *const c_void
    ) -> c_int;
    xc_map_foreign_range(*mut Xc, u32, c_int, c_int, c_ulong) -> *mut c_void;

    xc_dom_loginit(*mut Xc) -> c_int;
    xc_dom_allocate(*mut Xc, *const c_char, *const c_char) -> *mut Dom;
    xc_dom_release(*mut Dom);
    xc_dom_kernel_mem(*mut Dom, *const c_void, usize) -> c_int;
    xc_dom_module_mem(*mut Dom, *const c_void, usize, *const c_char) -> c_int;
    xc_dom_boot_xen_init(*mut Dom, *mut Xc, u32) -> c_int;
    xc_dom_parse_image(*mut Dom) -> c_int;
    xc_dom_mem_init(*mut Dom, c_uint) -> c_int;
    xc_dom_boot_mem_init(*mut Dom) -> c_int;
    xc_dom_build_image(*mut Dom) -> c_int;
    xc_dom_boot_image(*mut Dom) -> c_int;
    xc_dom_gnttab_init(*mut Dom) -> c_int;
    xc_dom_translated(*const Dom) -> bool;

    xc_domain_save(*mut Xc, c_int, u32, u32, *mut SaveCallbacks, c_uint, c_int) -> c_int;
    xc_domain_restore(
        *mut Xc, c_int, u32, c_uint, *mut c_ulong, u32, c_uint, *mut c_ulong, u32, c_uint, *mut RestoreCallbacks, c_int
    ) -> c_int;
}

/// A function by name, in the first library that has it: some moved from one to the other.
///
/// # Safety
///
/// `T` must be the function's type.
unsafe fn find<T>(libraries: &[&'static Library], name: &str) -> Result<libloading::Symbol<'static, T>, String> {
    let mut last = String::new();
    for library in libraries {
        // SAFETY: as this function's.
        match unsafe { library.get::<T>(name.as_bytes()) } {
            Ok(symbol) => return Ok(symbol),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

/// `libxenctrl` and `libxenguest` of one release.
pub struct Libraries {
    pub(super) functions: Functions,
    pub(super) layout: Layout,
    pub(super) version: Version,
}

impl Libraries {
    /// Loads those of the first release that is there and for which `fits` has no objection.
    pub fn load(search: &Search, fits: impl Fn(&Libraries) -> Result<(), Failure>) -> Result<Libraries, Failure> {
        if cfg!(not(all(target_arch = "x86_64", target_os = "linux"))) {
            return Err(Failure::new("Xen is supported on x86-64 Linux only; use --host simulated"));
        }
        let (mut last, mut objection) = (String::from("no release to look for"), None);
        for version in search.versions() {
            let libraries = match Libraries::open(version) {
                Ok(libraries) => libraries,
                Err(text) => {
                    last = text;
                    continue;
                }
            };
            match fits(&libraries) {
                Ok(()) => return Ok(libraries),
                Err(failure) => objection = objection.or(Some(failure)),
            }
        }
        Err(objection.unwrap_or_else(|| search.failure("libxenctrl", &last)))
    }

    fn open(version: Version) -> Result<Libraries, String> {
        let load = |stem: &str| -> Result<&'static Library, String> {
            // SAFETY: Xen's libraries run nothing when they are loaded.
            let library = unsafe { Library::new(Search::name(stem, version)) }.map_err(|error| error.to_string())?;
            // They stay: what they give us, threads and buffers, outlives any use that could be counted.
            Ok(Box::leak(Box::new(library)))
        };
        let functions = Functions::find(&[load("libxenctrl")?, load("libxenguest")?])?;
        Ok(Libraries { functions, layout: Layout::of(version), version })
    }

    /// Their release.
    pub fn version(&self) -> Version {
        self.version
    }
}

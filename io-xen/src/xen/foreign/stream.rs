//! A guest's state, to a stream and from one.

use super::super::errno::CallError;
use super::calls::Policy;
use super::functions::{RestoreCallbacks, SaveCallbacks};
use super::interface::{Interface, call};
use std::ffi::{c_int, c_uint, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::null_mut;

/// Bits of what an older stream does not say: its processor.
const MISSING_CPUID: c_uint = 1;

/// What the library asks while it saves.
type Suspend<'a> = &'a mut dyn FnMut() -> bool;

struct Restoring<'a> {
    interface: &'a Interface,
    domid: u32,
    policy: &'a Policy,
}

impl Interface {
    /// Writes a guest's state. `suspend` is called once, has the guest suspend, and says whether it has.
    pub fn save(&self, domid: u32, stream: BorrowedFd<'_>, mut suspend: Suspend<'_>) -> Result<(), CallError> {
        let mut callbacks = SaveCallbacks {
            suspend: Some(on_suspend),
            precopy_policy: null_mut(),
            postcopy: null_mut(),
            checkpoint: null_mut(),
            wait_checkpoint: null_mut(),
            switch_qemu_logdirty: Some(on_logdirty),
            data: (&raw mut suspend).cast(),
        };
        call!(self.xc_domain_save(stream.as_raw_fd(), domid, 0, &mut callbacks, 0, -1)).map(drop)
    }

    /// Reads a guest's state into an empty domain; the frames of its store and console rings. The ports are dom0's.
    pub fn restore(
        &self,
        domid: u32,
        stream: BorrowedFd<'_>,
        (store, console): (u32, u32),
        policy: &Policy,
    ) -> Result<(u64, u64), CallError> {
        let mut restoring = Restoring { interface: self, domid, policy };
        let mut callbacks = RestoreCallbacks {
            static_data_done: Some(on_static_data),
            suspend: null_mut(),
            postcopy: null_mut(),
            checkpoint: null_mut(),
            wait_checkpoint: null_mut(),
            restore_results: null_mut(),
            data: (&raw mut restoring).cast(),
        };
        let (mut store_frame, mut console_frame) = (0, 0);
        call!(self.xc_domain_restore(
            stream.as_raw_fd(),
            domid,
            store,
            &mut store_frame,
            0,
            console,
            &mut console_frame,
            0,
            0,
            &mut callbacks,
            -1,
        ))?;
        Ok((store_frame, console_frame))
    }
}

unsafe extern "C" fn on_suspend(data: *mut c_void) -> c_int {
    // SAFETY: the pointer is the one that `save` gave, alive while the library saves, and used here only.
    let suspend = unsafe { &mut *data.cast::<Suspend<'_>>() };
    c_int::from(suspend())
}

// Only a live save tracks what QEMU writes. The library wants the function nevertheless.
unsafe extern "C" fn on_logdirty(_domid: u32, _enable: c_uint, _data: *mut c_void) -> c_int {
    0
}

unsafe extern "C" fn on_static_data(missing: c_uint, data: *mut c_void) -> c_int {
    // SAFETY: the pointer is the one that `restore` gave, alive while the library restores.
    let Restoring { interface, domid, policy } = unsafe { &*data.cast::<Restoring<'_>>() };
    if missing & MISSING_CPUID == 0 {
        return 0;
    }
    match interface.apply_policy(*domid, true, policy) {
        Ok(()) => 0,
        Err(_) => -1,
    }
}

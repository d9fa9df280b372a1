//! The back end that goes step by step: libxenctrl, xenstore, scripts, QEMU.

mod helper;
mod paths;
mod process;

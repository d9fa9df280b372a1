//! The Xen host that this daemon runs on.

pub mod container;
pub mod facts;
pub mod faults;
pub mod files;
pub mod images;
pub mod link;
pub mod mark;
pub mod processes;
pub mod qmp;
pub mod running;
pub mod stir;
pub mod storage;
pub mod waits;

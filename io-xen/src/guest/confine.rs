//! What the helper gives up before it touches what guests bring along.

use rustix::io::Errno;
use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

/// Whom nothing belongs to.
const NOBODY: u32 = 65534;

/// Gives up root's name, its capabilities and whatever a program could gain them by; nothing can be opened for writing
/// any more that is not everybody's. For a process of one thread, with everything open that it needs.
pub fn confine() -> Result<(), String> {
    let gave_up = |what: &'static str| move |error: Errno| format!("cannot give up {what}: {error}");
    set_no_new_privs(true).map_err(gave_up("new privileges"))?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(gave_up("core dumps"))?;
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        set_thread_groups(&[]).map_err(gave_up("groups"))?;
        set_thread_res_gid(gid, gid, gid).map_err(gave_up("root's group"))?;
        set_thread_res_uid(uid, uid, uid).map_err(gave_up("root's name"))?;
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(gave_up("capabilities"))
}

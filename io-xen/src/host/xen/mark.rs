//! How a process is known again: a variable in its environment, which survives the daemon that put it there.

use rustix::process::{Pid, geteuid};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use xenops_core::host::{DomId, Role};

/// The variable.
pub const NAME: &str = "XENOPS_PROCESS";

const ROLES: [(Role, &str); 7] = [
    (Role::Builder, "builder"),
    (Role::Saver, "saver"),
    (Role::Restorer, "restorer"),
    (Role::DeviceModel, "device-model"),
    (Role::Hotplug, "hotplug"),
    (Role::Hook, "hook"),
    (Role::Bootloader, "bootloader"),
];

/// A process's role, as its mark and texts say it.
pub fn word(role: Role) -> &'static str {
    ROLES.iter().find(|(known, _)| *known == role).expect("the table has every role").1
}

/// The mark of a process of this instance.
pub fn value(instance: &str, role: Role, domid: Option<DomId>) -> String {
    let domid = domid.map_or_else(|| "-".to_owned(), |domid| domid.to_string());
    format!("{} {domid} {instance}", word(role))
}

/// What a mark says, if it is this instance's.
fn parse(instance: &str, value: &str) -> Option<(Role, Option<DomId>)> {
    let mut words = value.splitn(3, ' ');
    let (role, domid) = (words.next()?, words.next()?);
    let role = ROLES.iter().find(|(_, known)| *known == role)?.0;
    (words.next()? == instance).then_some((role, domid.parse().ok()))
}

/// A process that carries this instance's mark and is one that the daemon started, not a child of such: it leads a
/// process group in the daemon's session. A device model may make a session of its own; what does so in a hook is
/// something that is to stay.
fn read(proc: &Path, instance: &str) -> Option<(Role, Option<DomId>)> {
    // Another user's process may carry any mark.
    if fs::metadata(proc).ok()?.uid() != geteuid().as_raw() {
        return None;
    }
    let environment = fs::read(proc.join("environ")).ok()?;
    let prefix = format!("{NAME}=");
    let mark = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
    let found = parse(instance, str::from_utf8(mark).ok()?)?;
    let pid: &str = proc.file_name()?.to_str()?;
    let stat = fs::read_to_string(proc.join("stat")).ok()?;
    // After the name, which may hold anything but ends with the last parenthesis: state, parent, group, session.
    let mut numbers = stat.rsplit_once(')')?.1.split_whitespace().skip(2);
    let (group, session) = (numbers.next()?, numbers.next()?);
    let is_ours = group == pid && (found.0 != Role::Hook || session != pid);
    is_ours.then_some(found)
}

/// Every process that carries this instance's mark.
pub fn find(instance: &str) -> Vec<(Pid, Role, Option<DomId>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let (role, domid) = read(&entry.path(), instance)?;
        Some((pid, role, domid))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_it_was_made_of_and_only_to_its_instance() {
        for (role, _) in ROLES {
            for domid in [None, Some(0), Some(32751)] {
                let mark = value("org.xen.a b", role, domid);
                assert_eq!(parse("org.xen.a b", &mark), Some((role, domid)));
                assert_eq!(parse("org.xen.a", &mark), None);
            }
        }
        for bad in ["", "builder", "builder 7", "nothing 7 a", "builder 7 ab"] {
            assert_eq!(parse("a", bad), None, "{bad}");
        }
    }
}

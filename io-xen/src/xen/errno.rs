//! What the error numbers of Xen's calls mean to those who asked.

use std::fmt;
use xenops_core::host::{DomId, Fault};

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// The library's function.
    pub function: &'static str,
    /// Why, as `errno` numbers it; 0 where the function does not say.
    pub errno: i32,
}

/// No such domain.
pub const ESRCH: i32 = 3;
/// Input or output failed.
pub const EIO: i32 = 5;
/// Not enough memory.
pub const ENOMEM: i32 = 12;
/// An address that Xen could not read or write.
pub const EFAULT: i32 = 14;
/// In use.
pub const EBUSY: i32 = 16;
/// Exists already.
pub const EEXIST: i32 = 17;
/// An argument that Xen does not take.
pub const EINVAL: i32 = 22;
/// No room.
pub const ENOSPC: i32 = 28;
/// This hypervisor has no such call.
pub const ENOSYS: i32 = 38;
/// This hypervisor was built without it.
pub const EOPNOTSUPP: i32 = 95;
/// Ended because somebody asked so.
pub const ECANCELED: i32 = 125;

/// Numbers that Xen's calls give, by name and meaning.
const NAMES: [(i32, &str, &str); 26] = [
    (1, "EPERM", "operation not permitted"),
    (2, "ENOENT", "no such object"),
    (ESRCH, "ESRCH", "no such domain"),
    (4, "EINTR", "interrupted"),
    (EIO, "EIO", "input/output error"),
    (6, "ENXIO", "no such address"),
    (7, "E2BIG", "too long"),
    (9, "EBADF", "bad descriptor"),
    (11, "EAGAIN", "try again"),
    (ENOMEM, "ENOMEM", "not enough memory"),
    (13, "EACCES", "permission denied"),
    (EFAULT, "EFAULT", "bad address"),
    (EBUSY, "EBUSY", "busy"),
    (EEXIST, "EEXIST", "exists already"),
    (19, "ENODEV", "no such device"),
    (EINVAL, "EINVAL", "invalid argument"),
    (27, "EFBIG", "too large"),
    (ENOSPC, "ENOSPC", "no space left"),
    (32, "EPIPE", "broken pipe"),
    (33, "EDOM", "out of domain"),
    (34, "ERANGE", "out of range"),
    (ENOSYS, "ENOSYS", "no such call in this hypervisor"),
    (61, "ENODATA", "no data"),
    (74, "EBADMSG", "bad message"),
    (EOPNOTSUPP, "EOPNOTSUPP", "not supported by this hypervisor"),
    (ECANCELED, "ECANCELED", "aborted"),
];

impl CallError {
    /// The fault that whoever asked is told. `wanted` is what the call would have taken at least, in KiB.
    pub fn fault(&self, domid: DomId, wanted: u64) -> Fault {
        match self.errno {
            ESRCH => Fault::NoDomain(domid),
            ENOMEM => Fault::NoMemory(wanted),
            EIO => Fault::Io(self.to_string()),
            EBUSY => Fault::Busy(format!("domain {domid} ({})", self.function)),
            EEXIST => Fault::Exists(format!("domain {domid} ({})", self.function)),
            ENOSPC => Fault::NoSpace(self.to_string()),
            ENOSYS | EOPNOTSUPP => Fault::Unsupported(format!("do {}", self.function)),
            _ => Fault::Other(self.to_string()),
        }
    }

    /// Whether what was asked may have been done nevertheless: Xen writes its answer after the deed.
    pub fn in_doubt(&self) -> bool {
        self.errno == EFAULT
    }

    /// The error's meaning, without its function.
    pub fn meaning(&self) -> String {
        meaning(self.errno)
    }
}

/// What an error number means: text, and name.
pub fn meaning(errno: i32) -> String {
    match NAMES.iter().find(|(number, ..)| *number == errno) {
        Some((_, name, text)) => format!("{text} ({name})"),
        None if errno == 0 => "failed without a reason".to_owned(),
        None => format!("error {errno}"),
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.function, self.meaning())
    }
}

impl std::error::Error for CallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callers_are_told() {
        let table = [
            (3, "domain 7 does not exist"),
            (5, "input/output error: xc_call: input/output error (EIO)"),
            (12, "64 KiB of memory are not free"),
            (16, "domain 7 (xc_call) is in use"),
            (22, "xc_call: invalid argument (EINVAL)"),
            (28, "no space left: xc_call: no space left (ENOSPC)"),
            (38, "this host cannot do xc_call"),
            (95, "this host cannot do xc_call"),
            (0, "xc_call: failed without a reason"),
            (77, "xc_call: error 77"),
        ];
        for (errno, text) in table {
            let error = CallError { function: "xc_call", errno };
            assert_eq!(error.fault(7, 64).to_string(), text);
        }
        assert!(NAMES.is_sorted());
    }
}

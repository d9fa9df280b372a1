//! Why xenstore did not do what it was asked.

use std::fmt;
use std::io;
use xenops_core::host::Fault;

/// An error as xenstored names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The path, the number or the message is not a legal one.
    Einval,
    /// Permissions do not let us.
    Eacces,
    /// It is there already: a watch of that path and token.
    Eexist,
    /// Not used for xenstore nodes; the header has it.
    Eisdir,
    /// No such node, watch, domain or transaction.
    Enoent,
    /// The daemon is out of memory.
    Enomem,
    /// A quota is used up.
    Enospc,
    /// The daemon could not reach its own data.
    Eio,
    /// Not used for xenstore nodes; the header has it.
    Enotempty,
    /// The daemon does not know this request.
    Enosys,
    /// The node may not be changed.
    Erofs,
    /// A transaction within a transaction.
    Ebusy,
    /// The transaction met others: begin again.
    Eagain,
    /// The domain is introduced already.
    Eisconn,
    /// The answer, or what was asked, is too long.
    E2big,
    /// Only a privileged client may ask this.
    Eperm,
    /// oxenstored's word for a quota that is used up.
    Equota,
    /// A name that no header has, cut to a readable length.
    Other(Box<str>),
}

const NAMES: [(&str, Code); 17] = [
    ("EINVAL", Code::Einval),
    ("EACCES", Code::Eacces),
    ("EEXIST", Code::Eexist),
    ("EISDIR", Code::Eisdir),
    ("ENOENT", Code::Enoent),
    ("ENOMEM", Code::Enomem),
    ("ENOSPC", Code::Enospc),
    ("EIO", Code::Eio),
    ("ENOTEMPTY", Code::Enotempty),
    ("ENOSYS", Code::Enosys),
    ("EROFS", Code::Erofs),
    ("EBUSY", Code::Ebusy),
    ("EAGAIN", Code::Eagain),
    ("EISCONN", Code::Eisconn),
    ("E2BIG", Code::E2big),
    ("EPERM", Code::Eperm),
    ("EQUOTA", Code::Equota),
];

/// Characters of an error name that no header has; a real one is shorter.
const LONGEST_NAME: usize = 64;

impl Code {
    /// Reads an error's payload, with or without its terminating zero.
    pub fn parse(payload: &[u8]) -> Code {
        let name = payload.split(|byte| *byte == 0).next().unwrap_or_default();
        match NAMES.iter().find(|(known, _)| known.as_bytes() == name) {
            Some((_, code)) => code.clone(),
            None => Code::Other(String::from_utf8_lossy(&name[..name.len().min(LONGEST_NAME)]).into()),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Other(name) => f.write_str(name),
            code => f.write_str(NAMES.iter().find(|(_, known)| known == code).map_or("", |(name, _)| name)),
        }
    }
}

/// Why a request was not answered as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// xenstored refused it.
    Refused(Code),
    /// xenstored takes no such path; it was not asked.
    Path(String),
    /// More bytes than one message may have; it was not sent.
    TooLong(usize),
    /// More requests wait than may; it was not sent.
    Busy,
    /// What xenstored answered is no answer to what was asked; names the field.
    Answer(&'static str),
    /// The connection went away after it was sent: it may have been done. Names the endpoint.
    Lost(String),
    /// There was no connection to send it on. Names the endpoint.
    Down(String),
}

impl Error {
    /// Whether the node, watch or domain was not there.
    pub fn is_missing(&self) -> bool {
        *self == Error::Refused(Code::Enoent)
    }

    /// Whether a transaction is to begin again.
    pub fn is_conflict(&self) -> bool {
        *self == Error::Refused(Code::Eagain)
    }

    /// The fault that a host answers with, where it was doing `what`: a verb and a path, or a number.
    pub fn fault(self, what: impl fmt::Display) -> Fault {
        match self {
            Error::Lost(endpoint) | Error::Down(endpoint) => Fault::Lost(endpoint),
            // What is too long for a listing is not met here; a value is, in oxenstored.
            Error::Refused(Code::Enospc | Code::Equota | Code::E2big) => {
                Fault::NoSpace(format!("xenstore {what}: a quota of xenstored"))
            }
            Error::Refused(Code::Enomem) => Fault::NoSpace(format!("xenstore {what}: memory of xenstored")),
            Error::Refused(Code::Eagain) => Fault::Conflict,
            Error::TooLong(length) => Fault::NoSpace(format!("{length} bytes in one xenstore message")),
            Error::Path(path) => Fault::Other(format!("xenstore does not take the path {path:?}")),
            other => Fault::Other(format!("xenstore {what}: {other}")),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(code) => code.fmt(f),
            Error::Path(path) => write!(f, "xenstore does not take the path {path:?}"),
            Error::TooLong(length) => write!(f, "{length} bytes are more than one xenstore message holds"),
            Error::Busy => f.write_str("too many requests wait for xenstored"),
            Error::Answer(field) => write!(f, "xenstored answered with a malformed {field}"),
            Error::Lost(endpoint) | Error::Down(endpoint) => write!(f, "lost {endpoint}"),
        }
    }
}

impl std::error::Error for Error {}

/// The kinds are those that xenstore-rs gives; the error itself stays inside, to be had by `downcast`.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        use io::ErrorKind;
        let kind = match &error {
            Error::Refused(code) => match code {
                Code::Einval => ErrorKind::InvalidInput,
                Code::Eacces | Code::Eperm | Code::Erofs => ErrorKind::PermissionDenied,
                Code::Eexist | Code::Eisdir => ErrorKind::AlreadyExists,
                Code::Enoent => ErrorKind::NotFound,
                Code::Enomem | Code::Enospc | Code::Equota => ErrorKind::OutOfMemory,
                Code::Eagain => ErrorKind::WouldBlock,
                Code::E2big => ErrorKind::InvalidData,
                Code::Enosys => ErrorKind::Unsupported,
                _ => ErrorKind::Other,
            },
            Error::Path(_) | Error::TooLong(_) => ErrorKind::InvalidInput,
            Error::Busy => ErrorKind::ResourceBusy,
            Error::Answer(_) => ErrorKind::InvalidData,
            Error::Lost(_) => ErrorKind::BrokenPipe,
            Error::Down(_) => ErrorKind::NotConnected,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_shown_alike_and_unknown_ones_are_kept() {
        for (name, code) in NAMES {
            assert_eq!(Code::parse(name.as_bytes()), code);
            assert_eq!(Code::parse(format!("{name}\0").as_bytes()), code);
            assert_eq!(code.to_string(), name);
        }
        assert_eq!(Code::parse(b"ENEW\0junk"), Code::Other("ENEW".into()));
        assert_eq!(Code::parse(b"").to_string(), "");
        assert_eq!(Code::parse(&[b'x'; 4000]).to_string().len(), LONGEST_NAME);
        assert_eq!(Code::parse(b"\xff\xfe\0").to_string(), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn faults_say_what_the_machine_decides_by() {
        let of = |code| Error::Refused(code).fault("write /a");
        assert!(matches!(of(Code::Enospc), Fault::NoSpace(text) if text.contains("/a")));
        assert!(matches!(of(Code::Equota), Fault::NoSpace(_)));
        assert!(matches!(of(Code::E2big), Fault::NoSpace(_)));
        assert_eq!(of(Code::Eagain), Fault::Conflict);
        assert_eq!(of(Code::Einval), Fault::Other("xenstore write /a: EINVAL".to_owned()));
        assert!(matches!(Error::TooLong(5000).fault("write /a"), Fault::NoSpace(text) if text.starts_with("5000")));
        assert_eq!(Error::Lost("xenstored at /s".into()).fault("x").to_string(), "lost xenstored at /s");
    }
}

//! Permissions as xenstored writes them: `n0`, `r7`, ...; the first names the owner and what everybody else may do.

use super::error::Error;
use super::wire::texts;
use xenops_core::host::{Access, DomId, Perms};

/// As the texts of a request.
pub(super) fn write(perms: &Perms) -> Vec<String> {
    let first = (perms.owner, perms.others);
    let letter = |access| match access {
        Access::None => 'n',
        Access::Read => 'r',
        Access::Write => 'w',
        Access::Both => 'b',
    };
    let all = std::iter::once(&first).chain(&perms.acl);
    all.map(|(domid, access)| format!("{}{domid}", letter(*access))).collect()
}

/// From an answer's payload.
pub(super) fn read(payload: &[u8]) -> Result<Perms, Error> {
    let mut entries = texts(payload).map(entry);
    let (owner, others) = entries.next().flatten().ok_or(Error::Answer("permission"))?;
    let acl = entries.collect::<Option<_>>().ok_or(Error::Answer("permission"))?;
    Ok(Perms { owner, others, acl })
}

fn entry(text: &[u8]) -> Option<(DomId, Access)> {
    let (letter, domid) = std::str::from_utf8(text).ok()?.split_at_checked(1)?;
    let access = match letter {
        "n" => Access::None,
        "r" => Access::Read,
        "w" => Access::Write,
        "b" => Access::Both,
        _ => return None,
    };
    Some((domid.parse().ok()?, access))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xenstore::wire::payload;

    #[test]
    fn permissions_have_xenstoreds_letters() {
        let everything = Perms { owner: 3, others: Access::Both, acl: vec![(0, Access::None), (7, Access::Write)] };
        for (perms, text) in [
            (Perms::dom0(), &["n0"][..]),
            (Perms::readable(5, 6), &["n5", "r6"]),
            (Perms::world_readable(), &["r0"]),
            (everything, &["b3", "n0", "w7"]),
        ] {
            assert_eq!(write(&perms), text);
            assert_eq!(read(&payload(text)), Ok(perms));
        }
        for wrong in [&b""[..], b"x0\0", b"n\0", b"n0\0r\0", b"n-1\0", b"\xff0\0", b"\xc3\xa90\0", b"n99999999999\0"] {
            assert_eq!(read(wrong), Err(Error::Answer("permission")), "{wrong:?}");
        }
    }
}

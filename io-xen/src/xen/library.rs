//! Where Xen's libraries are looked for, and what is said when they are not there.

use crate::failure::Failure;
use std::fmt;
use std::path::Path;

/// A release of Xen, without its patch level: the libraries of one release fit the hypervisor of that release only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 4.
    pub major: u16,
    /// 17 in 4.17.
    pub minor: u16,
}

/// Releases whose structures are known, newest first.
pub const KNOWN: [Version; 7] = [
    Version::of(4, 22),
    Version::of(4, 21),
    Version::of(4, 20),
    Version::of(4, 19),
    Version::of(4, 18),
    Version::of(4, 17),
    Version::of(4, 16),
];

/// Where Linux tells which Xen runs below it.
const RUNNING: &str = "/sys/hypervisor/version";

impl Version {
    /// A release.
    pub const fn of(major: u16, minor: u16) -> Version {
        Version { major, minor }
    }

    /// From what `xc_version` answers: the major number in the upper half.
    pub fn packed(number: u32) -> Version {
        Version { major: (number >> 16) as u16, minor: (number & 0xffff) as u16 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What to look for, wherever the dynamic linker does: that has settings enough for where.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The release that runs, where Linux tells it.
    pub running: Option<Version>,
}

impl Search {
    /// For the release that runs.
    pub fn standard() -> Search {
        Search { running: running(Path::new(RUNNING)) }
    }

    /// Releases to try, in order: only the one that runs where that is known, as no other can fit it.
    pub fn versions(&self) -> Vec<Version> {
        match self.running {
            Some(version) => KNOWN.into_iter().filter(|known| *known == version).collect(),
            None => KNOWN.to_vec(),
        }
    }

    /// What to ask the dynamic linker for.
    pub fn name(stem: &str, version: Version) -> String {
        format!("{stem}.so.{version}")
    }

    /// Nothing that was tried could be loaded; what the dynamic linker said last.
    pub fn failure(&self, stem: &str, last: &str) -> Failure {
        let versions = self.versions();
        let (Some(newest), Some(oldest)) = (versions.first(), versions.last()) else {
            let (newest, oldest) = (KNOWN[0], KNOWN[KNOWN.len() - 1]);
            let running = self.running.map_or_else(|| "this".to_owned(), |version| version.to_string());
            return Failure::new(format!("Xen {running} is not supported; boot one of Xen {oldest} to {newest}"));
        };
        let tried = match newest == oldest {
            true => format!("{stem}.so.{newest}"),
            false => format!("{stem}.so.{oldest} to {stem}.so.{newest}"),
        };
        let package = match self.running {
            Some(version) => format!("libxenmisc{version}"),
            None => "libxenmisc4.17".to_owned(),
        };
        Failure::new(format!(
            "cannot load {tried}: {last}; install the tools of the Xen that runs (Debian: {package}) and boot it, set \
             LD_LIBRARY_PATH to where they are, or use --host simulated"
        ))
    }
}

/// The release that runs below this Linux, if it says so.
fn running(directory: &Path) -> Option<Version> {
    let number = |name: &str| std::fs::read_to_string(directory.join(name)).ok()?.trim().parse().ok();
    Some(Version { major: number("major")?, minor: number("minor")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_is_tried_and_what_is_said_of_it() {
        let table = [
            (None, "load libxenctrl.so.4.16 to libxenctrl.so.4.22: no such file; install", "LD_LIBRARY_PATH"),
            (Some(Version::of(4, 18)), "load libxenctrl.so.4.18: no such", "Debian: libxenmisc4.18"),
            (Some(Version::of(4, 99)), "Xen 4.99 is not supported", "Xen 4.16 to 4.22"),
        ];
        for (running, first, second) in table {
            let text = Search { running }.failure("libxenctrl", "no such file").text;
            assert!(text.contains(first) && text.contains(second), "{text}");
        }
        assert_eq!(Search::name("libxenguest", Version::of(4, 17)), "libxenguest.so.4.17");
        assert_eq!(Search::default().versions(), KNOWN);
    }

    #[test]
    fn the_release_that_runs() {
        let scratch = Scratch::new("xen-version");
        assert_eq!(running(scratch.path()), None);
        for (name, text) in [("major", "4\n"), ("minor", "17\n")] {
            std::fs::write(scratch.path().join(name), text).unwrap();
        }
        assert_eq!(running(scratch.path()), Some(Version::of(4, 17)));
        assert_eq!(Version::packed(0x0004_0011), Version::of(4, 17));
        std::fs::write(scratch.path().join("minor"), "17-unstable").unwrap();
        assert_eq!(running(scratch.path()), None);
    }
}

//! Where Xen's libraries are looked for, and what is said when they are not there.

use crate::failure::Failure;
use std::fmt;
use std::path::{Path, PathBuf};

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

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The only directory to look in, if one is configured; else wherever the dynamic linker looks.
    pub directory: Option<PathBuf>,
    /// The release that runs, where Linux tells it.
    pub running: Option<Version>,
}

impl Search {
    /// The dynamic linker's directories, for the release that runs.
    pub fn standard() -> Search {
        Search { directory: None, running: running(Path::new(RUNNING)) }
    }

    /// Releases to try, in order: only the one that runs where that is known, as no other can fit it.
    pub fn versions(&self) -> Vec<Version> {
        match self.running {
            Some(version) => KNOWN.into_iter().filter(|known| *known == version).collect(),
            None => KNOWN.to_vec(),
        }
    }

    /// What to ask the dynamic linker for.
    pub fn path(&self, stem: &str, version: Version) -> PathBuf {
        let name = format!("{stem}.so.{version}");
        self.directory.as_ref().map_or_else(|| PathBuf::from(&name), |directory| directory.join(&name))
    }

    /// Nothing that was tried could be loaded; what the dynamic linker said last.
    pub fn failure(&self, stem: &str, last: &str) -> Failure {
        let versions = self.versions();
        let (Some(newest), Some(oldest)) = (versions.first(), versions.last()) else {
            let (newest, oldest) = (KNOWN[0], KNOWN[KNOWN.len() - 1]);
            let running = self.running.map_or_else(|| "this".to_owned(), |version| version.to_string());
            return Failure::new(format!("Xen {running} is not supported; boot one of Xen {oldest} to {newest}"));
        };
        let place = self.directory.as_ref().map_or_else(
            || "where the dynamic linker looks".to_owned(),
            |directory| format!("in {}", directory.display()),
        );
        let tried = match newest == oldest {
            true => format!("{stem}.so.{newest}"),
            false => format!("{stem}.so.{oldest} to {stem}.so.{newest}"),
        };
        let package = match self.running {
            Some(version) => format!("libxenmisc{version}"),
            None => "libxenmisc4.17".to_owned(),
        };
        Failure::new(format!(
            "cannot load {tried}, looked for {place}: {last}; install the tools of the Xen that runs (Debian: {package}) \
             and boot it, or use --host simulated"
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
            (None, None, "libxenctrl.so.4.16 to libxenctrl.so.4.22", "where the dynamic linker looks"),
            (None, Some(Version::of(4, 18)), "load libxenctrl.so.4.18, ", "Debian: libxenmisc4.18"),
            (Some("/opt/xen/lib"), None, "libxenctrl.so.4.16 to", "in /opt/xen/lib: no such"),
            (None, Some(Version::of(4, 99)), "Xen 4.99 is not supported", "Xen 4.16 to 4.22"),
        ];
        for (directory, running, first, second) in table {
            let search = Search { directory: directory.map(PathBuf::from), running };
            let text = search.failure("libxenctrl", "no such file").text;
            assert!(text.contains(first) && text.contains(second), "{text}");
        }
        let search = Search { directory: Some("/x".into()), running: None };
        assert_eq!(search.path("libxenguest", Version::of(4, 17)), PathBuf::from("/x/libxenguest.so.4.17"));
        assert_eq!(Search::default().path("libxenguest", Version::of(4, 9)), PathBuf::from("libxenguest.so.4.9"));
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

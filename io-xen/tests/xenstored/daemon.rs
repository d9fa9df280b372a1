//! A real xenstored of either kind, in a directory of its own.

use crate::peer::Peer;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use xenops_io_xen::xenstore::connection::Request;
use xenops_io_xen::xenstore::wire::Op;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The port of the hypervisor's own event: a domain's state has changed. A domain's is this and its number.
const STATE_PORT: i32 = 1;
const FIRST_DOMAIN_PORT: i32 = 100;

/// Makes its absence a failure.
const REQUIRED: &str = "XENOPS_REQUIRE_XENSTORED";

/// Which implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    C,
    Ocaml,
}

/// A running one; gone with this.
pub struct Daemon {
    pub kind: Kind,
    directory: PathBuf,
    child: Option<Child>,
}

/// Starts one of that kind, or says why there is none.
pub fn start(kind: Kind) -> Option<Daemon> {
    match Daemon::new(kind) {
        Ok(daemon) => Some(daemon),
        Err(missing) if std::env::var_os(REQUIRED).is_some_and(|value| value == "1") => {
            panic!("{REQUIRED}=1, but {missing}")
        }
        Err(missing) => {
            eprintln!("skipped: {missing}; install xen-utils and a C compiler to run this, {REQUIRED}=1 to demand it");
            None
        }
    }
}

impl Daemon {
    fn new(kind: Kind) -> Result<Daemon, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let program = program(kind)?;
        let fake = fake()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short: a socket's path may have 107 bytes.
        let directory = std::env::temp_dir().join(format!("xenstored-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let made = Command::new("mkfifo").arg(directory.join("events")).status().unwrap();
        assert!(made.success());
        let mut daemon = Daemon { kind, directory, child: None };
        daemon.run(&program, fake);
        Ok(daemon)
    }

    fn run(&mut self, program: &Path, fake: &Path) {
        let mut command = Command::new(program);
        command.arg("--no-fork").env("FAKE_XEN", &self.directory).env("LD_PRELOAD", fake);
        match self.kind {
            Kind::C => {
                command.env("XENSTORED_RUNDIR", &self.directory).env("XENSTORED_ROOTDIR", &self.directory);
                command.arg(format!("--pid-file={}", self.path("pid").display()));
            }
            Kind::Ocaml => {
                let [log, access, pid] = ["log", "access", "pid"].map(|name| self.path(name).display().to_string());
                let text = format!(
                    "persistent = false\nxenstored-log-file = {log}\naccess-log-file = {access}\npid-file = {pid}\n\
                     xenstored-kva = /proc/xen/xsd_kva\nxenstored-port = /proc/xen/xsd_port\n"
                );
                fs::write(self.path("conf"), text).unwrap();
                command.arg("--config-file").arg(self.path("conf"));
            }
        }
        let output = File::create(self.path("output")).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        self.child = Some(command.spawn().unwrap());
        let began = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let said = || fs::read_to_string(self.path("output")).unwrap_or_default();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{:?} did not start: {}", self.kind, said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("socket")
    }

    /// A new connection of dom0's.
    pub fn connect(&self) -> Peer {
        Peer::on_socket(&self.socket())
    }

    /// Ends it at once; everything it knew is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts another in its place.
    pub fn restart(&mut self) {
        self.kill();
        let (program, fake) = (program(self.kind).unwrap(), fake().unwrap());
        self.run(&program, fake);
    }

    /// Gives a domain a ring, so that it may be introduced.
    pub fn make_ring(&self, domid: u32) {
        let _ = fs::remove_file(self.path(&format!("dead-{domid}")));
        let path = self.path(&format!("ring-{domid}"));
        // A new file: an old one may still be mapped.
        let _ = fs::remove_file(&path);
        File::create(&path).unwrap().set_len(4096).unwrap();
    }

    /// A domain with a ring, introduced, and its connection.
    pub fn introduce(&self, domid: u32) -> Peer {
        self.make_ring(domid);
        let texts = [domid.to_string(), "1".to_owned(), domid.to_string()];
        let request = Request::new(Op::Introduce, &texts.each_ref().map(String::as_str));
        self.connect().ask(request).unwrap();
        let events = OpenOptions::new().write(true).open(self.path("events")).unwrap();
        Peer::on_ring(&self.path(&format!("ring-{domid}")), events, FIRST_DOMAIN_PORT + domid as i32)
    }

    /// A domain is torn down, and the daemon told so. It has heard when `@releaseDomain` is told.
    pub fn tear_down(&self, domid: u32) {
        fs::write(self.path(&format!("dead-{domid}")), "").unwrap();
        let mut events = OpenOptions::new().write(true).open(self.path("events")).unwrap();
        events.write_all(&STATE_PORT.to_ne_bytes()).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn program(kind: Kind) -> Result<PathBuf, String> {
    let name = match kind {
        Kind::C => "xenstored",
        Kind::Ocaml => "oxenstored",
    };
    let versions = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let versions = versions.filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("xen-")));
    let mut versions: Vec<PathBuf> = versions.map(|path| path.join("bin")).collect();
    versions.sort();
    // Debian's in /usr/sbin only asks the hypervisor which version's to run.
    let places = versions.into_iter().rev().chain(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from));
    let found = places.map(|place| place.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("{name} is not installed"))
}

/// Compiled once.
fn fake() -> Result<&'static Path, String> {
    static FAKE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let fake = FAKE.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fake-xen-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xenstored/fake.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-o"]);
        let output = cc.arg(&library).arg(source).output().map_err(|error| format!("cc cannot be run: {error}"))?;
        assert!(output.status.success(), "fake.c: {}", String::from_utf8_lossy(&output.stderr));
        Ok(library)
    });
    fake.as_deref().map_err(String::clone)
}

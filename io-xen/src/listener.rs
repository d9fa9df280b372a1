//! The listening socket: made safely, and every client that comes to it.

use crate::connection::{self, Buffer};
use crate::driver::Driver;
use crate::failure::{Failure, plain};
use crate::log;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use smol::{Async, LocalExecutor, Timer};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use xenops_core::wire::{Connection, Limits};

/// Clients at once. Each may hold a socket and little memory; beyond it they are told so and closed.
const CLIENTS: usize = 4096;

/// Clients that the kernel keeps waiting to be accepted.
const BACKLOG: i32 = 512;

/// How often clients are looked at who keep us waiting.
const PATROL: Duration = Duration::from_secs(5);

/// The name of our socket in its directory.
pub const NAME: &str = "xenopsd";

/// A listening socket. Its file goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: Async<UnixListener>,
    path: PathBuf,
}

/// Makes the directory of sockets, where there is none.
pub fn make_directory(directory: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    made.map_err(|error| Failure::path("make the socket directory", directory, "sockets-path", &error))
}

impl Listener {
    /// Listens in this directory, of which the caller holds the lock: a socket that nobody answers is replaced.
    pub fn bind(directory: &Path) -> Result<Listener, Failure> {
        let path = directory.join(NAME);
        remove_stale(&path)?;
        let failure = |error: io::Error| Failure::path("listen on", &path, "sockets-path", &error);
        let address = SocketAddrUnix::new(&path).map_err(|_| {
            let place = path.display();
            Failure::new(format!("{place} is too long for a socket's name; choose a shorter --sockets-path"))
        })?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .and_then(|socket| rustix::net::bind(&socket, &address).map(|()| socket))
            .map_err(|error| failure(error.into()))?;
        // Nobody can connect before it listens; so nobody but root ever does.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failure)?;
        rustix::net::listen(&socket, BACKLOG).map_err(|error| failure(error.into()))?;
        let socket = Async::new_nonblocking(UnixListener::from(socket)).map_err(failure)?;
        Ok(Listener { socket, path })
    }

    /// Serves every client that comes, each by a task of its own, for ever.
    pub async fn serve(&self, executor: &LocalExecutor<'static>, driver: &Rc<Driver>) {
        let patrol = async {
            loop {
                Timer::after(PATROL).await;
                driver.clients().borrow().patrol();
            }
        };
        smol::future::or(self.accept(executor, driver), patrol).await
    }

    async fn accept(&self, executor: &LocalExecutor<'static>, driver: &Rc<Driver>) {
        let buffer = Buffer::default();
        let most = CLIENTS.min(descriptors().saturating_sub(64));
        let mut full = false;
        loop {
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    log::error("listener", format_args!("a client could not be accepted: {}", plain(&error)));
                    // Out of descriptors, most likely: they come back when others go.
                    Timer::after(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if driver.clients().borrow().len() >= most {
                if !std::mem::replace(&mut full, true) {
                    log::warning("listener", format_args!("{most} clients are connected; further ones are refused"));
                }
                refuse(&stream);
                continue;
            }
            full = false;
            let client = driver.connect(Connection::new(Limits::default()));
            executor.spawn(connection::serve(driver.clone(), client, stream, buffer.clone())).detach();
            // Whoever connects in a loop does not keep the others from being served.
            smol::future::yield_now().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // If it stays, the next daemon removes it.
        let _ = fs::remove_file(&self.path);
    }
}

fn remove_stale(path: &Path) -> Result<(), Failure> {
    let place = path.display();
    match fs::symlink_metadata(path) {
        Ok(file) if !file.file_type().is_socket() => {
            let text = format!("{place} is in the way and not a socket; remove it, or choose another --sockets-path");
            return Err(Failure::new(text));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::path("look at", path, "sockets-path", &error)),
    }
    if UnixStream::connect(path).is_ok() {
        let text = format!("another program listens on {place}; stop it, or choose another --sockets-path");
        return Err(Failure::new(text));
    }
    fs::remove_file(path).map_err(|error| Failure::path("remove the old socket", path, "sockets-path", &error))
}

fn refuse(stream: &Async<UnixStream>) {
    const BODY: &str = "too many clients are connected\n";
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    // An empty socket takes it whole; a client that has gone already needs none.
    let _ = stream.get_ref().write_all(reply.as_bytes());
}

// The most descriptors that this process may have; it asks for all that it can get.
fn descriptors() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if let Some(most) = limit.maximum
        && limit.current.is_none_or(|current| current < most)
    {
        limit.current = Some(most);
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |current| current as usize)
}

//! One client's connection: its socket's bytes to and from the wire's state machine.

use crate::clients::Client;
use crate::driver::Driver;
use crate::log;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smol::Async;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Bytes read at once.
const READ: usize = 64 << 10;

/// How long a closed connection is read on, so that its last reply is not lost.
const LINGER: Duration = Duration::from_secs(1);

/// What all connections read into, one after the other: each copies what it read before it waits.
#[derive(Clone, Debug)]
pub struct Buffer(Rc<RefCell<Box<[u8]>>>);

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer(Rc::new(RefCell::new(vec![0; READ].into())))
    }
}

/// Serves a client, whose connection is this stream, until it or we have nothing more to say.
pub async fn serve(driver: Rc<Driver>, client: Rc<Client>, stream: Async<UnixStream>, buffer: Buffer) {
    let ended = Cell::new(false);
    let session = Session { driver: &driver, client: &client, stream: &stream, buffer: &buffer, ended };
    let ended = session.run().await;
    driver.hang_up(client.id);
    match ended {
        Ok(()) => session.linger().await,
        Err(error) => log::debug("connection", format_args!("client {} is gone: {error}", client.id)),
    }
}

struct Session<'a> {
    driver: &'a Driver,
    client: &'a Rc<Client>,
    stream: &'a Async<UnixStream>,
    buffer: &'a Buffer,
    // The client sends no more. It may still wait for replies, or be gone.
    ended: Cell<bool>,
}

impl Session<'_> {
    async fn run(&self) -> io::Result<()> {
        let mut dry = false;
        loop {
            self.take_calls();
            // What rang until now is in what is sent now.
            self.client.bell.hush();
            self.send()?;
            if self.client.connection.borrow().wants_close() {
                return Ok(());
            }
            if self.client.has_expired() {
                return Err(ErrorKind::TimedOut.into());
            }
            if !self.reads() && self.is_gone()? {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            if !dry && self.reads() {
                dry = !self.receive()?;
                // Whoever has much to say lets the others speak in between.
                smol::future::yield_now().await;
                continue;
            }
            dry = !self.wait().await?;
        }
    }

    // What has come in, call by call, and what of it can be answered at once.
    fn take_calls(&self) {
        while !self.driver.is_closing() {
            let calls: Vec<_> = std::iter::from_fn(|| self.client.connection.borrow_mut().next()).collect();
            if calls.is_empty() {
                return;
            }
            self.driver.call(self.client.id, calls);
        }
    }

    // Sends what the socket takes.
    fn send(&self) -> io::Result<()> {
        let mut connection = self.client.connection.borrow_mut();
        while !connection.outgoing().is_empty() {
            match self.stream.get_ref().write(connection.outgoing()) {
                Ok(sent) => connection.advance(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    // Whether the socket may have more.
    fn receive(&self) -> io::Result<bool> {
        let mut buffer = self.buffer.0.borrow_mut();
        loop {
            match self.stream.get_ref().read(&mut buffer) {
                Ok(0) => {
                    self.ended.set(true);
                    self.client.connection.borrow_mut().end();
                    return Ok(false);
                }
                Ok(read) => {
                    self.client.connection.borrow_mut().receive(&buffer[..read]);
                    return Ok(read == buffer.len());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn reads(&self) -> bool {
        !self.ended.get() && self.client.connection.borrow().can_read()
    }

    // Whether both directions are closed, which reading alone does not tell.
    fn is_gone(&self) -> io::Result<bool> {
        let mut socket = [PollFd::new(self.stream, PollFlags::empty())];
        poll(&mut socket, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        Ok(socket[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
    }

    // Until there is something to read, room to write, a reply, or a patrol has come. Whether it is the first.
    async fn wait(&self) -> io::Result<bool> {
        let reads = self.reads();
        let writes = !self.client.connection.borrow().outgoing().is_empty();
        let mut heard = pin!(self.client.bell.heard());
        poll_fn(|context| {
            if reads && let Poll::Ready(ready) = self.stream.poll_readable(context) {
                return Poll::Ready(ready.map(|()| true));
            }
            if writes && let Poll::Ready(ready) = self.stream.poll_writable(context) {
                return Poll::Ready(ready.map(|()| false));
            }
            if heard.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(false));
            }
            Poll::Pending
        })
        .await
    }

    // All is said. Closing on bytes that were not read would take the last reply away from the client.
    async fn linger(&self) {
        let read_on = async {
            while self.stream.readable().await.is_ok() {
                let mut buffer = self.buffer.0.borrow_mut();
                match self.stream.get_ref().read(&mut buffer) {
                    Ok(read) if read > 0 => {}
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    _ => return,
                }
            }
        };
        let patience = async {
            smol::Timer::after(LINGER).await;
        };
        if !self.ended.get() && self.stream.get_ref().shutdown(Shutdown::Write).is_ok() {
            smol::future::or(read_on, patience).await;
        }
    }
}

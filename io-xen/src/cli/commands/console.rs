//! A VM's console on this terminal: bytes both ways until Ctrl-], again when the VM comes back.

use super::super::failure::Failure;
use super::super::find;
use super::super::output::{Shown, print_bytes, warn};
use super::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;
use xenops_core::interface::PowerState;
use xenops_core::interface::vm::{Console, ConsoleProtocol};

/// Ctrl-].
const QUIT: u8 = 0x1d;
/// Between attempts: doubles while nothing comes.
const DELAYS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long a console may still speak when standard input has ended.
const LINGER: Duration = Duration::from_millis(500);

/// Why a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The user wants no more.
    Quit,
    /// The console is gone; whether it had said something.
    Gone(bool),
}

/// Attaches to a VM's console until the user ends it or the VM does.
pub(super) fn attach(context: &Context, name: &str) -> Result<Shown, Failure> {
    let (vm, _) = find::vm(&context.client, name)?;
    let mut keyboard = Keyboard::open();
    let mut delay = DELAYS.0;
    let mut first = true;
    loop {
        let (vm, state) = match find::vm(&context.client, &vm.id) {
            Err(Failure::NoSuchVm { .. }) if !first => return Ok(Shown::of("", &json!({ "id": vm.id }))),
            found => found?,
        };
        let text = state.consoles.iter().find(|console| console.protocol == ConsoleProtocol::Vt100);
        match (text, state.consoles.first()) {
            (Some(console), _) => {
                if let Ok(mut peer) = open(console) {
                    if first {
                        warn(&format!("attached to {}; Ctrl-] ends", vm.name));
                    }
                    first = false;
                    match keyboard.converse(&mut peer)? {
                        End::Quit => break,
                        End::Gone(true) => delay = DELAYS.0,
                        End::Gone(false) => {}
                    }
                }
            }
            (None, Some(screen)) if first => return view(&vm.name, screen).map(|()| Shown::done()),
            (None, _) if matches!(state.power_state, PowerState::Halted | PowerState::Suspended) => {
                if first {
                    let hint = match state.power_state {
                        PowerState::Suspended => format!("resume it: xenops resume {name} --block-device FILE"),
                        _ => format!("start it: xenops start {name}"),
                    };
                    return Err(Failure::Impossible(
                        format!("{} is {} and has no console", vm.name, state.power_state),
                        hint,
                    ));
                }
                warn(&format!("\r\n{} is {}", vm.name, state.power_state));
                break;
            }
            (None, _) => {}
        }
        if keyboard.wait(delay)? == End::Quit {
            break;
        }
        delay = (delay * 2).min(DELAYS.1);
    }
    Ok(Shown { text: String::new(), json: json!({ "id": vm.id }) })
}

/// Opens a text console: a socket, a terminal or a port of this host.
fn open(console: &Console) -> io::Result<File> {
    if console.path.is_empty() {
        let port = u16::try_from(console.port).map_err(|_| io::ErrorKind::InvalidInput)?;
        return Ok(OwnedFd::from(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?).into());
    }
    if !std::fs::metadata(&console.path)?.file_type().is_char_device() {
        return Ok(OwnedFd::from(UnixStream::connect(&console.path)?).into());
    }
    let terminal = rustix::fs::open(&console.path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut settings = tcgetattr(&terminal)?;
    settings.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &settings)?;
    Ok(terminal.into())
}

/// Shows a graphical console by the program that does.
fn view(name: &str, console: &Console) -> Result<(), Failure> {
    let address = match console.path.as_str() {
        "" => format!("127.0.0.1::{}", console.port),
        path => path.to_owned(),
    };
    let status = Command::new("vncviewer").arg(&address).status();
    let status = status.map_err(Failure::local(format!("run vncviewer for the console of {name} at {address}")))?;
    match status.success() {
        true => Ok(()),
        false => {
            let hint = format!("point another VNC viewer at {address}");
            Err(Failure::Impossible(format!("vncviewer ended with {status}"), hint))
        }
    }
}

/// Standard input, in raw mode as long as this lives if it is a terminal.
struct Keyboard {
    cooked: Option<Termios>,
    ended: bool,
}

impl Keyboard {
    fn open() -> Keyboard {
        let stdin = io::stdin();
        let cooked = if isatty(&stdin) { tcgetattr(&stdin).ok() } else { None };
        if let Some(cooked) = &cooked {
            let mut raw = cooked.clone();
            raw.make_raw();
            // If that fails, lines come whole and with an echo: less pretty, and it works.
            let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        Keyboard { cooked, ended: false }
    }

    /// Carries bytes both ways.
    fn converse(&mut self, peer: &mut File) -> Result<End, Failure> {
        let mut buffer = [0; 4096];
        let mut heard = false;
        loop {
            let (typed, spoken) = ready(!self.ended, Some(peer), self.ended.then_some(LINGER))?;
            if spoken {
                match peer.read(&mut buffer) {
                    Ok(0) => return Ok(if self.ended { End::Quit } else { End::Gone(heard) }),
                    Ok(count) => print_bytes(&buffer[..count])?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // A terminal whose other end is gone says that it fails.
                    Err(_) => return Ok(End::Gone(heard)),
                }
                heard = true;
            }
            if typed {
                let (bytes, quit) = self.read(&mut buffer)?;
                if peer.write_all(bytes).is_err() {
                    return Ok(if quit { End::Quit } else { End::Gone(heard) });
                }
                if quit {
                    return Ok(End::Quit);
                }
            }
            if self.ended && !typed && !spoken {
                return Ok(End::Quit);
            }
        }
    }

    /// Lets time pass in which only Ctrl-] counts.
    fn wait(&mut self, time: Duration) -> Result<End, Failure> {
        let mut buffer = [0; 4096];
        let (typed, _) = ready(!self.ended, None, Some(time))?;
        let quit = typed && self.read(&mut buffer)?.1;
        Ok(if quit || self.ended { End::Quit } else { End::Gone(false) })
    }

    /// What was typed, up to Ctrl-], and whether that was there.
    fn read<'a>(&mut self, buffer: &'a mut [u8]) -> Result<(&'a [u8], bool), Failure> {
        let count = rustix::io::read(io::stdin(), &mut *buffer)
            .map_err(|error| Failure::Local("read standard input".into(), error.into()))?;
        self.ended |= count == 0;
        let typed = &buffer[..count];
        Ok(match typed.iter().position(|byte| *byte == QUIT) {
            Some(end) => (&typed[..end], true),
            None => (typed, false),
        })
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let Some(cooked) = &self.cooked {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, cooked);
        }
    }
}

/// Waits until one of the two can be read, or the time is over.
fn ready(keyboard: bool, peer: Option<&File>, time: Option<Duration>) -> Result<(bool, bool), Failure> {
    let stdin = io::stdin();
    let mut polled = Vec::new();
    if keyboard {
        polled.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
    }
    if let Some(peer) = peer {
        polled.push(PollFd::from_borrowed_fd(peer.as_fd(), PollFlags::IN));
    }
    let time = time.map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() });
    match poll(&mut polled, time.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(Failure::Local("wait for the console".into(), error.into())),
    }
    let mut states = polled.iter().map(|polled| !polled.revents().is_empty());
    let typed = keyboard && states.next().unwrap_or(false);
    Ok((typed, states.next().unwrap_or(false)))
}

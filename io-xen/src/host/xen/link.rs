//! Network interfaces of dom0: to a bridge, up and down.

use crate::failure::plain;
use rustix::fs::{Access, access};
use std::path::Path;
use std::process::{Command, Stdio};
use xenops_core::host::{Fault, Outcome, Reply};

/// Where `ip` may be.
const IP: [&str; 4] = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];

/// Interfaces, as the kernel lists them.
const INTERFACES: &str = "/sys/class/net";

/// The program, if it is here.
fn program() -> Option<&'static str> {
    IP.into_iter().find(|path| access(*path, Access::EXEC_OK).is_ok())
}

/// What `ip` is told.
fn commands(interface: &str, bridge: Option<&str>, up: Option<bool>) -> Vec<Vec<String>> {
    let set =
        |words: &[&str]| ["link", "set", "dev", interface].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let moved = bridge.map(|bridge| set(&["master", bridge]));
    let switched = up.map(|up| set(&[if up { "up" } else { "down" }]));
    moved.into_iter().chain(switched).collect()
}

/// The first of these that the kernel does not have.
fn missing<'a>(names: &[&'a str]) -> Option<&'a str> {
    // What is to be a file's name must not leave the directory, nor be taken for an option.
    let known = |name: &str| {
        !name.is_empty() && !name.contains('/') && !name.starts_with('-') && Path::new(INTERFACES).join(name).exists()
    };
    names.iter().find(|name| !known(name)).copied()
}

/// Changes an interface.
pub async fn change(interface: &str, bridge: Option<&str>, up: Option<bool>) -> Outcome {
    let names: Vec<_> = [interface].into_iter().chain(bridge).collect();
    if let Some(missing) = missing(&names) {
        return Outcome::Refused(Fault::NotFound(format!("network interface {missing}")));
    }
    let Some(program) = program() else {
        return Outcome::Refused(Fault::NotFound("the program ip; install iproute2".to_owned()));
    };
    for (done, words) in commands(interface, bridge, up).iter().enumerate() {
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Started on this thread, as all processes are.
        let output = match command.spawn() {
            Ok(child) => smol::unblock(move || child.wait_with_output()).await,
            Err(error) => Err(error),
        };
        let text = match output {
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_lowercase(),
            Err(error) => plain(&error),
        };
        let fault = Fault::Other(format!("ip {}: {text}", words.join(" ")));
        return if done == 0 { Outcome::Refused(fault) } else { Outcome::Unknown(fault) };
    }
    Outcome::Ok(Reply::Unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ip_is_told() {
        let words = |bridge, up| commands("vif7.0", bridge, up).iter().map(|words| words.join(" ")).collect::<Vec<_>>();
        assert_eq!(words(None, None), [""; 0]);
        assert_eq!(words(None, Some(false)), ["link set dev vif7.0 down"]);
        assert_eq!(words(Some("xenbr0"), Some(true)), ["link set dev vif7.0 master xenbr0", "link set dev vif7.0 up"]);
    }

    #[test]
    fn interfaces_that_are_not_there_are_named() {
        assert_eq!(missing(&["lo"]), None);
        for name in ["vif32751.0", "../net", "--help", ""] {
            let outcome = smol::block_on(change("lo", Some(name), None));
            assert_eq!(outcome, Outcome::Refused(Fault::NotFound(format!("network interface {name}"))));
        }
    }
}

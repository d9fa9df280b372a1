//! What users read about each kind of failure.

use super::*;
use std::io::ErrorKind;
use xenops_core::interface::PowerState;

fn unreachable(socket: &str, kind: ErrorKind) -> Failure {
    Failure::Unreachable { socket: socket.into(), error: kind.into() }
}

#[test]
fn a_daemon_that_does_not_answer() {
    for (socket, kind, hint) in [
        (
            "/var/lib/xcp/xenopsd",
            ErrorKind::NotFound,
            "start the daemon, such as: xenopsd --host simulated; or name its socket by --socket",
        ),
        (
            "/run/x/xenopsd",
            ErrorKind::ConnectionRefused,
            "the daemon that made this socket has ended; start it again: \
             xenopsd --host simulated --sockets-path /run/x",
        ),
    ] {
        assert_eq!(unreachable(socket, kind).hint().as_deref(), Some(hint));
    }
    let denied = unreachable("/s/xenopsd", ErrorKind::PermissionDenied);
    assert!(denied.hint().unwrap().contains("run this as root"));
    assert_eq!(denied.message(), "no daemon answers at /s/xenopsd: permission denied");
    assert_eq!(denied.status(), 1);
}

#[test]
fn power_states_name_the_command_that_fits() {
    use PowerState::{Halted, Paused, Running, Suspended};
    for (found, expected, command) in [
        (Halted, Running, "xenops start web"),
        (Running, Halted, "xenops shutdown web"),
        (Paused, Halted, "xenops shutdown web"),
        (Paused, Running, "xenops unpause web"),
        (Running, Paused, "xenops pause web"),
        (Suspended, Running, "xenops resume web --block-device FILE"),
        (Running, Suspended, "xenops suspend web --block-device FILE"),
        (Halted, Suspended, "xenops start web"),
        (Running, Running, "xenops why web"),
    ] {
        let failure = Failure::refused(Error::BadPowerState(found, expected)).about("web", None);
        let hint = failure.hint().unwrap();
        assert!(hint.contains(command), "{found} {expected}: {hint}");
    }
}

#[test]
fn devices_are_named_as_the_user_did() {
    let failure = Failure::refused(Error::DeviceNotConnected).about("web", Some("web.xvdc"));
    assert!(failure.hint().unwrap().contains("xenops vbd-plug web.xvdc"));
}

#[test]
fn programs_get_the_daemons_own_error() {
    let failure = Failure::refused(Error::BadPowerState(PowerState::Halted, PowerState::Running)).about("web", None);
    assert_eq!(failure.json()["error"], json!(["Bad_power_state", ["Halted", "Running"]]));
    assert_eq!(Failure::refused(Error::DomainNotBuilt).json()["error"], json!(["Domain_not_built"]));
    let failure = Failure::NoSuchVm { name: "wbe".into(), near: vec!["web".into()] };
    assert_eq!(
        failure.json(),
        json!({
            "error": ["No_such_VM", ["wbe", ["web"]]],
            "message": "Failed to find VM: wbe",
            "hint": "did you mean web?",
        })
    );
}

#[test]
fn an_ambiguous_name_lists_who_has_it() {
    let candidates = vec![("u1".into(), "running".into()), ("u2".into(), "halted".into())];
    let failure = Failure::Ambiguous { name: "web".into(), candidates };
    assert_eq!(failure.message(), "2 VMs are called web:\n  u1 running\n  u2 halted");
}

#[test]
fn a_closed_pipe_is_no_news() {
    let closed = |doing: &str| Failure::local(doing)(ErrorKind::BrokenPipe.into());
    assert_eq!(closed(crate::cli::output::PRINTING).status(), 141);
    assert_eq!(closed("write /x").status(), 1);
}

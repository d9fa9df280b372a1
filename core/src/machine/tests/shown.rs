//! How a VM is shown: what a look reads, as clients see it.

use super::rig::{A, Rig};
use crate::host::DomainInfo;
use crate::interface::vm::{Console, ConsoleProtocol, DomainType, State};
use crate::interface::{Answer, Call, PowerState};
use crate::machine::Input;

#[test]
fn a_vm_is_shown_as_its_domain_is() {
    let mut rig = Rig::new(4, &[A]);
    // Nothing is done about it: it is not one that a daemon would leave as it is.
    rig.holds = |request| !request.is_read_only();
    rig.domains = vec![DomainInfo {
        domid: 7,
        handle: A.parse().unwrap(),
        paused: true,
        dying: false,
        shutdown: None,
        hvm: true,
        total_pages: 512,
        max_pages: 768,
        cpu_time: 1,
        vcpus: 1,
    }];
    rig.nodes = [
        ("/local/domain/7", ""),
        ("/local/domain/7/console/tty", "/dev/pts/3"),
        ("/local/domain/7/console/vnc-port", "5901"),
        ("/local/domain/7/memory/target", "2048"),
        ("/local/domain/7/memory/uncooperative", ""),
    ]
    .into();
    rig.tell(Input::Everything);
    let Answer::Vm(vm, state) = rig.ask(Call::VmStat { id: A.to_owned() }) else { panic!("how a vm stands") };
    let console = |protocol, port, path: &str| Console { protocol, port, path: path.to_owned() };
    let shown = State {
        power_state: PowerState::Paused,
        domids: vec![7],
        consoles: vec![console(ConsoleProtocol::Rfb, 5901, ""), console(ConsoleProtocol::Vt100, 0, "/dev/pts/3")],
        memory_target: 2048 * 1024,
        memory_actual: 512 * 4096,
        memory_limit: 768 * 4096,
        vcpu_target: vm.vcpus,
        uncooperative_balloon_driver: true,
        hvm: true,
        domain_type: DomainType::Pv,
        ..State::halted()
    };
    assert_eq!(*state, shown);
    // A guest's serial line is its console where it has one.
    rig.nodes.insert("/local/domain/7/serial/0/tty", "/dev/pts/4");
    rig.tell(Input::Everything);
    let Answer::Vm(_, state) = rig.ask(Call::VmStat { id: A.to_owned() }) else { panic!("how a vm stands") };
    assert_eq!(state.consoles[1].path, "/dev/pts/4");
}

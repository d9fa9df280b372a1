//! How a VM is shown: what a look reads, as clients see it.

use super::rig::{A, Rig, domain};
use crate::backend::Observation;
use crate::host::DomainInfo;
use crate::interface::dynamic::Id;
use crate::interface::vm::{Console, ConsoleProtocol, DomainType, State};
use crate::interface::{Answer, Call, PowerState, Vbd, Vif, vbd, vif};
use crate::machine::Input;
use crate::recovery::tests::world::{grown, plugged};
use std::sync::Arc;

#[test]
fn a_vm_is_shown_as_its_domain_is() {
    let mut rig = Rig::new(4, &[A]);
    // Nothing is done about it: it is not one that a daemon would leave as it is.
    rig.holds = |request| !request.is_read_only();
    rig.domains = vec![DomainInfo { paused: true, hvm: true, total_pages: 512, max_pages: 768, ..domain(A) }];
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

// Fails when `signal_difference` compares anything else of a device than what clients see of it: after a reboot
// another domain has it, and so the host's interface has another name.
#[test]
fn clients_are_told_of_each_device_that_looks_different() {
    let mut rig = Rig::new(4, &[A]);
    for disk in ["xvda", "xvdb"] {
        rig.ask(Call::VbdAdd { vbd: Arc::new(Vbd { id: vbd::Id::new(A, disk), ..Vbd::default() }) });
    }
    for nic in ["0", "1"] {
        rig.ask(Call::VifAdd { vif: Arc::new(Vif { id: vif::Id::new(A, nic), ..Vif::default() }) });
    }
    let seen = |domid, devices: &[(&'static str, &str)]| {
        let mut domain = grown(A.parse().unwrap(), domid);
        domain.devices = devices.iter().map(|(kind, name)| plugged(kind, name)).collect();
        Observation { domains: vec![domain], ..Observation::default() }
    };
    let mut told = |before: &Observation, after: &Observation| {
        let (vm, last) = (rig.place(A), rig.machine.updates.last());
        rig.machine.signal_difference(vm, Some(before), after);
        rig.machine.updates.get(last).map_or_else(Vec::new, |(_, ids, _)| ids)
    };
    let whole = seen(7, &[("vbd", "xvda"), ("vif", "0")]);
    let (vm, disk, nic) = (Id::Vm(A.to_owned()), |name| Id::Vbd(vbd::Id::new(A, name)), Id::Vif(vif::Id::new(A, "0")));
    assert_eq!(told(&whole, &whole), []);
    assert_eq!(told(&whole, &seen(7, &[("vbd", "xvda")])), [vm.clone(), nic.clone()]);
    assert_eq!(told(&whole, &seen(7, &[("vbd", "xvdb"), ("vif", "0")])), [vm.clone(), disk("xvda"), disk("xvdb")]);
    assert_eq!(told(&whole, &seen(8, &[("vbd", "xvda"), ("vif", "0")])), [vm, nic]);
}

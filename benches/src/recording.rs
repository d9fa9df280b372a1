//! A machine as it was, and what it was told from then on: to be told again, as often as one likes.

use crate::fleet;
use xenops_core::host::Now;
use xenops_core::interface::{Call, Disk};
use xenops_core::machine::{Effects, Input, Machine};
use xenops_io_sim::local::Local;

/// A machine and its inputs.
#[derive(Clone)]
pub struct Recording {
    machine: Machine,
    inputs: Vec<(Now, Input)>,
    effects: Effects,
}

impl Recording {
    /// Records what this does.
    pub fn of(local: &mut Local, does: impl FnOnce(&mut Local)) -> Recording {
        let machine = local.machine.clone();
        local.tape = Some(Vec::new());
        does(local);
        let inputs = local.tape.take().expect("it was put there");
        Recording { machine, inputs, effects: Effects::with_capacity(1024) }
    }

    /// The starts of these many halted VMs, asked for one after the other.
    pub fn starts(vms: usize) -> Recording {
        Recording::of(&mut fleet::local(vms), |local| (0..vms).for_each(|n| start(local, n)))
    }

    /// A mix: VMs start, are looked at, paused, unpaused, rebooted, suspended, resumed and shut down.
    pub fn mix(vms: usize) -> Recording {
        Recording::of(&mut fleet::local(vms), |local| (0..vms).for_each(|n| live(local, n)))
    }

    /// A daemon that starts again beside these many running VMs.
    pub fn recovery(vms: usize) -> Recording {
        let mut local = fleet::local(vms);
        (0..vms).for_each(|n| start(&mut local, n));
        local.reopen();
        Recording::of(&mut local, Local::run)
    }

    /// How many inputs there are.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Tells them all again. What is left is given back, so that its end need not be timed.
    pub fn play(mut self) -> Recording {
        for (now, input) in self.inputs.drain(..) {
            self.machine.handle(now, input, &mut self.effects);
            self.effects.clear();
        }
        self
    }
}

/// The nth VM, which is halted, starts.
pub fn start(local: &mut Local, n: usize) {
    local.do_task(Call::VmStart { id: fleet::id(n), paused: false }).expect("a halted vm starts");
}

fn live(local: &mut Local, n: usize) {
    let id = || fleet::id(n);
    let disk = || Disk::Local(format!("/images/{n}.suspend"));
    start(local, n);
    for call in [
        Call::VmUnpause { id: id() },
        Call::VmPause { id: id() },
        Call::VmUnpause { id: id() },
        Call::VmReboot { id: id(), delay: Some(60.0) },
        Call::VmSuspend { id: id(), suspend_vdi: disk() },
        Call::VmResume { id: id(), suspend_vdi: disk() },
        Call::VmUnpause { id: id() },
        Call::VmShutdown { id: id(), delay: None },
    ] {
        // A guest needs a moment until it listens.
        local.pass(30 * xenops_core::host::time::SECOND);
        local.do_task(call).expect("nothing goes wrong on this host");
        local.ask(Call::VmStat { id: id() }).expect("the vm is there");
    }
}

//! What a client may not ask for, and what is just allowed.

use super::rig::{A, B, Rig, vm};
use crate::interface::{Call, Vbd, Vif, Vm, vbd, vif};
use std::sync::Arc;

/// Makes another VM of one.
type Change = fn(&mut Vm);

/// What the machine says to a call that it should refuse at once; nothing if it does not refuse.
fn refusal(call: Call) -> Option<String> {
    let mut rig = Rig::new(4, &[A]);
    let call = rig.call(call);
    rig.reply(call).expect("it is answered at once").err().map(|error| error.to_string())
}

#[test]
fn a_device_is_called_by_what_a_path_may_hold() {
    let (longest, plain) = ("x".repeat(64), ["xvda", "0", "-", "a_b:1"]);
    let call = |name: &str| {
        let vbd = Call::VbdAdd { vbd: Arc::new(Vbd { id: vbd::Id::new(A, name), ..Vbd::default() }) };
        [vbd, Call::VifAdd { vif: Arc::new(Vif { id: vif::Id::new(A, name), ..Vif::default() }) }]
    };
    for name in plain.into_iter().chain([longest.as_str()]) {
        call(name).into_iter().for_each(|call| assert_eq!(refusal(call), None, "{name}"));
    }
    for name in ["", "a/b", "a b", "..", "\u{e4}", &format!("{longest}x")] {
        for call in call(name) {
            let refusal = refusal(call).unwrap_or_else(|| panic!("{name:?} is refused"));
            assert!(refusal.contains("is not 1 to 64 letters, digits"), "{refusal}");
        }
    }
}

#[test]
fn a_vm_that_no_host_could_build_is_refused() {
    let add = |change: Change| {
        let mut config = vm(B);
        change(&mut config);
        refusal(Call::VmAdd { vm: Arc::new(config) })
    };
    let good: [Change; 4] = [
        |vm| (vm.memory_dynamic_min, vm.memory_dynamic_max, vm.memory_static_max) = (0, 0, 0),
        |vm| (vm.memory_dynamic_min, vm.memory_dynamic_max) = (5, 5),
        |vm| vm.vcpu_max = 0,
        |vm| vm.vcpu_max = 512,
    ];
    good.into_iter().for_each(|change| assert_eq!(add(change), None));
    let sizes = "memory sizes are not 0 <= dynamic_min <= dynamic_max bytes";
    let bad: [(Change, &str); 5] = [
        (|vm| vm.memory_static_max = -1, sizes),
        (|vm| vm.memory_dynamic_min = -1, sizes),
        (|vm| (vm.memory_dynamic_min, vm.memory_dynamic_max) = (6, 5), sizes),
        (|vm| vm.vcpu_max = -1, "vcpu_max is not between 0 and 512"),
        (|vm| vm.vcpu_max = 513, "vcpu_max is not between 0 and 512"),
    ];
    for (change, text) in bad {
        assert!(add(change).is_some_and(|refusal| refusal.contains(text)), "{text}");
    }
}

#[test]
fn a_range_of_memory_has_its_ends_in_order() {
    let set = |minimum, maximum| refusal(Call::VmSetMemoryDynamicRange { id: A.to_owned(), minimum, maximum });
    assert_eq!([(0, 0), (0, 1), (7, 7)].map(|(minimum, maximum)| set(minimum, maximum)), [None, None, None]);
    for (minimum, maximum) in [(-1, 0), (2, 1), (-2, -1)] {
        let refusal = set(minimum, maximum).expect("it is refused");
        assert!(refusal.contains(&format!("memory range {minimum}..{maximum} is not a range of bytes")), "{refusal}");
    }
}

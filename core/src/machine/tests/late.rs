//! Calls that are answered later than they were asked, and when that is at the latest.

use super::rig::{A, Rig};
use crate::host::time::SECOND;
use crate::interface::{Answer, Call, Error};
use crate::machine::Input;

/// Nothing happens but that time passes, until the machine next asks for it.
fn time_passes(rig: &mut Rig) {
    rig.mono = rig.machine.deadline().expect("something is bounded in time");
    rig.tell(Input::Tick);
}

// Fails when `call_expired` does not answer those who wait for events.
#[test]
fn who_waits_for_events_is_told_in_time_that_there_are_none() {
    let mut rig = Rig::new(4, &[A]);
    let Answer::Int(last) = rig.ask(Call::UpdatesLastId) else { panic!("a number") };
    let began = rig.mono;
    let call = rig.call(Call::UpdatesGet { last_id: Some(last), timeout: Some(5) });
    assert_eq!(rig.reply(call), None);
    time_passes(&mut rig);
    assert_eq!(rig.mono, began + 5 * SECOND);
    assert_eq!(rig.reply(call), Some(Ok(Answer::Updates(Vec::new(), Vec::new(), last))));
}

// Fails when `call_expired` does not cancel what a call waits for.
#[test]
fn a_call_that_has_waited_long_enough_gives_up_what_it_waits_for() {
    let mut rig = Rig::new(4, &[A]);
    rig.delay(A);
    let call = rig.call(Call::VmRemove { id: A.to_owned() });
    let began = rig.mono;
    let told = loop {
        time_passes(&mut rig);
        if let Some(told) = rig.reply(call) {
            break told;
        }
    };
    assert!(matches!(told, Err(Error::Cancelled(_))), "{told:?}");
    assert_eq!(rig.mono - began, 1200 * SECOND);
    rig.wait_ends();
    assert_eq!(rig.ask(Call::VmExists { id: A.to_owned() }), Answer::Bool(true), "it is not removed after that");
}

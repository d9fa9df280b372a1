//! A verdict in one line: for diagnostics and for whoever asks why a VM is as it is.

use super::{Repair, Sensible, Verdict};
use crate::host::time::SECOND;

/// Such as `sensible: running`, or `a restart would make it so: its guest has rebooted`.
pub fn explain(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Sensible(state) => format!("sensible: {}", resting(*state)),
        Verdict::Repair(repair, tell) => format!("{} would make it so: {tell}", doing(repair)),
        Verdict::Stuck(tell) => format!("stuck: {tell}"),
        Verdict::Foreign(name) => format!("its domain belongs to the instance {name:?}, which looks after it"),
    }
}

fn resting(state: Sensible) -> &'static str {
    match state {
        Sensible::Halted => "halted",
        Sensible::Running => "running",
        Sensible::Paused => "paused",
        Sensible::Suspended => "suspended",
        Sensible::PreservedCrash => "stopped and kept for its administrator",
    }
}

fn doing(repair: &Repair) -> String {
    let named = |what: &str, vbds: &[String], vifs: &[String]| {
        let vifs = vifs.iter().map(|vif| format!("vif {vif}"));
        format!("{what} {}", vbds.iter().cloned().chain(vifs).collect::<Vec<_>>().join(", "))
    };
    match repair {
        Repair::Shutdown => "shutdown".to_owned(),
        Repair::FinishPoweroff => "finishing the power-off".to_owned(),
        Repair::FinishSuspend => "destroying the domain and keeping the image".to_owned(),
        Repair::Clean { suspended: false } => "cleaning up".to_owned(),
        Repair::Clean { suspended: true } => "cleaning up beside the image".to_owned(),
        Repair::Restart { delay: 0 } => "a restart".to_owned(),
        Repair::Restart { delay } => format!("a restart in {} s", delay.div_ceil(SECOND)),
        Repair::Unpause => "unpausing".to_owned(),
        Repair::FastResume => "letting the guest run on".to_owned(),
        Repair::Pause => "pausing".to_owned(),
        Repair::SoftReset => "a soft reset".to_owned(),
        Repair::DestroyDomains(domids) => {
            format!("destroying domain {}", domids.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))
        }
        Repair::ForgetImage => "forgetting the image".to_owned(),
        Repair::Unplug { vbds, vifs } => named("unplugging", vbds, vifs),
        Repair::Deactivate { vbds, vifs } => named("deactivating", vbds, vifs),
        Repair::Eject(vbds) => named("ejecting", vbds, &[]),
        Repair::SetQos(vbds) => named("setting the i/o priority of", vbds, &[]),
        Repair::Remove => "removing it".to_owned(),
        Repair::Rename(to) => format!("renaming it to {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_and_why() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let repair = |repair| explain(&Verdict::Repair(repair, "tell".into()));
        assert_eq!(explain(&Verdict::Sensible(Sensible::Running)), "sensible: running");
        assert_eq!(explain(&Verdict::Stuck("two domains of it have run".into())), "stuck: two domains of it have run");
        assert_eq!(repair(Repair::Shutdown), "shutdown would make it so: tell");
        assert_eq!(repair(Repair::Restart { delay: 15 * SECOND }), "a restart in 15 s would make it so: tell");
        assert_eq!(repair(Repair::DestroyDomains(vec![3, 9])), "destroying domain 3, 9 would make it so: tell");
        let unplug = Repair::Unplug { vbds: names(&["xvda"]), vifs: names(&["0"]) };
        assert_eq!(repair(unplug), "unplugging xvda, vif 0 would make it so: tell");
    }
}

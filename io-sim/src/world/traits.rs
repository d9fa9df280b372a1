//! What a guest is like: drawn when it is built; the first of each is the well-behaved one.

use super::choice::{Choices, Concern};

macro_rules! traits {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            #[default]
            $($(#[$variant_doc])* $variant),*
        }

        impl $name {
            const ALL: &[$name] = &[$($name::$variant),*];

            fn draw(choices: &mut Choices, odd: u32) -> $name {
                if !choices.odds(Concern::Guest, odd) {
                    return $name::default();
                }
                Self::ALL[1 + choices.choose(Concern::Guest, Self::ALL.len() as u32 - 1) as usize]
            }
        }
    )*};
}

traits! {
    /// How it starts.
    Boots {
        /// To its prompt.
        Well,
        /// Its kernel panics.
        Crashes,
        /// It never comes so far that it hears anything.
        Hangs,
    }
    /// What it does when it is asked to stop.
    Obeys {
        /// Acknowledges, then stops.
        Well,
        /// Acknowledges, and never stops.
        Never,
        /// Does not even acknowledge.
        Deaf,
        /// Acknowledges, and reboots whatever was asked.
        Reboots,
        /// Acknowledges, and crashes on the way.
        Crashes,
    }
    /// What it does when it is asked to suspend.
    Suspends {
        /// Acknowledges, then suspends.
        Well,
        /// Acknowledges, and runs on.
        Never,
        /// Does not even acknowledge.
        Deaf,
        /// Acknowledges, and switches itself off instead.
        Halts,
        /// Acknowledges, and crashes instead.
        Crashes,
    }
    /// What it does when a device is to go.
    Unplugs {
        /// Lets it go.
        Well,
        /// Lets it go when it is done with it.
        Late,
        /// Says that it is in use, and keeps it.
        Refuses,
        /// Says that it is in use, and lets it go later all the same.
        Relents,
    }
    /// What it does with its memory target.
    Balloons {
        /// Follows it.
        Well,
        /// Says that it is at it, for a while.
        Slowly,
        /// Has no balloon driver.
        Never,
    }
    /// Which drivers it has for what is not there in hardware.
    Drivers {
        /// All of them.
        Paravirtual,
        /// None: an HVM guest as it was installed. Other containers always have them.
        Emulated,
    }
    /// What it tells of itself.
    Agent {
        /// What its kernel tells.
        Kernel,
        /// Much, and it runs scripts.
        Full,
        /// Nothing.
        Silent,
    }
    /// What it does some time after its start, of its own accord.
    Whim {
        /// Nothing.
        None,
        /// Switches itself off.
        Poweroff,
        /// Starts again.
        Reboot,
        /// Crashes.
        Crash,
        /// Its watchdog bites.
        Watchdog,
        /// Suspends though nobody asked.
        Suspend,
        /// Asks for a soft reset, to run another kernel.
        SoftReset,
        /// Sets its clock.
        Clock,
        /// Writes as much to xenstore as it may.
        Flood,
        /// Closes a device that it was given.
        Close,
        /// Loads its front ends' drivers anew, or another kernel that does.
        Reload,
        /// Removes its end of a device: that one is given up for good.
        GiveUp,
    }
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traits {
    /// How it starts.
    pub boots: Boots,
    /// Asked to stop.
    pub obeys: Obeys,
    /// Asked to suspend.
    pub suspends: Suspends,
    /// A device is to go.
    pub unplugs: Unplugs,
    /// Its memory target changes.
    pub balloons: Balloons,
    /// Its drivers.
    pub drivers: Drivers,
    /// Its agent.
    pub agent: Agent,
    /// Its whim.
    pub whim: Whim,
}

impl Traits {
    /// One trait in `odd` is not the well-behaved one; none for 0.
    pub(super) fn draw(choices: &mut Choices, odd: u32) -> Traits {
        Traits {
            boots: Boots::draw(choices, odd.saturating_mul(3)),
            obeys: Obeys::draw(choices, odd),
            suspends: Suspends::draw(choices, odd),
            unplugs: Unplugs::draw(choices, odd),
            balloons: Balloons::draw(choices, odd),
            drivers: Drivers::draw(choices, odd),
            agent: Agent::draw(choices, odd),
            whim: Whim::draw(choices, odd),
        }
    }
}

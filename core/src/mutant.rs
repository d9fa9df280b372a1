//! Mutants: breakages of one line each, one of which a test build can choose when it starts.
//!
//! They show that the simulator notices: each must break a rule of its oracle. Without the feature `mutants`
//! `mutant!(Name)` is the word `false`, and neither the list nor the choice is compiled.
//!
//! The choice is a global, the only one in this crate, and not a setting. Plans, recovery and procedures are pure
//! functions that see no configuration of the machine: a mutant handed down to them would change all of their types,
//! in the product too. And it is no state: it is chosen once, before any machine is made, and never again, so that a
//! process holds one program from its start to its end, as if it had been compiled with that line.

#[cfg(feature = "mutants")]
mod list;

#[cfg(feature = "mutants")]
pub use list::{ALL, Mutant};

/// Whether this build runs as the mutant of that name.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::is($crate::mutant::Mutant::$name)
    };
}

/// Never: this build has no mutants.
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}

#[cfg(feature = "mutants")]
static CHOSEN: std::sync::OnceLock<Mutant> = std::sync::OnceLock::new();

/// Run as a mutant from here on. Once in a process, before its first machine; a second choice is an error.
#[cfg(feature = "mutants")]
pub fn choose(name: &str) -> Result<(), String> {
    let mutant = Mutant::named(name).ok_or_else(|| format!("no mutant is called {name}"))?;
    CHOSEN.set(mutant).map_err(|_| "a mutant has been chosen already".to_owned())
}

/// The mutant that this process runs as.
#[cfg(feature = "mutants")]
pub fn chosen() -> Option<Mutant> {
    CHOSEN.get().copied()
}

/// Whether this process runs as that mutant.
#[cfg(feature = "mutants")]
pub(crate) fn is(mutant: Mutant) -> bool {
    CHOSEN.get() == Some(&mutant)
}

//! Numbers by which machine and driver speak of the same thing. None is ever used twice in one life.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

number! {
    /// A client's connection, numbered by the driver.
    ClientId
    /// One call of a client, numbered by the driver; answered once.
    CallId
    /// A request to the host, numbered by the machine; answered once.
    EffectId
    /// A task, numbered from 0 by the machine; its text is what clients see.
    TaskId
}

//! The machine alone, against a host that answers as told.

mod hazards;
mod host;
mod late;
mod rig;

//! The machine alone, against a host that answers as told.

mod course;
mod diagnostics;
mod hazards;
mod host;
mod late;
mod refused;
mod rig;
mod shown;

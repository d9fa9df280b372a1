//! The deciding part of xenops: same inputs, same effects, byte for byte.
//!
//! Nothing here does anything. Bytes become calls (`wire`, `interface`), calls become operations and
//! plans (`machine`, `operation`), plans become requests to a host (`backend`, `host`), and what a
//! host shows is compared with what was wanted (`recovery`). A driver carries the requests out.

#[macro_use]
mod macros;
#[macro_use]
pub mod mutant;

pub mod backend;
pub mod host;
pub mod interface;
pub mod lessons;
pub mod machine;
pub mod operation;
pub mod recovery;
pub mod wire;
pub mod xl;

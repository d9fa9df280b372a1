//! A watch: which paths, if they change, raise the notice of which token.

use serde::{Deserialize, Serialize};

/// The machine's own name for what it watches; the host gives it back, never a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(pub u64);

impl Token {
    /// Raised whenever a domain appears, stops or disappears.
    pub const DOMAINS: Token = Token(0);
}

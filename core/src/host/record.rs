//! Records as the journal carries them: upstream's file names and their whole new text.

use serde::{Deserialize, Serialize};

/// One record's new content. Keys are paths under the database root (`VM/<uuid>/config`, `extra/<uuid>`) or
/// `intent/<uuid>`, which only the journal holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Path under the root.
    pub key: String,
    /// JSON text, or `None` when the record is gone.
    pub value: Option<String>,
}

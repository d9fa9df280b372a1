//! The processor that a guest sees.

use super::settings::Settings;
use crate::xen::foreign::Policy;

/// From what its platform keys say.
pub(super) fn policy(settings: &Settings) -> Policy {
    Policy {
        features: settings.features.clone(),
        pae: settings.pae,
        // Whoever migrates may meet another counter.
        itsc: settings.stays,
        nested: settings.nested,
    }
}

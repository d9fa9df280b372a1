//! Ctrl-C as something to look at instead of an end.

use super::failure::Failure;
use signal_hook::consts::SIGINT;
use signal_hook::{SigId, flag, low_level};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes Ctrl-C over for as long as it lives.
#[derive(Debug)]
pub struct Interrupt {
    came: Arc<AtomicBool>,
    id: SigId,
}

impl Interrupt {
    /// From here on Ctrl-C ends nothing by itself.
    pub fn watch() -> Result<Interrupt, Failure> {
        let came = Arc::new(AtomicBool::new(false));
        let id = flag::register(SIGINT, came.clone()).map_err(Failure::local("listen for Ctrl-C"))?;
        Ok(Interrupt { came, id })
    }

    /// Whether it has come since this was asked last.
    pub fn take(&self) -> bool {
        self.came.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        low_level::unregister(self.id);
        // Unregistering leaves the signal without effect; after us it ends the program as it did before.
        if self.take() {
            let _ = low_level::emulate_default_handler(SIGINT);
        }
    }
}

//! A hand on a run from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops a run, or asks it for a checkpoint. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    checkpoint: Arc<AtomicBool>,
}

impl Control {
    /// The run ends after the current batch, with a checkpoint if it has a folder.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The run writes `last.safetensors` after the current batch, if it has a folder.
    pub fn checkpoint(&self) {
        self.checkpoint.store(true, Ordering::Relaxed);
    }

    /// Set when the run is to end.
    pub(super) fn stopping(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether a checkpoint was asked for since the last call.
    pub(super) fn take_checkpoint(&self) -> bool {
        self.checkpoint.swap(false, Ordering::Relaxed)
    }
}

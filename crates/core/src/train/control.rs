//! A hand on a run from another thread.

use crate::config::check_learning_rate;
use crate::error::Result;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Stops a run, asks it for a checkpoint, or sets its learning rate. Every call is good at any moment: before the run has
/// begun it is remembered, after its end it does nothing. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    /// Checkpoints asked for, and how many of those requests have their checkpoint.
    checkpoints: Arc<Requests>,
    learning_rates: Arc<Requests>,
    /// The newest learning rate that was asked for.
    learning_rate: Arc<Mutex<Option<f64>>>,
}

/// Requests are numbered from 1.
#[derive(Debug, Default)]
struct Requests {
    made: AtomicU64,
    answered: AtomicU64,
}

impl Requests {
    fn make(&self) -> u64 {
        self.made.fetch_add(1, Ordering::AcqRel) + 1
    }
}

impl Control {
    /// The run ends after the current batch, with a checkpoint if it has a folder.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// The run writes `last.safetensors` after the current batch, or after the evaluation that it is in, if it has a
    /// folder. Gives the request's number.
    pub fn checkpoint(&self) -> u64 {
        self.checkpoints.make()
    }

    /// Requests up to this one have a checkpoint that was written after they were made.
    pub fn checkpoints_written(&self) -> u64 {
        self.checkpoints.answered.load(Ordering::Acquire)
    }

    /// From the next step on the learning rate is this, and moves in proportion to the schedule. Gives the request's number.
    ///
    /// # Errors
    /// `INVALID_OPTION` unless it is a number above 0.
    pub fn set_learning_rate(&self, learning_rate: f64) -> Result<u64> {
        check_learning_rate(learning_rate)?;
        // Number and value go together, so that who answers the newest request does so with its value.
        let mut newest = self.newest_learning_rate();
        *newest = Some(learning_rate);
        Ok(self.learning_rates.make())
    }

    /// Requests up to this one have been answered: by their own learning rate, or by that of a later request.
    pub fn learning_rates_set(&self) -> u64 {
        self.learning_rates.answered.load(Ordering::Acquire)
    }

    /// Set when the run is to end.
    pub(super) fn stopping(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether a checkpoint is asked for.
    pub(super) fn wants_checkpoint(&self) -> bool {
        self.checkpoints_asked_for() > self.checkpoints_written()
    }

    /// Requests for a checkpoint until now: to be remembered before it is taken.
    pub(super) fn checkpoints_asked_for(&self) -> u64 {
        self.checkpoints.made.load(Ordering::Acquire)
    }

    /// Those requests have their checkpoint.
    pub(super) fn answer_checkpoints(&self, asked_for: u64) {
        self.checkpoints.answered.store(asked_for, Ordering::Release);
    }

    /// The learning rate that was asked for since the last call.
    pub(super) fn take_learning_rate(&self) -> Option<f64> {
        let mut newest = self.newest_learning_rate();
        let taken = newest.take();
        if taken.is_some() {
            let made = self.learning_rates.made.load(Ordering::Acquire);
            self.learning_rates.answered.store(made, Ordering::Release);
        }
        taken
    }

    fn newest_learning_rate(&self) -> MutexGuard<'_, Option<f64>> {
        // One value, replaced whole.
        self.learning_rate.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

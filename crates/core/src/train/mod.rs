//! The training run.

pub mod event;

use crate::config::TrainOptions;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::Model;
use event::{Event, Report};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops a run from another thread, or asks it for a checkpoint. Clones share their state.
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

    /// The run writes `last.safetensors` after the current batch.
    pub fn checkpoint(&self) {
        self.checkpoint.store(true, Ordering::Relaxed);
    }
}

/// Trains `model` on `data`, and leaves the trained weights in it. With `resume`, goes on from the training state
/// that the model's checkpoint held, so that the result is bit-equal to a run that was never stopped.
pub fn run(
    _model: &Model,
    _data: &Dataset,
    _options: &TrainOptions,
    _resume: bool,
    _control: &Control,
    _on_event: &mut dyn FnMut(Event),
) -> Result<Report> {
    Err(Error::internal("not built yet"))
}

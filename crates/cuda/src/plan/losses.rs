//! The loss's arrays, and the losses on their way back.

use crate::driver::{DeviceBuffer, Download, Slice, Stream};
use mobilenet_core::Result;
use mobilenet_core::kernels::loss::Loss;
use std::sync::Arc;

/// Steps whose losses may be on their way.
const MOST: usize = 1024;

/// The losses of a run's steps.
#[derive(Debug)]
pub struct Losses {
    class_weights: Option<(DeviceBuffer<f64>, Vec<f64>)>,
    /// Of each picture of the batch.
    pub pictures: DeviceBuffer<f64>,
    /// Whether each was right.
    pub correct: DeviceBuffer<u32>,
    /// Of the last batch: the sum of the losses, and how many were right.
    pub last: DeviceBuffer<f64>,
    /// The same of all batches.
    pub totals: DeviceBuffer<f64>,
    returned: Download<f64>,
    /// Those that have come and were not given yet.
    known: Vec<Loss>,
}

impl Losses {
    /// Of batches of up to `capacity` pictures.
    pub fn new(stream: &Arc<Stream>, capacity: usize, class_weights: Option<&[f64]>) -> Result<Self> {
        let class_weights = match class_weights {
            None => None,
            Some(values) => Some((DeviceBuffer::of(stream, values)?, values.to_vec())),
        };
        Ok(Self {
            class_weights,
            pictures: DeviceBuffer::zeros(stream, capacity)?,
            correct: DeviceBuffer::zeros(stream, capacity)?,
            last: DeviceBuffer::zeros(stream, 2)?,
            totals: DeviceBuffer::zeros(stream, 2)?,
            returned: Download::new(stream, MOST, 2)?,
            known: Vec::new(),
        })
    }

    /// What each class counts, on the card.
    pub fn class_weights(&self) -> Slice {
        self.class_weights.as_ref().map_or(Slice::NONE, |(values, _)| values.all())
    }

    /// The same here.
    pub fn class_weight_values(&self) -> Option<&[f64]> {
        self.class_weights.as_ref().map(|(_, values)| values.as_slice())
    }

    /// Asks for the loss of the step that was put into the stream last.
    pub fn ask(&mut self) -> Result<()> {
        self.returned.ask(&self.last, 2)?;
        if self.returned.has_room() { Ok(()) } else { self.wait(0) }
    }

    /// Waits for all that were asked for but the newest `later` (0 or 1).
    pub fn wait(&mut self, later: usize) -> Result<()> {
        let loss = |values: &[f64]| Loss { sum: values[0], correct: values[1] as usize };
        self.known.extend(self.returned.wait(later)?.map(loss));
        Ok(())
    }

    /// Adds one that is known already.
    pub fn push(&mut self, loss: Loss) {
        self.known.push(loss);
    }

    /// Those that are known and were not given yet.
    pub fn take(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.known)
    }
}

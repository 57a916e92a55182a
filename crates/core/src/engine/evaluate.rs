//! Loss and accuracy over many pictures, batch by batch.

use super::backend::InferenceEngine;
use super::views;
use crate::config::{Normalization, TestTimeAugmentation};
use crate::data::Pictures;
use crate::data::loader::{Feed, Loader};
use crate::error::Result;
use crate::kernels::loss::cross_entropy;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a network answers on one batch.
#[derive(Debug)]
pub struct Answers<'a> {
    /// Which pictures.
    pub indices: &'a [u32],
    /// Their right classes.
    pub labels: &'a [u32],
    /// `[count, classes]`.
    pub logits: &'a [f32],
}

/// Evaluates the pictures with these indices with a prepared engine, each as the mean of the logits of its views; `on_batch`
/// hears what it answers. `None` when `cancelled` was set, or when there are no pictures.
pub fn evaluate(
    engine: &mut dyn InferenceEngine,
    pictures: &Arc<Pictures>,
    indices: &[u32],
    normalization: Normalization,
    tta: TestTimeAugmentation,
    cancelled: &AtomicBool,
    on_batch: &mut dyn FnMut(&Answers),
) -> Result<Option<Metrics>> {
    let loader = Loader::start(Feed {
        pictures: pictures.clone(),
        order: indices.into(),
        batch_size: engine.capacity(),
        augment: Vec::new(),
        seed: 0,
        epoch: 0,
        resolution: engine.network().resolution,
        normalization,
        first_batch: 0,
        drawn: false,
    })?;
    let (capacity, classes) = (engine.capacity(), engine.network().classes());
    let (mut loss_sum, mut correct) = (0.0, 0);
    for (batch, indices) in loader.zip(indices.chunks(capacity)) {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let batch = batch?;
        let logits = views::logits(engine, &batch.input, batch.count, tta, &normalization)?;
        let loss = cross_entropy(&logits, classes, classes, &batch.labels, None);
        loss_sum += loss.sum;
        correct += loss.correct;
        on_batch(&Answers { indices, labels: &batch.labels, logits: &logits });
    }
    Ok(Metrics::of(loss_sum, correct, indices.len()))
}

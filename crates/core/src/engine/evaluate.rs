//! Loss and accuracy over many pictures, batch by batch.

use super::InferencePlan;
use crate::config::Normalization;
use crate::data::Pictures;
use crate::data::loader::{Feed, Loader};
use crate::error::Result;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Evaluates the pictures with these indices with a prepared plan; `on_batch` hears after each batch how many are done.
/// `None` when `cancelled` was set, or when there are no pictures.
pub fn evaluate(
    plan: &mut InferencePlan,
    pictures: &Arc<Pictures>,
    indices: &[u32],
    normalization: Normalization,
    cancelled: &AtomicBool,
    on_batch: &mut dyn FnMut(usize),
) -> Result<Option<Metrics>> {
    let loader = Loader::start(Feed {
        pictures: pictures.clone(),
        order: indices.into(),
        batch_size: plan.capacity(),
        augment: false,
        seed: 0,
        epoch: 0,
        resolution: plan.network.resolution,
        normalization,
        first_batch: 0,
    })?;
    let (mut loss_sum, mut correct, mut done) = (0.0, 0, 0);
    for batch in loader {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let batch = batch?;
        plan.forward(&batch.input, batch.count);
        let loss = plan.loss(&batch.labels);
        loss_sum += loss.sum;
        correct += loss.correct;
        done += batch.count;
        on_batch(done);
    }
    Ok(Metrics::of(loss_sum, correct, indices.len()))
}

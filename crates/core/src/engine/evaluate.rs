//! Loss and accuracy over many pictures, batch by batch.

use super::InferencePlan;
use crate::config::Normalization;
use crate::data::Pictures;
use crate::data::loader::{Feed, Loader};
use crate::error::Result;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Evaluates the pictures with these indices with a prepared plan. `None` when `cancelled` was set, or when there are
/// no pictures.
pub fn evaluate(
    plan: &mut InferencePlan,
    pictures: &Arc<Pictures>,
    indices: &[u32],
    normalization: Normalization,
    cancelled: &AtomicBool,
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
    let (mut loss_sum, mut correct) = (0.0, 0);
    for batch in loader {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let batch = batch?;
        plan.forward(&batch.input, batch.count);
        let loss = plan.loss(&batch.labels);
        loss_sum += loss.sum;
        correct += loss.correct;
    }
    Ok(Metrics::of(loss_sum, correct, indices.len()))
}

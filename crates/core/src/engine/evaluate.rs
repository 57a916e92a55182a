//! Loss and accuracy over many pictures, batch by batch.

use super::backend::{InferenceEngine, KeptPictures};
use super::views;
use crate::config::{Normalization, TestTimeAugmentation};
use crate::data::Pictures;
use crate::data::loader::{Feed, Loader};
use crate::error::Result;
use crate::kernels::loss::{Loss, cross_entropy};
use crate::metrics::Metrics;
use std::ops::ControlFlow;
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
    let mut sums = Loss { sum: 0.0, correct: 0 };
    let capacity = engine.capacity();
    for (batch, indices) in loader.zip(indices.chunks(capacity)) {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let batch = batch?;
        let logits = views::logits(engine, &batch.input, batch.count, tta, &normalization)?;
        let answers = Answers { indices, labels: &batch.labels, logits: &logits };
        add(&mut sums, &answers);
        on_batch(&answers);
    }
    Ok(Metrics::of(sums.sum, sums.correct, indices.len()))
}

/// The same of pictures that the engine [keeps](InferenceEngine::keep) as `kept`: those with these indices.
pub fn evaluate_kept(
    engine: &mut dyn InferenceEngine,
    kept: KeptPictures,
    pictures: &Pictures,
    indices: &[u32],
    cancelled: &AtomicBool,
    on_batch: &mut dyn FnMut(&Answers),
) -> Result<Option<Metrics>> {
    let mut sums = Loss { sum: 0.0, correct: 0 };
    let mut chunks = indices.chunks(engine.capacity());
    engine.logits_of_kept(kept, &mut |logits| {
        if cancelled.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        let indices = chunks.next().unwrap_or_default();
        let labels: Vec<u32> = indices.iter().map(|&index| pictures.labels[index as usize]).collect();
        let answers = Answers { indices, labels: &labels, logits };
        add(&mut sums, &answers);
        on_batch(&answers);
        ControlFlow::Continue(())
    })?;
    let complete = chunks.next().is_none();
    Ok(if complete { Metrics::of(sums.sum, sums.correct, indices.len()) } else { None })
}

fn add(sums: &mut Loss, Answers { labels, logits, .. }: &Answers<'_>) {
    let classes = logits.len() / labels.len().max(1);
    let loss = cross_entropy(logits, classes, classes, *labels, None);
    sums.sum += loss.sum;
    sums.correct += loss.correct;
}

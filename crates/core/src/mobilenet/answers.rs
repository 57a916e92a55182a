//! What a network is asked: logits, gradients, how many pictures it gets right.

use super::{MobileNet, check_labels, lock};
use crate::config::{Precision, TestTimeAugmentation};
use crate::data::Pictures;
use crate::engine::TrainingPlan;
use crate::engine::backend::InferenceEngine;
use crate::engine::evaluate::{Answers, evaluate};
use crate::engine::parameters::Parameters;
use crate::error::{Error, ErrorCode, Result};
use crate::kernels::simd::Isa;
use crate::metrics::Metrics;
use crate::model::tensors::NamedTensor;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The engine that evaluates, and the version of the weights that it holds.
#[derive(Debug)]
pub(super) struct Evaluator {
    engine: Box<dyn InferenceEngine>,
    version: u64,
}

/// What [`MobileNet::backward`] gives.
#[derive(Debug, Clone)]
pub struct Backward {
    /// Mean cross-entropy of the batch.
    pub loss: f64,
    /// `[N, classes]`, in training mode: normalised by the batch's own statistics.
    pub logits: Vec<f32>,
    /// Of every parameter, in PyTorch's shapes and order.
    pub gradients: Vec<NamedTensor>,
}

impl MobileNet {
    /// Logits `[count, classes]` in evaluation mode of normalised pictures `[count, 3, resolution, resolution]`.
    ///
    /// # Errors
    /// `INVALID_OPTION` when the input's size doesn't fit.
    pub fn forward(&self, input: &[f32], count: usize) -> Result<Vec<f32>> {
        let input = self.channels_last(input, count)?;
        self.with_evaluator(|engine| {
            in_batches(engine, &input, |engine, batch, count| engine.logits(batch, count))
        })
    }

    /// One training step without the update, of pictures like [`Self::forward`]'s; the weights stay as they are. Computed by
    /// the processor, whatever the device.
    ///
    /// # Errors
    /// `INVALID_OPTION` when the input's size doesn't fit, or a label is no class.
    pub fn backward(&self, input: &[f32], labels: &[u32]) -> Result<Backward> {
        let input = self.channels_last(input, labels.len())?;
        let classes = self.shared.config.classes;
        if let Some(label) = labels.iter().find(|label| **label as usize >= classes) {
            return Err(Error::invalid_option(format!("label {label} is not below the {classes} classes")));
        }
        let mut plan = TrainingPlan::new(self.shared.network.clone(), labels.len(), Isa::best());
        let (parameters, statistics) = plan.parameters().gather(&self.tensors());
        plan.statistics = statistics;
        plan.prepare(&parameters);
        plan.forward(&input, &parameters, labels.len());
        let loss = plan.loss(labels);
        let mut gradients = vec![0.0; parameters.len()];
        plan.backward(&input, &parameters, labels.len(), &mut gradients);
        Ok(Backward {
            loss: loss.sum / labels.len() as f64,
            logits: plan.logits(labels.len()),
            gradients: plan.parameters().scatter_parameters(&gradients),
        })
    }

    /// Loss and accuracy over the pictures with these indices, of each the mean logits over the views that `tta` names;
    /// `None` when `cancelled` was set before the end, or when there are no pictures. `on_batch` hears after each batch how
    /// many pictures are done.
    ///
    /// # Errors
    /// `CHECKPOINT_MISMATCH` when the pictures have more classes than the network; otherwise those of preparing the pictures.
    pub fn evaluate(
        &self,
        pictures: &Arc<Pictures>,
        indices: &[u32],
        tta: TestTimeAugmentation,
        cancelled: &AtomicBool,
        on_batch: &mut dyn FnMut(usize),
    ) -> Result<Option<Metrics>> {
        check_labels(pictures, self.shared.config.classes)
            .map_err(|error| Error::new(ErrorCode::CheckpointMismatch, error.message))?;
        let normalization = self.normalization();
        let mut done = 0;
        let mut count = |answers: &Answers| {
            done += answers.labels.len();
            on_batch(done);
        };
        self.with_evaluator(|engine| {
            evaluate(engine, pictures, indices, normalization, tta, cancelled, &mut count)
        })
    }

    /// Runs `work` with the engine that evaluates, brought up to date.
    pub(crate) fn with_evaluator<T>(
        &self,
        work: impl FnOnce(&mut dyn InferenceEngine) -> Result<T>,
    ) -> Result<T> {
        let weights = self.weights();
        let mut evaluator = lock(&self.shared.evaluator);
        let mut current = match evaluator.take() {
            Some(current) => current,
            None => Evaluator {
                engine: self.shared.backend.inference(&self.shared.network, Precision::Float32)?,
                version: u64::MAX,
            },
        };
        if current.version != weights.version {
            let layout = Parameters::new(&self.shared.network);
            let (parameters, statistics) = layout.gather(&weights.tensors);
            current.engine.prepare(&parameters, &statistics)?;
            current.version = weights.version;
        }
        let result = work(&mut *current.engine)?;
        // Only put back after a clean end: neither a panic nor a failure of the device must leave a half-prepared one behind.
        *evaluator = Some(current);
        Ok(result)
    }

    /// `[count, 3, side, side]` to `[count, side, side, 3]`, after a check of the size.
    fn channels_last(&self, input: &[f32], count: usize) -> Result<Vec<f32>> {
        let side = self.shared.config.resolution;
        let pixels = side * side;
        if count == 0 || input.len() != count * 3 * pixels {
            return Err(Error::invalid_option(format!(
                "input must hold {count} pictures (at least 1) of 3 x {side} x {side} values, {} in all, not {}",
                count * 3 * pixels,
                input.len()
            )));
        }
        let mut output = Vec::with_capacity(input.len());
        for picture in input.chunks_exact(3 * pixels) {
            output.extend(
                (0..pixels).flat_map(|pixel| (0..3).map(move |channel| picture[channel * pixels + pixel])),
            );
        }
        Ok(output)
    }
}

/// What `ask` says of pictures of any number, given a batch of them and their count at a time.
pub(crate) fn in_batches(
    engine: &mut dyn InferenceEngine,
    input: &[f32],
    ask: impl Fn(&mut dyn InferenceEngine, &[f32], usize) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    let size = engine.network().picture_floats();
    let mut answers = Vec::new();
    for batch in input.chunks(engine.capacity() * size) {
        answers.extend(ask(engine, batch, batch.len() / size)?);
    }
    Ok(answers)
}

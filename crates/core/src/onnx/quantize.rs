//! A network in whole numbers of 8 bits: weights and the values between layers (Jacob et al. 2018, arXiv 1712.05877), whose
//! ranges are those met in some pictures.

use super::folded::FoldedNetwork;
use super::ranges::{Extremes, Histogram, Levels};
use crate::config::Normalization;
use crate::data::Pictures;
use crate::data::loader::{Feed, Loader};
use crate::data::normalize::Lookup;
use crate::engine::trace::{Seen, Trace, Value};
use crate::error::Result;
use crate::kernels::loss::cross_entropy;
use crate::metrics::Metrics;
use crate::model::tensors::NamedTensor;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Pictures that are looked at to find the ranges, at most.
pub const CALIBRATION_PICTURES: usize = 512;
/// Pixels of pictures that are looked at together; every layer's map is kept for each.
const TRACED_PIXELS: usize = 224 * 224 * 4;

/// A layer's weight and bias in whole numbers.
#[derive(Debug)]
pub(super) struct QuantizedLayer {
    /// In PyTorch's order, -127 to 127.
    pub weight: Vec<i8>,
    /// What 1 stands for, for each output.
    pub scales: Vec<f32>,
    pub bias: Vec<i32>,
    /// What 1 stands for in the bias: the scales of input and weight multiplied, so that it can be added to their product.
    pub bias_scales: Vec<f32>,
}

/// All that the graph needs.
#[derive(Debug)]
pub(super) struct Quantized {
    /// Of every value but the logits.
    pub levels: HashMap<Value, Levels>,
    /// Of the layers that have a weight.
    pub layers: HashMap<usize, QuantizedLayer>,
}

/// Pictures to look at, and whether to stop.
pub(super) struct Gallery<'a> {
    pub pictures: &'a Arc<Pictures>,
    pub indices: &'a [u32],
    pub normalization: Normalization,
    pub cancelled: &'a AtomicBool,
}

impl Gallery<'_> {
    /// Calls `visit` with batches as they go through `trace`; false when it was cancelled.
    fn each(&self, trace: &mut Trace, mut visit: impl FnMut(&mut Trace, &[f32], &[u32])) -> Result<bool> {
        let loader = Loader::start(Feed {
            pictures: self.pictures.clone(),
            order: self.indices.into(),
            batch_size: trace.capacity(),
            augment: Vec::new(),
            seed: 0,
            epoch: 0,
            resolution: trace.resolution(),
            normalization: self.normalization,
            first_batch: 0,
            drawn: false,
        })?;
        for batch in loader {
            if self.cancelled.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let batch = batch?;
            visit(trace, &batch.input, &batch.labels);
        }
        Ok(true)
    }
}

/// A trace of pictures of the network's size.
fn trace_of(folded: &FoldedNetwork) -> Trace {
    let pixels = folded.network.resolution * folded.network.resolution;
    Trace::new(&folded.network, &folded.tensors, (TRACED_PIXELS / pixels).clamp(1, 64))
}

/// Finds the levels in some pictures, and rounds the weights. `None` when it was cancelled.
pub(super) fn quantize(folded: &FoldedNetwork, gallery: &Gallery<'_>) -> Result<Option<Quantized>> {
    let mut trace = trace_of(folded);
    let mut extremes: HashMap<Value, Extremes> = HashMap::new();
    let whole = gallery.each(&mut trace, |trace, input, labels| {
        trace.run(input, labels.len(), |value, seen| {
            let extremes = extremes.entry(value).or_insert(Extremes::NONE);
            seen.rows().for_each(|row| extremes.add(row));
        });
    })?;
    if !whole {
        return Ok(None);
    }
    let mut histograms: HashMap<Value, Histogram> =
        extremes.into_iter().map(|(value, extremes)| (value, Histogram::new(extremes))).collect();
    let whole = gallery.each(&mut trace, |trace, input, labels| {
        trace.run(input, labels.len(), |value, seen| {
            if let Some(histogram) = histograms.get_mut(&value) {
                seen.rows().for_each(|row| histogram.add(row));
            }
        });
    })?;
    if !whole {
        return Ok(None);
    }
    // The logits stay as they are, and a picture's range is known.
    histograms.remove(&Value::Output(folded.network.layers.len() - 1));
    let mut levels: HashMap<Value, Levels> =
        histograms.par_iter().map(|(value, histogram)| (*value, histogram.best_levels())).collect();
    levels.insert(Value::Picture, of_pictures(&gallery.normalization));
    let mut layers = HashMap::new();
    for (index, layer) in folded.network.layers.iter().enumerate().filter(|(_, layer)| layer.has_weight()) {
        let input = match (layer.excitation, layer.input) {
            (Some(_), _) => Value::Excited(index),
            (None, Some(input)) => Value::Output(input),
            (None, None) => Value::Picture,
        };
        layers.insert(index, round_weights(folded.tensors_of(index)?, levels[&input].scale));
    }
    Ok(Some(Quantized { levels, layers }))
}

/// Of black to white, in every channel.
fn of_pictures(normalization: &Normalization) -> Levels {
    let lookup = Lookup::new(normalization);
    let ends = |byte: u8| (0..3).map(move |channel| (channel, byte));
    let mut extremes = Extremes::NONE;
    for (channel, byte) in ends(0).chain(ends(255)) {
        extremes.add(&[lookup.value(channel, byte)]);
    }
    Levels::over(extremes.low, extremes.high)
}

fn round_weights([weight, bias]: &[NamedTensor; 2], input_scale: f32) -> QuantizedLayer {
    let per_output = weight.values.len() / bias.values.len();
    let rows = || weight.values.chunks_exact(per_output);
    let scale = |(row, bias): (&[f32], &f32)| {
        let largest = row.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        // The bias must fit 32 bits, with room for the product that it is added to.
        let scale = (largest / 127.0).max(bias.abs() / input_scale / (1 << 30) as f32);
        if scale.is_normal() { scale } else { 1.0 }
    };
    let scales: Vec<f32> = rows().zip(&bias.values).map(scale).collect();
    let round = |value: f32, scale: f32| (value / scale).round_ties_even();
    let bias_scales: Vec<f32> = scales.iter().map(|scale| scale * input_scale).collect();
    QuantizedLayer {
        weight: rows()
            .zip(&scales)
            .flat_map(|(row, scale)| row.iter().map(move |value| round(*value, *scale) as i8))
            .collect(),
        bias: bias.values.iter().zip(&bias_scales).map(|(bias, scale)| round(*bias, *scale) as i32).collect(),
        scales,
        bias_scales,
    }
}

impl Quantized {
    /// Loss and accuracy as they are in whole numbers: computed in float32 with the rounded weights, every value rounded to
    /// its level. `None` when it was cancelled, or when there are no pictures.
    pub fn evaluate(
        &self,
        folded: &FoldedNetwork,
        gallery: &Gallery<'_>,
        on_batch: &mut dyn FnMut(usize),
    ) -> Result<Option<Metrics>> {
        let mut trace = trace_of(&self.rounded(folded)?);
        let (mut loss_sum, mut correct, mut done) = (0.0, 0, 0);
        let classes = folded.network.classes();
        let whole = gallery.each(&mut trace, |trace, input, labels| {
            let logits = trace.run(input, labels.len(), |value, seen| self.round(value, seen));
            let loss = cross_entropy(&logits, classes, classes, labels, None);
            loss_sum += loss.sum;
            correct += loss.correct;
            done += labels.len();
            on_batch(done);
        })?;
        Ok(if whole { Metrics::of(loss_sum, correct, done) } else { None })
    }

    fn round(&self, value: Value, seen: Seen<'_>) {
        let Some(levels) = self.levels.get(&value) else { return };
        seen.values.par_chunks_mut(1 << 14).for_each(|values| {
            values.iter_mut().for_each(|value| *value = levels.round(*value));
        });
    }

    /// The network with the rounded weights, as floats again.
    fn rounded(&self, folded: &FoldedNetwork) -> Result<FoldedNetwork> {
        let mut tensors = Vec::with_capacity(folded.tensors.len());
        for (index, _) in folded.network.layers.iter().enumerate().filter(|(_, layer)| layer.has_weight()) {
            let [weight, bias] = folded.tensors_of(index)?;
            let layer = &self.layers[&index];
            let per_output = layer.weight.len() / layer.bias.len();
            let weights = layer.weight.iter().enumerate();
            let values = weights.map(|(i, value)| f32::from(*value) * layer.scales[i / per_output]).collect();
            tensors.push(NamedTensor { values, ..weight.clone() });
            let values = layer.bias.iter().zip(&layer.bias_scales);
            let values = values.map(|(value, scale)| *value as f32 * scale).collect();
            tensors.push(NamedTensor { values, ..bias.clone() });
        }
        Ok(FoldedNetwork { network: folded.network.clone(), tensors })
    }
}

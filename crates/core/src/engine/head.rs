//! The classifier by itself, trained on the features that a network which stays as it is gives it: by the kernels of the
//! plan's products, in float32.
//!
//! Every logit is one chain of additions, and so is every gradient over some [`ROW_BLOCK`] pictures; those are added in order:
//! the bits don't depend on the threads.

use crate::kernels::batch_norm::{Curve, Finish};
use crate::kernels::buffer::{Buffer, Scratch};
use crate::kernels::crew;
use crate::kernels::loss::{Loss, Targets, cross_entropy};
use crate::kernels::padded;
use crate::kernels::product::PackedWeight;
use crate::kernels::product::backward::{Operands, multiply_operands};
use crate::kernels::product::cpu::panel_width;
use crate::kernels::product::pack::{pack, pack_tiles};
use crate::kernels::segments::ROW_BLOCK;
use crate::kernels::separable::{Separable, Source};
use crate::kernels::simd::Isa;
use crate::model::network::Network;
use crate::rng::{Purpose, stream, unit};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::borrow::Cow;

/// Pictures whose logits are computed together.
const TOGETHER: usize = 1024;

/// The last layer of a network. Its parameters are the weight `[padded(classes), padded(features)]` and the bias
/// `[padded(classes)]`, one behind the other, as they end the plan's parameters.
#[derive(Debug)]
pub struct Head {
    /// Values a picture.
    pub features: usize,
    classes: usize,
    dropout: f64,
    isa: Isa,
    packed: PackedWeight,
    scratch: Scratch,
    /// Those of some pictures, padded.
    logits: Buffer,
    logit_gradients: Buffer,
    /// What the weight's gradient is the product of.
    tiles: Buffer,
    panels: Buffer,
}

impl Head {
    /// That of a network.
    pub fn of(network: &Network) -> Self {
        let layer = network.classifier();
        Self::new(layer.inputs, layer.outputs, network.dropout, Isa::best())
    }

    fn new(features: usize, classes: usize, dropout: f64, isa: Isa) -> Self {
        Self {
            features,
            classes,
            dropout,
            isa,
            packed: PackedWeight::new(padded(classes), padded(features), false),
            scratch: Scratch::new(Separable::scratch(1, padded(features))),
            logits: Buffer::zeros(0),
            logit_gradients: Buffer::zeros(0),
            tiles: Buffer::zeros(0),
            panels: Buffer::zeros(0),
        }
    }

    /// Floats of its parameters.
    pub fn parameter_floats(&self) -> usize {
        padded(self.classes) * (padded(self.features) + 1)
    }

    /// The logits `[n, classes]` of features `[n, features]`.
    pub fn logits(&mut self, features: &[f32], parameters: &[f32]) -> Vec<f32> {
        let mut logits = Vec::with_capacity(features.len() / self.features * self.classes);
        let bias = self.pack(parameters);
        for features in features.chunks(TOGETHER * self.features) {
            let count = features.len() / self.features;
            self.multiply(&self.padded_rows(features), count, bias);
            logits.extend(super::unpadded(&self.logits, count, self.classes));
        }
        logits
    }

    /// A training step without the update: the loss of features `[n, features]` against `targets`, and in `gradients`, which
    /// lies as `parameters` do, its gradient. What dropout leaves out follows from `seed` and `step`, as in the plan.
    pub fn step(
        &mut self,
        mut features: Vec<f32>,
        targets: Targets<'_>,
        parameters: &[f32],
        (seed, step): (u64, u64),
        gradients: &mut [f32],
    ) -> Loss {
        let (count, outputs) = (targets.labels.len(), padded(self.classes));
        if self.dropout > 0.0 {
            let kept = (1.0 / (1.0 - self.dropout)) as f32;
            features.par_chunks_exact_mut(self.features).enumerate().for_each(|(picture, features)| {
                let mut random = stream(seed, Purpose::Dropout, step, picture as u64);
                for feature in features {
                    *feature *= if unit(&mut random) < self.dropout { 0.0 } else { kept };
                }
            });
        }
        let features = self.padded_rows(&features);
        let bias = self.pack(parameters);
        self.multiply(&features, count, bias);
        let slopes = room(&mut self.logit_gradients, count * outputs);
        let loss = cross_entropy(&self.logits, outputs, self.classes, targets, Some(slopes));
        let (weight, bias) = gradients.split_at_mut(outputs * padded(self.features));
        bias.fill(0.0);
        for slopes in slopes.chunks_exact(outputs) {
            bias.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
        }
        self.multiply_gradients(&features, count, weight);
        loss
    }

    /// Features as the product reads them.
    fn padded_rows<'a>(&self, features: &'a [f32]) -> Cow<'a, [f32]> {
        let width = padded(self.features);
        if width == self.features {
            return features.into();
        }
        let mut rows = vec![0.0; features.len() / self.features * width];
        for (to, from) in rows.chunks_exact_mut(width).zip(features.chunks_exact(self.features)) {
            to[..self.features].copy_from_slice(from);
        }
        rows.into()
    }

    /// Takes over the weight; the bias is what is left.
    fn pack<'a>(&mut self, parameters: &'a [f32]) -> &'a [f32] {
        debug_assert_eq!(parameters.len(), self.parameter_floats());
        let (weight, bias) = parameters.split_at(padded(self.classes) * padded(self.features));
        self.packed.pack(self.isa, weight);
        self.scratch.cover_threads();
        bias
    }

    /// Sets the logits of so many pictures.
    fn multiply(&mut self, rows: &[f32], count: usize, bias: &[f32]) {
        let (inputs, outputs) = (padded(self.features), padded(self.classes));
        let product = Separable {
            rows: count,
            inputs,
            outputs,
            source: Source::Rows { rows, factors: None },
            weight: &self.packed.forward,
            bfloat16: None,
            finish: Finish { bias, curve: Curve::NONE },
            shortcut: None,
        };
        let logits = room(&mut self.logits, count * outputs);
        crew::together(|crew| product.run(self.isa, logits, &self.scratch, Some(crew)));
    }

    /// The weight's gradient from the features and the logits' gradients of so many pictures.
    fn multiply_gradients(&mut self, rows: &[f32], count: usize, weight_gradient: &mut [f32]) {
        let (inputs, outputs, isa) = (padded(self.features), padded(self.classes), self.isa);
        let tiles = room(&mut self.tiles, count * outputs);
        let panels = room(&mut self.panels, count * inputs);
        let blocks = rows
            .par_chunks(ROW_BLOCK * inputs)
            .zip(self.logit_gradients[..count * outputs].par_chunks(ROW_BLOCK * outputs));
        let to = tiles.par_chunks_mut(ROW_BLOCK * outputs).zip(panels.par_chunks_mut(ROW_BLOCK * inputs));
        blocks.zip(to).for_each(|((features, slopes), (tiles, panels))| {
            let rows = features.len() / inputs;
            rayon::join(
                || isa.run(PackTiles { rows, outputs, slopes, tiles }),
                || pack(features, rows, inputs, panel_width(isa), panels),
            );
        });
        let operands: Vec<_> = Operands::of_part(count, inputs, outputs, tiles, panels).collect();
        crew::together(|crew| {
            multiply_operands(crew, isa, inputs, outputs, &operands, None, weight_gradient);
        });
    }
}

/// So many floats of a buffer, which is made larger if they are more than it has.
fn room(buffer: &mut Buffer, floats: usize) -> &mut [f32] {
    if buffer.len() < floats {
        *buffer = Buffer::zeros(floats);
    }
    &mut buffer[..floats]
}

/// [`pack_tiles`] of some pictures.
struct PackTiles<'a> {
    rows: usize,
    outputs: usize,
    slopes: &'a [f32],
    tiles: &'a mut [f32],
}

impl WithSimd for PackTiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { rows, outputs, slopes, tiles } = self;
        pack_tiles::<S>(outputs, rows, slopes, outputs, tiles);
    }
}

#[cfg(test)]
mod tests;

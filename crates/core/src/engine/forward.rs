//! The forward pass: a layer at a time, each in parts side by side.

use super::plan::{Part, TrainingPlan};
use super::timings::lap;
use crate::kernels::batch_norm::{Affine, Bounds, Finish, moments, update_running};
use crate::kernels::segments::{SEGMENTS, Sums, segment, split_mut};
use crate::kernels::{depthwise, padded, pooling, product, stem};
use crate::model::network::Operation;
use rayon::prelude::*;
use std::time::Instant;

impl TrainingPlan {
    /// Takes over new parameters: packs the weights.
    pub fn prepare(&mut self, parameters: &[f32]) {
        let mut start = Instant::now();
        let slots = &self.parameters.slots;
        let isa = self.isa;
        self.packed.par_iter_mut().zip(slots).for_each(|(packed, slot)| {
            if let Some(packed) = packed {
                packed.pack(isa, &parameters[slot.weight.clone()]);
            }
        });
        let outputs = padded(self.network.layers[0].outputs);
        let width = product::cpu::panel_width(isa);
        product::pack::pack(
            &parameters[slots[0].weight.clone()],
            stem::PATCH,
            outputs,
            width,
            &mut self.stem_weight,
        );
        lap(&mut start, &mut self.timings.prepare);
    }

    /// Runs `pictures` pictures, `[pictures, resolution, resolution, 3]`, up to the logits. The running statistics
    /// move.
    pub fn forward(&mut self, input: &[f32], parameters: &[f32], pictures: usize) {
        assert!(pictures > 0 && pictures <= self.capacity, "a batch of 1 to {} pictures", self.capacity);
        assert_eq!(input.len(), pictures * self.picture_floats());
        let mut start = Instant::now();
        for index in 0..self.network.layers.len() {
            self.forward_layer(index, input, parameters, pictures);
            lap(&mut start, &mut self.timings.forward[index]);
        }
        let layers = self.network.layers.len();
        let last = &self.network.layers[layers - 1];
        let (pixels, channels) = (last.output_side() * last.output_side(), padded(last.outputs));
        let map = &self.maps[layers - 1][..pictures * pixels * channels];
        pooling::forward(self.isa, map, &self.affines[layers - 1], pixels, channels, &mut self.features);
        lap(&mut start, &mut self.timings.forward[layers]);

        let classes = padded(self.network.classes);
        let Self { parts, features, logits, affines, packed, isa, .. } = self;
        let product = Product {
            rows: pictures,
            inputs: channels,
            outputs: classes,
            input: features,
            affine: &affines[layers],
            weight: &packed[layers].as_ref().expect("the classifier is packed").forward,
            bias: Some(&parameters[self.parameters.slots[layers].bias.clone()]),
        };
        product.run(*isa, parts, logits, false);
        lap(&mut start, &mut self.timings.forward[layers + 1]);
    }

    fn forward_layer(&mut self, index: usize, input: &[f32], parameters: &[f32], pictures: usize) {
        let (before, maps) = self.maps.split_at_mut(index);
        let (input_map, output) = (before.last(), &mut *maps[0]);
        let layer = &self.network.layers[index];
        let slot = &self.parameters.slots[index];
        let (channels, side) = (padded(layer.outputs), layer.output_side());
        let gather = layer.norm.is_some();
        if gather {
            self.parts.iter_mut().for_each(|part| part.sums.clear(channels));
        }
        let weight = &parameters[slot.weight.clone()];
        let bias = (!slot.bias.is_empty()).then(|| &parameters[slot.bias.clone()]);
        let isa = self.isa;
        match (layer.operation, input_map) {
            (Operation::Stem, _) => {
                for_each_part(
                    &mut self.parts,
                    output,
                    pictures,
                    side * side * channels,
                    |index, part, output| {
                        let pictures = segment(pictures, index);
                        isa.run(stem::forward::Forward {
                            shape: layer.stem_shape(),
                            rows: pictures.start * side..pictures.end * side,
                            input,
                            weight: &self.stem_weight,
                            finish: bias.map(|bias| Finish { bias, bounds: Bounds::NONE }),
                            output,
                            sums: gather.then_some(&mut part.sums),
                            patches: &mut part.input,
                        });
                    },
                );
            }
            (Operation::Depthwise, Some(map)) => {
                let affine = &self.affines[index - 1];
                let size = layer.input_side * layer.input_side * channels;
                for_each_part(
                    &mut self.parts,
                    output,
                    pictures,
                    side * side * channels,
                    |index, part, output| {
                        let pictures = segment(pictures, index);
                        isa.run(depthwise::forward::Forward {
                            shape: layer.depthwise_shape(),
                            pictures: pictures.len(),
                            input: &map[pictures.start * size..],
                            affine,
                            weight,
                            output,
                            sums: gather.then_some(&mut part.sums),
                            ring: &mut part.input,
                            zeros: &self.zeros,
                        });
                    },
                );
            }
            (Operation::Pointwise, Some(map)) => {
                let product = Product {
                    rows: pictures * side * side,
                    inputs: padded(layer.inputs),
                    outputs: channels,
                    input: map,
                    affine: &self.affines[index - 1],
                    weight: &self.packed[index].as_ref().expect("pointwise weights are packed").forward,
                    bias,
                };
                product.run(isa, &mut self.parts, output, gather);
            }
            (_, None) => unreachable!("the first layer is the stem"),
        }
        if gather {
            let count = pictures * side * side;
            let (sum, squares) = Sums::total(self.parts.iter().map(|part| &part.sums), channels);
            let (mean, variance) = moments(&sum, &squares, count);
            let (weight, bias) = (&parameters[slot.norm_weight.clone()], &parameters[slot.norm_bias.clone()]);
            self.affines[index].set(&mean, &variance, weight, bias, self.network.batch_norm_eps);
            let (mut running_mean, mut running_var) = (
                self.statistics[slot.running_mean.clone()].to_vec(),
                self.statistics[slot.running_var.clone()].to_vec(),
            );
            let momentum = self.network.batch_norm_momentum;
            update_running(&mut running_mean, &mut running_var, &mean, &variance, count, momentum);
            self.statistics[slot.running_mean.clone()].copy_from_slice(&running_mean);
            self.statistics[slot.running_var.clone()].copy_from_slice(&running_var);
        }
    }
}

/// A product of all rows with a packed weight: a pointwise layer or the classifier.
struct Product<'a> {
    rows: usize,
    inputs: usize,
    outputs: usize,
    input: &'a [f32],
    affine: &'a Affine,
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
}

impl Product<'_> {
    fn run(&self, isa: crate::kernels::simd::Isa, parts: &mut [Part], output: &mut [f32], gather: bool) {
        for_each_part(parts, output, self.rows, self.outputs, |index, part, output| {
            let rows = segment(self.rows, index);
            isa.run(product::forward::Forward {
                rows: rows.len(),
                inputs: self.inputs,
                outputs: self.outputs,
                input: &self.input[rows.start * self.inputs..],
                affine: self.affine,
                weight: self.weight,
                bias: self.bias,
                output,
                sums: gather.then_some(&mut part.sums),
                block: &mut part.input,
            });
        });
    }
}

/// Runs `pass(index, part, its share of map)` for every part, side by side. `map` holds `count` things of `size`.
pub(super) fn for_each_part(
    parts: &mut [Part],
    map: &mut [f32],
    count: usize,
    size: usize,
    pass: impl Fn(usize, &mut Part, &mut [f32]) + Sync,
) {
    debug_assert_eq!(parts.len(), SEGMENTS);
    let shares = split_mut(map, count, size);
    parts
        .par_iter_mut()
        .zip(shares)
        .enumerate()
        .with_max_len(1)
        .for_each(|(index, (part, share))| pass(index, part, share));
}

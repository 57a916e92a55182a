//! The forward pass: a layer at a time, each in parts side by side.

use super::plan::{Part, Plan, Purpose};
use super::timings::lap;
use crate::kernels::batch_norm::{Affine, moments, update_running};
use crate::kernels::segments::{SEGMENTS, Sums, segment, split_mut};
use crate::kernels::{depthwise, padded, pooling, product, stem};
use crate::model::network::Operation;
use rayon::prelude::*;
use std::time::Instant;

impl Plan {
    /// Takes over new parameters: packs the weights, and in evaluation sets the factors of every batch norm from the
    /// running statistics. To be called before a forward pass whenever either changed.
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
        product::cpu::pack(
            &parameters[slots[0].weight.clone()],
            stem::PATCH,
            outputs,
            width,
            &mut self.stem_weight,
        );
        if self.purpose == Purpose::Evaluation {
            for ((layer, slot), affine) in self.network.layers.iter().zip(slots).zip(&mut self.affines) {
                if layer.norm.is_some() {
                    let running = |range: &std::ops::Range<usize>| -> Vec<f64> {
                        self.statistics[range.clone()].iter().map(|value| f64::from(*value)).collect()
                    };
                    let (mean, variance) = (running(&slot.running_mean), running(&slot.running_var));
                    let weight = &parameters[slot.norm_weight.clone()];
                    let bias = &parameters[slot.norm_bias.clone()];
                    affine.set(&mean, &variance, weight, bias, self.network.batch_norm_eps);
                }
            }
        }
        lap(&mut start, &mut self.timings.prepare);
    }

    /// Runs `pictures` pictures, `[pictures, resolution, resolution, 3]`, up to the logits. In training the running
    /// statistics move.
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
        let map = &self.maps[self.map_of(layers - 1)][..pictures * pixels * channels];
        pooling::forward(map, &self.affines[layers - 1], pixels, channels, &mut self.features);
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

    /// Which of the stored maps is layer `index`'s.
    pub(super) fn map_of(&self, index: usize) -> usize {
        if self.purpose == Purpose::Training { index } else { index % 2 }
    }

    fn forward_layer(&mut self, index: usize, input: &[f32], parameters: &[f32], pictures: usize) {
        let (to, from) = (self.map_of(index), index.checked_sub(1).map(|before| self.map_of(before)));
        let mut output = std::mem::take(&mut self.maps[to]);
        let layer = &self.network.layers[index];
        let slot = &self.parameters.slots[index];
        let training = self.purpose == Purpose::Training;
        let (channels, side) = (padded(layer.outputs), layer.output_side());
        let gather = training && layer.norm.is_some();
        if gather {
            self.parts.iter_mut().for_each(|part| part.sums.clear(channels));
        }
        let weight = &parameters[slot.weight.clone()];
        let bias = (!slot.bias.is_empty()).then(|| &parameters[slot.bias.clone()]);
        let isa = self.isa;
        match (layer.operation, from) {
            (Operation::Stem, _) => {
                let size = self.network.resolution * self.network.resolution * stem::PICTURE_CHANNELS;
                for_each_part(
                    &mut self.parts,
                    &mut output,
                    pictures,
                    side * side * channels,
                    |index, part, output| {
                        let pictures = segment(pictures, index);
                        isa.run(stem::forward::Forward {
                            shape: layer.stem_shape(),
                            pictures: pictures.len(),
                            input: &input[pictures.start * size..],
                            weight: &self.stem_weight,
                            bias,
                            output,
                            sums: gather.then_some(&mut part.sums),
                            patches: &mut part.input,
                        });
                    },
                );
            }
            (Operation::Depthwise, Some(from)) => {
                let (map, affine) = (&self.maps[from], &self.affines[index - 1]);
                let size = layer.input_side * layer.input_side * channels;
                for_each_part(
                    &mut self.parts,
                    &mut output,
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
            (Operation::Pointwise, Some(from)) => {
                let product = Product {
                    rows: pictures * side * side,
                    inputs: padded(layer.inputs),
                    outputs: channels,
                    input: &self.maps[from],
                    affine: &self.affines[index - 1],
                    weight: &self.packed[index].as_ref().expect("pointwise weights are packed").forward,
                    bias,
                };
                product.run(isa, &mut self.parts, &mut output, gather);
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
        self.maps[to] = output;
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

//! The backward pass: from the logits' gradient to every parameter's, a layer at a time, each in parts side by side.

use super::forward::for_each_part;
use super::plan::{Part, TrainingPlan};
use super::timings::lap;
use crate::kernels::batch_norm::{Affine, Gradient};
use crate::kernels::product::backward::{Operands, WEIGHT_ROWS, WeightGradient, leaves_operands};
use crate::kernels::segments::{Sums, segment};
use crate::kernels::simd::Isa;
use crate::kernels::{depthwise, padded, pooling, product, stem};
use crate::model::network::Operation;
use rayon::prelude::*;
use std::time::Instant;

/// Floats of a weight gradient that one task adds up: 64 KB a part.
const CHUNK: usize = 16_384;

impl TrainingPlan {
    /// Writes the gradient of every parameter, laid out as they are, from the loss of the last forward pass, whose
    /// gradient stands in `logits_gradient`. `input`, `parameters` and `pictures` are those of that pass.
    pub fn backward(&mut self, input: &[f32], parameters: &[f32], pictures: usize, gradients: &mut [f32]) {
        let (layers, mut start) = (self.network.layers.len(), Instant::now());
        self.backward_classifier(pictures, gradients);
        lap(&mut start, &mut self.timings.backward[layers + 1]);
        self.backward_pooling(pictures);
        lap(&mut start, &mut self.timings.backward[layers]);
        for index in (0..layers).rev() {
            self.backward_layer(index, input, parameters, pictures, gradients);
            lap(&mut start, &mut self.timings.backward[index]);
            self.map_gradients.swap(0, 1);
        }
        // After an odd number of layers the two stand the other way round, which nothing depends on.
    }

    fn backward_classifier(&mut self, pictures: usize, gradients: &mut [f32]) {
        let layers = self.network.layers.len();
        let (inputs, outputs) = (padded(self.network.features()), padded(self.network.classes));
        let slot = &self.parameters.slots[layers];
        let bias = &mut gradients[slot.bias.clone()];
        bias.fill(0.0);
        for row in self.logits_gradient[..pictures * outputs].chunks_exact(outputs) {
            bias.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let product = Product {
            rows: pictures,
            inputs,
            outputs,
            input: &self.features,
            input_affine: &self.affines[layers],
            output: &self.logits,
            output_affine: &Affine::identity(outputs, crate::kernels::batch_norm::Bounds::NONE),
            output_gradient: &self.gradients[layers],
            gradient: &self.logits_gradient,
            leaves_operands: leaves_operands(self.capacity, inputs, outputs),
            weight: &self.packed[layers].as_ref().expect("the classifier is packed").backward,
        };
        let weight_gradient = &mut gradients[slot.weight.clone()];
        product.run(self.isa, &mut self.parts, &mut self.features_gradient, weight_gradient);
    }

    fn backward_pooling(&mut self, pictures: usize) {
        let layers = self.network.layers.len();
        let last = &self.network.layers[layers - 1];
        let (pixels, channels) = (last.output_side() * last.output_side(), padded(last.outputs));
        let (map, affine, isa) = (&self.maps[layers - 1], &self.affines[layers - 1], self.isa);
        let features_gradient = &self.features_gradient;
        for_each_part(
            &mut self.parts,
            &mut self.map_gradients[0],
            pictures,
            pixels * channels,
            |index, part, gradient| {
                let pictures = segment(pictures, index);
                part.sums.clear(channels);
                isa.run(pooling::Backward {
                    pixels,
                    channels,
                    map: &map[pictures.start * pixels * channels..pictures.end * pixels * channels],
                    affine,
                    features_gradient: &features_gradient[pictures.start * channels..],
                    gradient,
                    sums: &mut part.sums,
                });
            },
        );
    }

    fn backward_layer(
        &mut self,
        index: usize,
        input: &[f32],
        parameters: &[f32],
        pictures: usize,
        gradients: &mut [f32],
    ) {
        let layer = &self.network.layers[index];
        let slot = &self.parameters.slots[index];
        let (inputs, outputs, side) = (padded(layer.inputs), padded(layer.outputs), layer.output_side());
        let (sum, products) = Sums::total(self.parts.iter().map(|part| &part.sums), outputs);
        if layer.norm.is_some() {
            let (mut weight, mut bias) = (vec![0.0; outputs], vec![0.0; outputs]);
            let count = pictures * side * side;
            self.gradients[index].set(&self.affines[index], &sum, &products, count, &mut weight, &mut bias);
            gradients[slot.norm_weight.clone()].copy_from_slice(&weight);
            gradients[slot.norm_bias.clone()].copy_from_slice(&bias);
        } else {
            gradients[slot.bias.clone()].iter_mut().zip(&sum).for_each(|(to, sum)| *to = *sum as f32);
        }

        let [gradient, input_gradient] = &mut self.map_gradients;
        let gradient: &[f32] = gradient;
        let (output, output_affine, output_gradient) =
            (&self.maps[index], &self.affines[index], &self.gradients[index]);
        let isa = self.isa;
        match layer.operation {
            Operation::Stem => {
                let size = layer.input_side * layer.input_side * stem::PICTURE_CHANNELS;
                let map = side * side * outputs;
                self.parts.par_iter_mut().enumerate().with_max_len(1).for_each(|(index, part)| {
                    let pictures = segment(pictures, index);
                    isa.run(stem::backward::Backward {
                        shape: layer.stem_shape(),
                        pictures: pictures.len(),
                        input: &input[pictures.start * size..],
                        output: &output[pictures.start * map..],
                        output_affine,
                        output_gradient,
                        gradient: &gradient[pictures.start * map..],
                        weight_gradient: &mut part.weight_gradient,
                        patches: &mut part.input,
                        gradient_row: &mut part.gradient,
                        panels: &mut part.panels,
                        tiles: &mut part.tiles,
                    });
                });
            }
            Operation::Depthwise => {
                let weight = &parameters[slot.weight.clone()];
                let (map, input_affine) = (&self.maps[index - 1], &self.affines[index - 1]);
                let (input_size, size) =
                    (layer.input_side * layer.input_side * inputs, side * side * outputs);
                for_each_part(
                    &mut self.parts,
                    input_gradient,
                    pictures,
                    input_size,
                    |index, part, input_gradient| {
                        let pictures = segment(pictures, index);
                        part.sums.clear(inputs);
                        isa.run(depthwise::backward::Backward {
                            shape: layer.depthwise_shape(),
                            pictures: pictures.len(),
                            input: &map[pictures.start * input_size..],
                            input_affine,
                            output: &output[pictures.start * size..],
                            output_affine,
                            output_gradient,
                            gradient: &gradient[pictures.start * size..],
                            weight,
                            input_gradient,
                            weight_gradient: &mut part.weight_gradient,
                            sums: &mut part.sums,
                            ring: &mut part.input,
                            gradient_ring: &mut part.gradient,
                            zeros: &self.zeros,
                        });
                    },
                );
            }
            Operation::Pointwise => {
                let product = Product {
                    rows: pictures * side * side,
                    inputs,
                    outputs,
                    input: &self.maps[index - 1],
                    input_affine: &self.affines[index - 1],
                    output,
                    output_affine,
                    output_gradient,
                    gradient,
                    leaves_operands: leaves_operands(self.capacity * side * side, inputs, outputs),
                    weight: &self.packed[index].as_ref().expect("pointwise weights are packed").backward,
                };
                let weight_gradient = &mut gradients[slot.weight.clone()];
                return product.run(isa, &mut self.parts, input_gradient, weight_gradient);
            }
        }
        add_up(&self.parts, &mut gradients[slot.weight.clone()]);
    }
}

/// The backward pass of a product: a pointwise layer or the classifier.
struct Product<'a> {
    rows: usize,
    inputs: usize,
    outputs: usize,
    input: &'a [f32],
    input_affine: &'a Affine,
    output: &'a [f32],
    output_affine: &'a Affine,
    output_gradient: &'a Gradient,
    gradient: &'a [f32],
    leaves_operands: bool,
    weight: &'a [f32],
}

impl Product<'_> {
    fn run(&self, isa: Isa, parts: &mut [Part], input_gradient: &mut [f32], weight_gradient: &mut [f32]) {
        for_each_part(parts, input_gradient, self.rows, self.inputs, |index, part, input_gradient| {
            let rows = segment(self.rows, index);
            part.sums.clear(self.inputs);
            isa.run(product::backward::Backward {
                rows: rows.len(),
                inputs: self.inputs,
                outputs: self.outputs,
                input: &self.input[rows.start * self.inputs..],
                input_affine: self.input_affine,
                output: &self.output[rows.start * self.outputs..],
                output_affine: self.output_affine,
                output_gradient: self.output_gradient,
                gradient: &self.gradient[rows.start * self.outputs..],
                weight: self.weight,
                input_gradient,
                weight_gradient: (!self.leaves_operands).then_some(&mut *part.weight_gradient),
                sums: &mut part.sums,
                gradient_block: &mut part.gradient,
                panels: &mut part.panels,
                tiles: &mut part.tiles,
            });
        });
        if self.leaves_operands {
            self.multiply_operands(isa, parts, weight_gradient);
        } else {
            add_up(parts, weight_gradient);
        }
    }

    /// The weight gradient from what the parts left, some rows a task.
    fn multiply_operands(&self, isa: Isa, parts: &[Part], weight_gradient: &mut [f32]) {
        let blocks = parts.iter().enumerate().flat_map(|(index, part)| {
            let rows = segment(self.rows, index).len();
            Operands::of_part(rows, self.inputs, self.outputs, &part.tiles, &part.panels)
        });
        let operands: Vec<_> = blocks.collect();
        let tasks = weight_gradient.par_chunks_mut(WEIGHT_ROWS * self.inputs).enumerate();
        tasks.with_max_len(1).for_each(|(task, to)| {
            let first = task * WEIGHT_ROWS;
            let outputs = first..self.outputs.min(first + WEIGHT_ROWS);
            isa.run(WeightGradient { inputs: self.inputs, outputs, operands: &operands, to });
        });
    }
}

/// Adds up the parts' weight gradients, in order.
fn add_up(parts: &[Part], to: &mut [f32]) {
    to.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, to)| {
        let start = chunk * CHUNK;
        to.copy_from_slice(&parts[0].weight_gradient[start..start + to.len()]);
        for part in &parts[1..] {
            let from = &part.weight_gradient[start..start + to.len()];
            to.iter_mut().zip(from).for_each(|(sum, value)| *sum += value);
        }
    });
}

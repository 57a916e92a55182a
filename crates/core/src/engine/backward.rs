//! The backward pass: from the logits' gradient to every parameter's, a layer at a time, each in parts side by side.
//!
//! A layer's pass reads the gradient of what was read from its own map, writes that of its input's, and gathers the sums
//! that the layer before it needs for its batch norm or its bias.

use super::part::{Part, for_each_part, keeps_operands};
use super::plan::TrainingPlan;
use super::timings::lap;
use crate::kernels::batch_norm::Factors;
use crate::kernels::batch_norm::sum::SumGradient;
use crate::kernels::buffer::Buffer;
use crate::kernels::crew::{Crew, for_each_chunk, together};
use crate::kernels::product::backward::Operands;
use crate::kernels::segments::{Sums, segment, split_mut};
use crate::kernels::{depthwise, padded, pooling, product, stem};
use crate::model::network::Operation;
use std::time::Instant;

/// Floats of a weight gradient that one task adds up: 64 KB a part.
const CHUNK: usize = 16_384;

impl TrainingPlan {
    /// Writes the gradient of every parameter, laid out as they are, from the loss of the last forward pass.
    /// `input`, `parameters` and `pictures` are those of that pass.
    pub fn backward(&mut self, input: &[f32], parameters: &[f32], pictures: usize, gradients: &mut [f32]) {
        together(|crew| self.backward_layers(crew, input, parameters, pictures, gradients));
    }

    fn backward_layers(
        &mut self,
        crew: &Crew<'_>,
        input: &[f32],
        parameters: &[f32],
        pictures: usize,
        gradients: &mut [f32],
    ) {
        let (layers, mut start) = (self.network.layers.len(), Instant::now());
        self.sum_gradient(crew, layers - 1, layers - 1, pictures);
        for index in (0..layers).rev() {
            self.take_sums(index, pictures, gradients);
            match self.network.layers[index].operation {
                Operation::Stem => self.backward_stem(crew, index, input, pictures, gradients),
                Operation::Depthwise => self.backward_depthwise(crew, index, parameters, pictures, gradients),
                Operation::Pointwise | Operation::Linear => {
                    self.backward_product(crew, index, pictures, gradients);
                }
                Operation::Pool => self.backward_pool(crew, index, pictures),
                // Its gradient is that of both that it adds, and stands where theirs do.
                Operation::Add { .. } => self.sum_gradient(crew, index, index - 1, pictures),
            }
            lap(&mut start, &mut self.timings.backward[index]);
        }
    }

    /// Gathers the sums for the map of layer `index`, of which `from`'s gradient is the gradient.
    fn sum_gradient(&mut self, crew: &Crew<'_>, from: usize, index: usize, pictures: usize) {
        let layer = &self.network.layers[index];
        let (channels, size, isa) = (padded(layer.outputs), layer.map_floats(), self.isa);
        let (gradient, map, affine) =
            (&*self.map_gradients[self.gradient_places[from]], &*self.maps[index], &self.affines[index]);
        crew.for_each(&mut self.parts, |index, part| {
            let pictures = segment(pictures, index);
            part.sums.clear(channels);
            isa.run(SumGradient {
                rows: pictures.len() * size / channels,
                channels,
                gradient: &gradient[pictures.start * size..],
                map: &map[pictures.start * size..],
                affine,
                sums: &mut part.sums,
            });
        });
    }

    /// Makes of the gathered sums the gradients of the layer's batch norm or bias, and what its pass needs.
    fn take_sums(&mut self, index: usize, pictures: usize, gradients: &mut [f32]) {
        let (layer, slot) = (&self.network.layers[index], &self.parameters.slots[index]);
        if !layer.has_weight() {
            return;
        }
        let (outputs, affine) = (padded(layer.outputs), &self.affines[index]);
        let (sum, products) = Sums::total(self.parts.iter().map(|part| &part.sums), outputs);
        if layer.norm.is_some() {
            let (mut weight, mut bias) = (vec![0.0; outputs], vec![0.0; outputs]);
            let count = pictures * layer.output_side() * layer.output_side();
            self.gradients[index].set(affine, &sum, &products, count, &mut weight, &mut bias);
            gradients[slot.norm_weight.clone()].copy_from_slice(&weight);
            gradients[slot.norm_bias.clone()].copy_from_slice(&bias);
        } else {
            let bias = &mut gradients[slot.bias.clone()];
            for ((to, sum), scale) in bias.iter_mut().zip(&sum).zip(affine.scale.iter()) {
                *to = (*sum * f64::from(*scale)) as f32;
            }
        }
    }

    fn backward_pool(&mut self, crew: &Crew<'_>, index: usize, pictures: usize) {
        let layer = &self.network.layers[index];
        let Some(input) = layer.input else { unreachable!("a pool reads a map") };
        let (pixels, channels) = (layer.input_side * layer.input_side, padded(layer.inputs));
        // Another reader of the same map: the layer that reads it with the factors that follow from this pool.
        let excited = self
            .network
            .layers
            .iter()
            .rposition(|other| other.input == Some(input) && other.excitation.is_some());
        let factors = excited.and_then(|excited| self.factors[excited].as_deref());
        let (map, affine, isa) = (&self.maps[input], &self.affines[input], self.isa);
        let places = [self.gradient_places[index], self.gradient_places[input]];
        let [features_gradient, gradient] = two(&mut self.map_gradients, places);
        let size = pixels * channels;
        for_each_part(crew, &mut self.parts, gradient, pictures, size, |index, part, gradient| {
            let pictures = segment(pictures, index);
            part.sums.clear(channels);
            isa.run(pooling::Backward {
                pixels,
                channels,
                map: &map[pictures.start * size..pictures.end * size],
                affine,
                features_gradient: &features_gradient[pictures.start * channels..],
                factors: factors.map(|factors| &factors[pictures.start * channels..]),
                gradient,
                sums: &mut part.sums,
            });
        });
    }

    fn backward_stem(
        &mut self,
        crew: &Crew<'_>,
        index: usize,
        input: &[f32],
        pictures: usize,
        gradients: &mut [f32],
    ) {
        let layer = &self.network.layers[index];
        let isa = self.isa;
        let (picture, map) = (self.network.picture_floats(), layer.map_floats());
        let (output, output_affine, output_gradient) =
            (&self.maps[index], &self.affines[index], &self.gradients[index]);
        let gradient = &self.map_gradients[self.gradient_places[index]];
        crew.for_each(&mut self.parts, |index, part| {
            let pictures = segment(pictures, index);
            isa.run(stem::backward::Backward {
                shape: layer.stem_shape(),
                pictures: pictures.len(),
                input: &input[pictures.start * picture..],
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
        add_up(crew, &self.parts, &mut gradients[self.parameters.slots[index].weight.clone()]);
    }

    fn backward_depthwise(
        &mut self,
        crew: &Crew<'_>,
        index: usize,
        parameters: &[f32],
        pictures: usize,
        gradients: &mut [f32],
    ) {
        let accumulate = self.network.accumulates(index);
        let layer = &self.network.layers[index];
        let weight = self.parameters.slots[index].weight.clone();
        let Some(input) = layer.input else { unreachable!("a depthwise convolution reads a map") };
        let (map, input_affine, isa) = (&self.maps[input], &self.affines[input], self.isa);
        let (output, output_affine, output_gradient) =
            (&self.maps[index], &self.affines[index], &self.gradients[index]);
        let channels = padded(layer.inputs);
        let (input_size, size) = (layer.input_side * layer.input_side * channels, layer.map_floats());
        let places = [self.gradient_places[index], self.gradient_places[input]];
        let [gradient, input_gradient] = two(&mut self.map_gradients, places);
        for_each_part(
            crew,
            &mut self.parts,
            input_gradient,
            pictures,
            input_size,
            |index, part, input_gradient| {
                let pictures = segment(pictures, index);
                part.sums.clear(channels);
                isa.run(depthwise::backward::Backward {
                    shape: layer.depthwise_shape(),
                    pictures: pictures.len(),
                    input: &map[pictures.start * input_size..],
                    input_affine,
                    output: &output[pictures.start * size..],
                    output_affine,
                    output_gradient,
                    gradient: &gradient[pictures.start * size..],
                    weight: &parameters[weight.clone()],
                    input_gradient,
                    accumulate,
                    weight_gradient: &mut part.weight_gradient,
                    sums: &mut part.sums,
                    ring: &mut part.input,
                    gradient_ring: &mut part.gradient,
                    zeros: &self.zeros,
                });
            },
        );
        add_up(crew, &self.parts, &mut gradients[weight]);
    }

    fn backward_product(&mut self, crew: &Crew<'_>, index: usize, pictures: usize, gradients: &mut [f32]) {
        let accumulate = self.network.accumulates(index);
        let layer = &self.network.layers[index];
        let Some(input) = layer.input else { unreachable!("a product reads a map") };
        let (map, input_affine, isa) = (&self.maps[input], &self.affines[input], self.isa);
        let (output, output_affine, output_gradient) =
            (&self.maps[index], &self.affines[index], &self.gradients[index]);
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let pixels = layer.output_side() * layer.output_side();
        let packed = self.packed[index].as_ref().expect("products are packed");
        let leaves_operands = keeps_operands(layer, self.capacity);
        let factors = self.factors[index].as_deref();
        let places = [self.gradient_places[index], self.gradient_places[input]];
        let (gradient, input_gradient, mut excitation) = match layer.excitation {
            None => {
                let [gradient, input_gradient] = two(&mut self.map_gradients, places);
                (gradient, input_gradient, None)
            }
            Some(excitation) => {
                let places = [places[0], places[1], self.gradient_places[excitation]];
                let [gradient, input_gradient, excitation] = self
                    .map_gradients
                    .get_disjoint_mut(places)
                    .expect("gradients that are needed together lie apart");
                (gradient, input_gradient, Some(excitation))
            }
        };
        let gradient = &**gradient;
        let shares: Vec<Option<&mut [f32]>> = match &mut excitation {
            None => (0..self.parts.len()).map(|_| None).collect(),
            Some(excitation) => {
                excitation[..pictures * inputs].fill(0.0);
                split_mut(excitation, pictures, inputs).into_iter().map(Some).collect()
            }
        };
        let input_shares = split_mut(input_gradient, pictures, pixels * inputs);
        let work = self.parts.iter_mut().zip(input_shares).zip(shares);
        crew.for_each(work, |index, ((part, input_gradient), factors_gradient)| {
            let pictures = segment(pictures, index);
            let rows = pictures.start * pixels..pictures.end * pixels;
            part.sums.clear(inputs);
            let factors = factors.map(|values| &values[pictures.start * inputs..]);
            isa.run(product::backward::Backward {
                rows: rows.len(),
                inputs,
                outputs,
                input: &map[rows.start * inputs..],
                input_affine,
                output: &output[rows.start * outputs..],
                output_affine,
                output_gradient,
                gradient: &gradient[rows.start * outputs..],
                weight: &packed.backward,
                bfloat16: packed.bfloat16,
                factors: factors.map(|values| Factors { values, pixels, skipped: 0 }),
                factors_gradient,
                input_gradient,
                accumulate,
                weight_gradient: (!leaves_operands).then_some(&mut *part.weight_gradient),
                sums: &mut part.sums,
                gradient_block: &mut part.gradient,
                input_rows: &mut part.input,
                panels: &mut part.panels,
                tiles: &mut part.tiles,
            });
        });
        let to = &mut gradients[self.parameters.slots[index].weight.clone()];
        if leaves_operands {
            self.multiply_operands(crew, index, pictures, to);
        } else {
            add_up(crew, &self.parts, to);
        }
        if let Some(excitation) = self.network.layers[index].excitation {
            self.sum_gradient(crew, excitation, excitation, pictures);
        }
    }

    /// The weight gradient of a product from what the parts left.
    fn multiply_operands(&self, crew: &Crew<'_>, index: usize, pictures: usize, weight_gradient: &mut [f32]) {
        let layer = &self.network.layers[index];
        let (inputs, outputs, isa) = (padded(layer.inputs), padded(layer.outputs), self.isa);
        let pixels = layer.output_side() * layer.output_side();
        let blocks = self.parts.iter().enumerate().flat_map(|(index, part)| {
            let rows = segment(pictures, index).len() * pixels;
            Operands::of_part(rows, inputs, outputs, &part.tiles, &part.panels)
        });
        let operands: Vec<_> = blocks.collect();
        product::backward::multiply_operands(
            crew,
            isa,
            inputs,
            outputs,
            &operands,
            self.bfloat16,
            weight_gradient,
        );
    }
}

/// Two of the gradients: one to read and one to write.
fn two(gradients: &mut [Buffer], places: [usize; 2]) -> [&mut Buffer; 2] {
    gradients.get_disjoint_mut(places).expect("gradients that are needed together lie apart")
}

/// Adds up the parts' weight gradients, in order.
fn add_up(crew: &Crew<'_>, parts: &[Part], to: &mut [f32]) {
    for_each_chunk(Some(crew), to, CHUNK, |chunk, to| {
        let start = chunk * CHUNK;
        to.copy_from_slice(&parts[0].weight_gradient[start..start + to.len()]);
        for part in &parts[1..] {
            let from = &part.weight_gradient[start..start + to.len()];
            to.iter_mut().zip(from).for_each(|(sum, value)| *sum += value);
        }
    });
}

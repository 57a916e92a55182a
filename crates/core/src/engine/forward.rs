//! The forward pass: a layer at a time, each in parts side by side.

use super::part::for_each_part;
use super::plan::TrainingPlan;
use super::timings::lap;
use crate::kernels::batch_norm::cpu::{Rows, normalize_rows};
use crate::kernels::batch_norm::{Affine, Curve, Factors, Finish, moments, update_running};
use crate::kernels::crew::{Crew, for_each_chunk, together};
use crate::kernels::segments::{Sums, segment};
use crate::kernels::{depthwise, padded, pooling, product, shortcut, stem};
use crate::model::network::Operation;
use crate::rng::{Purpose, stream, unit};
use pulp::{Simd, WithSimd};
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
        together(|crew| self.forward_layers(crew, input, parameters, pictures));
    }

    fn forward_layers(&mut self, crew: &Crew<'_>, input: &[f32], parameters: &[f32], pictures: usize) {
        let mut start = Instant::now();
        for index in 0..self.network.layers.len() {
            self.set_factors(crew, index, pictures);
            self.forward_layer(crew, index, input, parameters, pictures);
            if self.network.layers[index].norm.is_some() {
                self.normalize(index, parameters, pictures);
            }
            lap(&mut start, &mut self.timings.forward[index]);
        }
    }

    /// What the layer's input will be multiplied by: the output of its excitation, or dropout's choice.
    fn set_factors(&mut self, crew: &Crew<'_>, index: usize, pictures: usize) {
        let Some(factors) = &mut self.factors[index] else { return };
        let layer = &self.network.layers[index];
        let channels = padded(layer.inputs);
        let factors = &mut factors[..pictures * channels];
        if let Some(excitation) = layer.excitation {
            let (map, affine) = (&self.maps[excitation], &self.affines[excitation]);
            self.isa.run(Read { map, affine, channels, to: factors });
            return;
        }
        let (seed, step) = self.dropout_stream;
        let (dropout, kept) = (self.network.dropout, (1.0 / (1.0 - self.network.dropout)) as f32);
        for_each_chunk(Some(crew), factors, channels, |picture, factors| {
            let mut random = stream(seed, Purpose::Dropout, step, picture as u64);
            factors.fill_with(|| if unit(&mut random) < dropout { 0.0 } else { kept });
        });
    }

    fn forward_layer(
        &mut self,
        crew: &Crew<'_>,
        index: usize,
        input: &[f32],
        parameters: &[f32],
        pictures: usize,
    ) {
        let (before, maps) = self.maps.split_at_mut(index);
        let output = &mut *maps[0];
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
        let size = layer.map_floats();
        let read = |index: usize| (&before[index][..], &self.affines[index]);
        match (layer.operation, layer.input.map(read)) {
            (Operation::Stem, _) => {
                for_each_part(crew, &mut self.parts, output, pictures, size, |index, part, output| {
                    let pictures = segment(pictures, index);
                    isa.run(stem::forward::Forward {
                        shape: layer.stem_shape(),
                        rows: pictures.start * side..pictures.end * side,
                        input,
                        weight: &self.stem_weight,
                        finish: bias.map(|bias| Finish { bias, curve: Curve::NONE }),
                        output,
                        sums: gather.then_some(&mut part.sums),
                        patches: &mut part.input,
                    });
                });
            }
            (Operation::Depthwise, Some((map, affine))) => {
                let input_size = layer.input_side * layer.input_side * channels;
                for_each_part(crew, &mut self.parts, output, pictures, size, |index, part, output| {
                    let pictures = segment(pictures, index);
                    isa.run(depthwise::forward::Forward {
                        shape: layer.depthwise_shape(),
                        pictures: pictures.len(),
                        input: &map[pictures.start * input_size..],
                        affine,
                        weight,
                        output,
                        sums: gather.then_some(&mut part.sums),
                        ring: &mut part.input,
                        zeros: &self.zeros,
                    });
                });
            }
            (Operation::Pointwise | Operation::Linear, Some((map, affine))) => {
                let (inputs, pixels) = (padded(layer.inputs), side * side);
                let packed = self.packed[index].as_ref().expect("products are packed");
                let factors = self.factors[index].as_deref();
                for_each_part(crew, &mut self.parts, output, pictures, size, |index, part, output| {
                    let pictures = segment(pictures, index);
                    let factors = factors.map(|values| &values[pictures.start * inputs..]);
                    isa.run(product::forward::Forward {
                        rows: pictures.len() * pixels,
                        inputs,
                        outputs: channels,
                        input: &map[pictures.start * pixels * inputs..],
                        affine,
                        factors: factors.map(|values| Factors { values, pixels, skipped: 0 }),
                        weight: &packed.forward,
                        bfloat16: packed.bfloat16,
                        bias,
                        output,
                        sums: gather.then_some(&mut part.sums),
                        block: &mut part.input,
                    });
                });
            }
            (Operation::Pool, Some((map, affine))) => {
                let pixels = layer.input_side * layer.input_side;
                let map = &map[..pictures * pixels * channels];
                pooling::forward(isa, map, affine, pixels, channels, output, Some(crew));
            }
            (Operation::Add { shortcut }, Some(map)) => {
                let maps = [map, read(shortcut)];
                for_each_part(crew, &mut self.parts, output, pictures, size, |index, _, output| {
                    let pictures = segment(pictures, index);
                    let maps = maps.map(|(map, affine)| (&map[pictures.start * size..], affine));
                    isa.run(shortcut::Forward { channels, maps, output });
                });
            }
            (_, None) => unreachable!("only the stem reads the picture"),
        }
    }

    /// Sets how the layer's map is read from the sums that were gathered, and moves the running statistics.
    fn normalize(&mut self, index: usize, parameters: &[f32], pictures: usize) {
        let (layer, slot) = (&self.network.layers[index], &self.parameters.slots[index]);
        let count = pictures * layer.output_side() * layer.output_side();
        let (sum, squares) = Sums::total(self.parts.iter().map(|part| &part.sums), padded(layer.outputs));
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

/// A small map as it is read.
struct Read<'a> {
    map: &'a [f32],
    affine: &'a Affine,
    channels: usize,
    to: &'a mut [f32],
}

impl WithSimd for Read<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, affine, channels, to } = self;
        let rows = to.len() / channels;
        normalize_rows(simd, Rows::dense(map, channels), to, channels, rows, channels, affine, None);
    }
}

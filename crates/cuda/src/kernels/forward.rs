//! The forward pass's kernels. Each gives how many partial sums it left, where it was given room for them.

use super::reading::Reading;
use super::sizes::{STEM_BLOCKS, depthwise_units, stem_units};
use super::{Kernels, Norms, Product, Storage, grid, input_values};
use crate::driver::{Arguments, Slice};
use mobilenet_core::Result;
use mobilenet_core::kernels::padded;
use mobilenet_core::kernels::stem::PATCH;
use mobilenet_core::model::network::Layer;

/// A map with how it is read.
#[derive(Debug, Clone, Copy)]
pub struct Map {
    pub values: Slice,
    pub reading: Reading,
}

impl Kernels {
    /// The stem; `bias` where no norm follows.
    pub fn stem_forward(
        &self,
        layer: &Layer,
        storage: Storage,
        pictures: usize,
        [input, weight, bias, output, partials]: [Slice; 5],
    ) -> Result<usize> {
        let outputs = padded(layer.outputs);
        let parted =
            grid::channel_pairs(outputs, stem_units(layer, pictures), self.multiprocessors, STEM_BLOCKS);
        let arguments = Arguments::new()
            .array(input, 4 * pictures * layer.input_side * layer.input_side * 3)?
            .array(weight, 4 * PATCH * outputs)?
            .array_if_any(bias, 4 * outputs)?
            .array(output, storage.bytes() * pictures * layer.map_floats())?
            .array_if_any(partials, 8 * outputs * parted.parts)?
            .int(pictures)
            .int(layer.input_side)
            .int(outputs)
            .int(layer.stride)
            .int(layer.padding)
            .computing(pictures * layer.multiply_adds());
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("stem_forward_{}", storage.name()), parted.grid, &arguments)? };
        Ok(parted.parts)
    }

    /// A depthwise convolution.
    pub fn depthwise_forward(
        &self,
        layer: &Layer,
        storage: Storage,
        pictures: usize,
        input: Map,
        [weight, output, partials]: [Slice; 3],
    ) -> Result<usize> {
        let channels = padded(layer.outputs);
        let (units, blocks) = depthwise_units(layer, storage, pictures);
        let parted = grid::channel_pairs(channels, units, self.multiprocessors, blocks);
        let arguments = Arguments::new()
            .array(input.values, storage.bytes() * pictures * input_values(layer))?
            .with(input.reading)
            .array(weight, 4 * layer.kernel * layer.kernel * channels)?
            .array(output, storage.bytes() * pictures * layer.map_floats())?
            .array_if_any(partials, 8 * channels * parted.parts)?
            .int(pictures)
            .int(layer.input_side)
            .int(channels)
            .int(layer.padding)
            .computing(pictures * layer.multiply_adds());
        let name = format!("depthwise_forward_k{}s{}_{}", layer.kernel, layer.stride, storage.name());
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&name, parted.grid, &arguments)? };
        Ok(parted.parts)
    }

    /// A product. `weight` is float32, or the shadow's bfloat16.
    pub fn product_forward(
        &self,
        layer: &Layer,
        product: Product,
        pictures: usize,
        input: Map,
        [factors, weight, bias, output, partials]: [Slice; 5],
    ) -> Result<usize> {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let pixels = layer.output_side() * layer.output_side();
        let (rows, bytes) = (pictures * pixels, product.storage().bytes());
        let (tile, parted) = grid::product(product, rows, inputs, outputs, self.multiprocessors);
        let arguments = Arguments::new()
            .array(input.values, bytes * rows * inputs)?
            .with(input.reading)
            .array_if_any(factors, 4 * pictures * inputs)?
            .int(pixels)
            .array(weight, bytes * inputs * outputs)?
            .array_if_any(bias, 4 * outputs)?
            .array(output, bytes * rows * outputs)?
            .array_if_any(partials, 8 * outputs * parted.parts)?
            .int(rows)
            .int(inputs)
            .int(outputs)
            .computing(pictures * layer.multiply_adds());
        let name = format!("product_forward_{}_{}", product.name(), tile.name());
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&name, parted.grid, &arguments)? };
        Ok(parted.parts)
    }

    /// A pool; its output is float32.
    pub fn pool_forward(
        &self,
        layer: &Layer,
        storage: Storage,
        pictures: usize,
        input: Map,
        features: Slice,
    ) -> Result<()> {
        let (pixels, channels) = (layer.input_side * layer.input_side, padded(layer.inputs));
        let arguments = Arguments::new()
            .array(input.values, storage.bytes() * pictures * pixels * channels)?
            .with(input.reading)
            .array(features, 4 * pictures * channels)?
            .int(pictures)
            .int(pixels)
            .int(channels);
        let grid = grid::pictures(channels, pictures);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("pool_forward_{}", storage.name()), grid, &arguments) }
    }

    /// The sum of two maps.
    pub fn add_forward(
        &self,
        layer: &Layer,
        storage: Storage,
        pictures: usize,
        [a, b]: [Map; 2],
        output: Slice,
    ) -> Result<()> {
        let channels = padded(layer.outputs);
        let rows = pictures * layer.output_side() * layer.output_side();
        let bytes = storage.bytes() * rows * channels;
        let arguments = Arguments::new()
            .array(a.values, bytes)?
            .with(a.reading)
            .array(b.values, bytes)?
            .with(b.reading)
            .array(output, bytes)?
            .int(rows)
            .int(channels);
        let grid = grid::flat(rows * channels / 2);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("add_forward_{}", storage.name()), grid, &arguments) }
    }

    /// Dropout's factors from a bit each.
    pub fn dropout_factors(&self, count: usize, kept: f32, kept_bits: Slice, factors: Slice) -> Result<()> {
        let arguments = Arguments::new()
            .array(kept_bits, 4 * count.div_ceil(32))?
            .with(kept)
            .array(factors, 4 * count)?
            .int(count);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("dropout_factors", grid::flat(count), &arguments) }
    }

    /// Of layer `index`: how its map is read, from its partial sums over `rows`; moves the running statistics.
    pub fn normalize_finish(
        &self,
        norms: &Norms,
        index: usize,
        channels: usize,
        (partials, parts, rows): (Slice, usize, usize),
        [weight, bias, running_mean, running_var]: [Slice; 4],
        (eps, momentum): (f64, f64),
    ) -> Result<()> {
        let bytes = 4 * channels;
        let arguments = Arguments::new()
            .array(partials, 2 * bytes * parts)?
            .int(parts)
            .int(channels)
            .with(rows as f64)
            .array(weight, bytes)?
            .array(bias, bytes)?
            .with(eps)
            .with(momentum)
            .array(norms.scale(index), bytes)?
            .array(norms.shift(index), bytes)?
            .array(norms.mean(index), bytes)?
            .array(norms.inverse_std(index), 2 * bytes)?
            .array(running_mean, bytes)?
            .array(running_var, bytes)?
            .moving(2 * bytes);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("normalize_finish", grid::finish(channels), &arguments) }
    }

    /// Of layer `index`: how its map is read, from the running statistics.
    pub fn normalize_running(
        &self,
        norms: &Norms,
        index: usize,
        channels: usize,
        [running_mean, running_var, weight, bias]: [Slice; 4],
        eps: f64,
    ) -> Result<()> {
        let bytes = 4 * channels;
        let arguments = Arguments::new()
            .array(running_mean, bytes)?
            .array(running_var, bytes)?
            .array(weight, bytes)?
            .array(bias, bytes)?
            .with(eps)
            .array(norms.scale(index), bytes)?
            .array(norms.shift(index), bytes)?
            .int(channels);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("normalize_running", grid::flat(channels), &arguments) }
    }
}

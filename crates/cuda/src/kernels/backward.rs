//! The backward pass's kernels. Those that gather sums of the input's map give how many partial sums they left.

use super::forward::Map;
use super::reading::{GradientReading, SumReading};
use super::sizes::{SMALL_BLOCKS, STEM_BLOCKS, depthwise_backward_units, stem_units};
use super::{Kernels, Norms, Product, Storage, grid, input_values};
use crate::driver::{Arguments, Slice};
use mobilenet_core::Result;
use mobilenet_core::kernels::padded;
use mobilenet_core::kernels::stem::PATCH;
use mobilenet_core::model::network::Layer;

/// A layer's own map, the gradient of its normalised values, and how the map's gradient follows.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub gradient: Slice,
    pub values: Slice,
    pub reading: GradientReading,
}

/// The map that a layer read, and the gradient of its normalised values that the pass writes or adds to.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    pub values: Slice,
    pub reading: SumReading,
    pub gradient: Slice,
    pub accumulate: bool,
}

impl Kernels {
    /// Sums of a map from the gradient of what was read of it.
    pub fn sum_gradient(
        &self,
        storage: Storage,
        rows: usize,
        channels: usize,
        [gradient, map, partials]: [Slice; 3],
        reading: SumReading,
    ) -> Result<usize> {
        let parted = grid::channel_pairs(channels, rows, self.multiprocessors, SMALL_BLOCKS);
        let bytes = storage.bytes() * rows * channels;
        let arguments = Arguments::new()
            .array(gradient, bytes)?
            .array(map, bytes)?
            .with(reading)
            .array(partials, 8 * channels * parted.parts)?
            .int(rows)
            .int(channels);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("sum_gradient_{}", storage.name()), parted.grid, &arguments)? };
        Ok(parted.parts)
    }

    /// Of layer `index`: batch norm's gradients, and how its map's gradient follows, from the sums over `rows`.
    pub fn gradient_finish(
        &self,
        norms: &Norms,
        index: usize,
        channels: usize,
        (partials, parts, rows): (Slice, usize, usize),
        [weight_gradient, bias_gradient]: [Slice; 2],
    ) -> Result<()> {
        let bytes = 4 * channels;
        let arguments = Arguments::new()
            .array(partials, 2 * bytes * parts)?
            .int(parts)
            .int(channels)
            .with(rows as f64)
            .array(norms.scale(index), bytes)?
            .array(norms.mean(index), bytes)?
            .array(norms.inverse_std(index), 2 * bytes)?
            .array(norms.slope(index), bytes)?
            .array(norms.offset(index), bytes)?
            .array(weight_gradient, bytes)?
            .array(bias_gradient, bytes)?;
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("gradient_finish", grid::finish(channels), &arguments) }
    }

    /// Of layer `index`, which has no norm: its bias's gradient.
    pub fn bias_finish(
        &self,
        norms: &Norms,
        index: usize,
        channels: usize,
        (partials, parts): (Slice, usize),
        bias_gradient: Slice,
    ) -> Result<()> {
        let arguments = Arguments::new()
            .array(partials, 8 * channels * parts)?
            .int(parts)
            .int(channels)
            .array(norms.scale(index), 4 * channels)?
            .array(bias_gradient, 4 * channels)?;
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("bias_finish", grid::finish(channels), &arguments) }
    }

    /// A product's input gradient; leaves `output_gradient` for that of its weights. With factors that are an excitation's
    /// (`excited`), the input gradient stays that of the multiplied map, and no sums are gathered.
    pub fn product_input_gradient(
        &self,
        layer: &Layer,
        product: Product,
        pictures: usize,
        (output, input): (Output, Input),
        [weight, factors, output_gradient, partials]: [Slice; 4],
        excited: bool,
    ) -> Result<usize> {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let pixels = layer.output_side() * layer.output_side();
        let (rows, bytes) = (pictures * pixels, product.storage().bytes());
        let (tile, parted) = grid::product(product, rows, outputs, inputs, self.multiprocessors);
        let arguments = Arguments::new()
            .array(output.gradient, bytes * rows * outputs)?
            .array(output.values, bytes * rows * outputs)?
            .with(output.reading)
            .array(weight, bytes * inputs * outputs)?
            .array(input.values, bytes * rows * inputs)?
            .with(input.reading)
            .array_if_any(factors, 4 * pictures * inputs)?
            .int(pixels)
            .int(usize::from(excited))
            .array(input.gradient, bytes * rows * inputs)?
            .moving(usize::from(input.accumulate) * bytes * rows * inputs)
            .int(usize::from(input.accumulate))
            .array(output_gradient, bytes * rows * outputs)?
            .array_if_any(partials, 8 * inputs * parted.parts)?
            .int(rows)
            .int(inputs)
            .int(outputs)
            .computing(pictures * layer.multiply_adds());
        let name = format!("product_input_gradient_{}_{}", product.name(), tile.name());
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&name, parted.grid, &arguments)? };
        Ok(parted.parts)
    }

    /// A product's weight gradient from what the pass for its input gradient left; `room` is for partial ones.
    pub fn product_weight_gradient(
        &self,
        layer: &Layer,
        product: Product,
        pictures: usize,
        (output_gradient, input): (Slice, Map),
        [factors, room, weight_gradient]: [Slice; 3],
    ) -> Result<()> {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let pixels = layer.output_side() * layer.output_side();
        let (rows, bytes) = (pictures * pixels, product.storage().bytes());
        let grid::WeightGradient { tile, grid, splits, rows_per_split } =
            grid::weight_gradient(product, rows, inputs, outputs, (self.multiprocessors, self.shared_bytes));
        let parts = if splits == 1 { weight_gradient } else { room };
        let arguments = Arguments::new()
            .array(output_gradient, bytes * rows * outputs)?
            .array(input.values, bytes * rows * inputs)?
            .with(input.reading)
            .array_if_any(factors, 4 * pictures * inputs)?
            .int(pixels)
            .array(parts, 4 * splits * inputs * outputs)?
            .int(rows)
            .int(rows_per_split)
            .int(inputs)
            .int(outputs)
            .computing(pictures * layer.multiply_adds());
        let name = format!("product_weight_gradient_{}_{}", product.name(), tile.name());
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&name, grid, &arguments)? };
        if splits == 1 { Ok(()) } else { self.reduce(splits, inputs * outputs, room, weight_gradient) }
    }

    /// The gradient of an excitation's map, float32 `[pictures, channels]`, from that of the `map` that it multiplied.
    pub fn excitation_gradient(
        &self,
        storage: Storage,
        (pictures, pixels, channels): (usize, usize, usize),
        gradient: Slice,
        [map, excitation]: [Map; 2],
        excitation_gradient: Slice,
    ) -> Result<()> {
        let bytes = storage.bytes() * pictures * pixels * channels;
        let arguments = Arguments::new()
            .array(gradient, bytes)?
            .array(map.values, bytes)?
            .with(map.reading)
            .array(excitation.values, 4 * pictures * channels)?
            .with(excitation.reading)
            .array(excitation_gradient, 4 * pictures * channels)?
            .int(pictures)
            .int(pixels)
            .int(channels);
        let grid = grid::pictures(channels, pictures);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("excitation_gradient_{}", storage.name()), grid, &arguments) }
    }

    /// A pool's input gradient; with `factors`, what is there already is multiplied by them first.
    pub fn pool_backward(
        &self,
        layer: &Layer,
        storage: Storage,
        pictures: usize,
        input: Input,
        [features_gradient, factors, partials]: [Slice; 3],
    ) -> Result<usize> {
        let (pixels, channels) = (layer.input_side * layer.input_side, padded(layer.inputs));
        let parted = grid::channel_pairs(channels, pictures * pixels, self.multiprocessors, SMALL_BLOCKS);
        let bytes = storage.bytes() * pictures * pixels * channels;
        let arguments = Arguments::new()
            .array(input.values, bytes)?
            .with(input.reading)
            .array(features_gradient, 4 * pictures * channels)?
            .array_if_any(factors, 4 * pictures * channels)?
            .array(input.gradient, bytes)?
            .moving(if factors == Slice::NONE { 0 } else { bytes })
            .array(partials, 8 * channels * parted.parts)?
            .int(pictures)
            .int(pixels)
            .int(channels);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("pool_backward_{}", storage.name()), parted.grid, &arguments)? };
        Ok(parted.parts)
    }

    /// A depthwise convolution's input gradient and sums, and in `room` as many partial weight gradients as sums.
    pub fn depthwise_backward(
        &self,
        layer: &Layer,
        storage: Storage,
        pictures: usize,
        (output, input): (Output, Input),
        [weight, room, partials]: [Slice; 3],
    ) -> Result<usize> {
        let channels = padded(layer.outputs);
        let (units, blocks) = depthwise_backward_units(layer, storage, pictures);
        let parted = grid::channel_pairs(channels, units, self.multiprocessors, blocks);
        let (output_bytes, input_bytes) = (
            storage.bytes() * pictures * layer.map_floats(),
            storage.bytes() * pictures * input_values(layer),
        );
        let taps = layer.kernel * layer.kernel * channels;
        let arguments = Arguments::new()
            .array(output.gradient, output_bytes)?
            .array(output.values, output_bytes)?
            .with(output.reading)
            .array(weight, 4 * taps)?
            .array(input.values, input_bytes)?
            .with(input.reading)
            .array(input.gradient, input_bytes)?
            .moving(usize::from(input.accumulate) * input_bytes)
            .int(usize::from(input.accumulate))
            .array(room, 4 * parted.parts * taps)?
            .array(partials, 8 * channels * parted.parts)?
            .int(pictures)
            .int(layer.input_side)
            .int(channels)
            .int(layer.padding)
            .computing(2 * pictures * layer.multiply_adds());
        let name = format!("depthwise_backward_k{}s{}_{}", layer.kernel, layer.stride, storage.name());
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&name, parted.grid, &arguments)? };
        Ok(parted.parts)
    }

    /// The stem's partial weight gradients, in `room`; gives how many.
    pub fn stem_backward(
        &self,
        layer: &Layer,
        storage: Storage,
        pictures: usize,
        output: Output,
        [input, room]: [Slice; 2],
    ) -> Result<usize> {
        let outputs = padded(layer.outputs);
        let parted =
            grid::channel_pairs(outputs, stem_units(layer, pictures), self.multiprocessors, STEM_BLOCKS);
        let bytes = storage.bytes() * pictures * layer.map_floats();
        let arguments = Arguments::new()
            .array(input, 4 * pictures * layer.input_side * layer.input_side * 3)?
            .array(output.gradient, bytes)?
            .array(output.values, bytes)?
            .with(output.reading)
            .array(room, 4 * parted.parts * PATCH * outputs)?
            .int(pictures)
            .int(layer.input_side)
            .int(outputs)
            .int(layer.stride)
            .int(layer.padding)
            .computing(pictures * layer.multiply_adds());
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("stem_weight_gradient_{}", storage.name()), parted.grid, &arguments)? };
        Ok(parted.parts)
    }

    /// Adds up parts of `count` values each.
    pub fn reduce(&self, parts: usize, count: usize, partials: Slice, to: Slice) -> Result<()> {
        let arguments = Arguments::new()
            .array(partials, 4 * parts * count)?
            .int(parts)
            .int(count)
            .array(to, 4 * count)?;
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("reduce_partials", grid::reduce(parts, count), &arguments) }
    }
}

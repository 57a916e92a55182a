//! Products behind a pool, whose maps have one pixel: few rows and a large depth. They have no batch norm, so they gather no
//! sums, and the pass for the weights makes the bias's gradient too.

use super::backward::{Input, Output};
use super::forward::Map;
use super::reading::Reading;
use super::{Kernels, Product, grid};
use crate::driver::{Arguments, Slice};
use mobilenet_core::Result;
use mobilenet_core::kernels::padded;
use mobilenet_core::model::network::Layer;

impl Kernels {
    /// Forward. `read_output` gets what is read of the output, by `output_reading`, if anybody wants it.
    pub fn pooled_forward(
        &self,
        layer: &Layer,
        product: Product,
        pictures: usize,
        (input, output_reading): (Map, Reading),
        [factors, weight, bias, output, read_output]: [Slice; 5],
    ) -> Result<()> {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let arguments = Arguments::new()
            .with(input.values.with(4 * pictures * inputs)?)
            .with(input.reading)
            .with(factors.if_any(4 * pictures * inputs)?)
            .with(weight.with(4 * inputs * outputs)?)
            .with(bias.if_any(4 * outputs)?)
            .with(output.with(4 * pictures * outputs)?)
            .with(output_reading)
            .with(read_output.if_any(4 * pictures * outputs)?)
            .int(pictures)
            .int(inputs)
            .int(outputs);
        let grid = grid::pooled(pictures, outputs);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("pooled_forward_{}", product.name()), grid, &arguments) }
    }

    /// The gradient of the input, `map`; leaves `output_gradient` for that of the weights.
    pub fn pooled_input_gradient(
        &self,
        layer: &Layer,
        product: Product,
        pictures: usize,
        (output, input, map): (Output, Input, Map),
        [weight, factors, output_gradient]: [Slice; 3],
    ) -> Result<()> {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let arguments = Arguments::new()
            .with(output.gradient.with(4 * pictures * outputs)?)
            .with(output.values.with(4 * pictures * outputs)?)
            .with(output.reading)
            .with(weight.with(4 * inputs * outputs)?)
            .with(map.values.with(4 * pictures * inputs)?)
            .with(map.reading)
            .with(factors.if_any(4 * pictures * inputs)?)
            .with(input.gradient.with(4 * pictures * inputs)?)
            .int(usize::from(input.accumulate))
            .with(output_gradient.with(4 * pictures * outputs)?)
            .int(pictures)
            .int(inputs)
            .int(outputs);
        let grid = grid::pooled(pictures, inputs);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("pooled_input_gradient_{}", product.name()), grid, &arguments) }
    }

    /// The gradients of weight and bias, from what the pass for the input's gradient left.
    pub fn pooled_weight_gradient(
        &self,
        layer: &Layer,
        product: Product,
        pictures: usize,
        (output_gradient, input): (Slice, Map),
        [factors, weight_gradient, bias_gradient]: [Slice; 3],
    ) -> Result<()> {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let arguments = Arguments::new()
            .with(output_gradient.with(4 * pictures * outputs)?)
            .with(input.values.with(4 * pictures * inputs)?)
            .with(input.reading)
            .with(factors.if_any(4 * pictures * inputs)?)
            .with(weight_gradient.with(4 * inputs * outputs)?)
            .with(bias_gradient.with(4 * outputs)?)
            .int(pictures)
            .int(inputs)
            .int(outputs);
        let grid = grid::pooled(outputs, inputs);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("pooled_weight_gradient_{}", product.name()), grid, &arguments) }
    }
}

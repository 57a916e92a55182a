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
            .array(input.values, 4 * pictures * inputs)?
            .with(input.reading)
            .array_if_any(factors, 4 * pictures * inputs)?
            .array(weight, 4 * inputs * outputs)?
            .array_if_any(bias, 4 * outputs)?
            .array(output, 4 * pictures * outputs)?
            .with(output_reading)
            .array_if_any(read_output, 4 * pictures * outputs)?
            .int(pictures)
            .int(inputs)
            .int(outputs)
            .computing(pictures * layer.multiply_adds());
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
            .array(output.gradient, 4 * pictures * outputs)?
            .array(output.values, 4 * pictures * outputs)?
            .with(output.reading)
            .array(weight, 4 * inputs * outputs)?
            .array(map.values, 4 * pictures * inputs)?
            .with(map.reading)
            .array_if_any(factors, 4 * pictures * inputs)?
            .array(input.gradient, 4 * pictures * inputs)?
            .moving(usize::from(input.accumulate) * 4 * pictures * inputs)
            .int(usize::from(input.accumulate))
            .array(output_gradient, 4 * pictures * outputs)?
            .int(pictures)
            .int(inputs)
            .int(outputs)
            .computing(pictures * layer.multiply_adds());
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
            .array(output_gradient, 4 * pictures * outputs)?
            .array(input.values, 4 * pictures * inputs)?
            .with(input.reading)
            .array_if_any(factors, 4 * pictures * inputs)?
            .array(weight_gradient, 4 * inputs * outputs)?
            .array(bias_gradient, 4 * outputs)?
            .int(pictures)
            .int(inputs)
            .int(outputs)
            .computing(pictures * layer.multiply_adds());
        let grid = grid::pooled(outputs, inputs);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(&format!("pooled_weight_gradient_{}", product.name()), grid, &arguments) }
    }
}

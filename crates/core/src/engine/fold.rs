//! Weights and biases for inference, with batch norm and the activation's factor in them.

use super::parameters::LayerSlots;
use crate::kernels::batch_norm::{Affine, Curve, Finish};
use crate::kernels::buffer::{Buffer, Values, values};
use crate::kernels::padded;
use crate::kernels::product::PackedWeight;
use crate::kernels::product::bfloat16::Bfloat16;
use crate::kernels::product::cpu::panel_width;
use crate::kernels::product::pack::pack;
use crate::kernels::simd::Isa;
use crate::kernels::stem::PATCH;
use crate::model::network::{Layer, Operation};
use rayon::prelude::*;

/// A layer with its batch norm in weight and bias.
#[derive(Debug)]
pub(super) struct Folded {
    weight: Weight,
    bias: Values,
    curve: Curve,
}

#[derive(Debug)]
enum Weight {
    None,
    /// As [`crate::kernels::stem::forward::Forward`] or [`crate::kernels::depthwise::inference`] read it.
    Plain(Buffer),
    Packed(PackedWeight),
}

impl Folded {
    pub fn new(layer: &Layer) -> Self {
        let (inputs, outputs) = (padded(layer.inputs), padded(layer.outputs));
        let weight = match layer.operation {
            Operation::Stem => Weight::Plain(Buffer::zeros(PATCH * outputs)),
            Operation::Depthwise => Weight::Plain(Buffer::zeros(layer.kernel * layer.kernel * outputs)),
            Operation::Pointwise | Operation::Linear => {
                Weight::Packed(PackedWeight::new(outputs, inputs, false))
            }
            Operation::Pool | Operation::Add { .. } => Weight::None,
        };
        Self { weight, bias: values(outputs, 0.0), curve: Curve::of(layer.activation).0 }
    }

    /// Where its weight is, if it has one.
    pub fn buffer(&self) -> Option<&Buffer> {
        match &self.weight {
            Weight::None => None,
            Weight::Plain(weight) => Some(weight),
            Weight::Packed(weight) => Some(&weight.forward),
        }
    }

    /// The same with its product, if it is one, of bfloat16.
    pub fn in_bfloat16(self, bfloat16: Bfloat16) -> Self {
        let weight = match self.weight {
            Weight::Packed(PackedWeight { outputs, inputs, .. }) => {
                Weight::Packed(PackedWeight::rounded(outputs, inputs, false, bfloat16))
            }
            other => other,
        };
        Self { weight, ..self }
    }

    pub fn plain(&self) -> &[f32] {
        let Weight::Plain(weight) = &self.weight else {
            unreachable!("stems and depthwise weights are plain")
        };
        weight
    }

    pub fn packed(&self) -> &PackedWeight {
        let Weight::Packed(weight) = &self.weight else { unreachable!("products' weights are packed") };
        weight
    }

    pub fn finish(&self) -> Finish<'_> {
        Finish { bias: &self.bias, curve: self.curve }
    }
}

/// Folds a layer's parameters and running statistics; `folded_weight` is scratch as large as the largest weight.
#[allow(clippy::too_many_arguments)] // Where from, where to, and what is needed on the way.
pub(super) fn fold(
    isa: Isa,
    layer: &Layer,
    slot: &LayerSlots,
    eps: f64,
    parameters: &[f32],
    statistics: &[f32],
    folded_weight: &mut [f32],
    folded: &mut Folded,
) {
    if !layer.has_weight() {
        return;
    }
    let outputs = padded(layer.outputs);
    let (_, factor, summand) = Curve::of(layer.activation);
    let mut scale = vec![f64::from(factor); outputs];
    if layer.norm.is_some() {
        let mut affine = Affine::identity(outputs, Curve::NONE);
        let running = |range: &std::ops::Range<usize>| -> Vec<f64> {
            statistics[range.clone()].iter().map(|value| f64::from(*value)).collect()
        };
        let (mean, variance) = (running(&slot.running_mean), running(&slot.running_var));
        let (weight, bias) = (&parameters[slot.norm_weight.clone()], &parameters[slot.norm_bias.clone()]);
        affine.set(&mean, &variance, weight, bias, eps);
        folded.bias.copy_from_slice(&affine.shift);
        for (channel, scale) in scale.iter_mut().enumerate() {
            *scale *= f64::from(weight[channel]) * affine.inverse_std[channel];
        }
    } else {
        folded.bias.copy_from_slice(&parameters[slot.bias.clone()]);
    }
    folded.bias.iter_mut().for_each(|bias| *bias = *bias * factor + summand);
    let from = &parameters[slot.weight.clone()];
    let weight = &mut folded_weight[..from.len()];
    let scaled = |value: &f32, scale: &f64| (f64::from(*value) * scale) as f32;
    // Outputs are the rows of a product's weight, and the columns of the others'.
    if layer.is_product() {
        let inputs = padded(layer.inputs);
        let rows = weight.par_chunks_mut(inputs).zip(from.par_chunks(inputs)).zip(&scale);
        rows.for_each(|((to, from), scale)| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = scaled(from, scale));
        });
    } else {
        for (to, from) in weight.chunks_exact_mut(outputs).zip(from.chunks_exact(outputs)) {
            to.iter_mut().zip(from).zip(&scale).for_each(|((to, from), scale)| *to = scaled(from, scale));
        }
    }
    let weight = &*weight;
    match &mut folded.weight {
        Weight::Packed(packed) => packed.pack(isa, weight),
        Weight::Plain(to) if layer.operation == Operation::Stem => {
            pack(weight, PATCH, outputs, panel_width(isa), to);
        }
        Weight::Plain(to) => to.copy_from_slice(weight),
        Weight::None => {}
    }
}

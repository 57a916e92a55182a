//! The flat arrays that hold all parameters and all running statistics, in the order and with the padding that the
//! kernels read; and the way between them and PyTorch's shapes.

use crate::kernels::padded;
use crate::kernels::stem::{PATCH, PICTURE_CHANNELS};
use crate::model::network::{Network, Operation};
use crate::model::tensors::{NamedTensor, Role, TensorSpec, specs};
use std::ops::Range;

/// Where the tensors of one layer lie.
#[derive(Debug, Clone, Default)]
pub struct LayerSlots {
    /// Of the parameters.
    pub weight: Range<usize>,
    /// Of the parameters; empty where there is a batch norm.
    pub bias: Range<usize>,
    /// Of the parameters; empty where there is none.
    pub norm_weight: Range<usize>,
    /// Of the parameters; empty where there is none.
    pub norm_bias: Range<usize>,
    /// Of the statistics; empty where there is none.
    pub running_mean: Range<usize>,
    /// Of the statistics; empty where there is none.
    pub running_var: Range<usize>,
}

/// The layout of both arrays.
#[derive(Debug, Clone)]
pub struct Parameters {
    specs: Vec<TensorSpec>,
    ranges: Vec<Range<usize>>,
    /// A layer's; those that have no weights have empty ones.
    pub slots: Vec<LayerSlots>,
    /// Floats of all parameters, padding included.
    pub parameter_floats: usize,
    /// Floats of all running statistics, padding included.
    pub statistic_floats: usize,
}

impl Parameters {
    /// Lays out a network.
    pub fn new(network: &Network) -> Self {
        let specs = specs(network);
        let mut slots = vec![LayerSlots::default(); network.layers.len()];
        let (mut parameter_floats, mut statistic_floats) = (0, 0);
        let ranges: Vec<_> = specs
            .iter()
            .map(|spec| {
                let end =
                    if spec.role.is_parameter() { &mut parameter_floats } else { &mut statistic_floats };
                let range = *end..*end + arranged_floats(spec);
                *end = range.end;
                let slot = &mut slots[spec.layer];
                let place = match spec.role {
                    Role::Weight(_) => &mut slot.weight,
                    Role::Bias { .. } => &mut slot.bias,
                    Role::NormWeight => &mut slot.norm_weight,
                    Role::NormBias => &mut slot.norm_bias,
                    Role::RunningMean => &mut slot.running_mean,
                    Role::RunningVar => &mut slot.running_var,
                };
                *place = range.clone();
                range
            })
            .collect();
        Self { specs, ranges, slots, parameter_floats, statistic_floats }
    }

    /// Where the classifier's weight and bias lie, at the end of the parameters.
    pub fn head(&self) -> Range<usize> {
        let start = self.slots.last().map_or(0, |slot| slot.weight.start);
        start..self.parameter_floats
    }

    /// Where the weights of convolutions and of linear layers lie among the parameters; the rest is batch norm and biases.
    pub fn weights(&self) -> Vec<Range<usize>> {
        let all = self.specs.iter().zip(&self.ranges);
        all.filter(|(spec, _)| matches!(spec.role, Role::Weight(_))).map(|(_, range)| range.clone()).collect()
    }

    /// Both arrays from a state dict in the order of [`specs`].
    pub fn gather(&self, tensors: &[NamedTensor]) -> (Vec<f32>, Vec<f32>) {
        let (mut parameters, mut statistics) =
            (vec![0.0; self.parameter_floats], vec![0.0; self.statistic_floats]);
        for ((spec, range), tensor) in self.specs.iter().zip(&self.ranges).zip(tensors) {
            let array = if spec.role.is_parameter() { &mut parameters } else { &mut statistics };
            let to = &mut array[range.clone()];
            if to.len() == tensor.values.len() && lies_as_in_pytorch(spec) {
                to.copy_from_slice(&tensor.values);
            } else {
                for_each_place(spec, |from, place| to[place] = tensor.values[from]);
            }
        }
        (parameters, statistics)
    }

    /// The state dict from both arrays, in the order of [`specs`].
    pub fn scatter(&self, parameters: &[f32], statistics: &[f32]) -> Vec<NamedTensor> {
        let tensor = |(spec, range): (&TensorSpec, &Range<usize>)| {
            let array = if spec.role.is_parameter() { parameters } else { statistics };
            self.tensor(spec, &array[range.clone()])
        };
        self.specs.iter().zip(&self.ranges).map(tensor).collect()
    }

    /// Tensors like the parameters (gradients, moments) from an array like theirs, without the running statistics.
    pub fn scatter_parameters(&self, array: &[f32]) -> Vec<NamedTensor> {
        let parameters = self.specs.iter().zip(&self.ranges).filter(|(spec, _)| spec.role.is_parameter());
        parameters.map(|(spec, range)| self.tensor(spec, &array[range.clone()])).collect()
    }

    /// The other way: an array like the parameters' from tensors like theirs, in the order of [`specs`].
    pub fn gather_parameters(&self, tensors: &[NamedTensor]) -> Vec<f32> {
        let mut array = vec![0.0; self.parameter_floats];
        let parameters = self.specs.iter().zip(&self.ranges).filter(|(spec, _)| spec.role.is_parameter());
        for ((spec, range), tensor) in parameters.zip(tensors) {
            let to = &mut array[range.clone()];
            for_each_place(spec, |from, place| to[place] = tensor.values[from]);
        }
        array
    }

    fn tensor(&self, spec: &TensorSpec, arranged: &[f32]) -> NamedTensor {
        let mut values = vec![0.0; spec.count()];
        for_each_place(spec, |to, place| values[to] = arranged[place]);
        NamedTensor { name: spec.name.clone(), shape: spec.shape.clone(), values }
    }
}

/// Floats that a tensor takes as the kernels read it.
fn arranged_floats(spec: &TensorSpec) -> usize {
    let shape = &spec.shape;
    match spec.role {
        Role::Weight(Operation::Stem) => PATCH * padded(shape[0]),
        Role::Weight(Operation::Depthwise) => shape[2] * shape[3] * padded(shape[0]),
        Role::Weight(_) => padded(shape[0]) * padded(shape[1]),
        _ => padded(shape[0]),
    }
}

/// Whether the kernels read a tensor in PyTorch's order, padding aside.
fn lies_as_in_pytorch(spec: &TensorSpec) -> bool {
    !matches!(spec.role, Role::Weight(Operation::Stem | Operation::Depthwise))
}

/// Calls `visit(index in PyTorch's order, index as the kernels read it)` for every value of a tensor.
fn for_each_place(spec: &TensorSpec, mut visit: impl FnMut(usize, usize)) {
    let shape = &spec.shape;
    match spec.role {
        // [outputs, 3, y, x] -> [y, x, 3, outputs]
        Role::Weight(Operation::Stem) => {
            let taps = shape[2] * shape[3];
            for index in 0..spec.count() {
                let (tap, rest) = (index % taps, index / taps);
                let (input, output) = (rest % PICTURE_CHANNELS, rest / PICTURE_CHANNELS);
                visit(index, (tap * PICTURE_CHANNELS + input) * padded(shape[0]) + output);
            }
        }
        // [channels, 1, y, x] -> [y, x, channels]
        Role::Weight(Operation::Depthwise) => {
            let taps = shape[2] * shape[3];
            for index in 0..spec.count() {
                visit(index, index % taps * padded(shape[0]) + index / taps);
            }
        }
        // [outputs, inputs] with both padded
        Role::Weight(_) => {
            let inputs = shape[1];
            for index in 0..spec.count() {
                visit(index, index / inputs * padded(inputs) + index % inputs);
            }
        }
        _ => (0..spec.count()).for_each(|index| visit(index, index)),
    }
}

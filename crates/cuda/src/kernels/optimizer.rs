//! The optimizers' kernels.

use super::loss::STEP_BYTES;
use super::{Kernels, grid};
use crate::driver::{Argument, Arguments, Slice};
use mobilenet_core::Result;
use mobilenet_core::config::OptimizerKind;

/// Parts in which the gradients' squares are summed.
const NORM_PARTS: usize = 1024;

/// `OptimizerConstants`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Constants {
    /// Of the weight, into its gradient.
    pub decay: f32,
    /// No gradient is larger.
    pub largest: f32,
    /// Share that stays of the first moment; of SGD and RMSprop the momentum.
    pub keep1: f32,
    /// What is new in it.
    pub new1: f32,
    /// The same of the second moment, or of the squares.
    pub keep2: f32,
    /// What is new in it.
    pub new2: f32,
    /// Keeps divisions finite.
    pub eps: f32,
    /// Whether SGD looks ahead.
    pub nesterov: i32,
    /// Where the head's begin among the parameters.
    pub split: i32,
    /// Not used.
    pub unused: [i32; 3],
}

// SAFETY: as the kernels declare it: 48 bytes, none of them padding.
unsafe impl Argument for Constants {}

/// What an optimizer changes, and what by.
#[derive(Debug, Clone, Copy)]
pub struct Arrays {
    pub parameters: Slice,
    pub gradients: Slice,
    /// What it keeps, where it keeps something.
    pub buffers: [Slice; 2],
    /// The parameters in bfloat16, where products read those.
    pub shadow: Slice,
    /// A byte for each 16 parameters: whether weight decay pulls.
    pub decays: Slice,
    /// What scales the gradients, where their norm has a limit.
    pub clip_scale: Slice,
}

impl Kernels {
    /// What scales `count` gradients so that their norm is at most `most`. `partials` is float64, [`Self::norm_values`].
    pub fn clip(&self, count: usize, most: f64, [gradients, partials, scale]: [Slice; 3]) -> Result<()> {
        let arguments =
            Arguments::new().array(gradients, 4 * count)?.int(count).array(partials, 8 * NORM_PARTS)?;
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("gradient_norm", grid::blocks(NORM_PARTS, 256), &arguments)? };
        let arguments = Arguments::new().array(partials, 8 * NORM_PARTS)?.with(most).array(scale, 4)?;
        // SAFETY: the same.
        unsafe { self.launch("clip_finish", grid::blocks(1, 256), &arguments) }
    }

    /// Values of float64 that a norm's partial sums take.
    pub fn norm_values() -> usize {
        NORM_PARTS
    }

    /// A step of `count` parameters.
    pub fn optimize(
        &self,
        kind: OptimizerKind,
        count: usize,
        arrays: &Arrays,
        constants: Constants,
        step: Slice,
    ) -> Result<()> {
        let name = match kind {
            OptimizerKind::Adam => "optimizer_adam",
            OptimizerKind::AdamW => "optimizer_adamw",
            OptimizerKind::Sgd => "optimizer_sgd",
            OptimizerKind::RmsProp => "optimizer_rms_prop",
            OptimizerKind::RmsPropTf => "optimizer_rms_prop_tf",
        };
        let buffers = arrays.buffers.iter().filter(|buffer| **buffer != Slice::NONE).count();
        let arguments = Arguments::new()
            .array(arrays.parameters, 4 * count)?
            .array(arrays.gradients, 4 * count)?
            .array_if_any(arrays.buffers[0], 4 * count)?
            .array_if_any(arrays.buffers[1], 4 * count)?
            .moving(4 * count * (1 + buffers))
            .array_if_any(arrays.shadow, 2 * count)?
            .array(arrays.decays, count / 16)?
            .array_if_any(arrays.clip_scale, 4)?
            .with(constants)
            .array(step, STEP_BYTES)?
            .int(count);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch(name, grid::flat(count / 4), &arguments) }
    }

    /// Moves averages towards values.
    pub fn average(&self, count: usize, [averages, values, step]: [Slice; 3]) -> Result<()> {
        let arguments = Arguments::new()
            .array(averages, 4 * count)?
            .moving(4 * count)
            .array(values, 4 * count)?
            .array(step, STEP_BYTES)?
            .int(count);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("average_update", grid::flat(count), &arguments) }
    }

    /// The parameters in bfloat16.
    pub fn convert(&self, count: usize, parameters: Slice, shadow: Slice) -> Result<()> {
        let arguments = Arguments::new().array(parameters, 4 * count)?.array(shadow, 2 * count)?.int(count);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("convert_parameters", grid::flat(count), &arguments) }
    }
}

#[cfg(test)]
mod tests {
    use super::Constants;

    #[test]
    fn constants_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Constants>(), 48);
    }
}

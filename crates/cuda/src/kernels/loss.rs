//! The loss's kernels.

use super::{Kernels, grid};
use crate::driver::{Arguments, Slice};
use mobilenet_core::Result;

/// Bytes of `StepScalars`.
pub const STEP_BYTES: usize = 80;

/// What a batch's logits are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Targets {
    /// `[pictures]`.
    pub labels: Slice,
    /// `[pictures]`, where pictures are mixtures.
    pub second_labels: Slice,
    /// `[classes]`, in float64.
    pub class_weights: Slice,
    pub smoothing: f64,
    /// `StepScalars`.
    pub step: Slice,
}

impl Kernels {
    /// Losses of the pictures, whether they were right, and the logits' gradient.
    pub fn cross_entropy(
        &self,
        pictures: usize,
        (stride, classes): (usize, usize),
        targets: &Targets,
        [logits, gradient, losses, correct]: [Slice; 4],
    ) -> Result<()> {
        let arguments = Arguments::new()
            .array(logits, 4 * pictures * stride)?
            .int(stride)
            .int(classes)
            .array(targets.labels, 4 * pictures)?
            .array_if_any(targets.second_labels, 4 * pictures)?
            .array_if_any(targets.class_weights, 8 * classes)?
            .with(targets.smoothing)
            .array(targets.step, STEP_BYTES)?
            .array_if_any(gradient, 4 * pictures * stride)?
            .array(losses, 8 * pictures)?
            .array(correct, 4 * pictures)?;
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them. Labels are below
        // the classes: the run has checked the data set.
        unsafe { self.launch("cross_entropy", grid::blocks(pictures, 32), &arguments) }
    }

    /// Their sums, as core's `Loss`: `last` is of this batch, two values in float64, `totals` of all.
    pub fn loss_finish(
        &self,
        pictures: usize,
        [losses, correct, step, last, totals]: [Slice; 5],
    ) -> Result<()> {
        let arguments = Arguments::new()
            .array(losses, 8 * pictures)?
            .array(correct, 4 * pictures)?
            .int(pictures)
            .array(step, STEP_BYTES)?
            .array(last, 16)?
            .array(totals, 16)?;
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them.
        unsafe { self.launch("loss_finish", grid::blocks(1, 256), &arguments) }
    }
}

//! The kernel that makes a batch of pictures that the card keeps.

use super::loss::STEP_BYTES;
use super::{Kernels, grid};
use crate::driver::{Arguments, Slice};
use mobilenet_core::Result;

/// Bytes of a `PictureChoice`.
pub const CHOICE_BYTES: usize = 20;
/// Bytes of a `Hole`.
pub const HOLE_BYTES: usize = 16;
/// Values of the table of normalised bytes: `[3][256]`.
pub const LOOKUP_VALUES: usize = 3 * 256;

/// What a batch is made of.
#[derive(Debug, Clone, Copy)]
pub struct Choices {
    /// All pictures' bytes.
    pub set: Slice,
    /// All pictures' labels.
    pub set_labels: Slice,
    /// A `PictureChoice` a picture.
    pub choices: Slice,
    /// `Hole`s.
    pub holes: Slice,
    pub holes_per_picture: usize,
    /// What each byte becomes.
    pub lookup: Slice,
    /// `StepScalars`.
    pub step: Slice,
}

impl Kernels {
    /// Makes `pictures` pictures of `side` pixels, with their labels and, where batches are mixed, those of the pictures that
    /// they are mixed with.
    pub fn prepare_batch(
        &self,
        pictures: usize,
        side: usize,
        choices: &Choices,
        [input, labels, second_labels]: [Slice; 3],
    ) -> Result<()> {
        let holes = choices.holes_per_picture;
        let arguments = Arguments::new()
            .with(choices.set.with(3 * side * side)?)
            .with(choices.set_labels.with(4)?)
            .with(choices.choices.with(CHOICE_BYTES * pictures)?)
            .with(if holes == 0 { 0 } else { choices.holes.with(HOLE_BYTES * pictures * holes)? })
            .int(holes)
            .with(choices.lookup.with(4 * LOOKUP_VALUES)?)
            .with(choices.step.with(STEP_BYTES)?)
            .with(input.with(4 * pictures * side * side * 3)?)
            .with(labels.with(4 * pictures)?)
            .with(second_labels.with(4 * pictures)?)
            .int(pictures)
            .int(side);
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them. That a choice
        // names a picture of the set is the loader's promise.
        unsafe { self.launch("prepare_batch", grid::flat(pictures * side * side), &arguments) }
    }
}

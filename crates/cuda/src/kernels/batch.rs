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
            .array(choices.set, 3 * side * side)?
            .array(choices.set_labels, 4)?
            .array(choices.choices, CHOICE_BYTES * pictures)?
            .array_if_any(
                if holes == 0 { Slice::NONE } else { choices.holes },
                HOLE_BYTES * pictures * holes,
            )?
            .int(holes)
            .array(choices.lookup, 4 * LOOKUP_VALUES)?
            .array(choices.step, STEP_BYTES)?
            .array(input, 4 * pictures * side * side * 3)?
            .array(labels, 4 * pictures)?
            .array(second_labels, 4 * pictures)?
            .int(pictures)
            .int(side)
            // Of the whole set, whose size isn't known here, a picture and a label each.
            .moving((pictures - 1) * (3 * side * side + 4));
        // SAFETY: the arguments of this kernel, and arrays as large as it takes them for; the plan keeps them. That a choice
        // names a picture of the set is the loader's promise.
        unsafe { self.launch("prepare_batch", grid::flat(pictures * side * side), &arguments) }
    }
}

//! The first layer: a full 3x3 convolution of the picture's three channels, as a product over gathered patches.
//!
//! Its input is `[pictures, side, side, 3]`, not padded in channels. Weights lie `[3, 3, 3, outputs]` (filter row,
//! filter column, input channel). No gradient of the picture is taken.

pub mod backward;
pub mod forward;
pub mod inference;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

/// Channels of a picture.
pub const PICTURE_CHANNELS: usize = 3;
const KERNEL: usize = 3;
/// Floats of a patch, and rows of the weight.
pub const PATCH: usize = KERNEL * KERNEL * PICTURE_CHANNELS;

/// The stem's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Output channels, not padded.
    pub outputs: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Zeros round the picture.
    pub padding: usize,
    /// Height and width of the picture.
    pub input_side: usize,
}

impl Shape {
    /// Output height and width.
    pub fn output_side(&self) -> usize {
        (self.input_side + 2 * self.padding - KERNEL) / self.stride + 1
    }

    /// Gathers the patches of one output row: `[output side, PATCH]`.
    fn gather(&self, picture: &[f32], row: usize, patches: &mut [f32]) {
        let side = self.input_side as isize;
        for (column, patch) in patches.chunks_exact_mut(PATCH).take(self.output_side()).enumerate() {
            for y in 0..KERNEL {
                let from_row = (row * self.stride + y) as isize - self.padding as isize;
                let to = &mut patch[y * KERNEL * PICTURE_CHANNELS..][..KERNEL * PICTURE_CHANNELS];
                let from_column = (column * self.stride) as isize - self.padding as isize;
                if from_row >= 0
                    && from_row < side
                    && from_column >= 0
                    && from_column + KERNEL as isize <= side
                {
                    let at = (from_row * side + from_column) as usize * PICTURE_CHANNELS;
                    to.copy_from_slice(&picture[at..at + KERNEL * PICTURE_CHANNELS]);
                    continue;
                }
                for (x, to) in to.chunks_exact_mut(PICTURE_CHANNELS).enumerate() {
                    let from_column = from_column + x as isize;
                    if from_row >= 0 && from_row < side && from_column >= 0 && from_column < side {
                        let at = (from_row * side + from_column) as usize * PICTURE_CHANNELS;
                        to.copy_from_slice(&picture[at..at + PICTURE_CHANNELS]);
                    } else {
                        to.fill(0.0);
                    }
                }
            }
        }
    }
}

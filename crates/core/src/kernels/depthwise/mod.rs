//! Depthwise convolution (one K x K filter a channel), as in MobileNet, section 3.1.
//!
//! Weights lie `[K, K, channels]`. A pass keeps only K rows of the normalised input in a ring, so the normalised map
//! is never stored; the ring's rows have a border of zeros, so that no kernel asks where a picture ends.
//! The input gradient of a strided convolution is split by phase: input pixels with the same remainder modulo the
//! stride see the same filter taps, so each phase is a small dense convolution of the output gradient.

pub mod backward;
pub mod cpu;
pub mod forward;
pub mod inference;
#[cfg(test)]
pub(super) mod reference;
#[cfg(test)]
mod tests;

use super::padded;

/// A depthwise convolution's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels, not padded.
    pub channels: usize,
    /// Height and width of the filter: 3 or 5.
    pub kernel: usize,
    /// Pixels from one filter position to the next: 1 or 2.
    pub stride: usize,
    /// Zeros round the input.
    pub padding: usize,
    /// Input height and width.
    pub input_side: usize,
}

impl Shape {
    /// Output height and width.
    pub fn output_side(&self) -> usize {
        (self.input_side + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Floats from one pixel of a ring to the next: one cache line more than the channels need, because rings whose
    /// rows are a power of two apart would fall into the same cache sets.
    pub fn ring_stride(&self) -> usize {
        padded(self.channels) + super::CHANNEL_BLOCK
    }

    /// Floats in a row of the ring of inputs, border included.
    pub fn input_ring_row(&self) -> usize {
        (self.input_side + 2 * self.padding) * self.ring_stride()
    }

    /// Zero pixels on either side of a row in the ring of output gradients: input pixels near the edge ask for up to
    /// K - 1 outputs that don't exist.
    pub fn gradient_border(&self) -> usize {
        self.kernel - 1
    }

    /// Floats in a row of the ring of output gradients, border included.
    pub fn gradient_ring_row(&self) -> usize {
        (self.output_side() + 2 * self.gradient_border()) * self.ring_stride()
    }

    /// Floats of scratch that a part needs: both rings, and a row of zeros as wide as the wider one.
    pub fn scratch(&self) -> (usize, usize, usize) {
        let (input, gradient) = (self.input_ring_row(), self.gradient_ring_row());
        (self.kernel * input, self.kernel * gradient, input.max(gradient))
    }
}

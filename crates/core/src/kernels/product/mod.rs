//! Matrix products, which is what pointwise (1x1) convolutions and the classifier are: 84 % of a training step.
//!
//! A micro-kernel keeps a tile of the result in registers and walks down the depth. The right operand is packed into
//! panels as wide as the tile, so that it is read in order. Weights lie `[outputs, inputs]`, both padded.

pub mod backward;
pub mod bfloat16;
pub mod cpu;
pub mod forward;
pub mod pack;
#[cfg(test)]
pub(super) mod reference;
#[cfg(test)]
mod tests;
pub mod tile;

use super::buffer::Buffer;
use super::simd::Isa;
use bfloat16::Bfloat16;
use rayon::prelude::*;

/// A weight matrix `[outputs, inputs]` packed both ways; as large as the weight each, or half of it in bfloat16.
#[derive(Debug)]
pub struct PackedWeight {
    /// For `input * weight^T`: panels of outputs, as deep as the inputs.
    pub forward: Buffer,
    /// For `gradient * weight`: panels of inputs, as deep as the outputs.
    pub backward: Buffer,
    /// Padded.
    pub outputs: usize,
    /// Padded.
    pub inputs: usize,
    /// Set if it is rounded: the products must be told so.
    pub bfloat16: Option<Bfloat16>,
}

impl PackedWeight {
    /// Room for a weight; `backward` only if it will be trained.
    pub fn new(outputs: usize, inputs: usize, trained: bool) -> Self {
        let size = outputs * inputs;
        let backward = Buffer::zeros(if trained { size } else { 0 });
        Self { forward: Buffer::zeros(size), backward, outputs, inputs, bfloat16: None }
    }

    /// Like [`Self::new`], rounded to bfloat16.
    pub fn rounded(outputs: usize, inputs: usize, trained: bool, bfloat16: Bfloat16) -> Self {
        let size = outputs * inputs / 2;
        let backward = Buffer::zeros(if trained { size } else { 0 });
        Self { forward: Buffer::zeros(size), backward, outputs, inputs, bfloat16: Some(bfloat16) }
    }

    /// Packs `weight` again, after it changed.
    pub fn pack(&mut self, isa: Isa, weight: &[f32]) {
        let width = cpu::panel_width(isa);
        let Self { forward, backward, outputs, inputs, bfloat16 } = self;
        if let Some(bfloat16) = bfloat16 {
            bfloat16.pack_transposed(weight, *inputs, forward);
            bfloat16.pack(weight, *outputs, *inputs, backward);
            return;
        }
        // A panel of `width` columns at a time, side by side; the last may be narrower, and so its chunk shorter.
        forward.par_chunks_mut(width * *inputs).enumerate().for_each(|(panel, to)| {
            let rows = to.len() / *inputs;
            pack::pack_transposed(&weight[panel * width * *inputs..], rows, *inputs, width, to);
        });
        backward.par_chunks_mut(width * *outputs).enumerate().for_each(|(panel, to)| {
            pack::pack_panel(&weight[panel * width..], *outputs, *inputs, to);
        });
    }
}

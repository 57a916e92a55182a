//! The stem in inference, output row by output row.

use super::Shape;
use super::forward::Forward;
use crate::kernels::batch_norm::Finish;
use crate::kernels::buffer::Scratch;
use crate::kernels::crew::{Crew, for_each_chunk};
use crate::kernels::padded;
use crate::kernels::simd::Isa;

/// The stem of some pictures.
pub struct Stem<'a> {
    /// The convolution.
    pub shape: Shape,
    /// `[pictures, side, side, 3]`.
    pub input: &'a [f32],
    /// `[PATCH, outputs]`, packed in panels.
    pub weight: &'a [f32],
    /// Done to every pixel.
    pub finish: Finish<'a>,
}

impl Stem<'_> {
    /// Writes `output`, `[pictures, output side, output side, outputs]`; the work is divided among `crew`. `scratch` covers its
    /// threads, with [`super::PATCH`] x output side floats for each.
    pub fn run(&self, isa: Isa, output: &mut [f32], scratch: &Scratch, crew: Option<&Crew<'_>>) {
        let Self { shape, input, weight, finish } = *self;
        let row_floats = shape.output_side() * padded(shape.outputs);
        for_each_chunk(crew, output, row_floats, |row, output| {
            let rows = row..row + 1;
            let patches = &mut scratch.take()[..];
            isa.run(Forward {
                shape,
                rows,
                input,
                weight,
                finish: Some(finish),
                output,
                sums: None,
                patches,
            });
        });
    }
}

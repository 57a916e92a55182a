//! Inference of the layers that are no products, output row by output row.

use super::fold::Folded;
use crate::kernels::buffer::Scratch;
use crate::kernels::simd::Isa;
use crate::kernels::{depthwise, padded, stem};
use crate::model::network::Layer;
use rayon::prelude::*;

/// Runs `work` for every row of a map of `row_floats`, side by side or not.
fn for_each_row(
    output: &mut [f32],
    row_floats: usize,
    divided: bool,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    if divided {
        output.par_chunks_exact_mut(row_floats).enumerate().for_each(|(row, output)| work(row, output));
    } else {
        output.chunks_exact_mut(row_floats).enumerate().for_each(|(row, output)| work(row, output));
    }
}

/// The stem, output row by output row.
pub(super) fn forward_stem(
    isa: Isa,
    layer: &Layer,
    folded: &Folded,
    input: &[f32],
    output: &mut [f32],
    scratch: &Scratch,
    divided: bool,
) {
    let row_floats = layer.output_side() * padded(layer.outputs);
    for_each_row(output, row_floats, divided, |row, output| {
        let mut patches = scratch.take();
        isa.run(stem::forward::Forward {
            shape: layer.stem_shape(),
            rows: row..row + 1,
            input,
            weight: folded.plain(),
            finish: Some(folded.finish()),
            output,
            sums: None,
            patches: &mut patches[..],
        });
    });
}

/// A depthwise convolution whose map is stored, output row by output row.
pub(super) fn forward_depthwise(
    isa: Isa,
    layer: &Layer,
    folded: &Folded,
    input: &[f32],
    output: &mut [f32],
    divided: bool,
) {
    let shape = layer.depthwise_shape();
    let row_floats = layer.output_side() * padded(layer.outputs);
    for_each_row(output, row_floats, divided, |row, output| {
        isa.run(depthwise::inference::OutputRow {
            shape,
            input,
            weight: folded.plain(),
            finish: folded.finish(),
            row,
            output,
        });
    });
}

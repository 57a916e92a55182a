//! The stem's convolution as the definition says it, in float64, on one `[side, side, 3]` picture.

use super::{KERNEL, PATCH, PICTURE_CHANNELS, Shape};

/// Output of one picture; `weight` is `[PATCH, outputs]`, not padded.
pub fn forward(shape: Shape, input: &[f64], weight: &[f64]) -> Vec<f64> {
    let mut output = vec![0.0; shape.output_side() * shape.output_side() * shape.outputs];
    visit(shape, |from, tap, to| output[to] += input[from] * weight[tap]);
    output
}

/// Gradient of the weight.
pub fn weight_gradient(shape: Shape, input: &[f64], gradient: &[f64]) -> Vec<f64> {
    let mut weight_gradient = vec![0.0; PATCH * shape.outputs];
    visit(shape, |from, tap, to| weight_gradient[tap] += input[from] * gradient[to]);
    weight_gradient
}

fn visit(shape: Shape, mut visit: impl FnMut(usize, usize, usize)) {
    let side = shape.output_side();
    let inside = shape.padding..shape.input_side + shape.padding;
    for (row, column) in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
        for (y, x) in (0..KERNEL).flat_map(|y| (0..KERNEL).map(move |x| (y, x))) {
            let (from_row, from_column) = (row * shape.stride + y, column * shape.stride + x);
            if !inside.contains(&from_row) || !inside.contains(&from_column) {
                continue;
            }
            let from = (from_row - shape.padding) * shape.input_side + from_column - shape.padding;
            for input in 0..PICTURE_CHANNELS {
                for output in 0..shape.outputs {
                    let tap = ((y * KERNEL + x) * PICTURE_CHANNELS + input) * shape.outputs + output;
                    visit(
                        from * PICTURE_CHANNELS + input,
                        tap,
                        (row * side + column) * shape.outputs + output,
                    );
                }
            }
        }
    }
}

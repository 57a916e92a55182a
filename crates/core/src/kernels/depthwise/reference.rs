//! Depthwise convolution as the definition says it, in float64, on unpadded `[side, side, channels]` pictures.

use super::Shape;

/// Output of one picture.
pub fn forward(shape: Shape, input: &[f64], weight: &[f64]) -> Vec<f64> {
    let mut output = vec![0.0; shape.output_side() * shape.output_side() * shape.channels];
    visit(shape, |from, tap, to| output[to] += input[from] * weight[tap]);
    output
}

/// Gradients of the input and of the weight, from the output's gradient.
pub fn backward(shape: Shape, input: &[f64], weight: &[f64], gradient: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut input_gradient, mut weight_gradient) = (vec![0.0; input.len()], vec![0.0; weight.len()]);
    visit(shape, |from, tap, to| {
        input_gradient[from] += gradient[to] * weight[tap];
        weight_gradient[tap] += gradient[to] * input[from];
    });
    (input_gradient, weight_gradient)
}

/// Calls `visit(input index, weight index, output index)` for every product of the convolution.
fn visit(shape: Shape, mut visit: impl FnMut(usize, usize, usize)) {
    let Shape { channels, kernel, stride, padding, input_side } = shape;
    let side = shape.output_side();
    for row in 0..side {
        for column in 0..side {
            for y in 0..kernel {
                for x in 0..kernel {
                    let (from_row, from_column) = (row * stride + y, column * stride + x);
                    let inside = padding..input_side + padding;
                    if inside.contains(&from_row) && inside.contains(&from_column) {
                        let from = (from_row - padding) * input_side + from_column - padding;
                        for channel in 0..channels {
                            visit(
                                from * channels + channel,
                                (y * kernel + x) * channels + channel,
                                (row * side + column) * channels + channel,
                            );
                        }
                    }
                }
            }
        }
    }
}

use super::backward::Backward;
use super::forward::Forward;
use super::{Shape, reference};
use crate::kernels::batch_norm::{Affine, Curve, Gradient};
use crate::kernels::padded;
use crate::kernels::segments::Sums;
use crate::kernels::testing::{affine, assert_close, gradient_sums, numbers, on_every_isa, pad, read, unpad};

const PICTURES: usize = 2;

/// One channel and odd counts, odd and even sides down to the filter's own, both filters, strides and paddings.
fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for kernel in [3, 5] {
        for (stride, padding) in [(1, 0), (1, kernel / 2), (2, 0), (2, kernel / 2)] {
            for (channels, input_side) in [(1, kernel), (3, 7), (16, 6), (17, 8), (40, 5), (33, 11)] {
                shapes.push(Shape { channels, kernel, stride, padding, input_side });
            }
        }
    }
    shapes.push(Shape { channels: 5, kernel: 3, stride: 2, padding: 1, input_side: 1 });
    shapes
}

struct Case {
    input: Vec<f64>,
    weight: Vec<f64>,
    affine: Affine,
    /// The input as it is read, and where it was not cut.
    activated: Vec<f64>,
    mask: Vec<f64>,
}

impl Case {
    fn new(shape: Shape) -> Self {
        let channels = shape.channels;
        let input = numbers(1, PICTURES * shape.input_side * shape.input_side * channels);
        let affine = affine(2, channels);
        let (activated, mask) = read(&input, &affine, channels);
        Self { weight: numbers(7, shape.kernel * shape.kernel * channels), input, affine, activated, mask }
    }
}

fn scratch(shape: Shape) -> [Vec<f32>; 3] {
    let (ring, gradient_ring, zeros) = shape.scratch();
    // Scratch arrives as the last layer left it; zeros are zeros.
    [vec![f32::NAN; ring], vec![f32::NAN; gradient_ring], vec![0.0; zeros]]
}

#[test]
fn forward_is_the_definition() {
    on_every_isa(|isa| {
        for shape in shapes() {
            let (case, channels) = (Case::new(shape), shape.channels);
            let per_picture = case.activated.chunks_exact(shape.input_side * shape.input_side * channels);
            let expected: Vec<f64> =
                per_picture.flat_map(|picture| reference::forward(shape, picture, &case.weight)).collect();
            let mut output = vec![f32::NAN; expected.len() / channels * padded(channels)];
            let mut sums = Sums::new(padded(channels));
            let [mut ring, _, zeros] = scratch(shape);
            isa.run(Forward {
                shape,
                pictures: PICTURES,
                input: &pad(&case.input, channels),
                affine: &case.affine,
                weight: &pad(&case.weight, channels),
                output: &mut output,
                sums: Some(&mut sums),
                ring: &mut ring,
                zeros: &zeros,
            });
            assert_close(&format!("{shape:?} output"), &unpad(&output, channels), &expected, 25);
            let (sum, squares) = Sums::total([&sums].into_iter(), channels);
            let expected_sum = |power: i32| -> Vec<f64> {
                (0..channels)
                    .map(|channel| {
                        expected.iter().skip(channel).step_by(channels).map(|y| y.powi(power)).sum()
                    })
                    .collect()
            };
            let terms = 25 * expected.len() / channels;
            assert_close(&format!("{shape:?} sum"), &sum, &expected_sum(1), terms);
            assert_close(&format!("{shape:?} squares"), &squares, &expected_sum(2), terms);
        }
    });
}

#[test]
fn backward_is_the_definition() {
    check_backward(false);
}

#[test]
fn backward_adds_to_what_came_along_a_shortcut() {
    check_backward(true);
}

fn check_backward(accumulate: bool) {
    on_every_isa(|isa| {
        for shape in shapes() {
            let (case, channels) = (Case::new(shape), shape.channels);
            let side = shape.output_side();
            let gradient = numbers(11, PICTURES * side * side * channels);
            let (mut expected_input, mut expected_weight) = (Vec::new(), vec![0.0; case.weight.len()]);
            let pictures = case.activated.chunks_exact(shape.input_side * shape.input_side * channels);
            for (picture, gradient) in pictures.zip(gradient.chunks_exact(side * side * channels)) {
                let (input, weight) = reference::backward(shape, picture, &case.weight, gradient);
                expected_input.extend(input);
                expected_weight.iter_mut().zip(weight).for_each(|(sum, value)| *sum += value);
            }
            let floats = |values: usize| values / channels * padded(channels);
            let mut input_gradient = vec![f32::NAN; floats(case.input.len())];
            if accumulate {
                let before = numbers(12, case.input.len());
                input_gradient.copy_from_slice(&pad(&before, channels));
                expected_input.iter_mut().zip(&before).for_each(|(sum, value)| *sum += value);
            }
            let mut weight_gradient = vec![f32::NAN; floats(case.weight.len())];
            let mut sums = Sums::new(padded(channels));
            let [mut ring, mut gradient_ring, zeros] = scratch(shape);
            isa.run(Backward {
                shape,
                pictures: PICTURES,
                input: &pad(&case.input, channels),
                input_affine: &case.affine,
                output: &vec![0.0; floats(gradient.len())],
                output_affine: &Affine::identity(padded(channels), Curve::NONE),
                output_gradient: &Gradient::new(padded(channels)),
                gradient: &pad(&gradient, channels),
                weight: &pad(&case.weight, channels),
                input_gradient: &mut input_gradient,
                accumulate,
                weight_gradient: &mut weight_gradient,
                sums: &mut sums,
                ring: &mut ring,
                gradient_ring: &mut gradient_ring,
                zeros: &zeros,
            });
            let terms = PICTURES * side * side;
            assert_close(&format!("{shape:?} input"), &unpad(&input_gradient, channels), &expected_input, 25);
            assert_close(
                &format!("{shape:?} weight"),
                &unpad(&weight_gradient, channels),
                &expected_weight,
                terms,
            );
            let (first, second) =
                gradient_sums(&expected_input, &case.mask, &case.input, &case.affine, channels);
            let (sum, products) = Sums::total([&sums].into_iter(), channels);
            let terms = 25 * PICTURES * shape.input_side * shape.input_side;
            assert_close(&format!("{shape:?} sum"), &sum, &first, terms);
            assert_close(&format!("{shape:?} products"), &products, &second, terms);
        }
    });
}

use super::backward::Backward;
use super::forward::Forward;
use super::{PATCH, PICTURE_CHANNELS, Shape, reference};
use crate::kernels::batch_norm::{Affine, Curve, Finish, Gradient};
use crate::kernels::padded;
use crate::kernels::product::cpu::panel_width;
use crate::kernels::product::pack::pack;
use crate::kernels::testing::{assert_close, numbers, on_every_isa, pad, unpad};

fn shapes() -> impl Iterator<Item = Shape> {
    let geometry = [(1, 0), (1, 1), (2, 0), (2, 1)];
    let sizes = [(1, 3), (8, 5), (32, 8), (24, 9)];
    geometry.into_iter().flat_map(move |(stride, padding)| {
        sizes.into_iter().map(move |(outputs, input_side)| Shape { outputs, stride, padding, input_side })
    })
}

#[test]
fn forward_is_the_definition() {
    on_every_isa(|isa| {
        for shape in shapes() {
            let (outputs, side) = (shape.outputs, shape.output_side());
            let input = numbers(1, 2 * shape.input_side * shape.input_side * PICTURE_CHANNELS);
            let (weight, bias) = (numbers(3, PATCH * outputs), numbers(4, outputs));
            let pictures = input.chunks_exact(shape.input_side * shape.input_side * PICTURE_CHANNELS);
            let mut expected: Vec<f64> =
                pictures.flat_map(|picture| reference::forward(shape, picture, &weight)).collect();
            expected.iter_mut().enumerate().for_each(|(index, value)| *value += bias[index % outputs]);
            let mut packed = vec![0.0; PATCH * padded(outputs)];
            pack(&pad(&weight, outputs), PATCH, padded(outputs), panel_width(isa), &mut packed);
            let mut output = vec![f32::NAN; 2 * side * side * padded(outputs)];
            isa.run(Forward {
                shape,
                rows: 0..2 * side,
                input: &input.iter().map(|value| *value as f32).collect::<Vec<_>>(),
                weight: &packed,
                finish: Some(Finish { bias: &pad(&bias, outputs), curve: Curve::NONE }),
                output: &mut output,
                sums: None,
                patches: &mut vec![f32::NAN; PATCH * side],
            });
            assert_close(&format!("{shape:?}"), &unpad(&output, outputs), &expected, PATCH);
        }
    });
}

#[test]
fn weight_gradient_is_the_definition() {
    on_every_isa(|isa| {
        for shape in shapes() {
            let (outputs, side) = (shape.outputs, shape.output_side());
            let input = numbers(1, shape.input_side * shape.input_side * PICTURE_CHANNELS);
            let gradient = numbers(6, side * side * outputs);
            let expected = reference::weight_gradient(shape, &input, &gradient);
            let row = side * padded(outputs);
            let mut weight_gradient = vec![f32::NAN; PATCH * padded(outputs)];
            isa.run(Backward {
                shape,
                pictures: 1,
                input: &input.iter().map(|value| *value as f32).collect::<Vec<_>>(),
                output: &vec![0.0; side * row],
                output_affine: &Affine::identity(padded(outputs), Curve::NONE),
                output_gradient: &Gradient::new(padded(outputs)),
                gradient: &pad(&gradient, outputs),
                weight_gradient: &mut weight_gradient,
                patches: &mut vec![f32::NAN; PATCH * side],
                gradient_row: &mut vec![f32::NAN; row],
                panels: &mut vec![f32::NAN; row],
                tiles: &mut vec![f32::NAN; PATCH * side],
            });
            assert_close(&format!("{shape:?}"), &unpad(&weight_gradient, outputs), &expected, side * side);
        }
    });
}

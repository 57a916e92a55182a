//! Depthwise convolutions: both kernels, both strides, padded or not.

use crate::card::{Card, at, card};
use crate::numbers::{Map, Storage, assert_sums, numbers, total};
use crate::reading::{Curve, Norm, value_sums};
use mobilenet_cuda::driver::Arguments;

#[derive(Debug, Clone, Copy)]
struct Shape {
    kernel: usize,
    stride: usize,
    padding: usize,
    side: usize,
    channels: usize,
    pictures: usize,
}

impl Shape {
    fn out(&self) -> usize {
        (self.side + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Rows of a unit.
    fn unit_rows(&self) -> usize {
        if self.kernel == 3 && self.stride == 1 { 4 } else { 2 }
    }

    fn name(&self, pass: &str, storage: Storage) -> String {
        format!("depthwise_{pass}_k{}s{}_{}", self.kernel, self.stride, storage.name())
    }

    /// Calls `visit(input index, weight index, output index)` for every product of the convolution.
    fn visit(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let Self { kernel, stride, padding, side, channels, pictures } = *self;
        let (out, inside) = (self.out(), padding..side + padding);
        for picture in 0..pictures {
            for place in 0..out * out * kernel * kernel {
                let (tap, pixel) = (place % (kernel * kernel), place / (kernel * kernel));
                let (y, x) = (pixel / out * stride + tap / kernel, pixel % out * stride + tap % kernel);
                if inside.contains(&y) && inside.contains(&x) {
                    let from = (picture * side + y - padding) * side + x - padding;
                    for channel in 0..channels {
                        let to = (picture * out * out + pixel) * channels + channel;
                        visit(from * channels + channel, tap * channels + channel, to);
                    }
                }
            }
        }
    }

    /// Both kernels and strides with and without padding; sides that leave rests, one pixel of input or output, one unit's columns and
    /// three's, one picture and several.
    fn all() -> impl Iterator<Item = Self> {
        let sizes = [
            (1usize, 16usize, 3usize),
            (3, 32, 2),
            (5, 16, 1),
            (6, 48, 2),
            (9, 32, 1),
            (12, 64, 2),
            (19, 16, 1),
            (37, 16, 1),
        ];
        let kernels = [(3, 1), (3, 2), (5, 1), (5, 2)];
        kernels.into_iter().flat_map(move |(kernel, stride)| {
            let shapes = sizes.into_iter().flat_map(move |(side, channels, pictures)| {
                [0, kernel / 2].map(|padding| Self { kernel, stride, padding, side, channels, pictures })
            });
            shapes.filter(move |shape| shape.side + 2 * shape.padding >= kernel)
        })
    }
}

fn check_forward(card: &Card, shape: Shape, storage: Storage, curve: Curve) {
    let Shape { kernel, channels, pictures, side, .. } = shape;
    let out = shape.out();
    let input = storage.rounded(numbers(1, pictures * side * side * channels));
    let weight = numbers(2, kernel * kernel * channels);
    let norm = Norm::new(card, 3, channels, curve);
    let read = norm.read_all(&input);
    let mut expected = vec![0.0; pictures * out * out * channels];
    shape.visit(|from, tap, to| expected[to] += f64::from(read[from]) * f64::from(weight[tap]));

    let (input, weight) = (Map::of(card, storage, &input), card.array(&weight));
    let output = Map::room(card, storage, expected.len());
    let units = pictures * out.div_ceil(shape.unit_rows()) * out.div_ceil(8);
    let partials = card.room(card.pair_grid(channels, units).1 * 2 * channels);
    card.run_pairs(&shape.name("forward", storage), channels, units, |_| {
        Arguments::new()
            .with(input.at())
            .with(norm.reading())
            .with(at(&weight))
            .with(output.at())
            .with(at(&partials))
            .int(pictures)
            .int(side)
            .int(channels)
            .int(shape.padding)
    });
    let what = format!("{shape:?} {curve:?}");
    assert_sums(&what, &output.read(card), &expected, kernel * kernel, 2.0, storage);
    let sums = total(&card.read(&partials), channels);
    let terms = kernel * kernel * expected.len() / channels;
    assert_sums(&format!("{what} sums"), &sums, &value_sums(&expected, channels), terms, 4.0, Storage::F32);
}

fn check_backward(card: &Card, shape: Shape, storage: Storage, curve: Curve, accumulate: bool) {
    let Shape { kernel, channels, pictures, side, .. } = shape;
    let out = shape.out();
    let (inputs, outputs) = (pictures * side * side * channels, pictures * out * out * channels);
    let input = storage.rounded(numbers(1, inputs));
    let weight = numbers(2, kernel * kernel * channels);
    let gradient = storage.rounded(numbers(3, outputs));
    let output = storage.rounded(numbers(4, outputs));
    let before = storage.rounded(numbers(5, inputs));
    let input_norm = Norm::new(card, 6, channels, curve);
    let norm = Norm::new(card, 7, channels, Curve::RELU);
    let read = input_norm.read_all(&input);
    let g = norm.gradient_all(&gradient, &output);
    let mut expected: Vec<f64> =
        before.iter().map(|value| if accumulate { f64::from(*value) } else { 0.0 }).collect();
    let mut weight_gradient = vec![0.0; weight.len()];
    shape.visit(|from, tap, to| {
        expected[from] += f64::from(g[to]) * f64::from(weight[tap]);
        weight_gradient[tap] += f64::from(g[to]) * f64::from(read[from]);
    });

    let places = (shape.padding + side - 1) / shape.stride + 1 - shape.padding / shape.stride;
    let units = pictures * places.div_ceil(shape.unit_rows()) * places.div_ceil(8);
    let parts = card.pair_grid(channels, units).1;
    let maps = [&gradient, &output, &input].map(|values| Map::of(card, storage, values));
    let weight_buffer = card.array(&weight);
    let input_gradient =
        if accumulate { Map::of(card, storage, &before) } else { Map::room(card, storage, inputs) };
    let (weight_partials, partials) = (card.room(parts * weight.len()), card.room(parts * 2 * channels));
    card.run_pairs(&shape.name("backward", storage), channels, units, |_| {
        Arguments::new()
            .with(maps[0].at())
            .with(maps[1].at())
            .with(norm.gradient_reading())
            .with(at(&weight_buffer))
            .with(maps[2].at())
            .with(input_norm.sum_reading())
            .with(input_gradient.at())
            .int(usize::from(accumulate))
            .with(at(&weight_partials))
            .with(at(&partials))
            .int(pictures)
            .int(side)
            .int(channels)
            .int(shape.padding)
    });
    let what = format!("{shape:?} {curve:?}");
    let inner = input_norm.inner_gradient(&expected, &input);
    assert_sums(&what, &input_gradient.read(card), &inner, kernel * kernel, 4.0, storage);
    let sums = total(&card.read(&partials), channels);
    let expected_sums = input_norm.gradient_sums(&expected, &input);
    let terms = kernel * kernel * inputs / channels;
    assert_sums(&format!("{what} sums"), &sums, &expected_sums, terms, 8.0, Storage::F32);
    let partial = card.read(&weight_partials);
    let sum =
        |tap: usize| partial.iter().skip(tap).step_by(weight.len()).map(|part| f64::from(*part)).sum::<f64>();
    let ours: Vec<f32> = (0..weight.len()).map(|tap| sum(tap) as f32).collect();
    assert_sums(&format!("{what} weight"), &ours, &weight_gradient, outputs / channels, 4.0, Storage::F32);
}

#[test]
pub fn forward_is_the_convolution_of_what_is_read() {
    let Some(card) = card() else { return };
    for storage in Storage::BOTH {
        for (index, shape) in Shape::all().enumerate() {
            check_forward(&card, shape, storage, Curve::ALL[index % 4]);
        }
    }
}

#[test]
pub fn backward_gives_both_gradients_and_the_sums() {
    let Some(card) = card() else { return };
    for storage in Storage::BOTH {
        for (index, shape) in Shape::all().enumerate() {
            check_backward(&card, shape, storage, Curve::ALL[index % 4], index % 3 == 0);
        }
    }
}

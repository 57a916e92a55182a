//! The stem.

use crate::card::{Card, at, card};
use crate::numbers::{Map, Storage, assert_sums, at_if, numbers, total};
use crate::reading::{Curve, Norm, value_sums};
use mobilenet_cuda::driver::Arguments;

#[derive(Debug, Clone, Copy)]
struct Shape {
    pictures: usize,
    side: usize,
    outputs: usize,
    stride: usize,
    padding: usize,
}

const SHAPES: [Shape; 5] = [
    Shape { pictures: 1, side: 1, outputs: 16, stride: 1, padding: 1 },
    Shape { pictures: 2, side: 7, outputs: 32, stride: 1, padding: 0 },
    Shape { pictures: 3, side: 9, outputs: 16, stride: 2, padding: 1 },
    Shape { pictures: 1, side: 12, outputs: 48, stride: 2, padding: 0 },
    Shape { pictures: 2, side: 11, outputs: 64, stride: 1, padding: 1 },
];

impl Shape {
    fn out(&self) -> usize {
        (self.side + 2 * self.padding - 3) / self.stride + 1
    }

    fn units(&self) -> usize {
        self.pictures * self.out() * self.out().div_ceil(8)
    }

    /// Calls `visit(input index, tap, output pixel)` for every value of every patch.
    fn visit(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (out, side) = (self.out(), self.side as isize);
        for pixel in 0..self.pictures * out * out {
            for tap in 0..27 {
                let corner = |at: usize| (at * self.stride) as isize - self.padding as isize;
                let (y, x) = (
                    corner(pixel / out % out) + tap as isize / 9,
                    corner(pixel % out) + tap as isize / 3 % 3,
                );
                if (0..side).contains(&y) && (0..side).contains(&x) {
                    let picture = (pixel / (out * out)) as isize;
                    visit(((picture * side + y) * side + x) as usize * 3 + tap % 3, tap, pixel);
                }
            }
        }
    }
}

fn check_forward(card: &Card, shape: Shape, storage: Storage, biased: bool) {
    let Shape { pictures, side, outputs, stride, padding } = shape;
    let (input, weight, bias) =
        (numbers(1, pictures * side * side * 3), numbers(2, 27 * outputs), numbers(3, outputs));
    let pixels = pictures * shape.out() * shape.out();
    let start = |index: usize| if biased { f64::from(bias[index % outputs]) } else { 0.0 };
    let mut expected: Vec<f64> = (0..pixels * outputs).map(start).collect();
    shape.visit(|from, tap, pixel| {
        for output in 0..outputs {
            expected[pixel * outputs + output] +=
                f64::from(input[from]) * f64::from(weight[tap * outputs + output]);
        }
    });
    let (input, weight) = (card.array(&input), card.array(&weight));
    let bias = biased.then(|| card.array(&bias));
    let output = Map::room(card, storage, pixels * outputs);
    let partials = (!biased).then(|| card.room(card.pair_grid(outputs, shape.units()).1 * 2 * outputs));
    card.run_pairs(&format!("stem_forward_{}", storage.name()), outputs, shape.units(), |_| {
        Arguments::new()
            .with(at(&input))
            .with(at(&weight))
            .with(at_if(&bias))
            .with(output.at())
            .with(at_if(&partials))
            .int(pictures)
            .int(side)
            .int(outputs)
            .int(stride)
            .int(padding)
    });
    let what = format!("{shape:?}");
    assert_sums(&what, &output.read(card), &expected, 27, 1.0, storage);
    if let Some(partials) = partials {
        let sums = total(&card.read(&partials), outputs);
        assert_sums(&what, &sums, &value_sums(&expected, outputs), 27 * pixels, 9.0, Storage::F32);
    }
}

fn check_backward(card: &Card, shape: Shape, storage: Storage) {
    let Shape { pictures, side, outputs, stride, padding } = shape;
    let pixels = pictures * shape.out() * shape.out();
    let input = numbers(1, pictures * side * side * 3);
    let gradient = storage.rounded(numbers(2, pixels * outputs));
    let output = storage.rounded(numbers(3, pixels * outputs));
    let norm = Norm::new(card, 4, outputs, Curve::HardSwish);
    let g = norm.gradient_all(&gradient, &output);
    let mut expected = vec![0.0; 27 * outputs];
    shape.visit(|from, tap, pixel| {
        for output in 0..outputs {
            expected[tap * outputs + output] +=
                f64::from(input[from]) * f64::from(g[pixel * outputs + output]);
        }
    });
    let input = card.array(&input);
    let (gradient, output) = (Map::of(card, storage, &gradient), Map::of(card, storage, &output));
    let partials = card.room(card.pair_grid(outputs, shape.units()).1 * 27 * outputs);
    card.run_pairs(&format!("stem_weight_gradient_{}", storage.name()), outputs, shape.units(), |_| {
        Arguments::new()
            .with(at(&input))
            .with(gradient.at())
            .with(output.at())
            .with(norm.gradient_reading())
            .with(at(&partials))
            .int(pictures)
            .int(side)
            .int(outputs)
            .int(stride)
            .int(padding)
    });
    let partials = card.read(&partials);
    let sum = |index: usize| {
        partials.iter().skip(index).step_by(27 * outputs).map(|part| f64::from(*part)).sum::<f64>()
    };
    let ours: Vec<f32> = (0..27 * outputs).map(|index| sum(index) as f32).collect();
    assert_sums(&format!("{shape:?}"), &ours, &expected, pixels, 4.0, Storage::F32);
}

#[test]
pub fn forward_is_the_convolution_of_the_picture() {
    let Some(card) = card() else { return };
    for storage in Storage::BOTH {
        SHAPES.into_iter().for_each(|shape| check_forward(&card, shape, storage, shape.padding == 0));
    }
}

#[test]
pub fn the_weight_gradient_is_the_sum_over_all_pixels() {
    let Some(card) = card() else { return };
    for storage in Storage::BOTH {
        SHAPES.into_iter().for_each(|shape| check_backward(&card, shape, storage));
    }
}

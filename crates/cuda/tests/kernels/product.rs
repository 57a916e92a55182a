//! Products: all tiles, all ways to compute them.

use crate::card::{Card, NULL, at, card};
use crate::numbers::{Map, Storage, assert_sums, at_if, numbers, total};
use crate::product_case::{Case, Gradient, Way};
use crate::reading::{Curve, value_sums};
use mobilenet_cuda::driver::{Arguments, Grid};

/// Pictures, pixels, inputs, outputs: one row; fewer than a tile; more than one in every direction, with odd rests.
const SIZES: [(usize, usize, usize, usize); 4] =
    [(1, 1, 16, 16), (3, 7, 48, 80), (5, 53, 144, 160), (2, 33, 272, 32)];
const TILES: [(usize, usize); 4] = [(128, 128), (128, 64), (64, 64), (128, 32)];
const WEIGHT_TILES: [(usize, usize); 4] = [(128, 128), (64, 64), (64, 32), (32, 64)];
/// Of tensor cores, forward and for the input's gradient; and for that of the weights.
const WIDE: (usize, usize) = (128, 256);
const HIGH: (usize, usize) = (256, 128);
/// The dynamic shared memory of both: `README.md`. The mock fails where a kernel uses more.
const WIDE_SHARED_BYTES: u32 = 69 << 10;
/// In addition for these: more than one of them, with odd rests, along the columns of each of the two passes.
const WIDE_SIZES: [(usize, usize, usize, usize); 2] = [(3, 45, 80, 336), (3, 45, 272, 48)];

/// A grid of blocks of such a tile.
fn grid((bm, bn): (usize, usize), blocks: usize) -> Grid {
    let shared_bytes = if bm * bn > 128 * 128 { WIDE_SHARED_BYTES } else { 0 };
    let threads = if bm.min(bn) == 32 { 128 } else { 256 };
    Grid { blocks: [blocks as u32, 1, 1], threads: [threads, 1, 1], shared_bytes }
}

/// The wide tile with each size that has enough columns, and whether something odd is to be tried with it.
fn each_wide(card: &Card, check: impl Fn(&Case, bool)) {
    for way in [Way::Tf32, Way::Bf16] {
        for (index, size) in [SIZES[0], SIZES[2]].into_iter().chain(WIDE_SIZES).enumerate() {
            let case = Case::new(card, way, size, Curve::ALL[index], index % 2 == 1);
            check(&case, index == 2);
        }
    }
}

impl Case {
    fn check_forward(&self, card: &Card, (bm, bn): (usize, usize), biased: bool) {
        let Self { rows, inputs, outputs, .. } = *self;
        let storage = self.way.storage();
        let (bias, expected) = (self.bias(), self.expected_forward(biased));
        let input = Map::of(card, storage, &self.input);
        let weight = Map::of(card, storage, &self.weight);
        let factors = self.factors.as_ref().map(|values| card.array(values));
        let bias = biased.then(|| card.array(&bias));
        let output = Map::room(card, storage, rows * outputs);
        let tiles = rows.div_ceil(bm);
        let partials = (!biased).then(|| card.room(tiles * 2 * outputs));
        let arguments = Arguments::new()
            .with(input.at())
            .with(self.input_norm.reading())
            .with(at_if(&factors))
            .int(self.pixels)
            .with(weight.at())
            .with(at_if(&bias))
            .with(output.at())
            .with(at_if(&partials))
            .int(rows)
            .int(inputs)
            .int(outputs);
        let name = format!("product_forward_{}_{bm}x{bn}", self.way.name());
        card.run_grid(&name, grid((bm, bn), tiles * outputs.div_ceil(bn)), &arguments);
        let what = self.what("product_forward");
        assert_sums(&what, &output.read(card), &expected, self.way.terms(inputs), 1.0, storage);
        if let Some(partials) = partials {
            let sums = total(&card.read(&partials), outputs);
            let squares = value_sums(&expected, outputs);
            let largest = expected.iter().fold(1.0f64, |a, b| a.max(b.abs()));
            assert_sums(
                &format!("{what} sums"),
                &sums,
                &squares,
                rows * inputs,
                largest * largest,
                Storage::F32,
            );
        }
    }

    fn check_input_gradient(&self, card: &Card, (bm, bn): (usize, usize), excited: bool, accumulate: bool) {
        let Self { rows, inputs, outputs, .. } = *self;
        let storage = self.way.storage();
        let Gradient { gradient, output, norm, operands, .. } = self.gradient(card, Curve::RELU);
        let before = storage.rounded(numbers(9, rows * inputs));
        let expected = self.expected_input_gradient(&operands, !excited, accumulate.then_some(&before));
        let buffers =
            [&gradient, &output, &self.weight, &self.input].map(|values| Map::of(card, storage, values));
        let [gradient, output, weight, input] = &buffers;
        let factors = self.factors.as_ref().map(|values| card.array(values));
        let input_gradient = if accumulate {
            Map::of(card, storage, &before)
        } else {
            Map::room(card, storage, rows * inputs)
        };
        let tiles = rows.div_ceil(bm);
        let partials = (!excited).then(|| card.room(tiles * 2 * inputs));
        let output_gradient = Map::room(card, storage, rows * outputs);
        let arguments = Arguments::new()
            .with(gradient.at())
            .with(output.at())
            .with(norm.gradient_reading())
            .with(weight.at())
            .with(input.at())
            .with(self.input_norm.sum_reading())
            .with(at_if(&factors))
            .int(self.pixels)
            .int(usize::from(excited))
            .with(input_gradient.at())
            .int(usize::from(accumulate))
            .with(output_gradient.at())
            .with(at_if(&partials))
            .int(rows)
            .int(inputs)
            .int(outputs);
        let name = format!("product_input_gradient_{}_{bm}x{bn}", self.way.name());
        card.run_grid(&name, grid((bm, bn), tiles * inputs.div_ceil(bn)), &arguments);
        let what = self.what("product_input_gradient");
        // What has all of a gradient, and so its sums, takes it through the curve.
        let inner = self.input_norm.inner_gradient(&expected, &self.input);
        let stored = if excited { &expected } else { &inner };
        assert_sums(&what, &input_gradient.read(card), stored, self.way.terms(outputs), 1.0, storage);
        // As the product takes it: on the way to the definition's float64 a value may round to the next one.
        let kept = output_gradient.read(card);
        let precision = self.way.precision();
        for (index, (kept, operand)) in kept.iter().zip(&operands).enumerate() {
            let close = (f64::from(*kept) - operand).abs() <= precision * operand.abs().max(1e-3);
            assert!(close, "{what} output gradient {index}: {kept} for {operand}");
        }
        if let Some(partials) = partials {
            let sums = total(&card.read(&partials), inputs);
            let expected_sums = self.input_norm.gradient_sums(&expected, &self.input);
            let largest = expected.iter().fold(1.0f64, |a, b| a.max(b.abs()));
            assert_sums(
                &format!("{what} sums"),
                &sums,
                &expected_sums,
                rows * outputs,
                10.0 * largest,
                Storage::F32,
            );
        }
    }

    fn check_weight_gradient(&self, card: &Card, (bm, bn): (usize, usize), rows_per_split: usize) {
        let Self { rows, inputs, outputs, .. } = *self;
        let storage = self.way.storage();
        // As the pass for the input's gradient leaves it.
        let gradient = storage.rounded(numbers(6, rows * outputs));
        let operands: Vec<f64> = gradient.iter().map(|value| self.way.operand(*value)).collect();
        let expected = self.expected_weight_gradient(&operands);
        let [gradient, input] = [&gradient, &self.input].map(|values| Map::of(card, storage, values));
        let factors = self.factors.as_ref().map(|values| card.array(values));
        let splits = rows.div_ceil(rows_per_split);
        let parts = card.room(splits * outputs * inputs);
        let arguments = Arguments::new()
            .with(gradient.at())
            .with(input.at())
            .with(self.input_norm.reading())
            .with(at_if(&factors))
            .int(self.pixels)
            .with(at(&parts))
            .int(rows)
            .int(rows_per_split)
            .int(inputs)
            .int(outputs);
        let name = format!("product_weight_gradient_{}_{bm}x{bn}", self.way.name());
        let blocks = outputs.div_ceil(bm) * inputs.div_ceil(bn) * splits;
        card.run_grid(&name, grid((bm, bn), blocks), &arguments);
        let parts = card.read(&parts);
        let sum = |index: usize| {
            parts.iter().skip(index).step_by(outputs * inputs).map(|part| f64::from(*part)).sum::<f64>()
        };
        let sums: Vec<f32> = (0..outputs * inputs).map(|index| sum(index) as f32).collect();
        let terms = self.way.terms(rows);
        assert_sums(&self.what("product_weight_gradient"), &sums, &expected, terms, 1.0, Storage::F32);
    }
}

#[test]
pub fn forward_is_the_product_of_what_is_read() {
    let Some(card) = card() else { return };
    for way in Way::ALL {
        for (index, size) in SIZES.into_iter().enumerate() {
            let case = Case::new(&card, way, size, Curve::ALL[index], index % 2 == 1);
            TILES.into_iter().for_each(|tile| case.check_forward(&card, tile, index == 1));
        }
    }
    each_wide(&card, |case, odd| case.check_forward(&card, WIDE, odd));
}

#[test]
pub fn the_input_gradient_is_the_product_with_the_outputs() {
    let Some(card) = card() else { return };
    for way in Way::ALL {
        for (index, size) in SIZES.into_iter().enumerate() {
            let case = Case::new(&card, way, size, Curve::ALL[index], index >= 2);
            TILES.into_iter().for_each(|tile| case.check_input_gradient(&card, tile, index == 3, index == 1));
        }
    }
    each_wide(&card, |case, odd| case.check_input_gradient(&card, WIDE, odd, case.rows == 265));
}

#[test]
pub fn the_weight_gradient_is_the_sum_over_all_rows() {
    let Some(card) = card() else { return };
    for way in Way::ALL {
        for (index, size) in SIZES.into_iter().enumerate() {
            let case = Case::new(&card, way, size, Curve::ALL[index], index == 2);
            for tile in WEIGHT_TILES {
                case.check_weight_gradient(&card, tile, if index == 2 { 96 } else { 1024 });
            }
        }
    }
    each_wide(&card, |case, odd| case.check_weight_gradient(&card, HIGH, if odd { 64 } else { 1024 }));
}

#[test]
fn more_than_the_usual_shared_memory_has_to_be_asked_for() {
    let Some(card) = card() else { return };
    let case = Case::new(&card, Way::Bf16, (1, 1, 16, 16), Curve::RELU, false);
    let maps = [&case.input, &case.weight].map(|values| Map::of(&card, case.way.storage(), values));
    let output = Map::room(&card, case.way.storage(), 16);
    let arguments = Arguments::new()
        .with(maps[0].at())
        .with(case.input_norm.reading())
        .with(NULL)
        .int(1)
        .with(maps[1].at())
        .with(NULL)
        .with(output.at())
        .with(NULL)
        .int(1)
        .int(16)
        .int(16);
    assert!(card.refuses("product_forward_bf16_128x256", grid(WIDE, 1), &arguments));
}

#[test]
fn infinities_and_nans_show() {
    let Some(card) = card() else { return };
    for way in Way::ALL {
        let mut case = Case::new(&card, way, (1, 2, 16, 16), Curve::RELU, false);
        case.input[3] = f32::NAN;
        let input = Map::of(&card, way.storage(), &case.input);
        let weight = Map::of(&card, way.storage(), &case.weight);
        let output = Map::room(&card, way.storage(), 32);
        let arguments = Arguments::new()
            .with(input.at())
            .with(case.input_norm.reading())
            .with(NULL)
            .int(1)
            .with(weight.at())
            .with(NULL)
            .with(output.at())
            .with(NULL)
            .int(2)
            .int(16)
            .int(16);
        card.run(&format!("product_forward_{}_64x64", way.name()), (1, [256, 1]), arguments);
        let output = output.read(&card);
        assert!(output[..16].iter().all(|value| value.is_nan()), "a row with a NaN is one: {output:?}");
        assert!(output[16..].iter().all(|value| value.is_finite()), "the other row is not: {output:?}");
    }
}

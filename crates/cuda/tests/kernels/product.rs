//! Products: all tiles, all ways to compute them.

use crate::card::{Card, NULL, at, card};
use crate::numbers::{Map, Storage, assert_sums, at_if, numbers, to_bfloat16, to_tf32, total};
use crate::reading::{Curve, Norm, value_sums};
use mobilenet_cuda::driver::Arguments;

#[derive(Debug, Clone, Copy)]
enum Way {
    F32,
    Tf32,
    Bf16,
}

impl Way {
    const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    fn storage(self) -> Storage {
        if matches!(self, Self::Bf16) { Storage::Bf16 } else { Storage::F32 }
    }

    /// Terms whose rounding errors are as large as those of a product over this depth. Tensor cores cut off where they add to a
    /// sum, every 8 values of TF32: an error that doesn't average out.
    fn terms(self, depth: usize) -> usize {
        if matches!(self, Self::F32) { depth } else { depth.max((depth / 8).pow(2)) }
    }

    /// How far two neighbours among its operands are from each other, of the larger one.
    fn precision(self) -> f64 {
        match self {
            Self::F32 => 1e-5,
            Self::Tf32 => 2.0f64.powi(-10),
            Self::Bf16 => 2.0f64.powi(-7),
        }
    }

    /// An operand as the product takes it.
    fn operand(self, value: f32) -> f64 {
        f64::from(match self {
            Self::F32 => value,
            Self::Tf32 => to_tf32(value),
            Self::Bf16 => to_bfloat16(value),
        })
    }
}

/// Pictures, pixels, inputs, outputs: one row; fewer than a tile; more than one in every direction, with odd rests.
const SIZES: [(usize, usize, usize, usize); 4] =
    [(1, 1, 16, 16), (3, 7, 48, 80), (5, 53, 144, 160), (2, 33, 272, 32)];
const TILES: [(usize, usize); 3] = [(128, 128), (128, 64), (64, 64)];

/// One product with all that it reads.
struct Case {
    way: Way,
    pixels: usize,
    rows: usize,
    inputs: usize,
    outputs: usize,
    input: Vec<f32>,
    input_norm: Norm,
    weight: Vec<f32>,
    factors: Option<Vec<f32>>,
}

impl Case {
    fn new(card: &Card, way: Way, size: (usize, usize, usize, usize), curve: Curve, factors: bool) -> Self {
        let (pictures, pixels, inputs, outputs) = size;
        let (rows, storage) = (pictures * pixels, way.storage());
        Self {
            way,
            pixels,
            rows,
            inputs,
            outputs,
            input: storage.rounded(numbers(1, rows * inputs)),
            input_norm: Norm::new(card, 2, inputs, curve),
            weight: storage.rounded(numbers(3, inputs * outputs)),
            factors: factors.then(|| numbers(4, pictures * inputs)),
        }
    }

    fn what(&self, kernel: &str) -> String {
        format!("{kernel}_{} {}x{}x{}", self.way.name(), self.rows, self.inputs, self.outputs)
    }

    /// What is read of the input, times the factors, as an operand.
    fn read(&self) -> Vec<f64> {
        let read = self.input_norm.read_all(&self.input);
        let factor = |index: usize| {
            let row = index / self.inputs;
            self.factors
                .as_ref()
                .map_or(1.0, |all| all[row / self.pixels * self.inputs + index % self.inputs])
        };
        read.into_iter().enumerate().map(|(index, a)| self.way.operand(a * factor(index))).collect()
    }

    fn weights(&self) -> Vec<f64> {
        self.weight.iter().map(|value| self.way.operand(*value)).collect()
    }

    fn check_forward(&self, card: &Card, (bm, bn): (usize, usize), biased: bool) {
        let Self { rows, inputs, outputs, .. } = *self;
        let storage = self.way.storage();
        let bias = numbers(5, outputs);
        let (read, weights) = (self.read(), self.weights());
        let mut expected = vec![0.0; rows * outputs];
        for (index, sum) in expected.iter_mut().enumerate() {
            let (row, output) = (index / outputs, index % outputs);
            let products = read[row * inputs..][..inputs].iter().zip(&weights[output * inputs..][..inputs]);
            *sum = products.map(|(a, b)| a * b).sum::<f64>();
            if biased {
                *sum += f64::from(bias[output]);
            }
        }
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
        card.run(&name, (tiles * outputs.div_ceil(bn), [256, 1]), arguments);
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

    /// The output's map with its gradient, and the gradient of it as an operand.
    fn gradient(&self, card: &Card) -> (Vec<f32>, Vec<f32>, Norm, Vec<f64>) {
        let storage = self.way.storage();
        let gradient = storage.rounded(numbers(6, self.rows * self.outputs));
        let output = storage.rounded(numbers(7, self.rows * self.outputs));
        let norm = Norm::new(card, 8, self.outputs, Curve::RELU);
        let operands =
            norm.gradient_all(&gradient, &output).into_iter().map(|g| self.way.operand(g)).collect();
        (gradient, output, norm, operands)
    }

    fn check_input_gradient(&self, card: &Card, (bm, bn): (usize, usize), excited: bool, accumulate: bool) {
        let Self { rows, inputs, outputs, .. } = *self;
        let storage = self.way.storage();
        let (gradient, output, norm, operands) = self.gradient(card);
        let weights = self.weights();
        let before = storage.rounded(numbers(9, rows * inputs));
        let mut expected = vec![0.0; rows * inputs];
        for (row, sums) in expected.chunks_exact_mut(inputs).enumerate() {
            for output in 0..outputs {
                let g = operands[row * outputs + output];
                sums.iter_mut().zip(&weights[output * inputs..]).for_each(|(sum, w)| *sum += g * w);
            }
            for (input, sum) in sums.iter_mut().enumerate() {
                if let (Some(factors), false) = (&self.factors, excited) {
                    *sum *= f64::from(factors[row / self.pixels * inputs + input]);
                }
                if accumulate {
                    *sum += f64::from(before[row * inputs + input]);
                }
            }
        }
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
        card.run(&name, (tiles * inputs.div_ceil(bn), [256, 1]), arguments);
        let what = self.what("product_input_gradient");
        assert_sums(&what, &input_gradient.read(card), &expected, self.way.terms(outputs), 1.0, storage);
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
        let read = self.read();
        let mut expected = vec![0.0; outputs * inputs];
        for row in 0..rows {
            for output in 0..outputs {
                let g = operands[row * outputs + output];
                let sums = expected[output * inputs..][..inputs].iter_mut();
                sums.zip(&read[row * inputs..]).for_each(|(sum, a)| *sum += g * a);
            }
        }
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
        card.run(&name, (outputs.div_ceil(bm) * inputs.div_ceil(bn) * splits, [256, 1]), arguments);
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
}

#[test]
pub fn the_weight_gradient_is_the_sum_over_all_rows() {
    let Some(card) = card() else { return };
    for way in Way::ALL {
        for (index, size) in SIZES.into_iter().enumerate() {
            let case = Case::new(&card, way, size, Curve::ALL[index], index == 2);
            for tile in [TILES[0], TILES[2]] {
                case.check_weight_gradient(&card, tile, if index == 2 { 96 } else { 1024 });
            }
        }
    }
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

use super::Bfloat16;
use crate::kernels::batch_norm::{Affine, Curve, Factors, Finish, Gradient};
use crate::kernels::padded;
use crate::kernels::product::backward::{Backward, Operands, WEIGHT_ROWS, WeightGradient};
use crate::kernels::product::cpu::multiply;
use crate::kernels::product::forward::{Forward, block_stride, scratch};
use crate::kernels::product::{PackedWeight, reference};
use crate::kernels::segments::{ROW_BLOCK, Sums};
use crate::kernels::simd::Isa;
use crate::kernels::testing::{affine, assert_close, numbers, pad, unpad};
use pulp::{Simd, WithSimd};

/// Rows, inputs, outputs: one of each, odd rows, odd sizes, one past a tile, a block and a panel, deeper than a depth
/// block.
const SIZES: [(usize, usize, usize); 8] = [
    (1, 1, 1),
    (3, 8, 17),
    (5, 16, 16),
    (13, 33, 40),
    (ROW_BLOCK + 1, 64, 32),
    (2 * ROW_BLOCK + 7, 20, 130),
    (10, 600, 20),
    (7, 20, 1100),
];

/// Rows of a picture, where what is read is multiplied by factors.
const PIXELS: usize = 3;

/// The kernels, where this processor has them.
fn kernels() -> Option<(Isa, Bfloat16)> {
    let found = Isa::all().into_iter().find_map(|isa| Some((isa, Bfloat16::of(isa)?)));
    if found.is_none() {
        println!("SKIPPED: this processor has no AVX512_BF16");
    }
    found
}

/// `values` as the kernels read them: rounded to bfloat16.
fn rounded(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| half::bf16::from_f32(*value as f32).to_f64()).collect()
}

/// What is read of `map` in float32, as it is defined before it is rounded: a fused multiply-add, the cut, the factor.
fn read(map: &[f64], affine: &Affine, factors: &[f64], channels: usize) -> Vec<f64> {
    let one = |(index, y): (usize, &f64)| {
        let (row, channel) = (index / channels, index % channels);
        let normalised = (*y as f32).mul_add(affine.scale[channel], affine.shift[channel]).max(0.0);
        f64::from(normalised * factors[row / PIXELS * channels + channel] as f32)
    };
    map.iter().enumerate().map(one).collect()
}

/// A product and what it is made of.
struct Case {
    rows: usize,
    inputs: usize,
    outputs: usize,
    input: Vec<f64>,
    affine: Affine,
    factors: Vec<f64>,
    weight: Vec<f64>,
    gradient: Vec<f64>,
    packed: PackedWeight,
}

impl Case {
    fn all(isa: Isa, bfloat16: Bfloat16) -> impl Iterator<Item = Self> {
        SIZES.into_iter().map(move |(rows, inputs, outputs)| {
            let weight = numbers(5, outputs * inputs);
            let mut padded_weight = pad(&weight, inputs);
            padded_weight.resize(padded(outputs) * padded(inputs), 0.0);
            let mut packed = PackedWeight::rounded(padded(outputs), padded(inputs), true, bfloat16);
            packed.pack(isa, &padded_weight);
            Self {
                rows,
                inputs,
                outputs,
                input: numbers(1, rows * inputs),
                affine: affine(2, inputs),
                factors: numbers(3, rows.div_ceil(PIXELS) * inputs),
                weight: rounded(&weight),
                gradient: numbers(11, rows * outputs),
                packed,
            }
        })
    }

    fn name(&self) -> String {
        format!("{} x {} x {}", self.rows, self.inputs, self.outputs)
    }

    /// The left operand of the forward product.
    fn left(&self) -> Vec<f64> {
        rounded(&read(&self.input, &self.affine, &self.factors, self.inputs))
    }
}

#[test]
fn forward_is_a_product_of_rounded_operands() {
    let Some((isa, bfloat16)) = kernels() else { return };
    for case in Case::all(isa, bfloat16) {
        let Case { rows, inputs, outputs, .. } = case;
        let transposed = reference::transpose(&case.weight, outputs, inputs);
        let expected = reference::multiply(&case.left(), &transposed, rows, inputs, outputs);
        let mut output = vec![f32::NAN; rows * padded(outputs)];
        let mut sums = Sums::new(padded(outputs));
        isa.run(Forward {
            rows,
            inputs: padded(inputs),
            outputs: padded(outputs),
            input: &pad(&case.input, inputs),
            affine: &case.affine,
            factors: Some(Factors { values: &pad(&case.factors, inputs), pixels: PIXELS, skipped: 0 }),
            weight: &case.packed.forward,
            bfloat16: case.packed.bfloat16,
            bias: None,
            output: &mut output,
            sums: Some(&mut sums),
            block: &mut vec![f32::NAN; scratch(padded(inputs))],
        });
        assert_close(&case.name(), &unpad(&output, outputs), &expected, inputs);
        let (sum, _) = Sums::total([&sums].into_iter(), outputs);
        let expected: Vec<f64> =
            (0..outputs).map(|column| expected.iter().skip(column).step_by(outputs).sum()).collect();
        assert_close(&format!("{} sum", case.name()), &sum, &expected, inputs * rows);
    }
}

#[test]
fn backward_is_two_products_of_rounded_operands() {
    let Some((isa, bfloat16)) = kernels() else { return };
    for case in Case::all(isa, bfloat16) {
        let Case { rows, inputs, outputs, .. } = case;
        let gradient = rounded(&case.gradient);
        let expected_input = reference::multiply(&gradient, &case.weight, rows, outputs, inputs);
        let transposed = reference::transpose(&gradient, rows, outputs);
        let expected_weight = reference::multiply(&transposed, &case.left(), outputs, rows, inputs);

        let mut input_gradient = vec![f32::NAN; rows * padded(inputs)];
        let mut panels = vec![f32::NAN; rows.max(ROW_BLOCK) * padded(inputs)];
        let mut tiles = vec![f32::NAN; rows.max(ROW_BLOCK) * padded(outputs)];
        let mut factors_gradient = vec![0.0; rows.div_ceil(PIXELS) * padded(inputs)];
        let mut backward = |weight_gradient: Option<&mut [f32]>| {
            isa.run(Backward {
                rows,
                inputs: padded(inputs),
                outputs: padded(outputs),
                input: &pad(&case.input, inputs),
                input_affine: &case.affine,
                output: &vec![0.0; rows * padded(outputs)],
                output_affine: &Affine::identity(padded(outputs), Curve::NONE),
                output_gradient: &Gradient::new(padded(outputs)),
                gradient: &pad(&case.gradient, outputs),
                weight: &case.packed.backward,
                bfloat16: case.packed.bfloat16,
                factors: Some(Factors { values: &pad(&case.factors, inputs), pixels: PIXELS, skipped: 0 }),
                // With it the input's gradient is the product as it is.
                factors_gradient: Some(&mut factors_gradient),
                input_gradient: &mut input_gradient,
                accumulate: false,
                weight_gradient,
                sums: &mut Sums::new(padded(inputs)),
                gradient_block: &mut vec![f32::NAN; ROW_BLOCK * block_stride(padded(outputs))],
                input_rows: &mut vec![f32::NAN; scratch(padded(inputs))],
                panels: &mut panels,
                tiles: &mut tiles,
            });
        };
        let mut weight_gradient = vec![f32::NAN; padded(outputs) * padded(inputs)];
        backward(Some(&mut weight_gradient));
        backward(None);
        let operands: Vec<_> =
            Operands::of_part(rows, padded(inputs), padded(outputs), &tiles, &panels).collect();
        let mut afterwards = vec![f32::NAN; padded(outputs) * padded(inputs)];
        for (task, to) in afterwards.chunks_mut(WEIGHT_ROWS * padded(inputs)).enumerate() {
            let outputs = task * WEIGHT_ROWS..padded(outputs).min((task + 1) * WEIGHT_ROWS);
            let (inputs, operands, bfloat16) = (padded(inputs), &operands[..], case.packed.bfloat16);
            isa.run(WeightGradient { inputs, outputs, operands, bfloat16, to });
        }
        assert_eq!(weight_gradient, afterwards, "{}: both ways, the same bits", case.name());
        let name = case.name();
        assert_close(&format!("{name} input"), &unpad(&input_gradient, inputs), &expected_input, outputs);
        assert!(weight_gradient[outputs * padded(inputs)..].iter().all(|value| *value == 0.0));
        let weight_gradient = unpad(&weight_gradient[..outputs * padded(inputs)], inputs);
        assert_close(&format!("{name} weight"), &weight_gradient, &expected_weight, rows);
    }
}

/// A product that is added to what lies there, and finished.
struct Multiply<'a> {
    bfloat16: Bfloat16,
    size: [usize; 3],
    left: &'a [f32],
    right: &'a [f32],
    finish: Finish<'a>,
    to: &'a mut [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ([rows, depth, columns], finish) = (self.size, Some(self.finish));
        let Self { bfloat16, left, right, to, .. } = self;
        let (bfloat16, stride) = (Some(bfloat16), depth / 2);
        multiply(simd, bfloat16, rows, columns, depth, left, stride, right, to, columns, true, finish);
    }
}

#[test]
fn a_product_is_added_and_finished() {
    let Some((isa, bfloat16)) = kernels() else { return };
    let hard_swish = |n: f64| n * (n + 3.0).clamp(0.0, 6.0) / 6.0;
    let cut = |n: f64| n.clamp(-0.5, 2.0);
    let curves: [(Curve, &dyn Fn(f64) -> f64); 2] =
        [(Curve::HardSwish, &hard_swish), (Curve::Cut { low: -0.5, high: 2.0 }, &cut)];
    for ((rows, depth, columns), (curve, done)) in [(7, 32, 48), (17, 1040, 16)].into_iter().zip(curves) {
        let (left, weight) = (numbers(1, rows * depth), numbers(2, columns * depth));
        let (bias, before) = (numbers(3, columns), numbers(4, rows * columns));
        let transposed = reference::transpose(&rounded(&weight), columns, depth);
        let mut expected = reference::multiply(&rounded(&left), &transposed, rows, depth, columns);
        for (index, value) in expected.iter_mut().enumerate() {
            *value = done(*value + before[index] + bias[index % columns]);
        }
        let single = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<_>>();
        let (mut pairs, mut packed) = (vec![0.0; rows * depth / 2], vec![0.0; columns * depth / 2]);
        bfloat16.round(&single(&left), depth, &mut pairs, depth / 2);
        bfloat16.pack_transposed(&single(&weight), depth, &mut packed);
        let (bias, mut to) = (single(&bias), single(&before));
        let finish = Finish { bias: &bias, curve };
        let size = [rows, depth, columns];
        isa.run(Multiply { bfloat16, size, left: &pairs, right: &packed, finish, to: &mut to });
        let ours: Vec<f64> = to.into_iter().map(f64::from).collect();
        // Hard swish is at most 1.5 times as steep.
        assert_close(&format!("{curve:?}"), &ours, &expected, 4 * depth);
    }
}

#[test]
fn other_kernels_than_avx512_have_none() {
    for isa in Isa::all().into_iter().filter(|isa| isa.name() != "avx512") {
        assert!(Bfloat16::of(isa).is_none());
    }
}

use super::Bfloat16;
use crate::kernels::batch_norm::{Affine, Curve, Factors, Finish, Gradient};
use crate::kernels::padded;
use crate::kernels::product::backward::{Backward, Operands, WeightGradient, weight_rows};
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

/// The kernels that this processor has: with AMX and without.
fn kernels() -> Vec<(Isa, Bfloat16)> {
    let all = Isa::all().into_iter();
    let found: Vec<_> =
        all.flat_map(|isa| Bfloat16::all(isa).into_iter().map(move |found| (isa, found))).collect();
    for name in ["amx", "avx512"] {
        if !found.iter().any(|(_, bfloat16)| bfloat16.name() == name) {
            println!("SKIPPED: this processor can't multiply bfloat16 by {name}");
        }
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
    for (isa, bfloat16, case) in cases() {
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
        let name = format!("{} {}", bfloat16.name(), case.name());
        assert_close(&name, &unpad(&output, outputs), &expected, inputs);
        let (sum, _) = Sums::total([&sums].into_iter(), outputs);
        let expected: Vec<f64> =
            (0..outputs).map(|column| expected.iter().skip(column).step_by(outputs).sum()).collect();
        assert_close(&format!("{name} sum"), &sum, &expected, inputs * rows);
    }
}

#[test]
fn backward_is_two_products_of_rounded_operands() {
    for (isa, bfloat16, case) in cases() {
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
        let task_rows = weight_rows(Some(bfloat16));
        for (task, to) in afterwards.chunks_mut(task_rows * padded(inputs)).enumerate() {
            let outputs = task * task_rows..padded(outputs).min((task + 1) * task_rows);
            let (inputs, operands, bfloat16) = (padded(inputs), &operands[..], case.packed.bfloat16);
            isa.run(WeightGradient { inputs, outputs, operands, bfloat16, to });
        }
        let name = format!("{} {}", bfloat16.name(), case.name());
        assert_eq!(weight_gradient, afterwards, "{name}: both ways, the same bits");
        assert_close(&format!("{name} input"), &unpad(&input_gradient, inputs), &expected_input, outputs);
        assert!(weight_gradient[outputs * padded(inputs)..].iter().all(|value| *value == 0.0));
        let weight_gradient = unpad(&weight_gradient[..outputs * padded(inputs)], inputs);
        assert_close(&format!("{name} weight"), &weight_gradient, &expected_weight, rows);
    }
}

/// Every case with every kernel.
fn cases() -> impl Iterator<Item = (Isa, Bfloat16, Case)> {
    let kernels = kernels().into_iter();
    kernels.flat_map(|(isa, bfloat16)| Case::all(isa, bfloat16).map(move |case| (isa, bfloat16, case)))
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
        let (products, stride) = (bfloat16.begin(), depth / 2);
        multiply(simd, Some(&products), rows, columns, depth, left, stride, right, to, columns, true, finish);
    }
}

/// Beside what float64 has for it.
fn add_and_finish(isa: Isa, bfloat16: Bfloat16, size: [usize; 3], curve: Curve, done: &dyn Fn(f64) -> f64) {
    let [rows, depth, columns] = size;
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
    isa.run(Multiply { bfloat16, size, left: &pairs, right: &packed, finish, to: &mut to });
    let ours: Vec<f64> = to.into_iter().map(f64::from).collect();
    // Hard swish is at most 1.5 times as steep.
    assert_close(&format!("{} {size:?} {curve:?}", bfloat16.name()), &ours, &expected, 4 * depth);
}

#[test]
fn a_product_is_added_and_finished() {
    let hard_swish = |n: f64| n * (n + 3.0).clamp(0.0, 6.0) / 6.0;
    for (isa, bfloat16) in kernels() {
        // A tile of AMX is 16 rows, 32 deep: none, some and all of these are whole.
        for size in [[7, 32, 48], [17, 1040, 16], [40, 64, 48], [64, 48, 32]] {
            add_and_finish(isa, bfloat16, size, Curve::HardSwish, &hard_swish);
            let curve = Curve::Cut { low: -0.5, high: 2.0 };
            add_and_finish(isa, bfloat16, size, curve, &|n| n.clamp(-0.5, 2.0));
        }
    }
}

/// How many rows come together may depend on the threads: no row's bits may depend on it.
#[test]
fn a_row_has_the_same_bits_whatever_stands_beside_it() {
    for (isa, bfloat16) in kernels() {
        // Depths of whole steps of AMX, with an end that is none, and of none at all.
        for (depth, columns) in [(64, 48), (1040, 32), (16, 16)] {
            let rows = 53;
            let single = |seed, count| numbers(seed, count).into_iter().map(|value| value as f32);
            let left: Vec<f32> = single(1, rows * depth).collect();
            let weight: Vec<f32> = single(2, columns * depth).collect();
            let bias: Vec<f32> = single(3, columns).collect();
            let (mut pairs, mut packed) = (vec![0.0; rows * depth / 2], vec![0.0; columns * depth / 2]);
            bfloat16.round(&left, depth, &mut pairs, depth / 2);
            bfloat16.pack_transposed(&weight, depth, &mut packed);
            let multiply = |together: usize| {
                let mut product = vec![0.0; rows * columns];
                let groups = pairs.chunks(together * depth / 2).zip(product.chunks_mut(together * columns));
                for (left, to) in groups {
                    let finish = Finish { bias: &bias, curve: Curve::NONE };
                    let size = [to.len() / columns, depth, columns];
                    isa.run(Multiply { bfloat16, size, left, right: &packed, finish, to });
                }
                product.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let all = multiply(rows);
            // Nor on what lies behind the last row.
            for rows in [1, 15, 17, 40, 47] {
                let mut left = pairs.clone();
                left[rows * depth / 2..].fill(f32::NAN);
                let mut to = vec![0.0; rows * columns];
                let finish = Finish { bias: &bias, curve: Curve::NONE };
                let size = [rows, depth, columns];
                isa.run(Multiply { bfloat16, size, left: &left, right: &packed, finish, to: &mut to });
                let bits: Vec<u32> = to.into_iter().map(f32::to_bits).collect();
                assert!(
                    bits == all[..rows * columns],
                    "{} {depth} x {columns}, {rows} rows",
                    bfloat16.name()
                );
            }
            for together in [1, 3, 15, 16, 17, 32, 47] {
                let name = bfloat16.name();
                assert!(multiply(together) == all, "{name} {depth} x {columns}, {together} rows");
            }
        }
    }
}

#[test]
fn other_kernels_than_avx512_have_none() {
    for isa in Isa::all().into_iter().filter(|isa| isa.name() != "avx512") {
        assert!(Bfloat16::of(isa).is_none() && Bfloat16::all(isa).is_empty());
    }
}

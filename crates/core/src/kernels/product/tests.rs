use super::backward::{Backward, Operands, WeightGradient, weight_rows};
use super::forward::{Forward, block_stride, scratch};
use super::{PackedWeight, reference};
use crate::kernels::batch_norm::{Affine, Curve, Factors, Gradient};
use crate::kernels::padded;
use crate::kernels::segments::{ROW_BLOCK, Sums};
use crate::kernels::testing::{affine, assert_close, gradient_sums, numbers, on_every_isa, pad, read, unpad};

/// Rows, inputs, outputs: one of each, odd ones, one past a tile, a block and a panel, and deeper than a depth block.
const SIZES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (3, 8, 17),
    (5, 16, 16),
    (13, 33, 40),
    (ROW_BLOCK, 24, 48),
    (ROW_BLOCK + 1, 64, 32),
    (2 * ROW_BLOCK + 7, 20, 130),
    (10, 300, 20),
    (7, 20, 600),
];

/// A weight `[outputs, inputs]` with both padded.
fn padded_weight(weight: &[f64], outputs: usize, inputs: usize) -> Vec<f32> {
    let mut rows = pad(weight, inputs);
    rows.resize(padded(outputs) * padded(inputs), 0.0);
    rows
}

#[test]
fn forward_is_the_definition() {
    on_every_isa(|isa| {
        for (rows, inputs, outputs) in SIZES {
            let (input, weight) = (numbers(1, rows * inputs), numbers(5, outputs * inputs));
            let bias = numbers(9, outputs);
            let affine = affine(2, inputs);
            let (activated, _) = read(&input, &affine, inputs);
            let transposed = reference::transpose(&weight, outputs, inputs);
            let mut expected = reference::multiply(&activated, &transposed, rows, inputs, outputs);
            expected.iter_mut().enumerate().for_each(|(index, value)| *value += bias[index % outputs]);

            let mut packed = PackedWeight::new(padded(outputs), padded(inputs), false);
            packed.pack(isa, &padded_weight(&weight, outputs, inputs));
            let mut output = vec![f32::NAN; rows * padded(outputs)];
            let mut sums = Sums::new(padded(outputs));
            isa.run(Forward {
                rows,
                inputs: padded(inputs),
                outputs: padded(outputs),
                input: &pad(&input, inputs),
                affine: &affine,
                factors: None,
                weight: &packed.forward,
                bfloat16: None,
                bias: Some(&pad(&bias, outputs)),
                output: &mut output,
                sums: Some(&mut sums),
                block: &mut vec![f32::NAN; scratch(padded(inputs))],
            });
            let what = format!("{rows} x {inputs} x {outputs}");
            assert_close(&what, &unpad(&output, outputs), &expected, inputs);
            let (sum, _) = Sums::total([&sums].into_iter(), outputs);
            let expected_sum: Vec<f64> =
                (0..outputs).map(|column| expected.iter().skip(column).step_by(outputs).sum()).collect();
            assert_close(&format!("{what} sum"), &sum, &expected_sum, inputs * rows);
        }
    });
}

#[test]
fn backward_is_the_definition() {
    on_every_isa(|isa| {
        for (rows, inputs, outputs) in SIZES {
            let (input, weight) = (numbers(1, rows * inputs), numbers(5, outputs * inputs));
            let gradient = numbers(11, rows * outputs);
            let affine = affine(2, inputs);
            let (activated, mask) = read(&input, &affine, inputs);
            let expected_input = reference::multiply(&gradient, &weight, rows, outputs, inputs);
            let gradient_transposed = reference::transpose(&gradient, rows, outputs);
            let expected_weight =
                reference::multiply(&gradient_transposed, &activated, outputs, rows, inputs);

            let mut packed = PackedWeight::new(padded(outputs), padded(inputs), true);
            packed.pack(isa, &padded_weight(&weight, outputs, inputs));
            let mut input_gradient = vec![f32::NAN; rows * padded(inputs)];
            let mut sums = Sums::new(padded(inputs));
            let mut panels = vec![f32::NAN; rows.max(ROW_BLOCK) * padded(inputs)];
            let mut tiles = vec![f32::NAN; rows.max(ROW_BLOCK) * padded(outputs)];
            let mut backward = |weight_gradient: Option<&mut [f32]>| {
                sums.clear(padded(inputs));
                isa.run(Backward {
                    rows,
                    inputs: padded(inputs),
                    outputs: padded(outputs),
                    input: &pad(&input, inputs),
                    input_affine: &affine,
                    output: &vec![0.0; rows * padded(outputs)],
                    output_affine: &Affine::identity(padded(outputs), Curve::NONE),
                    output_gradient: &Gradient::new(padded(outputs)),
                    gradient: &pad(&gradient, outputs),
                    weight: &packed.backward,
                    bfloat16: None,
                    factors: None,
                    factors_gradient: None,
                    input_gradient: &mut input_gradient,
                    accumulate: false,
                    weight_gradient,
                    sums: &mut sums,
                    gradient_block: &mut vec![f32::NAN; ROW_BLOCK * block_stride(padded(outputs))],
                    input_rows: &mut [],
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
            let task_rows = weight_rows(None);
            for (task, to) in afterwards.chunks_mut(task_rows * padded(inputs)).enumerate() {
                let outputs = task * task_rows..padded(outputs).min((task + 1) * task_rows);
                isa.run(WeightGradient {
                    inputs: padded(inputs),
                    outputs,
                    operands: &operands,
                    bfloat16: None,
                    to,
                });
            }
            assert_eq!(
                weight_gradient, afterwards,
                "{rows} x {inputs} x {outputs}: both ways, the same bits"
            );
            let what = format!("{rows} x {inputs} x {outputs}");
            assert_close(&format!("{what} input"), &unpad(&input_gradient, inputs), &expected_input, outputs);
            let surplus_rows = &weight_gradient[outputs * padded(inputs)..];
            assert!(
                surplus_rows.iter().all(|value| *value == 0.0),
                "{what}: the surplus outputs have no gradient"
            );
            let weight_gradient = unpad(&weight_gradient[..outputs * padded(inputs)], inputs);
            assert_close(&format!("{what} weight"), &weight_gradient, &expected_weight, rows);
            let (first, second) = gradient_sums(&expected_input, &mask, &input, &affine, inputs);
            let (sum, products) = Sums::total([&sums].into_iter(), inputs);
            assert_close(&format!("{what} sum"), &sum, &first, outputs * rows);
            assert_close(&format!("{what} products"), &products, &second, outputs * rows);
        }
    });
}

/// Pixels of a picture, when factors are read.
const PIXELS: usize = 3;

/// Tiles have from one row to twelve, and a panel's last columns may be a single register.
#[test]
fn a_row_has_the_same_bits_however_many_come_with_it() {
    on_every_isa(|isa| {
        let (inputs, outputs, most) = (300, 48, 3 * 12 + 1);
        let input = pad(&numbers(1, most * inputs), inputs);
        let mut packed = PackedWeight::new(outputs, padded(inputs), false);
        packed.pack(isa, &padded_weight(&numbers(5, outputs * inputs), outputs, inputs));
        let product = |first: usize, rows: usize| {
            let mut output = vec![f32::NAN; rows * outputs];
            isa.run(Forward {
                rows,
                inputs: padded(inputs),
                outputs,
                input: &input[first * padded(inputs)..][..rows * padded(inputs)],
                affine: &Affine::identity(padded(inputs), Curve::NONE),
                factors: None,
                weight: &packed.forward,
                bfloat16: None,
                bias: None,
                output: &mut output,
                sums: None,
                block: &mut vec![f32::NAN; scratch(padded(inputs))],
            });
            output
        };
        let alone: Vec<f32> = (0..most).flat_map(|row| product(row, 1)).collect();
        for rows in 1..=most {
            assert!(product(0, rows) == alone[..rows * outputs], "{rows} rows");
        }
    });
}

/// A product of rows that are multiplied by factors when they are read.
struct Excited {
    rows: usize,
    inputs: usize,
    outputs: usize,
    input: Vec<f64>,
    affine: Affine,
    factors: Vec<f64>,
    weight: Vec<f64>,
    gradient: Vec<f64>,
}

impl Excited {
    fn all() -> impl Iterator<Item = Self> {
        [(3, 8, 17), (7, 33, 40), (2 * ROW_BLOCK + 7, 20, 130)].into_iter().map(|(rows, inputs, outputs)| {
            Self {
                rows,
                inputs,
                outputs,
                input: numbers(1, rows * inputs),
                affine: affine(2, inputs),
                factors: numbers(3, rows.div_ceil(PIXELS) * inputs),
                weight: numbers(5, outputs * inputs),
                gradient: numbers(11, rows * outputs),
            }
        })
    }

    /// Where the factor of a value of the input stands.
    fn place(&self, index: usize) -> usize {
        index / self.inputs / PIXELS * self.inputs + index % self.inputs
    }

    /// `values`, each times its factor.
    fn multiplied(&self, values: &[f64]) -> Vec<f64> {
        values.iter().enumerate().map(|(index, value)| value * self.factors[self.place(index)]).collect()
    }

    fn packed(&self, isa: crate::kernels::simd::Isa) -> PackedWeight {
        let mut packed = PackedWeight::new(padded(self.outputs), padded(self.inputs), true);
        packed.pack(isa, &padded_weight(&self.weight, self.outputs, self.inputs));
        packed
    }
}

#[test]
fn forward_multiplies_what_is_read_by_factors() {
    on_every_isa(|isa| {
        for case in Excited::all() {
            let Excited { rows, inputs, outputs, .. } = case;
            let (activated, _) = read(&case.input, &case.affine, inputs);
            let transposed = reference::transpose(&case.weight, outputs, inputs);
            let expected =
                reference::multiply(&case.multiplied(&activated), &transposed, rows, inputs, outputs);
            let mut output = vec![f32::NAN; rows * padded(outputs)];
            isa.run(Forward {
                rows,
                inputs: padded(inputs),
                outputs: padded(outputs),
                input: &pad(&case.input, inputs),
                affine: &case.affine,
                factors: Some(Factors { values: &pad(&case.factors, inputs), pixels: PIXELS, skipped: 0 }),
                weight: &case.packed(isa).forward,
                bfloat16: None,
                bias: None,
                output: &mut output,
                sums: None,
                block: &mut vec![f32::NAN; scratch(padded(inputs))],
            });
            assert_close("output", &unpad(&output, outputs), &expected, inputs);
        }
    });
}

/// With the factors' gradient (squeeze-and-excitation), and without (dropout), each on top of what lies there.
#[test]
fn backward_goes_through_factors() {
    on_every_isa(|isa| {
        for case in Excited::all() {
            for trained in [false, true] {
                let Excited { rows, inputs, outputs, .. } = case;
                let (activated, mask) = read(&case.input, &case.affine, inputs);
                let before = numbers(12, rows * inputs);
                let product = reference::multiply(&case.gradient, &case.weight, rows, outputs, inputs);
                let through: Vec<f64> = product.iter().zip(&before).map(|(a, b)| a + b).collect();
                let expected_input = if trained { through.clone() } else { case.multiplied(&through) };
                let mut expected_factors = vec![0.0; case.factors.len()];
                for (index, (h, a)) in through.iter().zip(&activated).enumerate() {
                    expected_factors[case.place(index)] += h * a;
                }
                let expected_weight = reference::multiply(
                    &reference::transpose(&case.gradient, rows, outputs),
                    &case.multiplied(&activated),
                    outputs,
                    rows,
                    inputs,
                );

                let mut input_gradient = pad(&before, inputs);
                let mut weight_gradient = vec![f32::NAN; padded(outputs) * padded(inputs)];
                let mut factors_gradient = vec![0.0; rows.div_ceil(PIXELS) * padded(inputs)];
                let mut sums = Sums::new(padded(inputs));
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
                    weight: &case.packed(isa).backward,
                    bfloat16: None,
                    factors: Some(Factors {
                        values: &pad(&case.factors, inputs),
                        pixels: PIXELS,
                        skipped: 0,
                    }),
                    factors_gradient: trained.then_some(&mut factors_gradient[..]),
                    input_gradient: &mut input_gradient,
                    accumulate: true,
                    weight_gradient: Some(&mut weight_gradient),
                    sums: &mut sums,
                    gradient_block: &mut vec![f32::NAN; ROW_BLOCK * block_stride(padded(outputs))],
                    input_rows: &mut [],
                    panels: &mut vec![f32::NAN; ROW_BLOCK * padded(inputs)],
                    tiles: &mut vec![f32::NAN; ROW_BLOCK * padded(outputs)],
                });
                assert_close("input", &unpad(&input_gradient, inputs), &expected_input, outputs);
                let weight_gradient = unpad(&weight_gradient[..outputs * padded(inputs)], inputs);
                assert_close("weight", &weight_gradient, &expected_weight, rows);
                if trained {
                    let terms = outputs * PIXELS;
                    assert_close("factors", &unpad(&factors_gradient, inputs), &expected_factors, terms);
                } else {
                    let (first, second) =
                        gradient_sums(&expected_input, &mask, &case.input, &case.affine, inputs);
                    let (sum, products) = Sums::total([&sums].into_iter(), inputs);
                    assert_close("sum", &sum, &first, outputs * rows);
                    assert_close("products", &products, &second, outputs * rows);
                }
            }
        }
    });
}

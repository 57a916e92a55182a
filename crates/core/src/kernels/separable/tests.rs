use super::{Separable, Source};
use crate::kernels::batch_norm::{Curve, Factors, Finish};
use crate::kernels::buffer::Scratch;
use crate::kernels::crew::together;
use crate::kernels::depthwise::{self, Shape};
use crate::kernels::padded;
use crate::kernels::product::{self, PackedWeight};
use crate::kernels::simd::Isa;
use crate::kernels::testing::{assert_close, numbers, on_every_isa, pad, unpad};
use rayon::ThreadPoolBuilder;

const HIGH: f32 = 1.5;
const CURVE: Curve = Curve::Cut { low: 0.0, high: HIGH };

/// A product's weights: so small that its partial sums stay about as large as the upper bound, by which the tolerance
/// goes.
fn small_numbers(seed: u32, count: usize) -> Vec<f64> {
    numbers(seed, count).iter().map(|value| value / 16.0).collect()
}

fn finished(mut sums: Vec<f64>, bias: &[f64]) -> Vec<f64> {
    for (index, sum) in sums.iter_mut().enumerate() {
        *sum = (*sum + bias[index % bias.len()]).clamp(0.0, f64::from(HIGH));
    }
    sums
}

/// A weight `[outputs, inputs]`, packed.
fn packed(isa: Isa, weight: &[f64], outputs: usize, inputs: usize) -> PackedWeight {
    let mut rows = pad(weight, inputs);
    rows.resize(padded(outputs) * padded(inputs), 0.0);
    let mut packed = PackedWeight::new(padded(outputs), padded(inputs), false);
    packed.pack(isa, &rows);
    packed
}

/// Runs undivided and with 2 and 5 threads, which must give the same bits.
fn run(isa: Isa, block: &Separable<'_>, unit: usize) -> Vec<f32> {
    let outputs = [1, 2, 5].map(|threads| {
        let mut scratch = Scratch::new(Separable::scratch(unit, block.inputs));
        let mut output = vec![f32::NAN; block.rows * block.outputs];
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| scratch.cover_threads());
        pool.broadcast(|_| scratch.take().fill(f32::NAN));
        pool.install(|| together(|crew| block.run(isa, &mut output, &scratch, Some(crew))));
        output
    });
    assert!(outputs.iter().all(|output| *output == outputs[0]), "the bits depend on the threads");
    let [output, ..] = outputs;
    output
}

#[test]
fn a_block_is_its_two_convolutions() {
    // Odd and even sides, filters, strides and paddings; pictures in one tile and over several; narrow and wide.
    let geometry = [(3, 1, 0), (3, 1, 1), (3, 2, 1), (3, 2, 0), (5, 1, 2), (5, 2, 2)];
    let sizes =
        [(1, 5, 1, 3), (17, 8, 40, 2), (33, 11, 70, 3), (8, 6, 300, 30), (20, 101, 8, 1), (300, 5, 16, 1)];
    on_every_isa(|isa| {
        for (kernel, stride, padding) in geometry {
            for (channels, input_side, outputs, pictures) in sizes {
                let shape = Shape { channels, kernel, stride, padding, input_side };
                let side = shape.output_side();
                let input = numbers(1, pictures * input_side * input_side * channels);
                let (weight, bias) = (numbers(2, kernel * kernel * channels), numbers(3, channels));
                let (product_weight, product_bias) =
                    (small_numbers(4, outputs * channels), numbers(5, outputs));
                let per_picture = input.chunks_exact(input_side * input_side * channels);
                let depthwise: Vec<f64> = per_picture
                    .flat_map(|picture| depthwise::reference::forward(shape, picture, &weight))
                    .collect();
                let rows = pictures * side * side;
                let product = product::reference::multiply(
                    &finished(depthwise, &bias),
                    &product::reference::transpose(&product_weight, outputs, channels),
                    rows,
                    channels,
                    outputs,
                );
                let expected = finished(product, &product_bias);
                let shortcut = numbers(6, rows * outputs);
                let expected: Vec<f64> = expected.iter().zip(&shortcut).map(|(a, b)| a + b).collect();
                let output = run(
                    isa,
                    &Separable {
                        rows,
                        inputs: padded(channels),
                        outputs: padded(outputs),
                        source: Source::Depthwise {
                            shape,
                            input: &pad(&input, channels),
                            weight: &pad(&weight, channels),
                            finish: Finish { bias: &pad(&bias, channels), curve: CURVE },
                        },
                        weight: &packed(isa, &product_weight, outputs, channels).forward,
                        bfloat16: None,
                        finish: Finish { bias: &pad(&product_bias, outputs), curve: CURVE },
                        shortcut: Some(&pad(&shortcut, outputs)),
                    },
                    side,
                );
                assert_close(
                    &format!("{shape:?} to {outputs}"),
                    &unpad(&output, outputs),
                    &expected,
                    channels,
                );
            }
        }
    });
}

#[test]
fn a_product_alone_is_the_definition() {
    on_every_isa(|isa| {
        for (rows, inputs, outputs) in [(1, 1, 1), (1, 64, 1000), (3, 20, 33), (16, 300, 40), (200, 17, 10)] {
            let (input, weight) = (numbers(1, rows * inputs), small_numbers(2, outputs * inputs));
            let bias = numbers(3, outputs);
            let transposed = product::reference::transpose(&weight, outputs, inputs);
            // Rows in pictures of two, each with factors of its own.
            let factors = numbers(4, rows.div_ceil(2) * inputs);
            let factor = |index: usize| factors[index / inputs / 2 * inputs + index % inputs];
            let multiplied: Vec<f64> =
                input.iter().enumerate().map(|(index, value)| value * factor(index)).collect();
            let product = product::reference::multiply(&multiplied, &transposed, rows, inputs, outputs);
            let with_bias = |(index, sum): (usize, f64)| sum + bias[index % outputs];
            let hard_swish = |n: f64| n * (n + 3.0).clamp(0.0, 6.0) / 6.0;
            let expected: Vec<f64> = product.into_iter().enumerate().map(with_bias).map(hard_swish).collect();
            let output = run(
                isa,
                &Separable {
                    rows,
                    inputs: padded(inputs),
                    outputs: padded(outputs),
                    source: Source::Rows {
                        rows: &pad(&input, inputs),
                        factors: Some(Factors { values: &pad(&factors, inputs), pixels: 2, skipped: 0 }),
                    },
                    weight: &packed(isa, &weight, outputs, inputs).forward,
                    bfloat16: None,
                    finish: Finish { bias: &pad(&bias, outputs), curve: Curve::HardSwish },
                    shortcut: None,
                },
                1,
            );
            assert_close(
                &format!("{rows} x {inputs} x {outputs}"),
                &unpad(&output, outputs),
                &expected,
                inputs,
            );
        }
    });
}

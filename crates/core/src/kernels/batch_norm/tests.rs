use super::cpu::{Rows, gradient_rows, normalize_rows, sum_gradient_rows, sum_rows};
use super::factors::add_factors_gradient;
use super::reference::{EPS, forward};
use super::{Affine, Curve, Factors, Gradient, moments, update_running};
use crate::kernels::padded;
use crate::kernels::segments::ROW_BLOCK;
use crate::kernels::testing::{assert_close, numbers, on_every_isa, pad, unpad};
use pulp::{Simd, WithSimd};

const CURVES: [Curve; 4] = [
    Curve::Cut { low: 0.0, high: f32::INFINITY },
    Curve::Cut { low: 0.0, high: 0.5 },
    Curve::NONE,
    Curve::HardSwish,
];

struct Case {
    rows: usize,
    channels: usize,
    y: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    curve: Curve,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for curve in CURVES {
        for (rows, channels) in [(2, 1), (7, 16), (30, 19), (5, 40)] {
            cases.push(Case {
                rows,
                channels,
                y: numbers(1, rows * channels),
                weight: numbers(2, channels),
                bias: numbers(3, channels),
                curve,
            });
        }
    }
    cases
}

/// Everything that batch norm computes, by the row kernels.
struct Pass<'a> {
    case: &'a Case,
    /// Gradient of what is read.
    g: &'a [f64],
}

struct Results {
    output: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    y_gradient: Vec<f64>,
    weight_gradient: Vec<f64>,
    bias_gradient: Vec<f64>,
}

impl WithSimd for Pass<'_> {
    type Output = Results;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Results {
        let Case { rows, channels, curve, .. } = *self.case;
        let width = padded(channels);
        let (y, g) = (pad(&self.case.y, channels), pad(self.g, channels));
        let (mut first, mut second) = (vec![0.0; width], vec![0.0; width]);
        sum_rows(simd, Rows::dense(&y, width), rows, width, &mut first, &mut second);
        let double = |sums: &[f32]| sums.iter().map(|sum| f64::from(*sum)).collect::<Vec<_>>();
        let (mean, variance) = moments(&double(&first), &double(&second), rows);
        let mut affine = Affine::identity(width, curve);
        affine.set(&mean, &variance, &pad(&self.case.weight, channels), &pad(&self.case.bias, channels), EPS);
        let mut output = vec![f32::NAN; rows * width];
        normalize_rows(simd, Rows::dense(&y, width), &mut output, width, rows, width, &affine, None);
        first.fill(0.0);
        second.fill(0.0);
        let (rows_of_g, rows_of_y) = (Rows::dense(&g, width), Rows::dense(&y, width));
        sum_gradient_rows(simd, rows_of_g, rows_of_y, rows, width, &affine, &mut first, &mut second);
        let mut gradient = Gradient::new(width);
        let (mut weight_gradient, mut bias_gradient) = (vec![0.0; width], vec![0.0; width]);
        let (sum, products) = (double(&first), double(&second));
        gradient.set(&affine, &sum, &products, rows, &mut weight_gradient, &mut bias_gradient);
        let mut y_gradient = vec![f32::NAN; rows * width];
        gradient_rows(simd, rows_of_g, rows_of_y, &mut y_gradient, width, rows, width, &affine, &gradient);
        Results {
            output: unpad(&output, channels),
            mean: mean[..channels].to_vec(),
            variance: variance[..channels].to_vec(),
            y_gradient: unpad(&y_gradient, channels),
            weight_gradient: unpad(&weight_gradient, channels),
            bias_gradient: unpad(&bias_gradient, channels),
        }
    }
}

#[test]
fn forward_is_the_definition() {
    on_every_isa(|isa| {
        for case in cases() {
            let expected = forward(&case.y, case.channels, &case.weight, &case.bias, case.curve);
            let ours = isa.run(Pass { case: &case, g: &vec![0.0; case.y.len()] });
            // A variance is a difference of sums, so its relative error is larger than that of a sum.
            assert_close("mean", &ours.mean, &expected.mean, case.rows);
            assert_close("variance", &ours.variance, &expected.variance, case.rows);
            assert_close("output", &ours.output, &expected.output, 16 * case.rows);
        }
    });
}

/// The gradient of `sum(g * output)` by differences of the float64 reference.
#[test]
fn backward_is_the_slope_of_forward() {
    const STEP: f64 = 1e-6;
    on_every_isa(|isa| {
        for case in cases() {
            let g = numbers(9, case.y.len());
            let loss = |y: &[f64], weight: &[f64], bias: &[f64]| -> f64 {
                let output = forward(y, case.channels, weight, bias, case.curve).output;
                output.iter().zip(&g).map(|(output, g)| output * g).sum()
            };
            let slope = |which: usize, index: usize| {
                let at = |sign: f64| {
                    let mut parts = [case.y.clone(), case.weight.clone(), case.bias.clone()];
                    parts[which][index] += sign * STEP;
                    loss(&parts[0], &parts[1], &parts[2])
                };
                (at(1.0) - at(-1.0)) / (2.0 * STEP)
            };
            let ours = isa.run(Pass { case: &case, g: &g });
            let all = [(&ours.y_gradient, 0), (&ours.weight_gradient, 1), (&ours.bias_gradient, 2)];
            for (gradient, which) in all {
                for (index, value) in gradient.iter().enumerate() {
                    let expected = slope(which, index);
                    // With two rows the variance can be tiny, and slopes are then up to 1/sqrt(eps) large.
                    let tolerance = 2e-4 * expected.abs().max(1.0);
                    assert!(
                        (value - expected).abs() < tolerance,
                        "{} rows, {} channels, part {which}[{index}]: {value}, expected {expected}",
                        case.rows,
                        case.channels
                    );
                }
            }
        }
    });
}

#[test]
fn running_statistics_move_as_in_pytorch() {
    let (mut mean, mut variance) = (vec![0.0f32], vec![1.0f32]);
    // torch.nn.BatchNorm1d(1) in training mode on [[1.], [2.], [6.]]
    let (batch_mean, batch_variance) = moments(&[9.0], &[41.0], 3);
    update_running(&mut mean, &mut variance, &batch_mean, &batch_variance, 3, 0.1);
    assert_close("mean", &[f64::from(mean[0])], &[0.3], 1);
    assert_close("variance", &[f64::from(variance[0])], &[1.6], 1);
}

#[test]
fn a_single_value_leaves_finite_statistics() {
    let (mut mean, mut variance) = (vec![0.0f32], vec![1.0f32]);
    let (batch_mean, batch_variance) = moments(&[2.0], &[4.0], 1);
    update_running(&mut mean, &mut variance, &batch_mean, &batch_variance, 1, 0.1);
    assert!(mean[0].is_finite() && variance[0].is_finite());
}

/// The factors' gradient of one picture, block by block.
struct FactorsGradient<'a> {
    pixels: usize,
    h: &'a [f32],
    y: &'a [f32],
}

impl WithSimd for FactorsGradient<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { pixels, h, y } = self;
        let (affine, channels) = (Affine::identity(16, Curve::NONE), 16);
        let factors = Factors { values: &[1.0; 16], pixels, skipped: 0 };
        let mut gradient = vec![0.0; channels];
        let (h, y) = (Rows::dense(h, channels), Rows::dense(y, channels));
        for start in (0..pixels).step_by(ROW_BLOCK) {
            let (h, y, factors) = (h.from_row(start), y.from_row(start), factors.from_row(start));
            let rows = ROW_BLOCK.min(pixels - start);
            add_factors_gradient(simd, h, y, rows, channels, &affine, factors, &mut gradient);
        }
        gradient
    }
}

#[test]
fn the_factors_gradient_of_a_large_map_is_exact() {
    let pixels = 256 * 256;
    // Flat, so that every rounding goes the same way.
    let h: Vec<f32> = (0..pixels * 16).map(|index| (index % 16 + 1) as f32 / 10.0).collect();
    let y = vec![1.0; h.len()];
    let expected: Vec<f64> = h[..16].iter().map(|h| pixels as f64 * f64::from(*h)).collect();
    // Chains of a block, and the blocks in one: each addition is off by half a unit in the last place.
    let off = ((ROW_BLOCK + pixels / ROW_BLOCK) / 2 + 1) as f64 * f64::from(f32::EPSILON);
    on_every_isa(|isa| {
        let ours = isa.run(FactorsGradient { pixels, h: &h, y: &y });
        for (ours, expected) in ours.iter().zip(&expected) {
            assert!((f64::from(*ours) / expected - 1.0).abs() < off, "{ours}, expected {expected}");
        }
    });
}

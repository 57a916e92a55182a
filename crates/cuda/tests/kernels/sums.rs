//! What is made of partial sums, against core's own way to make it.

use crate::card::{at, card, flat};
use crate::numbers::{Storage, assert_sums, numbers};
use mobilenet_core::kernels::batch_norm::{Affine, Curve, Gradient, moments, update_running};
use mobilenet_cuda::driver::Arguments;

/// Parts, channels: one part, fewer than lanes, more than lanes.
const SIZES: [(usize, usize); 3] = [(1, 16), (7, 48), (70, 32)];
const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;
const ROWS: usize = 500;

/// Partial sums of about as many values as [`ROWS`], and both totals.
fn partials(parts: usize, channels: usize) -> (Vec<f32>, Vec<f64>, Vec<f64>) {
    let mut values = numbers(1, parts * 2 * channels);
    for part in values.chunks_exact_mut(2 * channels) {
        // Squares are larger than the square of what they are of.
        part[channels..].iter_mut().for_each(|square| *square = square.abs() * 100.0 + 10.0);
    }
    let total = |which: usize| -> Vec<f64> {
        let of = |channel| values.iter().skip(which * channels + channel).step_by(2 * channels);
        (0..channels).map(|channel| of(channel).copied().map(f64::from).sum()).collect()
    };
    let totals = (total(0), total(1));
    (values, totals.0, totals.1)
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[test]
pub fn batch_norm_is_cores() {
    let Some(card) = card() else { return };
    for (parts, channels) in SIZES {
        let (values, sum, squares) = partials(parts, channels);
        let (weight, bias) = (numbers(2, channels), numbers(3, channels));
        let (mut running_mean, mut running_var) = (numbers(4, channels), vec![1.0; channels]);
        let (mean, variance) = moments(&sum, &squares, ROWS);
        let mut affine = Affine::identity(channels, Curve::NONE);
        affine.set(&mean, &variance, &weight, &bias, EPS);

        let partials = card.array(&values);
        let [weight_buffer, bias_buffer, mean_buffer, var_buffer] =
            [&weight, &bias, &running_mean, &running_var].map(|values| card.array(values));
        let [scale, shift, mean_out] = [(); 3].map(|()| card.room(channels));
        let inverse = card.room64(channels);
        let arguments = Arguments::new()
            .with(at(&partials))
            .int(parts)
            .int(channels)
            .with(ROWS as f64)
            .with(at(&weight_buffer))
            .with(at(&bias_buffer))
            .with(EPS)
            .with(MOMENTUM)
            .with(at(&scale))
            .with(at(&shift))
            .with(at(&mean_out))
            .with(at(&inverse))
            .with(at(&mean_buffer))
            .with(at(&var_buffer));
        card.run("normalize_finish", (channels / 16, [16, 32]), arguments);
        // float64 within, so only the last rounding may differ.
        let close = |what: &str, ours: Vec<f32>, expected: &[f32]| {
            assert_sums(what, &ours, &doubles(expected), 1, 0.0, Storage::F32);
        };
        close("scale", card.read(&scale), &affine.scale);
        close("shift", card.read(&shift), &affine.shift);
        close("mean", card.read(&mean_out), &affine.mean);
        update_running(&mut running_mean, &mut running_var, &mean, &variance, ROWS, MOMENTUM);
        close("running mean", card.read(&mean_buffer), &running_mean);
        close("running variance", card.read(&var_buffer), &running_var);
        for (ours, expected) in card.read(&inverse).into_iter().zip(&affine.inverse_std) {
            assert!((ours / expected - 1.0).abs() < 1e-13, "{ours}, expected {expected}");
        }

        let mut gradient = Gradient::new(channels);
        let (mut weight_gradient, mut bias_gradient) = (vec![0.0; channels], vec![0.0; channels]);
        gradient.set(&affine, &sum, &squares, ROWS, &mut weight_gradient, &mut bias_gradient);
        let [slope, offset, weight_out, bias_out] = [(); 4].map(|()| card.room(channels));
        let arguments = Arguments::new()
            .with(at(&partials))
            .int(parts)
            .int(channels)
            .with(ROWS as f64)
            .with(at(&scale))
            .with(at(&mean_out))
            .with(at(&inverse))
            .with(at(&slope))
            .with(at(&offset))
            .with(at(&weight_out))
            .with(at(&bias_out));
        card.run("gradient_finish", (channels / 16, [16, 32]), arguments);
        close("slope", card.read(&slope), &gradient.slope);
        close("offset", card.read(&offset), &gradient.offset);
        close("weight gradient", card.read(&weight_out), &weight_gradient);
        close("bias gradient", card.read(&bias_out), &bias_gradient);

        let arguments = Arguments::new()
            .with(at(&partials))
            .int(parts)
            .int(channels)
            .with(at(&scale))
            .with(at(&bias_out));
        card.run("bias_finish", (channels / 16, [16, 32]), arguments);
        let expected: Vec<f64> =
            sum.iter().zip(affine.scale.iter()).map(|(sum, scale)| sum * f64::from(*scale)).collect();
        assert_sums("bias", &card.read(&bias_out), &expected, 1, 0.0, Storage::F32);
    }
}

#[test]
fn running_statistics_are_read_as_core_folds_them() {
    let Some(card) = card() else { return };
    let channels = 48;
    let (mean, weight, bias) = (numbers(1, channels), numbers(2, channels), numbers(3, channels));
    let variance: Vec<f32> = numbers(4, channels).into_iter().map(|value| value.abs() + 0.1).collect();
    let mut affine = Affine::identity(channels, Curve::NONE);
    affine.set(&doubles(&mean), &doubles(&variance), &weight, &bias, EPS);
    let [mean, variance, weight, bias] = [mean, variance, weight, bias].map(|values| card.array(&values));
    let (scale, shift) = (card.room(channels), card.room(channels));
    let arguments = Arguments::new()
        .with(at(&mean))
        .with(at(&variance))
        .with(at(&weight))
        .with(at(&bias))
        .with(EPS)
        .with(at(&scale))
        .with(at(&shift))
        .int(channels);
    card.run("normalize_running", flat(channels), arguments);
    assert_sums("scale", &card.read(&scale), &doubles(&affine.scale), 1, 0.0, Storage::F32);
    assert_sums("shift", &card.read(&shift), &doubles(&affine.shift), 1, 0.0, Storage::F32);
}

#[test]
pub fn partial_weight_gradients_are_added_up() {
    let Some(card) = card() else { return };
    for (parts, count) in [(1, 16), (2, 36), (5, 64), (32, 48), (100, 144)] {
        let values = numbers(1, parts * count);
        let expected: Vec<f64> = (0..count)
            .map(|index| values.iter().skip(index).step_by(count).copied().map(f64::from).sum())
            .collect();
        let (partials, to) = (card.array(&values), card.room(count));
        let lanes = parts.next_power_of_two().min(32);
        let wide = 256 / lanes;
        let arguments = Arguments::new().with(at(&partials)).int(parts).int(count).with(at(&to));
        card.run("reduce_partials", ((count / 4).div_ceil(wide), [wide, lanes]), arguments);
        assert_sums("sums", &card.read(&to), &expected, parts, 1.0, Storage::F32);
    }
}

use super::{Backward, forward};
use crate::kernels::batch_norm::{Affine, Curve};
use crate::kernels::crew::{Crew, together};
use crate::kernels::padded;
use crate::kernels::segments::{ROW_BLOCK, Sums};
use crate::kernels::testing::{affine, assert_close, gradient_sums, numbers, on_every_isa, pad, read, unpad};

const SIZES: [(usize, usize, usize); 3] = [(1, 1, 1), (2, 4, 17), (3, 9, 32)];

#[test]
fn forward_is_the_mean_of_what_is_read() {
    on_every_isa(|isa| {
        for (pictures, pixels, channels) in SIZES {
            let (map, affine) = (numbers(1, pictures * pixels * channels), affine(2, channels));
            let (activated, _) = read(&map, &affine, channels);
            let mean = |index: usize| {
                let picture = &activated[index / channels * pixels * channels..][..pixels * channels];
                picture.iter().skip(index % channels).step_by(channels).sum::<f64>() / pixels as f64
            };
            let expected: Vec<f64> = (0..pictures * channels).map(mean).collect();
            let map = pad(&map, channels);
            let check = |crew: Option<&Crew<'_>>| {
                let mut features = vec![f32::NAN; pictures * padded(channels)];
                forward(isa, &map, &affine, pixels, padded(channels), &mut features, crew);
                assert_close("features", &unpad(&features, channels), &expected, 4);
            };
            check(None);
            together(|crew| check(Some(crew)));
        }
    });
}

/// Of 256x256 pixels, and of as many as fill no whole number of chains.
const LARGE: [usize; 2] = [256 * 256, 99 * 99];

/// So much may the mean of positive numbers be off: each of the additions of a chain of 64, and the reading, by half a
/// unit in the last place of the sum.
const OFF: f64 = 33.0 * f32::EPSILON as f64;

#[test]
fn the_mean_of_a_large_map_is_exact() {
    let (channels, curve) = (40, Curve::Cut { low: 0.0, high: f32::INFINITY });
    on_every_isa(|isa| {
        for pixels in LARGE {
            // Half of the channels are flat: there every rounding goes the same way.
            let value = |(index, number): (usize, f64)| match index % channels {
                channel if channel % 2 == 0 => f64::from(0.1 + channel as f32 / 97.0),
                _ => number.abs(),
            };
            let map: Vec<f64> = numbers(1, pixels * channels).into_iter().enumerate().map(value).collect();
            let affine = Affine::identity(padded(channels), curve);
            let mut features = vec![f32::NAN; padded(channels)];
            forward(isa, &pad(&map, channels), &affine, pixels, padded(channels), &mut features, None);
            for (channel, ours) in unpad(&features, channels).into_iter().enumerate() {
                let sum: f64 = map.iter().skip(channel).step_by(channels).map(|v| f64::from(*v as f32)).sum();
                let off = (ours / (sum / pixels as f64) - 1.0).abs();
                assert!(off < OFF, "channel {channel} of {pixels} pixels is {off:e} off");
            }
        }
    });
}

#[test]
fn backward_spreads_evenly_and_sums() {
    check_backward(false);
}

#[test]
fn backward_joins_both_gradients_of_an_excited_map() {
    check_backward(true);
}

#[test]
fn the_sums_of_a_large_map_are_exact() {
    let (pixels, channels) = (LARGE[0], 16);
    let map: Vec<f64> = numbers(1, pixels * channels).into_iter().map(f64::abs).collect();
    let features_gradient: Vec<f64> = (1..=channels).map(|channel| channel as f64 / 10.0).collect();
    let affine = Affine::identity(channels, Curve::NONE);
    on_every_isa(|isa| {
        let (mut gradient, mut sums) = (vec![f32::NAN; pixels * channels], Sums::new(channels));
        isa.run(Backward {
            pixels,
            channels,
            map: &pad(&map, channels),
            affine: &affine,
            features_gradient: &pad(&features_gradient, channels),
            factors: None,
            gradient: &mut gradient,
            sums: &mut sums,
        });
        let gradient = unpad(&gradient, channels);
        let (first, second) = gradient_sums(&gradient, &vec![1.0; map.len()], &map, &affine, channels);
        let (sum, products) = Sums::total([&sums].into_iter(), channels);
        // As for the mean, in chains of a block.
        let off = (ROW_BLOCK / 2 + 1) as f64 * f64::from(f32::EPSILON);
        for (ours, expected) in sum.iter().chain(&products).zip(first.iter().chain(&second)) {
            assert!((ours / expected - 1.0).abs() < off, "{ours}, expected {expected}");
        }
    });
}

fn check_backward(excited: bool) {
    on_every_isa(|isa| {
        for (pictures, pixels, channels) in SIZES {
            let (map, affine) = (numbers(1, pictures * pixels * channels), affine(2, channels));
            let features_gradient = numbers(8, pictures * channels);
            let (_, mask) = read(&map, &affine, channels);
            let mut expected: Vec<f64> = (0..map.len())
                .map(|index| {
                    let picture = index / (pixels * channels);
                    features_gradient[picture * channels + index % channels] / pixels as f64
                })
                .collect();
            let mut gradient = vec![f32::NAN; pictures * pixels * padded(channels)];
            let factors = numbers(13, pictures * channels);
            let padded_factors = pad(&factors, channels);
            if excited {
                let multiplied = numbers(12, map.len());
                gradient.copy_from_slice(&pad(&multiplied, channels));
                for (index, (sum, value)) in expected.iter_mut().zip(&multiplied).enumerate() {
                    let picture = index / (pixels * channels);
                    *sum += value * factors[picture * channels + index % channels];
                }
            }
            let mut sums = Sums::new(padded(channels));
            isa.run(Backward {
                pixels,
                channels: padded(channels),
                map: &pad(&map, channels),
                affine: &affine,
                features_gradient: &pad(&features_gradient, channels),
                factors: excited.then_some(&padded_factors[..]),
                gradient: &mut gradient,
                sums: &mut sums,
            });
            assert_close("gradient", &unpad(&gradient, channels), &expected, 4);
            let (first, second) = gradient_sums(&expected, &mask, &map, &affine, channels);
            let (sum, products) = Sums::total([&sums].into_iter(), channels);
            assert_close("sum", &sum, &first, pictures * pixels);
            assert_close("products", &products, &second, pictures * pixels);
        }
    });
}

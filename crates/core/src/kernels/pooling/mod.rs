//! Global average pooling: normalise and activate on load, mean over the pixels; and its backward.

use super::batch_norm::Affine;
use super::batch_norm::cpu::{Rows, mean_rows, sum_gradient_rows};
use super::segments::Sums;
use super::simd::Isa;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// `[pictures, pixels, channels]` to `[pictures, channels]`; `divided` among the threads of the current pool, a picture a
/// task, or not.
pub fn forward(
    isa: Isa,
    map: &[f32],
    affine: &Affine,
    pixels: usize,
    channels: usize,
    features: &mut [f32],
    divided: bool,
) {
    let one = |(picture, features): (&[f32], &mut [f32])| {
        isa.run(Forward { picture, affine, channels, features });
    };
    if divided {
        map.par_chunks_exact(pixels * channels).zip(features.par_chunks_exact_mut(channels)).for_each(one);
    } else {
        map.chunks_exact(pixels * channels).zip(features.chunks_exact_mut(channels)).for_each(one);
    }
}

/// The mean over one picture's pixels.
struct Forward<'a> {
    picture: &'a [f32],
    affine: &'a Affine,
    channels: usize,
    features: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { picture, affine, channels, features } = self;
        let pixels = picture.len() / channels;
        mean_rows(simd, Rows::dense(picture, channels), pixels, channels, affine, features);
    }
}

/// The gradient of what was read from the map, and the sums that its batch norm needs, over one part.
pub struct Backward<'a> {
    /// Pixels of a picture.
    pub pixels: usize,
    /// Padded.
    pub channels: usize,
    /// The stored map of the part's pictures.
    pub map: &'a [f32],
    /// How the map was read.
    pub affine: &'a Affine,
    /// `[pictures, channels]`: gradient of the features.
    pub features_gradient: &'a [f32],
    /// `[pictures, channels]`: what the map's other reader multiplied it by, if there is one (squeeze-and-excitation).
    pub factors: Option<&'a [f32]>,
    /// `[pictures, pixels, channels]`: written. With factors it holds the gradient of the multiplied map, and what comes
    /// from the features is added.
    pub gradient: &'a mut [f32],
    /// Sums for the map's batch norm.
    pub sums: &'a mut Sums,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pixels, channels, affine, sums, .. } = self;
        let (size, share) = (pixels * channels, 1.0 / pixels as f32);
        let pictures = self.map.chunks_exact(size).zip(self.gradient.chunks_exact_mut(size)).enumerate();
        for (picture, (map, gradient)) in pictures {
            let features = &self.features_gradient[picture * channels..][..channels];
            let factors = self.factors.map(|factors| &factors[picture * channels..][..channels]);
            for pixel in gradient.chunks_exact_mut(channels) {
                // Loops and no closures: a closure would be compiled apart, without the instruction set.
                if let Some(factors) = factors {
                    for ((to, feature), factor) in pixel.iter_mut().zip(features).zip(factors) {
                        *to = *to * factor + feature * share;
                    }
                } else {
                    for (to, feature) in pixel.iter_mut().zip(features) {
                        *to = feature * share;
                    }
                }
            }
            let (g, y) = (Rows::dense(gradient, channels), Rows::dense(map, channels));
            sum_gradient_rows(simd, g, y, pixels, channels, affine, &mut sums.first, &mut sums.second);
            sums.added(pixels, channels);
        }
        sums.flush(channels);
    }
}

#[cfg(test)]
mod tests {
    use super::{Backward, forward};
    use crate::kernels::padded;
    use crate::kernels::segments::Sums;
    use crate::kernels::testing::{
        affine, assert_close, gradient_sums, numbers, on_every_isa, pad, read, unpad,
    };

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
                for divided in [false, true] {
                    let mut features = vec![f32::NAN; pictures * padded(channels)];
                    let map = pad(&map, channels);
                    forward(isa, &map, &affine, pixels, padded(channels), &mut features, divided);
                    assert_close("features", &unpad(&features, channels), &expected, 4);
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
}

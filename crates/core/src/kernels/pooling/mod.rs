//! Global average pooling: normalise and activate on load, mean over the pixels; and its backward.

use super::batch_norm::Affine;
use super::batch_norm::cpu::{Rows, sum_gradient_rows};
use super::segments::Sums;
use pulp::{Simd, WithSimd};

/// `[pictures, pixels, channels]` to `[pictures, channels]`. Sums in float64: the map is small, and so it costs nothing.
pub fn forward(map: &[f32], affine: &Affine, pixels: usize, channels: usize, features: &mut [f32]) {
    let mut sums = vec![0.0f64; channels];
    for (map, features) in map.chunks_exact(pixels * channels).zip(features.chunks_exact_mut(channels)) {
        sums.fill(0.0);
        for pixel in map.chunks_exact(channels) {
            for channel in 0..channels {
                let n = affine.scale[channel].mul_add(pixel[channel], affine.shift[channel]);
                sums[channel] += f64::from(n.clamp(affine.bounds.low, affine.bounds.high));
            }
        }
        for (feature, sum) in features.iter_mut().zip(&sums) {
            *feature = (sum / pixels as f64) as f32;
        }
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
    /// `[pictures, pixels, channels]`: written.
    pub gradient: &'a mut [f32],
    /// Sums for the map's batch norm.
    pub sums: &'a mut Sums,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pixels, channels, affine, sums, .. } = self;
        let size = pixels * channels;
        let pictures = self.map.chunks_exact(size).zip(self.gradient.chunks_exact_mut(size));
        for ((map, gradient), features) in pictures.zip(self.features_gradient.chunks_exact(channels)) {
            for pixel in gradient.chunks_exact_mut(channels) {
                for (to, feature) in pixel.iter_mut().zip(features) {
                    *to = feature / pixels as f32;
                }
            }
            let (g, y) = (Rows::dense(gradient, channels), Rows::dense(map, channels));
            sum_gradient_rows(simd, g, y, pixels, channels, affine, &mut sums.first, &mut sums.second);
            sums.added(pixels, channels);
        }
        sums.flush(channels);
    }
}

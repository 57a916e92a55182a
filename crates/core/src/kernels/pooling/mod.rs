//! Global average pooling: normalise and activate on load, mean over the pixels; and its backward.

mod cpu;

use super::batch_norm::Affine;
use super::batch_norm::cpu::{Rows, sum_gradient_rows};
use super::crew::{Crew, for_each_chunk};
use super::segments::{ROW_BLOCK, Sums};
use super::simd::Isa;
use cpu::mean_rows;
use pulp::{Simd, WithSimd};

/// `[pictures, pixels, channels]` to `[pictures, channels]`; divided among `crew`, a picture a task.
pub fn forward(
    isa: Isa,
    map: &[f32],
    affine: &Affine,
    pixels: usize,
    channels: usize,
    features: &mut [f32],
    crew: Option<&Crew<'_>>,
) {
    let features = &mut features[..map.len() / pixels];
    for_each_chunk(crew, features, channels, |picture, features| {
        let picture = &map[picture * pixels * channels..][..pixels * channels];
        isa.run(Forward { picture, affine, channels, features });
    });
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
            for start in (0..pixels).step_by(ROW_BLOCK) {
                let count = ROW_BLOCK.min(pixels - start);
                let (g, y, first) = (g.from_row(start), y.from_row(start), &mut sums.first);
                sum_gradient_rows(simd, g, y, count, channels, affine, first, &mut sums.second);
                sums.added(count, channels);
            }
        }
        sums.flush(channels);
    }
}

#[cfg(test)]
mod tests;

//! The shortcut round an inverted residual (MobileNet V2, section 3.3): the sum of what is read from two maps. Its
//! gradient is both maps' as it is, so that there is no backward pass; only the sums of their batch norms have one
//! ([`super::batch_norm::sum`]).

use super::batch_norm::{Affine, CurveRegisters};
use super::simd::{lanes, load, multiply_add, store};
use pulp::{Simd, WithSimd};

/// The rows of one part.
pub struct Forward<'a> {
    /// Padded.
    pub channels: usize,
    /// Two stored maps, `[rows, channels]`, and how they are read.
    pub maps: [(&'a [f32], &'a Affine); 2],
    /// `[rows, channels]`: written.
    pub output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { channels, maps: [(a, a_affine), (b, b_affine)], output } = self;
        let rows = output.len() / channels;
        assert!(rows * channels <= a.len().min(b.len()) && channels.is_multiple_of(lanes::<S>()));
        for affine in [a_affine, b_affine] {
            assert!(affine.scale.len() >= channels && affine.shift.len() >= channels);
        }
        let (a_curve, b_curve) =
            (CurveRegisters::new(simd, a_affine.curve), CurveRegisters::new(simd, b_affine.curve));
        for row in 0..rows {
            for channel in (0..channels).step_by(lanes::<S>()) {
                let at = row * channels + channel;
                // SAFETY: row < rows and channel + lanes <= channels: within what was checked above.
                unsafe {
                    let mut sum = simd.splat_f32s(0.0);
                    for (map, affine, curve) in [(a, a_affine, a_curve), (b, b_affine, b_curve)] {
                        let scale = load::<S>(affine.scale.as_ptr().add(channel));
                        let shift = load::<S>(affine.shift.as_ptr().add(channel));
                        let n = multiply_add(simd, load::<S>(map.as_ptr().add(at)), scale, shift);
                        sum = simd.add_f32s(sum, curve.at(simd, n));
                    }
                    store::<S>(output.as_mut_ptr().add(at), sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Forward;
    use crate::kernels::batch_norm::{Affine, Curve};
    use crate::kernels::padded;
    use crate::kernels::testing::{affine, assert_close, numbers, on_every_isa, pad, read, unpad};

    #[test]
    fn forward_is_the_sum_of_what_is_read() {
        on_every_isa(|isa| {
            for (rows, channels) in [(1, 1), (7, 16), (30, 19)] {
                let (a, b) = (numbers(1, rows * channels), numbers(2, rows * channels));
                let mut a_affine = affine(3, channels);
                a_affine.curve = Curve::NONE;
                let b_affine = Affine::identity(padded(channels), Curve::NONE);
                let (read_a, _) = read(&a, &a_affine, channels);
                let expected: Vec<f64> = read_a.iter().zip(&b).map(|(a, b)| a + b).collect();
                let mut output = vec![f32::NAN; pad(&a, channels).len()];
                isa.run(Forward {
                    channels: padded(channels),
                    maps: [(&pad(&a, channels), &a_affine), (&pad(&b, channels), &b_affine)],
                    output: &mut output,
                });
                assert_close("sum", &unpad(&output, channels), &expected, 4);
            }
        });
    }
}

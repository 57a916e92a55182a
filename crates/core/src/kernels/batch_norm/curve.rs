//! The activations, as what is read of a normalised value, and their slopes.

use crate::config::Activation;
use crate::kernels::simd::{lanes, multiply_add};
use pulp::Simd;

/// What is read of a normalised value `n`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Curve {
    /// `min(max(low, n), high)`: ReLU and ReLU6, and no activation.
    Cut {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
    /// `n * min(max(0, n + 3), 6) / 6`.
    HardSwish,
}

impl Curve {
    /// No activation.
    pub const NONE: Self = Self::Cut { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// An activation, and what is to be done to the value before it: a factor and a summand.
    pub fn of(activation: Activation) -> (Self, f32, f32) {
        match activation {
            Activation::Identity => (Self::NONE, 1.0, 0.0),
            Activation::Relu => (Self::Cut { low: 0.0, high: f32::INFINITY }, 1.0, 0.0),
            Activation::Relu6 => (Self::Cut { low: 0.0, high: 6.0 }, 1.0, 0.0),
            Activation::HardSwish => (Self::HardSwish, 1.0, 0.0),
            Activation::HardSigmoid => (Self::Cut { low: 0.0, high: 1.0 }, 1.0 / 6.0, 0.5),
        }
    }
}

/// A curve with its constants in registers.
#[derive(Clone, Copy)]
pub struct CurveRegisters<S: Simd> {
    low: S::f32s,
    high: S::f32s,
    hard_swish: bool,
}

impl<S: Simd> CurveRegisters<S> {
    /// Of a curve.
    #[inline(always)]
    pub fn new(simd: S, curve: Curve) -> Self {
        let (low, high, hard_swish) = match curve {
            Curve::Cut { low, high } => (low, high, false),
            Curve::HardSwish => (0.0, 1.0, true),
        };
        Self { low: simd.splat_f32s(low), high: simd.splat_f32s(high), hard_swish }
    }

    /// The curve at `n`.
    #[inline(always)]
    pub fn at(self, simd: S, n: S::f32s) -> S::f32s {
        // The same way for every value of a pass: the compiler makes two loops of it, or the processor guesses right.
        if self.hard_swish {
            let sixth = multiply_add(simd, n, simd.splat_f32s(1.0 / 6.0), simd.splat_f32s(0.5));
            simd.mul_f32s(n, self.cut(simd, sixth))
        } else {
            self.cut(simd, n)
        }
    }

    /// `g` times the curve's slope at `n`.
    #[inline(always)]
    pub fn times_slope(self, simd: S, g: S::f32s, n: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        if self.hard_swish {
            let slope = multiply_add(simd, n, simd.splat_f32s(1.0 / 3.0), simd.splat_f32s(0.5));
            let slope = simd.select_f32s(simd.greater_than_f32s(n, simd.splat_f32s(-3.0)), slope, zero);
            let below = simd.less_than_f32s(n, simd.splat_f32s(3.0));
            simd.mul_f32s(g, simd.select_f32s(below, slope, simd.splat_f32s(1.0)))
        } else {
            let g = simd.select_f32s(simd.greater_than_f32s(n, self.low), g, zero);
            simd.select_f32s(simd.less_than_f32s(n, self.high), g, zero)
        }
    }

    /// Cuts to the bounds. A NaN stays one, so that a diverged run shows as one.
    #[inline(always)]
    pub fn cut(self, simd: S, n: S::f32s) -> S::f32s {
        if lanes::<S>() == 4 {
            // Without SIMD, `min` and `max` are Rust's, which drop a NaN; no comparison with one is true.
            let n = simd.select_f32s(simd.less_than_f32s(n, self.low), self.low, n);
            simd.select_f32s(simd.greater_than_f32s(n, self.high), self.high, n)
        } else {
            // The value stands second, where x86 keeps a NaN.
            simd.min_f32s(self.high, simd.max_f32s(self.low, n))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Curve, CurveRegisters};
    use crate::config::Activation;
    use crate::kernels::simd::{lanes, load, store};
    use crate::kernels::testing::{assert_close, on_every_isa};
    use pulp::{Simd, WithSimd};

    /// Values and slopes of an activation at 16 places.
    struct Evaluate(Activation, [f32; 16]);

    impl WithSimd for Evaluate {
        type Output = ([f32; 16], [f32; 16]);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let (curve, scale, shift) = Curve::of(self.0);
            let curve = CurveRegisters::new(simd, curve);
            let (mut values, mut slopes) = ([0.0; 16], [0.0; 16]);
            for at in (0..16).step_by(lanes::<S>()) {
                // SAFETY: 16 is a multiple of every register's floats.
                unsafe {
                    let x = load::<S>(self.1.as_ptr().add(at));
                    let n = simd.add_f32s(simd.mul_f32s(x, simd.splat_f32s(scale)), simd.splat_f32s(shift));
                    store::<S>(values.as_mut_ptr().add(at), curve.at(simd, n));
                    store::<S>(
                        slopes.as_mut_ptr().add(at),
                        curve.times_slope(simd, simd.splat_f32s(scale), n),
                    );
                }
            }
            (values, slopes)
        }
    }

    /// A run that diverges must show it, whatever the processor.
    #[test]
    fn no_number_stays_none() {
        for activation in [
            Activation::Identity,
            Activation::Relu,
            Activation::Relu6,
            Activation::HardSwish,
            Activation::HardSigmoid,
        ] {
            on_every_isa(|isa| {
                let (values, _) = isa.run(Evaluate(activation, [f32::NAN; 16]));
                assert!(values.iter().all(|value| value.is_nan()), "{activation:?}: {values:?}");
            });
        }
    }

    #[test]
    fn values_and_slopes_are_the_definitions() {
        let places: [f32; 16] = std::array::from_fn(|index| index as f32 - 7.25);
        let double = |values: [f32; 16]| values.map(f64::from);
        let hard_sigmoid = |x: f64| (x + 3.0).clamp(0.0, 6.0) / 6.0;
        let definitions: [(Activation, &dyn Fn(f64) -> f64); 5] = [
            (Activation::Identity, &|x| x),
            (Activation::Relu, &|x| x.max(0.0)),
            (Activation::Relu6, &|x| x.clamp(0.0, 6.0)),
            (Activation::HardSwish, &|x| x * hard_sigmoid(x)),
            (Activation::HardSigmoid, &hard_sigmoid),
        ];
        on_every_isa(|isa| {
            for (activation, definition) in definitions {
                let (values, slopes) = isa.run(Evaluate(activation, places));
                let expected = double(places).map(definition);
                assert_close(&format!("{activation:?}"), &double(values), &expected, 4);
                let slope = |x: f64| (definition(x + 1e-6) - definition(x - 1e-6)) / 2e-6;
                for (slope, expected) in double(slopes).into_iter().zip(double(places).map(slope)) {
                    assert!((slope - expected).abs() < 1e-6, "{activation:?}: {slope}, expected {expected}");
                }
            }
        });
    }
}

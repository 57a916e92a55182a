//! How a stored map is read, as the kernels are told it and as it is defined.

use crate::card::{Card, at};
use crate::numbers::numbers;
use mobilenet_cuda::driver::{Argument, DeviceBuffer};

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Reading {
    scale: u64,
    shift: u64,
    low: f32,
    high: f32,
    hard_swish: i32,
    unused: i32,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct GradientReading {
    scale: u64,
    slope: u64,
    offset: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct SumReading {
    reading: Reading,
    mean: u64,
}

// SAFETY: 32 bytes as `kernels/README.md` has them, none of them padding.
unsafe impl Argument for Reading {}
// SAFETY: 24 bytes, none of them padding.
unsafe impl Argument for GradientReading {}
// SAFETY: 40 bytes, none of them padding.
unsafe impl Argument for SumReading {}

/// The activations, as curves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Curve {
    Cut(f32, f32),
    HardSwish,
}

impl Curve {
    pub const ALL: [Self; 4] = [
        Self::Cut(f32::NEG_INFINITY, f32::INFINITY),
        Self::Cut(0.0, f32::INFINITY),
        Self::Cut(-0.25, 0.5),
        Self::HardSwish,
    ];
    pub const RELU: Self = Self::ALL[1];
}

/// A map's numbers a channel, on both sides.
pub struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    pub mean: Vec<f32>,
    slope: Vec<f32>,
    offset: Vec<f32>,
    curve: Curve,
    buffers: [DeviceBuffer<f32>; 5],
}

impl Norm {
    pub fn new(card: &Card, seed: u32, channels: usize, curve: Curve) -> Self {
        // Wide enough that hard swish's bends are met.
        let factor = if curve == Curve::HardSwish { 5.0 } else { 1.0 };
        let make = |index| -> Vec<f32> {
            let factor = if index < 2 { factor } else { 1.0 };
            numbers(seed * 10 + index, channels).into_iter().map(|value| value * factor).collect()
        };
        let all = [make(0), make(1), make(2), make(3), make(4)];
        let buffers = all.each_ref().map(|values| card.array(values));
        let [scale, shift, mean, slope, offset] = all;
        Self { scale, shift, mean, slope, offset, curve, buffers }
    }

    pub fn reading(&self) -> Reading {
        let (low, high, hard_swish) = match self.curve {
            Curve::Cut(low, high) => (low, high, 0),
            Curve::HardSwish => (0.0, 1.0, 1),
        };
        Reading { scale: at(&self.buffers[0]), shift: at(&self.buffers[1]), low, high, hard_swish, unused: 0 }
    }

    pub fn gradient_reading(&self) -> GradientReading {
        let [scale, _, _, slope, offset] = self.buffers.each_ref().map(at);
        GradientReading { scale, slope, offset }
    }

    pub fn sum_reading(&self) -> SumReading {
        SumReading { reading: self.reading(), mean: at(&self.buffers[2]) }
    }

    fn before(&self, y: f32, channel: usize) -> f32 {
        y.mul_add(self.scale[channel], self.shift[channel])
    }

    /// What is read of `y`, to the bit.
    pub fn read(&self, y: f32, channel: usize) -> f32 {
        let n = self.before(y, channel);
        match self.curve {
            Curve::Cut(low, high) => n.clamp(low, high),
            Curve::HardSwish => n * n.mul_add(1.0 / 6.0, 0.5).clamp(0.0, 1.0),
        }
    }

    /// `g` times the curve's slope at `y`.
    pub fn times_slope(&self, g: f32, y: f32, channel: usize) -> f32 {
        let n = self.before(y, channel);
        match self.curve {
            Curve::Cut(low, high) => {
                if n > low && n < high {
                    g
                } else {
                    0.0
                }
            }
            Curve::HardSwish if n <= -3.0 => 0.0,
            Curve::HardSwish if n >= 3.0 => g,
            Curve::HardSwish => g * n.mul_add(1.0 / 3.0, 0.5),
        }
    }

    /// The gradient of the stored `y` from that of its normalised value, to the bit.
    pub fn gradient(&self, g: f32, y: f32, channel: usize) -> f32 {
        let rest = y.mul_add(self.slope[channel], self.offset[channel]);
        g.mul_add(self.scale[channel], rest)
    }

    /// All of a map that is read.
    pub fn read_all(&self, map: &[f32]) -> Vec<f32> {
        let channels = self.scale.len();
        map.iter().enumerate().map(|(index, y)| self.read(*y, index % channels)).collect()
    }

    /// All of a map's gradient.
    pub fn gradient_all(&self, gradient: &[f32], map: &[f32]) -> Vec<f32> {
        let channels = self.scale.len();
        let one = |(index, (g, y)): (usize, (&f32, &f32))| self.gradient(*g, *y, index % channels);
        gradient.iter().zip(map).enumerate().map(one).collect()
    }

    /// The gradients of a map's normalised values from those of what was read of it.
    pub fn inner_gradient(&self, gradient: &[f64], map: &[f32]) -> Vec<f64> {
        let channels = self.scale.len();
        let one = |(index, (g, y)): (usize, (&f64, &f32))| {
            g * f64::from(self.times_slope(1.0, *y, index % channels))
        };
        gradient.iter().zip(map).enumerate().map(one).collect()
    }

    /// The sums of `g m` and of `g m (y - mean)`, a channel.
    pub fn gradient_sums(&self, gradient: &[f64], map: &[f32]) -> Vec<f64> {
        let channels = self.scale.len();
        let mut sums = vec![0.0; 2 * channels];
        for (index, (g, y)) in gradient.iter().zip(map).enumerate() {
            let channel = index % channels;
            let g = g * f64::from(self.times_slope(1.0, *y, channel));
            sums[channel] += g;
            sums[channels + channel] += g * (f64::from(*y) - f64::from(self.mean[channel]));
        }
        sums
    }
}

/// The sums of values and of their squares, a channel.
pub fn value_sums(values: &[f64], channels: usize) -> Vec<f64> {
    let mut sums = vec![0.0; 2 * channels];
    for (index, value) in values.iter().enumerate() {
        sums[index % channels] += value;
        sums[channels + index % channels] += value * value;
    }
    sums
}

//! Pillow's resizing of 8-bit pictures, bit for bit: an antialiased bilinear filter in two passes, first along rows and then
//! along columns, each in fixed point and rounded to bytes (`src/libImaging/Resample.c` there).

use crate::kernels::simd::Isa;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Red, green, blue.
const CHANNELS: usize = 3;
/// Fraction bits of a weight: what is left of an `i32` beside 8 bits of a pixel and 2 of headroom.
const FRACTION_BITS: u32 = 32 - 8 - 2;
/// A half, so that cutting the fraction off rounds.
const HALF: i32 = 1 << (FRACTION_BITS - 1);
/// Pixels that are weighed at a time along a row: with their channels whole registers of any width.
const GROUP: usize = 8;
/// Most pixels of an output that are weighed one by one, each with its channels in one register, which needs no sum across
/// registers; with more than these that sum is what takes less time.
const FEW_TAPS: usize = 9;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Column of its first pixel.
    pub left: usize,
    /// Row of its first pixel.
    pub top: usize,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

impl Region {
    fn columns(&self) -> Range<usize> {
        self.left..self.left + self.width
    }

    fn rows(&self) -> Range<usize> {
        self.top..self.top + self.height
    }
}

/// A resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resample {
    /// What is resized; pixels outside don't take part, as if it had been cut out before.
    pub from: Region,
    /// Width and height that it gets, in pixels.
    pub size: (usize, usize),
    /// What of the result is wanted; no more is computed.
    pub window: Region,
}

impl Resample {
    /// The window's bytes `[height, width, 3]`, of a picture `[.., picture_width, 3]`.
    ///
    /// # Panics
    /// When a region is empty or reaches beyond the picture or the result.
    pub fn run(&self, pixels: &[u8], picture_width: usize) -> Vec<u8> {
        let Self { from, size, window } = *self;
        let columns = Axis::new(from.width, size.0, window.columns());
        let rows = Axis::new(from.height, size.1, window.rows());
        // Where nothing changes along an axis, its pass is left out, as in Pillow.
        let resizes_columns = from.height != size.1;
        let needed = if resizes_columns { rows.inputs() } else { window.rows() };
        let source = (from.top + needed.start..from.top + needed.end).map(|row| {
            let start = (row * picture_width + from.left) * CHANNELS;
            &pixels[start..start + from.width * CHANNELS]
        });
        if self.columns_first() {
            let source: Vec<u8> = source.flatten().copied().collect();
            let down = Down { source: &source, first_row: needed.start, axis: rows, width: from.width };
            let down = Isa::best().run(down);
            return self.across(down.chunks_exact(from.width * CHANNELS), &columns, window.height);
        }
        let across = self.across(source, &columns, needed.len());
        if !resizes_columns {
            return across;
        }
        Isa::best().run(Down { source: &across, first_row: needed.start, axis: rows, width: window.width })
    }

    /// The pass along these rows.
    fn across<'a>(&self, source: impl Iterator<Item = &'a [u8]>, columns: &Axis, rows: usize) -> Vec<u8> {
        let Self { from, size, window } = *self;
        if from.width == size.0 {
            let wanted = window.left * CHANNELS..(window.left + window.width) * CHANNELS;
            return source.flat_map(|row| &row[wanted.clone()]).copied().collect();
        }
        if columns.taps <= FEW_TAPS {
            return Isa::best().run(AcrossFew { source, axis: columns, rows });
        }
        Isa::best().run(Across { source, axis: columns.expanded(from.width), rows })
    }

    /// Pillow 13 begins with the columns where the height shrinks by more than twice what the width does.
    fn columns_first(&self) -> bool {
        let lost = |from: usize, to: usize| from as isize - to as isize;
        let (width, height) = (lost(self.from.width, self.size.0), lost(self.from.height, self.size.1));
        height > 0 && height > 2 * width
    }
}

/// Along one axis: which inputs make each output, and with what weights.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Axis {
    /// Of each output, the first input.
    first: Vec<usize>,
    /// Of each output `taps` weights in fixed point; those of fewer inputs end with zeros.
    weights: Vec<i32>,
    /// Most inputs of an output.
    taps: usize,
    /// One behind the last input of the last output.
    end: usize,
}

impl Axis {
    /// For `window` of `outputs` pixels made of `inputs`. Each step in float64 as Pillow's `precompute_coeffs` has it.
    fn new(inputs: usize, outputs: usize, window: Range<usize>) -> Self {
        assert!(!window.is_empty() && window.end <= outputs && inputs > 0, "{window:?} of {outputs}");
        let scale = inputs as f64 / outputs as f64;
        // Also the filter's radius, which is 1 where a picture grows.
        let radius = scale.max(1.0);
        let taps = radius.ceil() as usize * 2 + 1;
        let (mut first, mut weights) = (Vec::new(), Vec::new());
        let mut end = 0;
        for output in window {
            let center = (output as f64 + 0.5) * scale;
            // A cast cuts off towards zero, and makes 0 of what is below.
            let start = (center - radius + 0.5) as usize;
            end = ((center + radius + 0.5) as usize).min(inputs);
            let triangle = |input: usize| {
                let distance = ((input as f64 - center + 0.5) * (1.0 / radius)).abs();
                if distance < 1.0 { 1.0 - distance } else { 0.0 }
            };
            let sum: f64 = (start..end).map(triangle).sum();
            let one = f64::from(1 << FRACTION_BITS);
            weights.extend((start..end).map(|input| (0.5 + triangle(input) / sum * one) as i32));
            first.push(start);
            weights.resize(first.len() * taps, 0);
        }
        Self { first, weights, taps, end }
    }

    /// Every input that takes part.
    fn inputs(&self) -> Range<usize> {
        self.first[0]..self.end
    }

    /// Of each output its weights.
    fn outputs(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.first.iter().copied().zip(self.weights.chunks_exact(self.taps))
    }

    /// The same with a weight for each byte, and so many of them that they are read in whole groups; a group begins early
    /// enough not to end behind the last of `inputs` pixels, unless there are fewer than it needs.
    fn expanded(&self, inputs: usize) -> Self {
        let taps = self.taps.next_multiple_of(GROUP);
        let mut first = Vec::with_capacity(self.first.len());
        let mut weights = vec![0; self.first.len() * taps * CHANNELS];
        for ((start, own), bytes) in self.outputs().zip(weights.chunks_exact_mut(taps * CHANNELS)) {
            let begin = start.min(inputs.saturating_sub(taps));
            // What doesn't fit in any more are zeros for pixels behind the last.
            for (pixel, weight) in bytes.chunks_exact_mut(CHANNELS).skip(start - begin).zip(own) {
                pixel.fill(*weight);
            }
            first.push(begin);
        }
        Self { first, weights, taps: taps * CHANNELS, end: self.end }
    }
}

/// The pass along rows.
struct Across<I> {
    /// Of each row the bytes.
    source: I,
    /// Expanded.
    axis: Axis,
    /// How many rows.
    rows: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]>> WithSimd for Across<I> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<u8> {
        let mut output = vec![0; self.rows * self.axis.first.len() * CHANNELS];
        let mut padded = vec![0; self.axis.taps];
        for (row, output) in self.source.zip(output.chunks_exact_mut(self.axis.first.len() * CHANNELS)) {
            let row = if row.len() < self.axis.taps {
                padded[..row.len()].copy_from_slice(row);
                &padded
            } else {
                row
            };
            for (output, (first, weights)) in
                output.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(self.axis.outputs())
            {
                const BYTES: usize = GROUP * CHANNELS;
                let mut sums = [0; BYTES];
                let bytes = &row[first * CHANNELS..][..weights.len()];
                for (bytes, weights) in
                    bytes.as_chunks::<BYTES>().0.iter().zip(weights.as_chunks::<BYTES>().0)
                {
                    for lane in 0..BYTES {
                        sums[lane] += i32::from(bytes[lane]) * weights[lane];
                    }
                }
                for (channel, output) in output.iter_mut().enumerate() {
                    let sum: i32 = sums[channel..].iter().step_by(CHANNELS).sum();
                    *output = rounded(sum + HALF);
                }
            }
        }
        output
    }
}

/// The pass along rows where few inputs make an output.
struct AcrossFew<'a, I> {
    /// Of each row the bytes.
    source: I,
    axis: &'a Axis,
    /// How many rows.
    rows: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]>> WithSimd for AcrossFew<'_, I> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<u8> {
        // A pixel is read with the byte behind it.
        const BYTES: usize = CHANNELS + 1;
        let Axis { first, taps, .. } = self.axis;
        let width = first.len() * CHANNELS;
        let mut output = vec![0; self.rows * width];
        // Zeros stand where the last output has weights for pixels behind the last one.
        let mut row = vec![0; (first[first.len() - 1] + taps) * CHANNELS + 1];
        for (source, output) in self.source.zip(output.chunks_exact_mut(width)) {
            let read = source.len().min(row.len());
            row[..read].copy_from_slice(&source[..read]);
            for (output, (first, weights)) in
                output.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(self.axis.outputs())
            {
                let mut sums = [HALF; BYTES];
                let pixels = &row[first * CHANNELS..][..taps * CHANNELS + 1];
                for (tap, weight) in weights.iter().enumerate() {
                    let pixel = &pixels[tap * CHANNELS..][..BYTES];
                    for lane in 0..BYTES {
                        sums[lane] += i32::from(pixel[lane]) * weight;
                    }
                }
                for channel in 0..CHANNELS {
                    output[channel] = rounded(sums[channel]);
                }
            }
        }
        output
    }
}

/// The pass along columns.
struct Down<'a> {
    source: &'a [u8],
    /// The row of the resized region that the source begins with.
    first_row: usize,
    axis: Axis,
    /// Pixels in a row.
    width: usize,
}

impl WithSimd for Down<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<u8> {
        let bytes = self.width * CHANNELS;
        let mut output = Vec::with_capacity(self.axis.first.len() * bytes);
        let mut sums = vec![0; bytes];
        for (first, weights) in self.axis.outputs() {
            sums.fill(HALF);
            let rows = self.source.chunks_exact(bytes).skip(first - self.first_row);
            for (row, weight) in rows.zip(weights) {
                for (sum, byte) in sums.iter_mut().zip(row) {
                    *sum += i32::from(*byte) * weight;
                }
            }
            output.extend(sums.iter().map(|sum| rounded(*sum)));
        }
        output
    }
}

/// A sum in fixed point, to which [`HALF`] was added, as a byte.
#[inline(always)]
fn rounded(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

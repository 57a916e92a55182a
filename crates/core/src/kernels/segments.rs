//! How a pass is divided among threads: always into the same parts, so that the bits don't depend on the threads.

use super::buffer::{Values, values};
use std::ops::Range;

/// Parts that a pass is divided into, whatever the number of threads. Each has its own sums and its own weight
/// gradient, added up in order at the end. More parts serve more threads, but each costs a weight gradient of its own
/// where rows are many: 8 cost 1 to 2 % of a step over 4, and keep 8 threads busy.
pub const SEGMENTS: usize = 8;

/// Rows of a map that are handled together by a product: with 512 channels 192 KB, which leaves room in a 512 KB L2
/// cache. A multiple of every micro-kernel's rows (12, 6, 4). It decides where float32 sums end, and so the bits.
pub const ROW_BLOCK: usize = 96;

/// Part `index` of `count` things.
pub fn segment(count: usize, index: usize) -> Range<usize> {
    count * index / SEGMENTS..count * (index + 1) / SEGMENTS
}

/// Cuts `map`, `count` things of `size` floats each, into its parts. (What lies behind is left out.)
pub fn split_mut(map: &mut [f32], count: usize, size: usize) -> Vec<&mut [f32]> {
    let mut rest = &mut map[..count * size];
    let mut parts = Vec::with_capacity(SEGMENTS);
    for index in 0..SEGMENTS {
        let (part, next) = rest.split_at_mut(segment(count, index).len() * size);
        parts.push(part);
        rest = next;
    }
    parts
}

/// Two sums a channel, in float32 until the next [`Sums::flush`] (mostly some [`ROW_BLOCK`] rows) and in float64 beyond.
#[derive(Debug, Clone)]
pub struct Sums {
    /// The first sum of the rows since the last [`Sums::flush`].
    pub first: Values,
    /// The second one.
    pub second: Values,
    first_total: Vec<f64>,
    second_total: Vec<f64>,
    pending_rows: usize,
}

impl Sums {
    /// Room for `channels` (padded) channels.
    pub fn new(channels: usize) -> Self {
        Self {
            first: values(channels, 0.0),
            second: values(channels, 0.0),
            first_total: vec![0.0; channels],
            second_total: vec![0.0; channels],
            pending_rows: 0,
        }
    }

    /// Begins again.
    pub fn clear(&mut self, channels: usize) {
        self.first[..channels].fill(0.0);
        self.second[..channels].fill(0.0);
        self.first_total[..channels].fill(0.0);
        self.second_total[..channels].fill(0.0);
        self.pending_rows = 0;
    }

    /// Says that `rows` more rows were added to `first` and `second`; moves them to float64 when it is time.
    pub fn added(&mut self, rows: usize, channels: usize) {
        self.pending_rows += rows;
        if self.pending_rows >= ROW_BLOCK {
            self.flush(channels);
        }
    }

    /// Moves what `first` and `second` hold to float64.
    pub fn flush(&mut self, channels: usize) {
        for (total, part) in
            [(&mut self.first_total, &mut self.first), (&mut self.second_total, &mut self.second)]
        {
            for (total, part) in total[..channels].iter_mut().zip(&mut part[..channels]) {
                *total += f64::from(*part);
                *part = 0.0;
            }
        }
        self.pending_rows = 0;
    }

    /// The totals of all parts, added up in order; every part must have been flushed.
    pub fn total<'a>(parts: impl Iterator<Item = &'a Sums>, channels: usize) -> (Vec<f64>, Vec<f64>) {
        let (mut first, mut second) = (vec![0.0; channels], vec![0.0; channels]);
        for part in parts {
            for channel in 0..channels {
                first[channel] += part.first_total[channel];
                second[channel] += part.second_total[channel];
            }
        }
        (first, second)
    }
}

//! What one task of an optimizer's pass works on.

use super::clip::Clip;
use std::ops::Range;

/// Parameters that one task handles at most: 64 KB an operand, so that a task is long against its start.
const LONGEST: usize = 16_384;

/// A stretch of the parameters, alike in what decays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    length: usize,
    decays: bool,
}

/// Divides `parameters` values, of which `decaying` ones decay, into spans.
pub(super) fn spans(decaying: &[Range<usize>], parameters: usize) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut end = 0;
    let mut push = |to: usize, decays: bool| {
        while end < to {
            let length = (to - end).min(LONGEST);
            spans.push(Span { length, decays });
            end += length;
        }
    };
    for range in decaying {
        push(range.start, false);
        push(range.end, true);
    }
    push(parameters, false);
    spans
}

/// A span's values. Buffers that the optimizer hasn't are empty.
pub(super) struct Chunk<'a> {
    pub parameters: &'a mut [f32],
    pub gradients: &'a [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
    clip: Clip,
    decays: bool,
}

impl<'a> Chunk<'a> {
    /// All of them.
    pub fn all(
        spans: &[Span],
        mut parameters: &'a mut [f32],
        mut gradients: &'a [f32],
        buffers: &'a mut [Vec<f32>],
        clip: Clip,
    ) -> Vec<Self> {
        let mut buffers = buffers.iter_mut();
        let mut buffer = || buffers.next().map_or(Default::default(), |buffer| buffer.as_mut_slice());
        let (mut first, mut second) = (buffer(), buffer());
        let mut chunks = Vec::with_capacity(spans.len());
        for Span { length, decays } in spans {
            let chunk;
            (chunk, gradients) = gradients.split_at(*length);
            chunks.push(Self {
                parameters: take(&mut parameters, *length),
                gradients: chunk,
                first: take(&mut first, *length),
                second: take(&mut second, *length),
                clip,
                decays: *decays,
            });
        }
        chunks
    }

    /// What comes to a gradient before the optimizer sees it: its limit, and `decay` of the weight where it applies.
    pub fn pull(&self, decay: f64) -> impl Fn(f32, f32) -> f32 + use<> {
        let (clip, decay) = (self.clip, self.decay(decay) as f32);
        move |gradient, parameter| clip.apply(gradient) + decay * parameter
    }

    /// `decay` where it applies.
    pub fn decay(&self, decay: f64) -> f64 {
        if self.decays { decay } else { 0.0 }
    }
}

/// The first `length` values, or none of an empty buffer.
fn take<'a>(values: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let all = std::mem::take(values);
    let middle = length.min(all.len());
    let (taken, rest) = all.split_at_mut(middle);
    *values = rest;
    taken
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "ranges are meant")]
mod tests {
    use super::{Chunk, Clip, LONGEST, Span, spans};

    #[test]
    fn spans_cover_all_and_keep_apart_what_decays() {
        let all = spans(&[3..5, 5..LONGEST + 7], LONGEST + 10);
        let expected = [(3, false), (2, true), (LONGEST, true), (2, true), (3, false)];
        assert_eq!(all, expected.map(|(length, decays)| Span { length, decays }));
        assert_eq!(spans(&[], 2), [Span { length: 2, decays: false }]);
        assert_eq!(spans(&[0..2], 2), [Span { length: 2, decays: true }]);
    }

    #[test]
    fn chunks_are_the_values_in_order() {
        let (mut parameters, gradients, mut buffers) =
            ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [vec![7.0, 8.0, 9.0]]);
        let clip = Clip::new(None, None, &gradients);
        let chunks = Chunk::all(&spans(&[1..3], 3), &mut parameters, &gradients, &mut buffers, clip);
        let seen: Vec<_> = chunks
            .iter()
            .map(|chunk| {
                (chunk.parameters.to_vec(), chunk.gradients, chunk.first.to_vec(), chunk.second.len())
            })
            .collect();
        assert_eq!(
            seen,
            [(vec![1.0], &[4.0][..], vec![7.0], 0), (vec![2.0, 3.0], &[5.0, 6.0][..], vec![8.0, 9.0], 0)]
        );
        assert_eq!([chunks[0].decay(0.5), chunks[1].decay(0.5)], [0.0, 0.5]);
    }
}

//! Test-time augmentation: the logits of a picture as a weighted mean over several views of it.
//!
//! The mean is that of logits, not of probabilities, so that what comes out is logits again: of them loss, probabilities
//! and the order of the classes are made as ever. In probabilities it is the geometric mean.

use super::backend::InferenceEngine;
use crate::config::{Normalization, TestTimeAugmentation};
use crate::data::normalize::Lookup;
use crate::error::Result;

/// A view of a picture, and how much it counts.
#[derive(Debug, Clone, Copy, PartialEq)]
struct View {
    /// Left and right are swapped.
    mirrored: bool,
    /// Down and to the right, in 32nds of the picture's side: one pixel of CIFAR-10.
    shift: isize,
    /// All views' weights sum to 1, and each is a power of two, so that weighting rounds nothing.
    weight: f32,
}

const fn view(mirrored: bool, shift: isize, weight: f32) -> View {
    View { mirrored, shift, weight }
}

/// The views of each kind. Weights and shifts are those of Keller Jordan's airbench (2024): half the weight for the picture
/// in its place, a quarter for each of two opposite corners.
const NONE: [View; 1] = [view(false, 0, 1.0)];
const MIRROR: [View; 2] = [view(false, 0, 0.5), view(true, 0, 0.5)];
const MIRROR_SHIFT: [View; 6] = [
    view(false, 0, 0.25),
    view(true, 0, 0.25),
    view(false, 1, 0.125),
    view(true, 1, 0.125),
    view(false, -1, 0.125),
    view(true, -1, 0.125),
];

fn views(kind: TestTimeAugmentation) -> &'static [View] {
    match kind {
        TestTimeAugmentation::None => &NONE,
        TestTimeAugmentation::Mirror => &MIRROR,
        TestTimeAugmentation::MirrorShift => &MIRROR_SHIFT,
    }
}

/// The mean logits `[pictures, classes]` of normalised pictures `[pictures, resolution, resolution, 3]`, at most as many as
/// the engine holds.
///
/// # Errors
/// When the device fails.
pub fn logits(
    engine: &mut dyn InferenceEngine,
    input: &[f32],
    pictures: usize,
    kind: TestTimeAugmentation,
    normalization: &Normalization,
) -> Result<Vec<f32>> {
    let side = engine.network().resolution;
    let lookup = Lookup::new(normalization);
    let black = std::array::from_fn(|channel| lookup.value(channel, 0));
    let mut moved = Vec::new();
    let mut mean: Vec<f32> = Vec::new();
    for view in views(kind) {
        let logits = if view.mirrored || view.shift != 0 {
            moved.resize(input.len(), 0.0);
            for (from, to) in input.chunks_exact(side * side * 3).zip(moved.chunks_exact_mut(side * side * 3))
            {
                view.write(from, side, black, to);
            }
            engine.logits(&moved, pictures)?
        } else {
            engine.logits(input, pictures)?
        };
        if mean.is_empty() {
            mean = logits.into_iter().map(|logit| logit * view.weight).collect();
        } else {
            mean.iter_mut().zip(logits).for_each(|(sum, logit)| *sum += logit * view.weight);
        }
    }
    Ok(mean)
}

impl View {
    /// This view of a picture `[side, side, 3]`: moved, then mirrored.
    fn write(self, from: &[f32], side: usize, black: [f32; 3], to: &mut [f32]) {
        let (from, to) = (from.as_chunks::<3>().0, to.as_chunks_mut::<3>().0);
        let pixels = self.shift * (side / 32).max(1) as isize;
        let before = |at: usize| at.checked_add_signed(-pixels).filter(|before| *before < side);
        for (y, row) in to.chunks_exact_mut(side).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                let x = if self.mirrored { side - 1 - x } else { x };
                *pixel = match (before(y), before(x)) {
                    (Some(y), Some(x)) => from[y * side + x],
                    _ => black,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(view: View, from: &[f32], side: usize) -> Vec<f32> {
        let mut to = vec![f32::NAN; from.len()];
        view.write(from, side, [-1.0, -2.0, -3.0], &mut to);
        to
    }

    #[test]
    fn weights_sum_to_one() {
        for kind in [NONE.as_slice(), &MIRROR, &MIRROR_SHIFT] {
            assert_eq!(kind.iter().map(|view| view.weight).sum::<f32>(), 1.0);
        }
    }

    #[test]
    fn a_picture_is_moved_and_then_mirrored() {
        let side = 4;
        let picture: Vec<f32> = (0..side * side * 3).map(|i| i as f32).collect();
        assert_eq!(write(view(false, 0, 1.0), &picture, side), picture);
        let mirror = write(view(true, 0, 1.0), &picture, side);
        assert_eq!(mirror[..3], picture[9..12]);
        assert_eq!(write(view(true, 0, 1.0), &mirror, side), picture);
        let moved = write(view(false, 1, 1.0), &picture, side);
        assert_eq!(moved[..12], [-1.0, -2.0, -3.0].repeat(4), "the top row is black");
        assert_eq!(moved[15..24], picture[..9], "the second is the picture's first, moved to the right");
        let back = write(view(false, -1, 1.0), &picture, side);
        assert_eq!(back[..9], picture[15..24]);
        assert_eq!(back[9..12], [-1.0, -2.0, -3.0]);
        let both = write(view(true, 1, 1.0), &picture, side);
        assert_eq!(both[12..15], picture[6..9], "the pixel before the last comes first: {both:?}");
        assert_eq!(both[21..24], [-1.0, -2.0, -3.0]);
    }

    #[test]
    fn a_shift_is_a_32nd_of_the_side() {
        let side = 64;
        let picture = vec![5.0; side * side * 3];
        let moved = write(view(false, 1, 1.0), &picture, side);
        assert_eq!(moved.iter().filter(|value| **value < 0.0).count(), 3 * (2 * 64 + 2 * 62));
    }
}

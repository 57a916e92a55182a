//! Pictures mixed with the one before them in the batch (the first with the last), as torchvision's `MixUp` and `CutMix` do
//! it: one share, or one box, for the whole batch.

use crate::config::Augmentation;
use crate::kernels::loss::Mixture;
use crate::rng::{below, beta, unit};
use rand_chacha::rand_core::Rng;
use std::ops::Range;

/// How a batch is mixed.
#[derive(Debug, Clone, PartialEq)]
pub enum Mix {
    /// Every value is a weighted mean.
    Average {
        /// The picture's own weight.
        share: f64,
    },
    /// A box comes from the other picture.
    Box {
        /// In pixels.
        rows: Range<usize>,
        /// In pixels.
        columns: Range<usize>,
    },
}

impl Mix {
    /// A box round `[y, x]`, cut off where it leaves the picture of `side` pixels: were it whole, it would leave `share` of
    /// the picture.
    pub fn in_box(share: f64, [y, x]: [usize; 2], side: usize) -> Self {
        let half = (0.5 * (1.0 - share).sqrt() * side as f64) as usize;
        let range = |centre: usize| centre.saturating_sub(half)..(centre + half).min(side);
        Self::Box { rows: range(y), columns: range(x) }
    }

    /// The next batch's, of pictures of `side` pixels, by one of `steps` that mix; each is as likely.
    pub fn draw(steps: &[Augmentation], side: usize, rng: &mut impl Rng) -> Option<Self> {
        let step = steps.get(below(rng, steps.len() as u64) as usize)?;
        let happens = unit(rng);
        match *step {
            Augmentation::Mixup { alpha, probability } if happens < probability => {
                Some(Self::Average { share: beta(rng, alpha) })
            }
            Augmentation::Cutmix { alpha, probability } if happens < probability => {
                let share = beta(rng, alpha);
                let mut place = || below(rng, side as u64) as usize;
                let (x, y) = (place(), place());
                Some(Self::in_box(share, [y, x], side))
            }
            _ => None,
        }
    }

    /// Mixes the pictures `[n, side, side, 3]` with these labels.
    pub fn apply(&self, pictures: &mut [f32], labels: &[u32], side: usize) -> Mixture {
        let length = side * side * 3;
        // From the last to the first, so that each still finds the one before it as it was.
        let last = pictures[pictures.len() - length..].to_vec();
        for picture in (0..labels.len()).rev() {
            let (before, own) = pictures[..(picture + 1) * length].split_at_mut(picture * length);
            let other = if picture == 0 { &last } else { &before[(picture - 1) * length..] };
            match self {
                Self::Average { share } => average(own, other, *share),
                Self::Box { rows, columns } => {
                    for row in rows.clone() {
                        let range = (row * side + columns.start) * 3..(row * side + columns.end) * 3;
                        own[range.clone()].copy_from_slice(&other[range]);
                    }
                }
            }
        }
        self.mixture(labels, side)
    }

    /// What is in the pictures of `side` pixels with these labels once they are mixed.
    pub fn mixture(&self, labels: &[u32], side: usize) -> Mixture {
        let share = match self {
            Self::Average { share } => *share,
            Self::Box { rows, columns } => 1.0 - (rows.len() * columns.len()) as f64 / (side * side) as f64,
        };
        let mut others = labels.to_vec();
        others.rotate_right(1);
        Mixture { labels: others, share }
    }
}

/// In PyTorch's order: both are weighted, and then added.
fn average(own: &mut [f32], other: &[f32], share: f64) {
    let (weight, rest) = (share as f32, (1.0 - share) as f32);
    own.iter_mut().zip(other).for_each(|(own, other)| *own = *other * rest + *own * weight);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};
    use proptest::prelude::*;

    const MIXUP: Augmentation = Augmentation::Mixup { alpha: 1.0, probability: 1.0 };
    const CUTMIX: Augmentation = Augmentation::Cutmix { alpha: 1.0, probability: 0.5 };

    fn draw(steps: &[Augmentation], position: u64) -> Option<Mix> {
        Mix::draw(steps, 32, &mut stream(4, Purpose::Mixing, 1, position))
    }

    proptest! {
        /// Each picture is of one value here, so what is in a mixture can be read off it.
        #[test]
        fn a_picture_holds_its_share_of_two(count in 1usize..6, side in 1usize..10, position: u64, boxed: bool) {
            let steps = [if boxed { Augmentation::Cutmix { alpha: 0.7, probability: 1.0 } } else { MIXUP }];
            let mix = Mix::draw(&steps, side, &mut stream(4, Purpose::Mixing, 1, position)).unwrap();
            let length = side * side * 3;
            let mut pictures: Vec<f32> = (0..count).flat_map(|picture| vec![(picture + 1) as f32; length]).collect();
            let labels: Vec<u32> = (0..count as u32).collect();
            let mixture = mix.apply(&mut pictures, &labels, side);
            prop_assert!((0.0..=1.0).contains(&mixture.share));
            for (picture, values) in pictures.chunks_exact(length).enumerate() {
                let other = (picture + count - 1) % count;
                prop_assert_eq!(mixture.labels[picture], other as u32);
                let mean = values.iter().copied().map(f64::from).sum::<f64>() / length as f64;
                let expected = mixture.share * (picture + 1) as f64 + (1.0 - mixture.share) * (other + 1) as f64;
                prop_assert!((mean - expected).abs() < 1e-5, "{} for {}", mean, expected);
            }
        }
    }

    #[test]
    fn each_of_two_steps_comes_up_as_often_as_it_may() {
        let (mut averages, mut boxes) = (0, 0);
        for position in 0..4000 {
            match draw(&[MIXUP, CUTMIX], position) {
                Some(Mix::Average { .. }) => averages += 1,
                Some(Mix::Box { .. }) => boxes += 1,
                None => {}
            }
        }
        assert!((1900..2100).contains(&averages), "{averages}");
        assert!((900..1100).contains(&boxes), "{boxes}: half of its half");
        assert_eq!(draw(&[], 0), None);
    }
}

//! What is done to training pictures before the network sees them, composed of steps.
//!
//! What a step draws follows from (seed, epoch, the picture's place in the epoch) alone, or for what mixes a batch from the
//! place of its first picture: it depends neither on threads nor on where a run was interrupted. A picture's steps draw from
//! one stream, in their order.

mod affine;
mod canvas;
mod color;
pub mod cutout;
pub mod jitter;
pub mod mix;
pub mod operation;
pub mod place;
pub mod resized_crop;

pub use canvas::Canvas;

use super::View;
use crate::config::Augmentation;
use crate::kernels::loss::Mixture;
use cutout::Hole;
use jitter::Jitter;
use mix::Mix;
use operation::{Drawing, Space};
use place::{Placement, Placing};
use rand_chacha::rand_core::Rng;
use resized_crop::{ResizedCrop, resized_crop};

/// The steps, sorted by what they work on.
#[derive(Debug, Clone, Default)]
pub struct Augmenter {
    part: Option<ResizedCrop>,
    bytes: Vec<Step>,
    /// Sides of the holes, in pixels.
    holes: Vec<usize>,
    mixing: Vec<Augmentation>,
}

/// A step on a picture's bytes.
#[derive(Debug, Clone, Copy)]
enum Step {
    Place(Placing),
    Draw(Drawing),
    Jitter(Jitter),
}

impl Augmenter {
    /// Of steps in the order that [`Augmentation::check_all`] asks for.
    pub fn new(steps: &[Augmentation]) -> Self {
        let mut augmenter = Self::default();
        for step in steps {
            match *step {
                Augmentation::ResizedCrop { area, ratio } => {
                    augmenter.part = Some(ResizedCrop { scale: [area, 1.0], ratio: [1.0 / ratio, ratio] });
                }
                Augmentation::ColorJitter { brightness, contrast, saturation, hue } => {
                    let jitter = Jitter { factors: [brightness, contrast, saturation], hue };
                    augmenter.bytes.push(Step::Jitter(jitter));
                }
                Augmentation::Crop { padding } => {
                    augmenter.bytes.push(Step::Place(Placing { padding, flips: false }));
                }
                Augmentation::Flip => match augmenter.bytes.last_mut() {
                    // One pass with the crop before it.
                    Some(Step::Place(placing)) if !placing.flips => placing.flips = true,
                    _ => augmenter.bytes.push(Step::Place(Placing { padding: 0, flips: true })),
                },
                Augmentation::RandAugment { operations, magnitude } => {
                    let drawing =
                        Drawing { space: Space::RandAugment, operations, magnitude: Some(magnitude) };
                    augmenter.bytes.push(Step::Draw(drawing));
                }
                Augmentation::TrivialAugment => {
                    let drawing = Drawing { space: Space::Wide, operations: 1, magnitude: None };
                    augmenter.bytes.push(Step::Draw(drawing));
                }
                Augmentation::Cutout { size } => augmenter.holes.push(size),
                Augmentation::Mixup { .. } | Augmentation::Cutmix { .. } => augmenter.mixing.push(*step),
            }
        }
        augmenter
    }

    /// Whether single pictures are changed.
    pub fn changes_pictures(&self) -> bool {
        self.part.is_some() || !self.bytes.is_empty() || !self.holes.is_empty()
    }

    /// Whether a picture's bytes are placed and nothing else is done to them.
    pub fn only_places(&self) -> bool {
        self.part.is_none() && matches!(self.bytes[..], [] | [Step::Place(_)])
    }

    /// What is drawn for one picture of `side` pixels where bytes are only placed: where it is put, and its holes.
    pub fn draw(&self, side: usize, rng: &mut impl Rng) -> (Placement, Vec<Hole>) {
        let placement = match self.bytes[..] {
            [Step::Place(placing)] => placing.draw(rng),
            _ => Placement::NONE,
        };
        (placement, self.holes.iter().map(|size| Hole::draw(*size, side, rng)).collect())
    }

    /// How the next batch is mixed, if it is. `rng` is asked for only if there is a step that mixes.
    pub fn draw_mix<R: Rng>(&self, side: usize, rng: impl FnOnce() -> R) -> Option<Mix> {
        if self.mixing.is_empty() { None } else { Mix::draw(&self.mixing, side, &mut rng()) }
    }

    /// The step that takes a part of the picture, if there is one: `[side, side, 3]`.
    pub fn part(&self, picture: View<'_>, side: usize, rng: &mut impl Rng) -> Option<Vec<u8>> {
        let part = self.part?.draw(rng, picture.width, picture.height);
        Some(resized_crop(picture, part, side))
    }

    /// The steps on bytes: gives the changed pixels and where they are still to be put, so that whoever reads them can do
    /// that on the way. `picture` is `[height, width, 3]`.
    pub fn change<'a>(
        &self,
        picture: &'a [u8],
        size: (usize, usize),
        rng: &mut impl Rng,
        canvas: &'a mut Canvas,
    ) -> (&'a [u8], Placement) {
        let (steps, last) = match self.bytes.split_last() {
            Some((Step::Place(placing), steps)) => (steps, Some(*placing)),
            _ => (&self.bytes[..], None),
        };
        let placed = |rng: &mut _| last.map_or(Placement::NONE, |placing| placing.draw(rng));
        if steps.is_empty() {
            return (picture, placed(rng));
        }
        canvas.set(picture, size);
        for step in steps {
            match step {
                Step::Draw(drawing) => drawing.apply(rng, canvas),
                Step::Jitter(jitter) => {
                    jitter.draw(rng).into_iter().for_each(|change| change.apply(canvas));
                }
                Step::Place(placing) => {
                    let placement = placing.draw(rng);
                    canvas.rewrite(|from, to| placement.write(from, size, |_, byte| byte, to));
                }
            }
        }
        (&canvas.pixels, placed(rng))
    }

    /// The steps on a normalised picture `[side, side, 3]`.
    pub fn cut(&self, picture: &mut [f32], side: usize, rng: &mut impl Rng) {
        for size in &self.holes {
            Hole::draw(*size, side, rng).cut(picture, side);
        }
    }

    /// The step on a batch of normalised pictures `[n, side, side, 3]`, if it is to be mixed. `rng` is asked for only if
    /// there is such a step.
    pub fn mix<R: Rng>(
        &self,
        pictures: &mut [f32],
        labels: &[u32],
        side: usize,
        rng: impl FnOnce() -> R,
    ) -> Option<Mixture> {
        if self.mixing.is_empty() || labels.is_empty() {
            return None;
        }
        Some(Mix::draw(&self.mixing, side, &mut rng())?.apply(pictures, labels, side))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, stream};

    fn picture() -> Vec<u8> {
        (0..32 * 32 * 3).map(|i| (i * 7 % 251) as u8).collect()
    }

    fn change(steps: &[Augmentation], position: u64) -> Vec<u8> {
        let (picture, mut canvas) = (picture(), Canvas::default());
        let mut rng = stream(6, Purpose::Augmentation, 3, position);
        let (pixels, placement) = Augmenter::new(steps).change(&picture, (32, 32), &mut rng, &mut canvas);
        let mut output = vec![0; pixels.len()];
        placement.write(pixels, (32, 32), |_, byte| byte, &mut output);
        output
    }

    #[test]
    fn steps_are_taken_in_their_order_from_one_stream() {
        let [_, crop, flip, rand, trivial, ..] = Augmentation::ALL;
        for position in 0..50 {
            let mut rng = stream(6, Purpose::Augmentation, 3, position);
            let mut canvas = Canvas::default();
            canvas.set(&picture(), (32, 32));
            Drawing { space: Space::RandAugment, operations: 2, magnitude: Some(9) }
                .apply(&mut rng, &mut canvas);
            let placement = Placing { padding: 4, flips: true }.draw(&mut rng);
            canvas.rewrite(|from, to| placement.write(from, (32, 32), |_, byte| byte, to));
            Drawing { space: Space::Wide, operations: 1, magnitude: None }.apply(&mut rng, &mut canvas);
            assert_eq!(change(&[rand, crop, flip, trivial], position), canvas.pixels);
        }
    }

    #[test]
    fn a_flip_before_a_crop_is_a_step_of_its_own() {
        let [_, crop, flip, ..] = Augmentation::ALL;
        let mut differ = 0;
        for position in 0..50 {
            let mut rng = stream(6, Purpose::Augmentation, 3, position);
            let first = Placing { padding: 0, flips: true }.draw(&mut rng);
            let second = Placing { padding: 4, flips: false }.draw(&mut rng);
            let mut canvas = Canvas::default();
            canvas.set(&picture(), (32, 32));
            for placement in [first, second] {
                canvas.rewrite(|from, to| placement.write(from, (32, 32), |_, byte| byte, to));
            }
            assert_eq!(change(&[flip, crop], position), canvas.pixels);
            differ += usize::from(change(&[crop, flip], position) != canvas.pixels);
        }
        assert!(differ > 25, "{differ}");
    }

    #[test]
    fn nothing_to_do_changes_nothing() {
        assert!(!Augmenter::new(&[]).changes_pictures());
        assert_eq!(change(&[], 0), picture());
        assert!(!Augmenter::new(&Augmentation::ALL[7..]).changes_pictures());
        assert!(Augmenter::new(&[Augmentation::Cutout { size: 4 }]).changes_pictures());
    }
}
